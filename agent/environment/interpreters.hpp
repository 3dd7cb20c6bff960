// agent/environment/interpreters.hpp: the Pythons that are installed here, and which of them a run gets.
#pragma once

#include "async/cancel.hpp"
#include "common/error.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <compare>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace linarite::agent {

namespace asio = boost::asio;
namespace fs = std::filesystem;

struct PythonVersion {
    int major = 0;
    int minor = 0;
    int patch = 0;
    auto operator<=>(const PythonVersion&) const = default;
    [[nodiscard]] std::string str() const;
};

/// "3.8.18" exactly; anything else is nothing.
std::optional<PythonVersion> parse_python_version(std::string_view text);

/// A real interpreter: never one of pyenv's shims, which choose anew at each start.
struct Interpreter {
    fs::path path;
    PythonVersion version;
    bool operator==(const Interpreter&) const = default;
};

struct Interpreters {
    std::vector<Interpreter> all;
    std::optional<Interpreter> usual; // what `python3` means on this node
};

struct InterpreterChoice {
    Interpreter interpreter;
    bool as_asked = true; // false: it is the nearest that there is
};

/// `asked` is "", "3.8", "3.8.13", "3.8.*" or clauses such as ">=3.7,<3.10". The usual interpreter if it fits, else the
/// newest that does, else the nearest. not_found if there is none at all.
Result<InterpreterChoice> choose_interpreter(const std::string& asked, const Interpreters& interpreters);

/// Looks through PATH, /usr/bin, /usr/local/bin, pyenv's versions and uv's own. Versions come from folder names where
/// they can; other interpreters are asked, which takes some 15 ms each.
asio::awaitable<Interpreters> find_interpreters(asio::thread_pool& pool, CancelToken cancel);

/// The executable of that name on PATH (or itself, if it has a '/'), not one of pyenv's shims if `real`. "" if there is
/// none.
fs::path find_on_path(const std::string& name, bool real);

/// Asks it by running it: for shims, which answer with what they stand for now.
asio::awaitable<Result<Interpreter>> ask_interpreter(fs::path path, CancelToken cancel);

/// Whether that is a wrapper of pyenv's.
bool is_shim(const fs::path& path);

} // namespace linarite::agent
