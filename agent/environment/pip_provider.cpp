#include "agent/environment/process.hpp"
#include "agent/environment/provider.hpp"
#include "agent/environment/requirements.hpp"
#include "agent/environment/uv.hpp"
#include "async/async.hpp"
#include "common/clock.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"

#include <deque>
#include <sys/utsname.h>

namespace linarite::agent {

namespace {

std::string platform() {
    utsname names{};
    return ::uname(&names) == 0 ? std::string(names.sysname) + "-" + names.machine : "unknown";
}

// One environment being built.
class Build {
public:
    Build(Node& node, BuildOrder order, fs::path uv)
        : node_(node),
          order_(std::move(order)),
          uv_(std::move(uv)),
          until_(std::chrono::steady_clock::now() + node.settings().build_limit) {}

    asio::awaitable<Result<std::string>> run() {
        variables_ = own_variables();
        for (const char* name :
             {"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH", "UV_PYTHON", "UV_OFFLINE"}) {
            variables_.erase(name);
        }
        const auto index = index_variables(variables_, co_await pip_configuration());
        variables_.insert(index.begin(), index.end());
        if (auto found = variables_.find("UV_FIND_LINKS");
            found != variables_.end() && found->second.starts_with("/") &&
            !fs::exists(found->second.substr(0, found->second.find(' ')))) {
            variables_.erase(found); // pip passes over a folder that isn't there, uv stops
        }
        variables_["UV_PYTHON_DOWNLOADS"] = "never";
        variables_["UV_NO_PROGRESS"] = "1";
        variables_["NO_COLOR"] = "1";
        variables_["UV_CACHE_DIR"] = (node_.settings().environments / ".uv-cache").string();
        // Copies, not uv's hard links: a script that writes into its site-packages would change the file in the cache,
        // and with it every later environment. A copy costs half a second for numpy and scikit-learn.
        variables_["UV_LINK_MODE"] = "copy";

        const std::string folder = order_.folder.string();
        const auto made = co_await uv({"venv", "--quiet", "--python", order_.plan.interpreter.path.string(), folder});
        if (!made) {
            co_return made.error();
        }
        const auto installed = co_await install(folder);
        if (!installed) {
            co_return installed.error();
        }
        output_.clear();
        quiet_ = true;
        const auto frozen = co_await uv({"pip", "freeze", "--quiet", "--python", folder + "/bin/python"});
        if (!frozen) {
            co_return frozen.error();
        }
        std::string lock;
        for (const std::string& line : output_) {
            lock += line + "\n";
        }
        co_return lock;
    }

private:
    asio::awaitable<Result<void>> install(std::string folder) {
        std::string text;
        for (const std::string& line : order_.plan.requirements) {
            text += line + "\n";
        }
        const fs::path list = fs::path(folder) / "linarite-requirements.txt";
        const auto written = co_await on_pool(node_.pool(), [list, text] { return write_file_durably(list, text); });
        if (!written) {
            co_return written.error();
        }
        const std::vector<std::string> command{"pip", "install",    "--python", folder + "/bin/python",
                                               "-r",  list.string()};
        auto installed = co_await uv(command);
        if (installed || installed.error().code() != Errc::unavailable) {
            co_return installed;
        }
        order_.log("the package index can't be reached: trying with the packages that this node has kept");
        variables_["UV_OFFLINE"] = "1";
        const auto offline = co_await uv(command);
        co_return offline ? offline : installed;
    }

    // What pip's configuration files say. Nothing, if there is no pip.
    asio::awaitable<std::vector<std::string>> pip_configuration() {
        ProcessOrder order;
        std::string python = order_.plan.interpreter.path.string();
        if (order_.plan.image) { // the node's settings count, not those of an image
            const Interpreters* interpreters = co_await node_.interpreters();
            python = interpreters->usual ? interpreters->usual->path.string() : "";
        }
        if (python.empty()) {
            co_return std::vector<std::string>();
        }
        order.arguments = {python, "-m", "pip", "config", "list"};
        order.variables = variables_;
        order.limit = std::chrono::seconds(20);
        auto lines = std::make_shared<std::vector<std::string>>();
        const auto ended = co_await run_process(
            std::move(order), [lines](std::string_view line) { lines->emplace_back(line); }, order_.cancel);
        co_return ended && ended->ok() ? *lines : std::vector<std::string>();
    }

    // Its output goes to the log and to output_, of which the last 1,000 lines are kept.
    asio::awaitable<Result<void>> uv(std::vector<std::string> arguments) {
        output_.clear();
        ProcessOrder order;
        order.arguments = std::move(arguments);
        order.arguments.insert(order.arguments.begin(), uv_.string());
        order.variables = variables_;
        order.folder = node_.settings().environments; // no project's pyproject.toml or uv.toml is found from there
        order.keep_fd = order_.lock_fd;
        order.limit = std::chrono::ceil<Millis>(until_ - std::chrono::steady_clock::now());
        order.place = order_.folder.string();
        const ToolRunner run = order_.plan.image ? order_.plan.image->run : ToolRunner(run_process);
        const auto ended = co_await run(
            std::move(order), [this](std::string_view line) { take(line); }, order_.cancel);
        if (!ended) {
            co_return ended.error();
        }
        if (ended->ok()) {
            co_return Result<void>();
        }
        co_return failure(*ended);
    }

    void take(std::string_view line) {
        output_.emplace_back(line);
        if (output_.size() > 1000) {
            output_.pop_front();
        }
        if (!quiet_) {
            order_.log(std::string(line));
        }
    }

    [[nodiscard]] Error failure(const ProcessEnd& ended) const {
        if (ended.cancelled) {
            return {Errc::conflict, "building the environment was cancelled"};
        }
        if (ended.timed_out) {
            return {Errc::invalid_argument, "building the environment took longer than " +
                                                format_duration(Millis(node_.settings().build_limit)) +
                                                " and was ended"};
        }
        const std::string words = failure_words({output_.begin(), output_.end()});
        if (is_network_failure(words)) {
            return {Errc::unavailable, "the package index can't be reached: " + words};
        }
        return {Errc::invalid_argument, "the environment's packages can't be installed: " + words};
    }

    Node& node_;
    BuildOrder order_;
    fs::path uv_;
    std::chrono::steady_clock::time_point until_;
    std::map<std::string, std::string> variables_;
    std::deque<std::string> output_;
    bool quiet_ = false;
};

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
                       plan->interpreter.version.str() + (image ? " of image '" + image->name + "'" : "") +
                       " (no conda tool is used)";
        if (!plan->requirements.empty()) {
            plan->key = sha256_hex("linarite environment 1\npip\n" + platform() + "\n" +
                                   (image ? image->digest + "\n" : "") + plan->interpreter.path.string() + " " +
                                   plan->interpreter.version.str() + "\n" + normalise(plan->requirements));
        }
        co_return plan;
    }

    asio::awaitable<Result<std::string>> build(BuildOrder order) override {
        auto uv = co_await provide_uv(node_, order.log, order.cancel);
        if (!uv) {
            co_return uv.error();
        }
        Build build(node_, std::move(order), std::move(*uv));
        co_return co_await build.run();
    }

private:
    Node& node_;
};

} // namespace

std::unique_ptr<Provider> make_pip_provider(Node& node) {
    return std::make_unique<PipProvider>(node);
}

} // namespace linarite::agent
