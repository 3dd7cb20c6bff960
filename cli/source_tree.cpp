#include "cli/source_tree.hpp"

#include "cli/ignore.hpp"
#include "cli/progress.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace linarite::cli {
namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 20U;
constexpr std::size_t names_shown = 8;

struct FoundFile {
    std::string name; // relative to the root
    fs::path path;
};

/// Finds the files of one tree. Links are resolved here, so that what is hashed is what was judged.
class Walker {
public:
    Walker(fs::path root, IgnoreRules rules) : root_(std::move(root)), rules_(std::move(rules)) {}

    Result<void> walk(const fs::path& folder, const std::string& prefix) {
        std::error_code error;
        fs::directory_iterator entries(folder, error);
        if (error) {
            return Error(Errc::invalid_argument, "cannot read folder '" + folder.string() + "': " + error.message());
        }
        for (auto entry = begin(entries); entry != end(entries); entry.increment(error)) {
            if (error) {
                break;
            }
            if (auto taken = take(*entry, prefix + entry->path().filename().string()); !taken) {
                return taken;
            }
        }
        if (error) {
            return Error(Errc::invalid_argument, "cannot read folder '" + folder.string() + "': " + error.message());
        }
        return {};
    }

    std::vector<FoundFile> files;
    std::vector<std::string> notes;
    std::vector<Fault> faults;

private:
    Result<void> take(const fs::directory_entry& entry, const std::string& name) {
        std::error_code error;
        const fs::file_type type = entry.symlink_status(error).type();
        if (rules_.ignores(name, type == fs::file_type::directory)) {
            return {};
        }
        if (auto checked = parse_relative_path(name, "file"); !checked) {
            faults.push_back({"", checked.error().detail()});
            return {};
        }
        if (type == fs::file_type::directory) {
            return walk(entry.path(), name + "/");
        }
        if (type == fs::file_type::regular) {
            files.push_back({name, entry.path()});
        } else if (type == fs::file_type::symlink) {
            take_link(entry.path(), name);
        } else {
            notes.push_back(name + ": neither a file nor a folder");
        }
        return {};
    }

    void take_link(const fs::path& link, const std::string& name) {
        std::error_code error;
        const fs::path to = fs::canonical(link, error);
        if (error) {
            notes.push_back(name + ": a link that leads nowhere");
            return;
        }
        const auto [end, rest] = std::mismatch(root_.begin(), root_.end(), to.begin(), to.end());
        if (end != root_.end()) {
            notes.push_back(name + ": a link that leaves the folder");
        } else if (fs::is_regular_file(to, error)) {
            files.push_back({name, to});
        } else {
            notes.push_back(name + ": links are followed to files only");
        }
    }

    fs::path root_;
    IgnoreRules rules_;
};

Result<IgnoreRules> read_rules(const fs::path& root) {
    IgnoreRules rules;
    rules.add_defaults();
    for (const char* name : {".amlignore", ".gitignore"}) {
        const auto text = read_file(root / name);
        if (text) {
            rules.add(*text);
            return rules;
        }
        if (text.error().code() != Errc::not_found) {
            return Error(Errc::invalid_argument, text.error().detail());
        }
    }
    return rules;
}

// Sizes alone, to refuse a tree that is too large before it is read.
Result<std::uint64_t> check_sizes(const std::vector<FoundFile>& files, std::uint64_t limit) {
    proto::Manifest sizes;
    for (const FoundFile& found : files) {
        std::error_code error;
        const std::uintmax_t size = fs::file_size(found.path, error);
        if (error) {
            return Error(Errc::invalid_argument, "cannot read file '" + found.name + "': " + error.message());
        }
        sizes.files.push_back({found.name, size, "", false});
    }
    if (auto fits = proto::check_size(sizes, limit); !fits) {
        return fits.error();
    }
    return proto::total_bytes(sizes);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) {
        row[j] = j;
    }
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t above = row[j];
            const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = std::min({above + 1, row[j - 1] + 1, replaced});
            diagonal = above;
        }
    }
    return row[b.size()];
}

