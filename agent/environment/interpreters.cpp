#include "agent/environment/interpreters.hpp"

#include "agent/environment/process.hpp"
#include "common/files.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <set>
#include <tuple>
#include <unistd.h>

namespace linarite::agent {

namespace {

std::optional<std::vector<int>> parse_numbers(std::string_view text) {
    std::vector<int> out;
    while (true) {
        int number = 0;
        const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
        if (parsed.ec != std::errc() || number < 0) {
            return std::nullopt;
        }
        out.push_back(number);
        text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
        if (text.empty()) {
            return out;
        }
        if (text.front() != '.' || out.size() == 3) {
            return std::nullopt;
        }
        text.remove_prefix(1);
    }
}

// One condition on the interpreter's version. "3.8" means every 3.8.x, as conda's "python=3.8" does.
struct Clause {
    std::string operation;
    std::vector<int> numbers;

    [[nodiscard]] PythonVersion version() const {
        const auto at = [&](std::size_t i) { return i < numbers.size() ? numbers[i] : 0; };
        return {at(0), at(1), at(2)};
    }
    [[nodiscard]] bool covers(const PythonVersion& v) const {
        const std::vector<int> all{v.major, v.minor, v.patch};
        return std::equal(numbers.begin(), numbers.end(), all.begin());
    }
    [[nodiscard]] bool admits(const PythonVersion& v) const {
        if (operation == ">=") {
            return v >= version();
        }
        if (operation == "<=") {
            return v <= version() || covers(v);
        }
        if (operation == ">") {
            return v > version() && !covers(v);
        }
        if (operation == "<") {
            return v < version();
        }
        if (operation == "!=") {
            return !covers(v);
        }
        if (operation == "~=") {
            return v >= version() && v.major == numbers[0] && (numbers.size() < 3 || v.minor == numbers[1]);
        }
        return covers(v);
    }
};

std::vector<Clause> parse_clauses(const std::string& asked) {
    std::vector<Clause> out;
    std::string text;
    std::copy_if(asked.begin(), asked.end(), std::back_inserter(text), [](char c) { return c != ' '; });
    for (std::size_t at = 0; at <= text.size();) {
        const std::size_t end = std::min(text.find(',', at), text.size());
        std::string_view part = std::string_view(text).substr(at, end - at);
        at = end + 1;
        const std::size_t operation = std::min(part.find_first_not_of("<>=!~"), part.size());
        std::string_view number = part.substr(operation);
        if (number.ends_with(".*")) {
            number.remove_suffix(2);
        }
        if (auto numbers = parse_numbers(number)) {
            out.push_back({std::string(part.substr(0, operation)), std::move(*numbers)});
        }
    }
    return out;
}

// The smaller the nearer. Among equally far ones the newer is taken; of a minor version that was not asked for, the
// newest patch.
auto distance(const PythonVersion& wanted, const PythonVersion& v) {
    const int minors = std::abs(v.minor - wanted.minor);
    const int patches = minors == 0 ? std::abs(v.patch - wanted.patch) : 0;
    return std::tuple(std::abs(v.major - wanted.major), minors, patches, -v.minor, -v.patch);
}

bool is_executable_file(const fs::path& path) {
    std::error_code ec;
    return fs::is_regular_file(path, ec) && ::access(path.c_str(), X_OK) == 0;
}

std::string variable(const char* name) {
    const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): nobody sets variables in this program
    return value == nullptr ? "" : value;
}

std::vector<fs::path> path_folders() {
    std::vector<fs::path> out;
    const std::string path = variable("PATH");
    for (std::size_t at = 0; at <= path.size();) {
        const std::size_t end = std::min(path.find(':', at), path.size());
        if (end > at) {
            out.emplace_back(path.substr(at, end - at));
        }
        at = end + 1;
    }
    return out;
}

// Interpreters in folders that are named after their version.
void look_into_versions(const fs::path& folder, std::string_view before, std::vector<Interpreter>& found) {
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(folder, ec)) {
        std::string name = entry.path().filename().string();
        if (!name.starts_with(before)) {
            continue;
        }
        name = name.substr(before.size(),
                           before.empty() ? std::string::npos : name.find('-', before.size()) - before.size());
        const auto version = parse_python_version(name);
        const fs::path python = entry.path() / "bin" / "python3";
        if (version && version->major == 3 && is_executable_file(python)) {
            found.push_back({python, *version});
        }
    }
}

struct Looked {
    std::vector<Interpreter> known;
    std::vector<fs::path> to_ask; // real ones whose version no name tells
    fs::path usual;
};

// The version that pyenv's shims stand for, if it is the usual one: asking a shim takes as long as starting a shell.
std::optional<PythonVersion> version_of_shims(const fs::path& root) {
    std::string text = variable("PYENV_VERSION");
    if (text.empty()) {
        const auto file = read_file(root / "version", 4096);
        text = file ? *file : "";
    }
    return parse_python_version(text.substr(0, text.find_first_of(": \n")));
}

bool names_python(const std::string& name) {
    return name == "python3" || (name.starts_with("python3.") && parse_numbers(std::string_view(name).substr(7)));
}

