#include "cli/log_printer.hpp"

#include <algorithm>
#include <charconv>
#include <tuple>
#include <utility>

namespace linarite::cli {
namespace {

constexpr std::string_view driver_prefix = "azureml-logs/70_driver_log";
constexpr std::string_view suffix = ".txt";
// A line longer than this is printed in parts: memory does not depend on what a job writes.
constexpr std::size_t longest_line = std::size_t{64} << 10U;

// What stands in front of a line of this log.
std::string label_of(const std::string& name) {
    if (const auto rank = rank_of_log(name)) {
        return "[" + std::to_string(*rank) + "] ";
    }
    if (is_driver_log(name)) {
        const std::string word = name.substr(driver_prefix.size(), name.size() - driver_prefix.size() - suffix.size());
        return word.empty() ? "" : "[" + word.substr(1) + "] "; // "_worker_0"
    }
    if (name.starts_with("azureml-logs/20_")) {
        return "[build] ";
    }
    if (name.starts_with("azureml-logs/70_mpi")) {
        return "[mpi] ";
    }
    return "[" + name + "] ";
}

} // namespace

bool is_driver_log(std::string_view name) {
    return name.starts_with(driver_prefix) && name.ends_with(suffix);
}

std::optional<int> rank_of_log(std::string_view name) {
    if (!is_driver_log(name) || name.size() <= driver_prefix.size() + suffix.size() ||
        name[driver_prefix.size()] != '_') {
        return std::nullopt;
    }
    name.remove_prefix(driver_prefix.size() + 1);
    name.remove_suffix(suffix.size());
    int rank = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), rank);
    return error == std::errc() && end == name.data() + name.size() ? std::optional<int>(rank) : std::nullopt;
}

bool before_in_order(const std::string& a, const std::string& b) {
    return std::tuple(rank_of_log(a).value_or(-1), a) < std::tuple(rank_of_log(b).value_or(-1), b);
}

LogPrinter::LogPrinter(bool raw, const Terminal& terminal, Write out, Write err)
    : raw_(raw), terminal_(terminal), out_(std::move(out)), err_(std::move(err)) {}

bool LogPrinter::goes_to_out(const std::string& name) {
    return is_driver_log(name);
}

void LogPrinter::print(const std::string& name, std::string_view bytes) {
    if (raw_ || (goes_to_out(name) && label_of(name).empty())) {
        out_(bytes);
        return;
    }
    std::string& rest = unfinished_[name];
    while (!bytes.empty()) {
        const std::size_t end = bytes.find('\n');
        const std::size_t room = longest_line - rest.size();
        const std::size_t take = std::min({end, bytes.size(), room});
        rest.append(bytes.substr(0, take));
        bytes.remove_prefix(take);
        const bool ends = !bytes.empty() && bytes.front() == '\n';
        if (ends) {
            bytes.remove_prefix(1);
        }
        if (ends || rest.size() == longest_line) {
            print_line(name, rest);
            rest.clear();
        }
    }
}

void LogPrinter::finish() {
    for (auto& [name, rest] : unfinished_) {
        if (!rest.empty()) {
            print_line(name, rest);
            rest.clear();
        }
    }
}

void LogPrinter::print_line(const std::string& name, std::string_view line) {
    if (goes_to_out(name)) {
        out_(terminal_.out(Style::cyan, label_of(name)) + std::string(line) + "\n");
    } else {
        err_(terminal_.err(Style::dim, label_of(name) + printable(line)) + "\n");
    }
}

} // namespace linarite::cli
