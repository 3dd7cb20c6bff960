#include "agent/environment/uv.hpp"

#include "agent/environment/file_lock.hpp"
#include "common/files.hpp"

#include <algorithm>
#include <array>
#include <unistd.h>

namespace linarite::agent {

namespace {

constexpr std::size_t longest_words = 2048;

fs::path find_uv(const EnvironmentSettings& settings) {
    fs::path path = settings.uv.empty() ? find_on_path("uv", true) : settings.uv;
    const fs::path own = settings.tools / "uv" / "bin" / "uv";
    return path.empty() && ::access(own.c_str(), X_OK) == 0 ? own : path;
}

asio::awaitable<bool> run_logged(std::vector<std::string> arguments, LogSink log, CancelToken cancel) {
    ProcessOrder order;
    order.arguments = std::move(arguments);
    order.variables = own_variables();
    order.variables.erase("PYTHONHOME");
    order.variables.erase("PYTHONPATH");
    order.variables["PIP_DISABLE_PIP_VERSION_CHECK"] = "1";
    order.variables["PIP_NO_INPUT"] = "1";
    order.limit = std::chrono::minutes(5);
    const auto ended = co_await run_process(
        std::move(order), [log](std::string_view line) { log(std::string(line)); }, std::move(cancel));
    co_return ended && ended->ok();
}

// Either way there will be <folder>/bin/uv. Debian splits venv and pip off Python, so one of both may be missing.
asio::awaitable<bool> make_uv_by(std::string python, fs::path folder, LogSink log, CancelToken cancel) {
    const std::string target = folder.string();
    std::error_code ec;
    fs::remove_all(folder, ec);
    if (co_await run_logged({python, "-m", "venv", target}, log, cancel)) {
        if (co_await run_logged({target + "/bin/python", "-m", "pip", "install", "uv"}, log, cancel)) {
            co_return true;
        }
    }
    fs::remove_all(folder, ec);
    co_return co_await run_logged({python, "-m", "pip", "install", "--target", target, "uv"}, log, cancel);
}

} // namespace

asio::awaitable<Result<fs::path>> provide_uv(Node& node, LogSink log, CancelToken cancel) {
    if (fs::path found = find_uv(node.settings()); !found.empty()) {
        co_return found;
    }
    if (auto made = make_folders(node.settings().tools); !made) {
        co_return made.error();
    }
    const auto lock = co_await lock_file(
        node.settings().tools / "uv.lock", [log] { log("waiting for somebody else who installs uv"); }, cancel);
    if (!lock) {
        co_return lock.error();
    }
    if (fs::path found = find_uv(node.settings()); !found.empty()) {
        co_return found;
    }
    log("uv is not on this node: installing it into " + node.settings().tools.string());
    std::vector<Interpreter> pythons = (co_await node.interpreters())->all;
    if (const auto& usual = (co_await node.interpreters())->usual) {
        pythons.insert(pythons.begin(), *usual);
    }
    // uv's wheel wants 3.8. After three interpreters the fault is not in the interpreter.
    std::erase_if(pythons, [](const Interpreter& python) { return python.version < PythonVersion{3, 8, 0}; });
    pythons.resize(std::min<std::size_t>(pythons.size(), 3));
    const fs::path fresh = node.settings().tools / "uv";
    for (const Interpreter& python : pythons) {
        const bool made = co_await make_uv_by(python.path.string(), fresh, log, cancel);
        if (made && ::access((fresh / "bin/uv").c_str(), X_OK) == 0) {
            co_return fresh / "bin/uv";
        }
        if (cancel.cancelled()) {
            break;
        }
    }
    co_return Error(
        Errc::unavailable,
        "uv, which installs packages, is not on this node and could not be installed; put it on the agent's PATH "
        "(`pip install uv`, or apt-get install python3-venv and let the agent reach a package index)");
}

namespace {

// global.index-url='https://...' -> {"index-url", "https://..."}; the environment's own lines are left out, they are
// passed on anyway.
std::map<std::string, std::string> read_pip_config(const std::vector<std::string>& lines) {
    std::map<std::string, std::string> out;
    for (const std::string& line : lines) {
        const auto equals = line.find("='");
        const auto dot = line.find('.');
        if (equals == std::string::npos || dot >= equals || !line.ends_with("'") || line.starts_with(":env:")) {
            continue;
        }
        if (!line.starts_with("global.") && !line.starts_with("install.")) {
            continue;
        }
        std::string value = line.substr(equals + 2, line.size() - equals - 3);
        for (auto at = value.find("\\n"); at != std::string::npos; at = value.find("\\n", at)) {
            value.replace(at, 2, " ");
        }
        const auto first = value.find_first_not_of(' ');
        out[line.substr(dot + 1, equals - dot - 1)] = first == std::string::npos ? "" : value.substr(first);
    }
    return out;
}

struct Meaning {
    const char* uv;
    const char* uv_older; // the name that uv had for it before; also "already set"
    const char* pip;      // environment variable
    const char* key;      // in pip's configuration files
};
constexpr std::array meanings{
    Meaning{"UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL", "index-url"},
    Meaning{"UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL", "extra-index-url"},
    Meaning{"UV_FIND_LINKS", "UV_FIND_LINKS", "PIP_FIND_LINKS", "find-links"},
    Meaning{"UV_INSECURE_HOST", "UV_INSECURE_HOST", "PIP_TRUSTED_HOST", "trusted-host"},
    Meaning{"SSL_CERT_FILE", "SSL_CERT_FILE", "PIP_CERT", "cert"},
};

} // namespace

std::map<std::string, std::string> index_variables(const std::map<std::string, std::string>& own,
                                                   const std::vector<std::string>& pip_config) {
    const auto configured = read_pip_config(pip_config);
    std::map<std::string, std::string> out;
    for (const Meaning& meaning : meanings) {
        if (own.contains(meaning.uv) || own.contains(meaning.uv_older)) {
            continue;
        }
        std::string value;
        if (const auto pip = own.find(meaning.pip); pip != own.end()) {
            value = pip->second;
        } else if (const auto file = configured.find(meaning.key); file != configured.end()) {
            value = file->second;
        }
        if (!value.empty()) {
            out[meaning.uv] = value;
        }
    }
    return out;
}

std::string failure_words(const std::vector<std::string>& output) {
    const auto is_start = [](const std::string& line) {
        return line.starts_with("error:") || line.starts_with("  \u00d7") || line.starts_with("\u00d7");
    };
    auto first = std::find_if(output.begin(), output.end(), is_start);
    if (first == output.end()) {
        first = output.end() - static_cast<std::ptrdiff_t>(std::min<std::size_t>(output.size(), 10));
    }
    std::string words;
    for (; first != output.end(); ++first) {
        words += words.empty() ? "" : "\n";
        words += *first;
    }
    if (words.size() > longest_words) {
        std::size_t cut = longest_words - 3;
        while (cut > 0 && (static_cast<unsigned char>(words[cut]) & 0xC0U) == 0x80U) {
            --cut; // not within a character
        }
        words = words.substr(0, cut) + "...";
    }
    return words;
}

bool is_network_failure(std::string_view words) {
    static constexpr std::array<std::string_view, 9> signs{"error sending request",
                                                           "tcp connect error",
                                                           "dns error",
                                                           "failed to lookup address",
                                                           "etwork is unreachable",
                                                           "Connection refused",
                                                           "Request failed after",
                                                           "timed out",
                                                           "Could not connect"};
    return std::any_of(signs.begin(), signs.end(),
                       [&](std::string_view sign) { return words.find(sign) != std::string_view::npos; });
}

} // namespace linarite::agent