Looked look_around() {
    Looked out;
    const fs::path home = variable("HOME");
    const std::string named = variable("PYENV_ROOT");
    const fs::path pyenv = named.empty() ? home / ".pyenv" : fs::path(named);
    look_into_versions(pyenv / "versions", "", out.known);
    look_into_versions(home / ".local/share/uv/python", "cpython-", out.known);
    std::set<fs::path> seen;
    std::error_code ec;
    for (const Interpreter& interpreter : out.known) {
        seen.insert(fs::canonical(interpreter.path, ec));
    }
    std::vector<fs::path> folders = path_folders();
    folders.insert(folders.end(), {"/usr/local/bin", "/usr/bin"});
    for (const fs::path& folder : folders) {
        for (const auto& entry : fs::directory_iterator(folder, ec)) {
            const fs::path& path = entry.path();
            if (names_python(path.filename().string()) && !is_shim(path) && is_executable_file(path) &&
                seen.insert(fs::canonical(path, ec)).second) {
                out.to_ask.push_back(path);
            }
        }
    }
    out.usual = find_on_path("python3", false);
    if (const auto version = version_of_shims(pyenv); version && out.usual.parent_path() == pyenv / "shims") {
        const auto meant = std::find_if(out.known.begin(), out.known.end(),
                                        [&](const Interpreter& known) { return known.version == *version; });
        out.usual = meant == out.known.end() ? out.usual : meant->path;
    }
    return out;
}

} // namespace

std::string PythonVersion::str() const {
    return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

std::optional<PythonVersion> parse_python_version(std::string_view text) {
    const auto numbers = parse_numbers(text);
    if (!numbers || numbers->size() != 3) {
        return std::nullopt;
    }
    return PythonVersion{(*numbers)[0], (*numbers)[1], (*numbers)[2]};
}

Result<InterpreterChoice> choose_interpreter(const std::string& asked, const Interpreters& interpreters) {
    if (interpreters.all.empty()) {
        return Error(Errc::not_found, "no Python is installed on this node; install python3");
    }
    const std::vector<Clause> clauses = parse_clauses(asked);
    const auto fits = [&](const Interpreter& interpreter) {
        return std::all_of(clauses.begin(), clauses.end(),
                           [&](const Clause& clause) { return clause.admits(interpreter.version); });
    };
    if (interpreters.usual && fits(*interpreters.usual)) {
        return InterpreterChoice{*interpreters.usual, true};
    }
    const Interpreter* best = nullptr;
    for (const Interpreter& interpreter : interpreters.all) {
        if (fits(interpreter) && (best == nullptr || interpreter.version > best->version)) {
            best = &interpreter;
        }
    }
    if (best != nullptr) {
        return InterpreterChoice{*best, true};
    }
    const PythonVersion wanted = clauses.front().version(); // something was asked for, or everything would have fitted
    const auto nearest = std::min_element(interpreters.all.begin(), interpreters.all.end(),
                                          [&](const Interpreter& a, const Interpreter& b) {
                                              return distance(wanted, a.version) < distance(wanted, b.version);
                                          });
    return InterpreterChoice{*nearest, false};
}

bool is_shim(const fs::path& path) {
    return path.parent_path().filename() == "shims";
}

fs::path find_on_path(const std::string& name, bool real) {
    if (name.find('/') != std::string::npos) {
        return is_executable_file(name) ? fs::path(name) : fs::path();
    }
    for (const fs::path& folder : path_folders()) {
        fs::path path = folder / name;
        if (!(real && is_shim(path)) && is_executable_file(path)) {
            return path;
        }
    }
    return {};
}

asio::awaitable<Result<Interpreter>> ask_interpreter(fs::path path, CancelToken cancel) {
    ProcessOrder order;
    order.arguments = {path.string(), "-I", "-c",
                       "import sys; print('%d.%d.%d' % sys.version_info[:3]); print(sys.executable)"};
    order.variables = own_variables(); // a shim needs PATH and pyenv's own
    order.limit = std::chrono::seconds(20);
    auto lines = std::make_shared<std::vector<std::string>>();
    const auto ended = co_await run_process(
        std::move(order), [lines](std::string_view line) { lines->emplace_back(line); }, std::move(cancel));
    if (!ended) {
        co_return ended.error();
    }
    const auto version = lines->size() == 2 ? parse_python_version(lines->front()) : std::nullopt;
    if (!ended->ok() || !version) {
        co_return Error(Errc::not_found, "'" + path.string() + "' is not a working Python 3");
    }
    co_return Interpreter{is_shim(path) ? fs::path(lines->back()) : path, *version};
}

asio::awaitable<Interpreters> find_interpreters(asio::thread_pool& pool, CancelToken cancel) {
    Looked looked = co_await on_pool(pool, look_around);
    Interpreters out{std::move(looked.known), std::nullopt};
    for (const fs::path& path : looked.to_ask) {
        const auto asked = co_await ask_interpreter(path, cancel);
        if (asked) {
            out.all.push_back(*asked);
        }
    }
    if (!looked.usual.empty()) {
        const auto known = std::find_if(out.all.begin(), out.all.end(), [&](const Interpreter& interpreter) {
            std::error_code ec;
            return fs::equivalent(interpreter.path, looked.usual, ec);
        });
        if (known != out.all.end()) {
            out.usual = Interpreter{looked.usual, known->version};
        } else if (const auto asked = co_await ask_interpreter(looked.usual, cancel)) {
            out.usual = *asked;
        }
    }
    if (!out.usual && !out.all.empty()) {
        out.usual = *std::max_element(out.all.begin(), out.all.end(),
                                      [](const auto& a, const auto& b) { return a.version < b.version; });
    }
    co_return out;
}

} // namespace linarite::agent
