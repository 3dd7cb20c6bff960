#include "agent/environment/uv_installer.hpp"

#include "agent/environment/hard_links.hpp"
#include "agent/environment/requirements.hpp"
#include "agent/environment/uv.hpp"
#include "async/async.hpp"
#include "common/files.hpp"
#include "environments/layout.hpp"

namespace linarite::agent {

namespace {

Error explain(const std::vector<std::string>& output, int /*exit_code*/) {
    const std::string words = failure_words(output);
    if (is_network_failure(words)) {
        return {Errc::unavailable, "the package index can't be reached: " + words};
    }
    return {Errc::invalid_argument, "the environment's packages can't be installed: " + words};
}

// Adds those of a list that are there: pip passes over a folder that isn't, uv stops. pip separates them by blanks, uv
// by commas.
void add_links(const std::string& list, std::string& out) {
    for (std::size_t at = 0; at < list.size();) {
        const std::size_t end = std::min(list.find_first_of(", \t\n", at), list.size());
        const std::string link = list.substr(at, end - at);
        std::error_code ec;
        if (!link.empty() && (!link.starts_with('/') || fs::exists(link, ec))) {
            out += (out.empty() ? "" : ",") + link;
        }
        at = end + 1;
    }
}

} // namespace

asio::awaitable<void> UvInstaller::prepare() {
    const EnvironmentSettings& settings = session_.node().settings();
    variables_ = installer_variables();
    const auto index = index_variables(variables_, co_await session_.node().pip_configuration());
    variables_.insert(index.begin(), index.end());
    std::string links;
    for (const std::string& place : settings.find_links) {
        add_links(place, links);
    }
    add_links(variables_["UV_FIND_LINKS"], links);
    variables_["UV_FIND_LINKS"] = links;
    if (links.empty()) {
        variables_.erase("UV_FIND_LINKS");
    }
    if (settings.offline) {
        variables_["UV_OFFLINE"] = "1";
    }
    variables_["UV_PYTHON_DOWNLOADS"] = "never";
    variables_["UV_NO_PROGRESS"] = "1";
    variables_["UV_CACHE_DIR"] = (settings.environments / environments::uv_cache).string();
    const bool links_are_safe = co_await on_pool(session_.node().pool(), [] { return hard_links_are_safe(); });
    variables_["UV_LINK_MODE"] = links_are_safe ? "hardlink" : "copy";
}

asio::awaitable<Result<void>> UvInstaller::make_environment(fs::path interpreter) {
    const auto made = co_await uv({"venv", "--quiet", "--python", interpreter.string(), session_.folder().string()});
    co_return made ? Result<void>() : made.error();
}

asio::awaitable<Result<void>> UvInstaller::install(std::vector<std::string> requirements) {
    std::string text;
    for (const std::string& line : requirements) {
        text += line + "\n";
    }
    // in the environment's folder, since that is what a container of an image sees; an index may be named with its
    // password
    const fs::path list = session_.folder() / "linarite-requirements.txt";
    asio::thread_pool& pool = session_.node().pool();
    const auto written = co_await on_pool(pool, [list, text] { return write_file_durably(list, text, 0600); });
    if (!written) {
        co_return written.error();
    }
    const std::vector<std::string> command{"pip", "install", "--python", python(), "-r", list.string()};
    auto installed = co_await uv(command);
    if (!installed && installed.error().code() == Errc::unavailable && !variables_.contains("UV_OFFLINE")) {
        session_.step("the package index can't be reached: trying with the packages that this node has kept");
        variables_["UV_OFFLINE"] = "1";
        auto offline = co_await uv(command);
        variables_.erase("UV_OFFLINE");
        if (offline) {
            installed = std::move(offline);
        } else if (offline.error().code() != Errc::unavailable) {
            installed =
                Error(offline.error().code() == Errc::invalid_argument ? Errc::unavailable : offline.error().code(),
                      installed.error().detail() + "; and with what this node has kept: " + offline.error().detail());
        }
    }
    const auto rewritten =
        co_await on_pool(pool, [list, text] { return replace_file(list, without_credentials(text)); });
    if (!installed) {
        co_return installed.error();
    }
    co_return rewritten;
}

asio::awaitable<Result<std::vector<std::string>>> UvInstaller::freeze() {
    co_return co_await uv({"pip", "freeze", "--quiet", "--python", python()}, true);
}

asio::awaitable<Result<std::vector<std::string>>> UvInstaller::uv(std::vector<std::string> arguments, bool quiet) {
    ToolCall call;
    call.arguments = std::move(arguments);
    call.arguments.insert(call.arguments.begin(), uv_.string());
    call.variables = variables_;
    call.quiet = quiet;
    call.runner = runner_;
    call.explain = explain;
    co_return co_await session_.run(std::move(call));
}

} // namespace linarite::agent
