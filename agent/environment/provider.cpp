#include "agent/environment/provider.hpp"

#include "async/async.hpp"

#include <algorithm>
#include <array>

namespace linarite::agent {

namespace {

// "pytorch:1.4-cpu": what the SDK's framework estimators ask for if their user names no packages.
bool is_framework_image(const std::string& image) {
    constexpr std::array frameworks{"pytorch:", "tensorflow:", "chainer:", "scikit-learn:", "sklearn:"};
    const bool has_place = image.ends_with("-cpu") || image.ends_with("-gpu");
    return has_place && std::any_of(frameworks.begin(), frameworks.end(),
                                    [&](const char* framework) { return image.starts_with(framework); });
}

// Azure's own images bring a system and a Python, which the node has, and some a framework, which it may have.
bool is_azure_image(const std::string& image) {
    return image.empty() || image.find("/azureml/") != std::string::npos || image.starts_with("azureml/") ||
           is_framework_image(image);
}

} // namespace

asio::awaitable<const Interpreters*> Node::interpreters() {
    if (!interpreters_) {
        Interpreters found = co_await find_interpreters(pool_, CancelToken());
        interpreters_ = std::make_unique<Interpreters>(std::move(found));
    }
    co_return interpreters_.get();
}

asio::awaitable<Result<Plan>> plan_interpreter(Node& node, std::string provider, std::string version) {
    const Interpreters* interpreters = co_await node.interpreters();
    const auto chosen = choose_interpreter(version, *interpreters);
    if (!chosen) {
        co_return chosen.error();
    }
    Plan plan;
    plan.provider = std::move(provider);
    plan.interpreter = chosen->interpreter;
    if (!chosen->as_asked) {
        const std::string has = plan.interpreter.version.str();
        if (node.settings().strict_python) {
            co_return Error(Errc::invalid_argument,
                            "python " + version + " was asked for; the nearest that this node has is " + has);
        }
        plan.notices.push_back("warning: python " + version + " was asked for; this node has " + has + ": using it");
    }
    co_return plan;
}

Result<std::string> check_container(const proto::ContainerSettings& container) {
    const bool custom = !is_azure_image(container.base_image) || !container.base_dockerfile.empty();
    const std::string named =
        container.base_dockerfile.empty() ? "image '" + container.base_image + "'" : std::string("the base dockerfile");
    if (container.use_docker && custom) {
        return Error(Errc::invalid_argument,
                     "containers are not supported yet: " + named +
                         " can't be used; leave it out, or set docker.useDocker to false to run on the node itself");
    }
    if (container.base_image.empty() && container.base_dockerfile.empty()) {
        return std::string();
    }
    return "no container engine is used: " + named + " is replaced by the node itself" +
           (is_framework_image(container.base_image) ? ", whose Python must have the framework" : "");
}

} // namespace linarite::agent