// Files that may have been meant: most alike first; if none is, the scripts that are there.
std::vector<std::string> similar_files(const SourceTree& tree, const std::string& script) {
    const std::string wanted = fs::path(script).filename().string();
    const std::string suffix = fs::path(script).extension().string();
    std::vector<std::pair<std::size_t, std::string>> ranked;
    for (const proto::SnapshotFile& file : tree.manifest.files) {
        const fs::path path(file.path);
        const std::size_t distance = edit_distance(path.filename().string(), wanted);
        const bool alike = distance <= 1 + wanted.size() / 3;
        if (alike || path.extension() == (suffix.empty() ? ".py" : suffix)) {
            ranked.emplace_back(alike ? distance : 1000, file.path);
        }
    }
    std::sort(ranked.begin(), ranked.end());
    std::vector<std::string> names;
    for (const auto& [distance, name] : ranked) {
        if (names.size() < names_shown) {
            names.push_back(name);
        }
    }
    return names;
}

} // namespace

Result<proto::SnapshotFile> hash_file(const fs::path& path, const std::string& name,
                                      const std::function<void(std::uint64_t)>& read) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!fd) {
        return Error(Errc::invalid_argument, errno_error("open '" + name + "'", errno).detail());
    }
    proto::SnapshotFile file;
    file.path = name;
    Sha256 hash;
    std::string piece(piece_bytes, '\0');
    for (;;) {
        const ssize_t got = ::read(fd.get(), piece.data(), piece.size());
        if (got < 0) {
            return Error(Errc::invalid_argument, errno_error("read '" + name + "'", errno).detail());
        }
        if (got == 0) {
            break;
        }
        hash.update(std::string_view(piece).substr(0, static_cast<std::size_t>(got)));
        file.size += static_cast<std::uint64_t>(got);
        if (read) {
            read(static_cast<std::uint64_t>(got));
        }
    }
    file.sha256 = hash.hex();
    struct stat facts {};
    file.executable = ::fstat(fd.get(), &facts) == 0 && (facts.st_mode & S_IXUSR) != 0;
    return file;
}

Result<SourceTree> read_source_tree(const fs::path& folder, const Terminal& terminal, std::uint64_t limit) {
    std::error_code error;
    const fs::path root = fs::canonical(folder, error);
    if (error || !fs::is_directory(root, error)) {
        return Error(Errc::invalid_argument, "'" + folder.string() + "' is not a folder");
    }
    auto rules = read_rules(root);
    if (!rules) {
        return rules.error();
    }
    Walker walker(root, std::move(*rules));
    if (auto walked = walker.walk(root, ""); !walked) {
        return walked.error();
    }
    if (!walker.faults.empty()) {
        return Error(std::move(walker.faults));
    }
    std::sort(walker.files.begin(), walker.files.end(),
              [](const FoundFile& a, const FoundFile& b) { return a.name < b.name; });
    const auto bytes = check_sizes(walker.files, limit);
    if (!bytes) {
        return bytes.error();
    }
    SourceTree tree;
    tree.notes = std::move(walker.notes);
    Progress progress(terminal, "reading", *bytes);
    for (const FoundFile& found : walker.files) {
        auto file = hash_file(found.path, found.name, [&progress](std::uint64_t bytes) { progress.add(bytes); });
        if (!file) {
            return file.error();
        }
        tree.blobs.emplace(file->sha256, found.path);
        tree.manifest.files.push_back(std::move(*file));
    }
    return tree;
}

Result<void> check_script(const SourceTree& tree, const fs::path& folder, const std::string& script) {
    const auto& files = tree.manifest.files;
    const std::string wanted = fs::path(script).lexically_normal().string();
    if (std::any_of(files.begin(), files.end(), [&](const auto& file) { return file.path == wanted; })) {
        return {};
    }
    std::error_code error;
    if (fs::exists(folder / wanted, error)) {
        return Error({Fault{"/script",
                            "entry script '" + script + "' is in '" + folder.string() +
                                "', but is not sent: it is ignored (.amlignore, .gitignore) or no file inside of it"}});
    }
    std::string there;
    for (const std::string& name : similar_files(tree, script)) {
        there += (there.empty() ? "" : ", ") + name;
    }
    return Error(
        {Fault{"/script", "entry script '" + script + "' is not in '" + folder.string() + "'" +
                              (there.empty() ? std::string("; it has no scripts") : "; there are: " + there)}});
}

} // namespace linarite::cli
