#include "agent/environment/provider.hpp"
#include "agent/environment/requirements.hpp"
#include "agent/environment/uv.hpp"
#include "agent/environment/uv_installer.hpp"
#include "common/hash.hpp"

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
            plan->key = sha256_hex("linarite environment 1\npip\n" + platform_name() + "\n" +
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
        if (const auto installed = co_await installer.install(plan.requirements); !installed) {
            co_return installed.error();
        }
        const auto frozen = co_await installer.freeze();
        if (!frozen) {
            co_return frozen.error();
        }
        Built built;
        for (const std::string& line : *frozen) {
            built.lock += line + "\n";
        }
        co_return built;
    }

private:
    Node& node_;
};

} // namespace

std::unique_ptr<Provider> make_pip_provider(Node& node) {
    return std::make_unique<PipProvider>(node);
}

} // namespace linarite::agent
