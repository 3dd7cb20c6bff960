// agent/environment/uv_installer.hpp: packages from an index, put into an environment by uv.
#pragma once

#include "agent/environment/build_session.hpp"

#include <map>
#include <string>
#include <vector>

namespace linarite::agent {

/// uv with everything that this node says about packages: index, wheels at hand, cache, network or none.
class UvInstaller {
public:
    /// `runner` is where it works: in containers of an image, or empty for the node itself.
    UvInstaller(BuildSession& session, fs::path uv, ToolRunner runner)
        : session_(session), uv_(std::move(uv)), runner_(std::move(runner)) {}

    /// Reads the node's settings, those of pip among them. To be awaited before the others.
    asio::awaitable<void> prepare();
    /// An empty environment in the session's folder.
    asio::awaitable<Result<void>> make_environment(fs::path interpreter);
    /// Installs them. If the index can't be reached it is tried once more with what this node has kept.
    asio::awaitable<Result<void>> install(std::vector<std::string> requirements);
    /// "name==version", one each.
    asio::awaitable<Result<std::vector<std::string>>> freeze();

private:
    asio::awaitable<Result<std::vector<std::string>>> uv(std::vector<std::string> arguments, bool quiet = false);
    [[nodiscard]] std::string python() const { return (session_.folder() / "bin" / "python").string(); }

    BuildSession& session_;
    fs::path uv_;
    ToolRunner runner_;
    std::map<std::string, std::string> variables_;
};

} // namespace linarite::agent
