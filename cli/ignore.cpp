#include "cli/ignore.hpp"

#include <algorithm>
#include <fnmatch.h>

namespace linarite::cli {
namespace {

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> parts;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('/'), text.size());
        if (end > 0) {
            parts.emplace_back(text.substr(0, end));
        }
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return parts;
}

// Blanks at the end do not count unless a backslash is before them.
std::string_view without_trailing_blanks(std::string_view line) {
    while (!line.empty() && (line.back() == ' ' || line.back() == '\t' || line.back() == '\r')) {
        if (line.size() >= 2 && line[line.size() - 2] == '\\') {
            break;
        }
        line.remove_suffix(1);
    }
    return line;
}

} // namespace

void IgnoreRules::add(std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF")) {
        text.remove_prefix(3);
    }
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        add_line(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

void IgnoreRules::add_defaults() {
    add(".git\n.ipynb_checkpoints\n__pycache__\n/.azureml\n/outputs\n/azureml-logs\n/azureml-setup\n");
}

void IgnoreRules::add_line(std::string_view line) {
    line = without_trailing_blanks(line);
    if (line.empty() || line.front() == '#') {
        return;
    }
    Rule rule;
    if (line.front() == '!') {
        rule.takes_back = true;
        line.remove_prefix(1);
    }
    if (line.ends_with('/')) {
        rule.folders_only = true;
        line.remove_suffix(1);
    }
    const bool anchored = line.find('/') != std::string_view::npos;
    rule.parts = split(line);
    if (rule.parts.empty()) {
        return;
    }
    if (!anchored) {
        rule.parts.insert(rule.parts.begin(), "**");
    }
    rules_.push_back(std::move(rule));
}

// Row by row: after pattern part i, reached[j] says whether the first j parts of the path can be used up. No recursion,
// so a pattern with many "**" costs no more than its length times the path's.
bool IgnoreRules::matches(const Rule& rule, const std::vector<std::string>& path) {
    std::vector<bool> reached(path.size() + 1, false);
    reached[0] = true;
    for (std::size_t i = 0; i < rule.parts.size(); ++i) {
        std::vector<bool> next(path.size() + 1, false);
        if (rule.parts[i] == "**") {
            const bool last = i + 1 == rule.parts.size();
            bool before = false;
            for (std::size_t j = 0; j <= path.size(); ++j) {
                next[j] = before || (reached[j] && !last); // at the end it needs something: "a/**" is not "a" itself
                before = before || reached[j];
            }
        } else {
            for (std::size_t j = 0; j < path.size(); ++j) {
                next[j + 1] = reached[j] && fnmatch(rule.parts[i].c_str(), path[j].c_str(), 0) == 0;
            }
        }
        reached = std::move(next);
    }
    return reached[path.size()];
}

bool IgnoreRules::ignores(std::string_view path, bool is_folder) const {
    const std::vector<std::string> parts = split(path);
    const auto last = std::find_if(rules_.rbegin(), rules_.rend(), [&](const Rule& rule) {
        return (is_folder || !rule.folders_only) && matches(rule, parts);
    });
    return last != rules_.rend() && !last->takes_back;
}

} // namespace linarite::cli
