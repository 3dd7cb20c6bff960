#include "agent/environment/provider.hpp"
#include "async/async.hpp"

#include <optional>

namespace linarite::agent {

namespace {

class UserManagedProvider final : public Provider {
public:
    explicit UserManagedProvider(Node& node) : node_(node) {}

    asio::awaitable<Result<Plan>> plan(proto::PythonEnvironment python,
                                       std::shared_ptr<const ImageBase> image) override {
        const std::string name = python.interpreter_path.empty() ? "python" : python.interpreter_path;
        if (image) {
            co_return in_image(name, std::move(image));
        }
        fs::path path = co_await on_pool(node_.pool(), [name] { return look_up(name); });
        Plan out;
        out.provider = "user_managed";
        if (path.empty()) {
            co_return Error(Errc::invalid_argument,
                            "interpreter '" + name + "' of the user-managed environment is not on this node");
        }
        if (is_shim(path)) {
            const auto known = shims_.find(path);
            if (known == shims_.end()) {
                const auto asked = co_await ask_interpreter(path, CancelToken());
                if (!asked) {
                    co_return Error(Errc::invalid_argument, asked.error().detail());
                }
                shims_[path] = asked->path;
                path = asked->path;
            } else {
                path = known->second;
            }
        }
        out.interpreter.path = path;
        co_return out;
    }

    asio::awaitable<Result<Built>> build(BuildOrder /*order*/) override {
        co_return Error(Errc::internal, "a user-managed environment is never built");
    }

private:
    // Whether a program of another name is there shows when it is started.
    static Plan in_image(const std::string& name, std::shared_ptr<const ImageBase> image) {
        Plan out;
        out.provider = "user_managed";
        out.interpreter.path = name == "python" && image->python ? image->python->path : fs::path(name);
        out.image = std::move(image);
        return out;
    }

    // Debian has no `python`: there `python3` is meant.
    static fs::path look_up(const std::string& name) {
        fs::path path = find_on_path(name, false);
        return path.empty() && name == "python" ? find_on_path("python3", false) : path;
    }

    Node& node_;
    std::map<fs::path, fs::path> shims_; // what they stand for
};

} // namespace

std::unique_ptr<Provider> make_user_managed_provider(Node& node) {
    return std::make_unique<UserManagedProvider>(node);
}

} // namespace linarite::agent
