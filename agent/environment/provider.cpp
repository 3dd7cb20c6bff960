#include "agent/environment/provider.hpp"

#include "async/async.hpp"

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

} // namespace

std::string platform_name() {
    utsname names{};
    return ::uname(&names) == 0 ? std::string(names.sysname) + "-" + names.machine : "unknown";
}

asio::awaitable<const Interpreters*> Node::interpreters() {
    if (!interpreters_) {
        Interpreters found = co_await find_interpreters(pool_, CancelToken());
        interpreters_ = std::make_unique<Interpreters>(std::move(found));
    }
    co_return interpreters_.get();
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
