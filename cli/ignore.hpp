// cli/ignore.hpp: which files of a source folder are not sent: the patterns of .amlignore or .gitignore.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace linarite::cli {

/// Patterns as git reads them: "*.log" at any depth, "/build" and "a/b" from the root, "data/" folders only, "**" for
/// any number of folders, "!keep.txt" takes back; the last pattern that matches decides. As with git, nothing below an
/// ignored folder can be taken back.
class IgnoreRules {
public:
    /// Adds the lines of one file. Later ones win over earlier ones.
    void add(std::string_view text);
    /// What is never worth sending: .git, notebook check points, byte code, and what runs leave in the root.
    void add_defaults();

    /// Whether this path (relative, '/' between parts) itself is ignored. Its folders must have been asked before.
    [[nodiscard]] bool ignores(std::string_view path, bool is_folder) const;

private:
    struct Rule {
        std::vector<std::string> parts; // of the pattern; "**" is any number of folders
        bool takes_back = false;
        bool folders_only = false;
    };
    void add_line(std::string_view line);
    static bool matches(const Rule& rule, const std::vector<std::string>& path);
    std::vector<Rule> rules_;
};

} // namespace linarite::cli
