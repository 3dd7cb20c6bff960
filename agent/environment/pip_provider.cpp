#include "agent/environment/provider.hpp"
#include "agent/environment/records.hpp"
#include "agent/environment/requirements.hpp"
#include "agent/environment/uv.hpp"
#include "agent/environment/uv_installer.hpp"
#include "async/async.hpp"
#include "common/hash.hpp"

#include <algorithm>

namespace linarite::agent {

namespace {

class PipProvider final : public Provider {
public:
    explicit PipProvider(Node& node) : node_(node) {}

    asio::awaitable<Result<Plan>> plan(proto::PythonEnvironment python,
                                       std::shared_ptr<const ImageBase> image) override {
        const auto requirements = to_requirements(python.conda_packages, python.pip_packages);
        if (!requirements) {
            co_return requirements.error();
        }
        auto plan = co_await plan_interpreter(node_, "pip", python.python_version, image);
        if (!plan) {
            co_return plan;
        }
        plan->requirements = requirements->lines;
        plan->notices.insert(plan->notices.end(), requirements->warnings.begin(), requirements->warnings.end());
        plan->reason = "environment: packages are installed by uv from the package index, into Python " +
                       plan->interpreter.version.str() + (image ? " of image '" + image->name + "'" : "");
        if (!plan->requirements.empty()) {
            plan->key = sha256_hex("linarite environment 2\npip\n" + platform_name() + "\n" +
                                   (image ? image->digest + "\n" : "") + plan->interpreter.path.string() + " " +
                                   plan->interpreter.version.str() + "\n" + normalise(plan->requirements));
        }
        co_return plan;
    }

    asio::awaitable<Result<Built>> build(BuildOrder order) override {
        const auto uv = co_await provide_uv(node_, order.log, order.cancel);
        if (!uv) {
            co_return uv.error();
        }
        BuildSession session(node_, std::move(order));
        const Plan& plan = session.plan();
        UvInstaller installer(session, *uv, plan.image ? plan.image->run : ToolRunner());
        co_await installer.prepare();
        session.step("making an environment for Python " + plan.interpreter.version.str());
        if (const auto made = co_await installer.make_environment(plan.interpreter.path); !made) {
            co_return made.error();
        }
        session.step("installing packages");
        if (const auto installed = co_await install_with_pip(session, installer); !installed) {
            co_return installed.error();
        }
        const auto frozen = co_await installer.freeze();
        if (!frozen) {
            co_return frozen.error();
        }
        Built built;
        built.python = plan.interpreter.version.str();
        built.lock = co_await on_pool(
            node_.pool(), [at = session.folder(), lines = *frozen] { return lock_of_installed(at, lines); });
        co_return built;
    }

private:
    // Environments of conda and of venv have pip, and packages and scripts of their time use it without asking for it.
    static asio::awaitable<Result<void>> install_with_pip(BuildSession& session, UvInstaller& installer) {
        const std::vector<std::string>& asked = session.plan().requirements;
        const bool names_pip =
            std::ranges::any_of(asked, [](const std::string& line) { return names_package(line, "pip"); });
        std::vector<std::string> with_pip = asked;
        if (!names_pip) {
            with_pip.emplace_back("pip");
        }
        auto installed = co_await installer.install(with_pip);
        if (installed || names_pip || installed.error().detail().find("pip was not found") == std::string::npos) {
            co_return installed;
        }
        session.step("the package index has no pip: the environment goes without");
        co_return co_await installer.install(asked);
    }

    Node& node_;
};

} // namespace

std::unique_ptr<Provider> make_pip_provider(Node& node) {
    return std::make_unique<PipProvider>(node);
}

} // namespace linarite::agent
