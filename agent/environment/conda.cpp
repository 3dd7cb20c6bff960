#include "agent/environment/conda.hpp"

#include "agent/environment/build_session.hpp"
#include "agent/environment/file_lock.hpp"
#include "agent/environment/uv.hpp"
#include "agent/environment/uv_installer.hpp"
#include "common/files.hpp"
#include "proto/json_reader.hpp"

#include <algorithm>
#include <array>
#include <unistd.h>

namespace linarite::agent {

namespace {

constexpr std::size_t longest_words = 2048;
constexpr const char* rattler_package = "py-rattler>=0.28,<0.29"; // its interface changes with minor versions

bool is_executable(const fs::path& path) {
    return ::access(path.c_str(), X_OK) == 0;
}

Error no_rattler(const std::string& why) {
    return {Errc::unavailable,
            "rattler, which makes conda environments, could not be installed: " + why +
                " (or put micromamba, mamba or conda on the agent's PATH, or name one with --conda)"};
}

std::string text_of(const proto::Json& document, const char* key) {
    const auto found = document.find(key);
    return found != document.end() && found->is_string() ? found->get<std::string>() : "";
}

} // namespace

Result<std::optional<CondaTool>> find_conda_tool(const std::string& configured) {
    if (configured == "rattler") {
        return std::optional(CondaTool{"rattler", ""});
    }
    if (!configured.empty()) {
        const fs::path program = find_on_path(configured, false);
        if (program.empty()) {
            return Error(Errc::not_found, "conda tool '" + configured + "', which --conda names, is not on this node");
        }
        return std::optional(CondaTool{program.filename().string(), program});
    }
    for (const char* name : {"micromamba", "mamba", "conda"}) {
        if (const fs::path program = find_on_path(name, true); !program.empty()) {
            return std::optional(CondaTool{name, program});
        }
    }
    return std::optional<CondaTool>();
}

asio::awaitable<Result<CondaTool>> provide_rattler(Node& node, LogSink log, CancelToken cancel) {
    const fs::path home = node.settings().tools / "rattler";
    const fs::path done = home / ".linarite-ready"; // the last thing that is made
    CondaTool tool{"rattler", home / "bin" / "python"};
    if (is_executable(tool.program) && fs::exists(done)) {
        co_return tool;
    }
    const auto uv = co_await provide_uv(node, log, cancel);
    if (!uv) {
        co_return uv.error();
    }
    if (auto made = make_folders(node.settings().tools); !made) {
        co_return made.error();
    }
    const auto lock = co_await lock_file(
        node.settings().tools / "rattler.lock", [log] { log("waiting for somebody else who installs rattler"); },
        cancel);
    if (!lock) {
        co_return lock.error();
    }
    if (is_executable(tool.program) && fs::exists(done)) {
        co_return tool;
    }
    const auto python = choose_interpreter(">=3.10", *co_await node.interpreters());
    if (!python || !python->as_asked) {
        co_return no_rattler("it needs Python 3.10 or newer, which is not on this node");
    }
    log("no conda tool is on this node: installing rattler into " + home.string());
    std::error_code ec;
    fs::remove_all(home, ec);
    BuildOrder order;
    order.plan.interpreter = python->interpreter;
    order.folder = home;
    order.lock_fd = lock->get();
    order.log = log;
    order.cancel = cancel;
    BuildSession session(node, std::move(order));
    UvInstaller installer(session, *uv, ToolRunner());
    co_await installer.prepare();
    auto made = co_await installer.make_environment(python->interpreter.path);
    if (made) {
        made = co_await installer.install({rattler_package});
    }
    if (!made) {
        co_return made.error().code() == Errc::conflict ? made.error() : no_rattler(made.error().detail());
    }
    const auto marked = write_file_durably(done, "");
    co_return marked ? Result<CondaTool>(tool) : marked.error();
}

std::string conda_failure_words(const std::vector<std::string>& output) {
    // what they print while they work: bars, spinners, the list of what is fetched
    static constexpr std::array<std::string_view, 8> noise{"Collecting package metadata",
                                                           "Solving environment: ...",
                                                           "Retrieving notices",
                                                           "Loading pins",
                                                           "Channels:",
                                                           "Platform:",
                                                           "Pins:",
                                                           "[+]"};
    std::string words;
    for (const std::string& line : output) {
        const bool says_nothing = line.find_first_not_of(" \t") == std::string::npos ||
                                  std::any_of(noise.begin(), noise.end(), [&](std::string_view start) {
                                      return std::string_view(line).starts_with(start);
                                  });
        if (!says_nothing) {
            words += (words.empty() ? "" : "\n") + line;
        }
    }
    // the reason comes last
    return words.size() <= longest_words ? words : "..." + words.substr(words.size() - longest_words);
}

bool is_unsatisfiable(std::string_view words) {
    static constexpr std::array<std::string_view, 9> signs{
        "UnsatisfiableError",       "PackagesNotFoundError",
        "ResolvePackageNotFound",   "ould not solve for environment specs",
        "Cannot solve the request", "Encountered problems while solving",
        "are incompatible",         "nothing provides",
        "No candidates were found"};
    return std::any_of(signs.begin(), signs.end(),
                       [&](std::string_view sign) { return words.find(sign) != std::string_view::npos; });
}

Result<std::vector<std::string>> read_conda_lock(const fs::path& prefix) {
    std::vector<std::string> lines;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(prefix / "conda-meta", ec)) {
        if (entry.path().extension() != ".json") {
            continue;
        }
        const auto text = read_file(entry.path());
        const auto document = text ? proto::parse_json(*text) : Result<proto::Json>(text.error());
        if (!document || !document->is_object() || text_of(*document, "name").empty()) {
            return Error(Errc::internal, "'" + entry.path().string() +
                                             "' can't be read, so it is not known what was "
                                             "installed");
        }
        std::string line =
            text_of(*document, "name") + " " + text_of(*document, "version") + " " + text_of(*document, "build");
        const std::string sha256 = text_of(*document, "sha256");
        const std::string md5 = text_of(*document, "md5");
        line += sha256.empty() ? (md5.empty() ? "" : " md5:" + md5) : " sha256:" + sha256;
        lines.push_back(line + " " + text_of(*document, "url"));
    }
    if (ec) {
        return Error(Errc::internal, "list '" + (prefix / "conda-meta").string() + "': " + ec.message());
    }
    std::sort(lines.begin(), lines.end());
    return lines;
}

} // namespace linarite::agent
