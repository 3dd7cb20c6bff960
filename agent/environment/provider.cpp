#include "agent/environment/provider.hpp"

#include "async/async.hpp"

#include <fmt/core.h>

#include <sys/stat.h>
#include <sys/utsname.h>

namespace linarite::agent {

namespace {

// The one that is in the image is all there is.
Result<InterpreterChoice> choose(const std::string& version, const ImageBase& image) {
    if (!image.python) {
        return Error(Errc::invalid_argument,
                     "image '" + image.name +
                         "' has no Python (neither python nor python3 is on its PATH): base it on "
                         "one that has, or give the run's program as a command");
    }
    return choose_interpreter(version, Interpreters{{*image.python}, image.python});
}

asio::awaitable<Result<InterpreterChoice>> choose(Node& node, std::string version) {
    const Interpreters* interpreters = co_await node.interpreters();
    co_return choose_interpreter(version, *interpreters);
}

// Where pip reads its configuration on Linux (its user guide, "Location"), with what shows a change; "" for none.
std::string describe_pip_files(std::map<std::string, std::string> own, const fs::path& python) {
    const fs::path home = own["HOME"];
    const fs::path user = own["XDG_CONFIG_HOME"].empty() ? home / ".config" : fs::path(own["XDG_CONFIG_HOME"]);
    std::vector<fs::path> places{"/etc/pip.conf", "/etc/xdg/pip/pip.conf", home / ".pip/pip.conf",
                                 user / "pip/pip.conf", python.parent_path().parent_path() / "pip.conf"};
    if (!own["PIP_CONFIG_FILE"].empty()) {
        places.emplace_back(own["PIP_CONFIG_FILE"]);
    }
    std::string out;
    for (const fs::path& place : places) {
        struct stat facts {};
        if (::stat(place.c_str(), &facts) == 0 && S_ISREG(facts.st_mode)) {
            out += fmt::format("{} {} {}.{}\n", place.string(), facts.st_size, facts.st_mtim.tv_sec,
                               facts.st_mtim.tv_nsec);
        }
    }
    return out;
}

} // namespace

std::string platform_name() {
    utsname names{};
    return ::uname(&names) == 0 ? std::string(names.sysname) + "-" + names.machine : "unknown";
}

asio::awaitable<const Interpreters*> Node::interpreters() {
    if (!interpreters_) {
        Interpreters found = co_await find_interpreters(pool_, CancelToken());
        if (!interpreters_) { // another one may have asked at the same time, and has been given theirs
            interpreters_ = std::make_unique<Interpreters>(std::move(found));
        }
    }
    co_return interpreters_.get();
}

// Starting pip takes most of a second, so it is not asked where there is nothing to say.
asio::awaitable<std::vector<std::string>> Node::pip_configuration() {
    const Interpreters* found = co_await interpreters();
    if (!found->usual) {
        co_return std::vector<std::string>();
    }
    const std::string files =
        co_await on_pool(pool_, [python = found->usual->path] { return describe_pip_files(own_variables(), python); });
    if (files == pip_files_) {
        co_return pip_lines_;
    }
    ProcessOrder order;
    order.arguments = {found->usual->path.string(), "-m", "pip", "config", "list"};
    order.variables = own_variables();
    order.variables.erase("PYTHONHOME");
    order.variables.erase("PYTHONPATH");
    order.limit = std::chrono::seconds(20);
    auto lines = std::make_shared<std::vector<std::string>>();
    const auto ended = co_await run_process(
        std::move(order), [lines](std::string_view line) { lines->emplace_back(line); }, CancelToken());
    pip_lines_ = ended && ended->ok() ? *lines : std::vector<std::string>();
    pip_files_ = files;
    co_return pip_lines_;
}

asio::awaitable<Result<Plan>> plan_interpreter(Node& node, std::string provider, std::string version,
                                               std::shared_ptr<const ImageBase> image) {
    const auto chosen = image ? choose(version, *image) : co_await choose(node, version);
    if (!chosen) {
        co_return chosen.error();
    }
    Plan plan;
    plan.provider = std::move(provider);
    plan.interpreter = chosen->interpreter;
    plan.image = image;
    const std::string place = image ? "the image" : "this node";
    if (!chosen->as_asked) {
        const std::string has = plan.interpreter.version.str();
        if (node.settings().strict_python) {
            co_return Error(Errc::invalid_argument,
                            "python " + version + " was asked for; the nearest that " + place + " has is " + has);
        }
        plan.notices.push_back("warning: python " + version + " was asked for; " + place + " has " + has +
                               ": using it");
    }
    co_return plan;
}

} // namespace linarite::agent
