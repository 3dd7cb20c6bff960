#include "agent/environment/provider.hpp"

namespace linarite::agent {

namespace {

class PlainProvider final : public Provider {
public:
    explicit PlainProvider(Node& node) : node_(node) {}

    asio::awaitable<Result<Plan>> plan(proto::PythonEnvironment python,
                                       std::shared_ptr<const ImageBase> image) override {
        return plan_interpreter(node_, "plain", std::move(python.python_version), std::move(image));
    }
    asio::awaitable<Result<Built>> build(BuildOrder /*order*/) override {
        co_return Error(Errc::internal, "an installed interpreter is never built");
    }

private:
    Node& node_;
};

} // namespace

std::unique_ptr<Provider> make_plain_provider(Node& node) {
    return std::make_unique<PlainProvider>(node);
}

} // namespace linarite::agent
