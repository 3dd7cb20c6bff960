#include "agent/capture/run_tree.hpp"

#include <sys/stat.h>
#include <unistd.h>

namespace linarite::agent {

namespace {

// A name as it may be shown and sent.
std::string encoded(const std::string& name) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : name) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte >= 0x7F || c == '\\' || c == '%') {
            out += '%';
            out += digits[byte >> 4U];
            out += digits[byte & 15U];
        } else {
            out += c;
        }
    }
    return out;
}

bool has_hidden_part(const std::string& name) {
    return name.starts_with('.') || name.find("/.") != std::string::npos;
}

struct Walk {
    const RunTree& tree;
    std::uint64_t most_files;
    fs::path root;
    Listing out;

    void leave_out(const std::string& name, const std::string& why) {
        if (out.left_out.size() < 1000) {
            out.left_out.push_back("left out '" + tree.prefix + "/" + encoded(name) + "': " + why);
        }
    }

    void visit(const fs::directory_entry& entry) {
        const std::string name = entry.path().native().substr(root.native().size() + 1);
        struct stat info {};
        if (::lstat(entry.path().c_str(), &info) != 0 || S_ISDIR(info.st_mode)) {
            return;
        }
        if (tree.skip_hidden && has_hidden_part(name)) {
            return;
        }
        if (S_ISLNK(info.st_mode)) {
            leave_out(name, "it is a link");
        } else if (!S_ISREG(info.st_mode)) {
            leave_out(name, "it is not a regular file");
        } else if (out.files.size() >= most_files) {
            out.over_limit = true;
        } else {
            out.files.push_back({name, stamp_of(info)});
        }
    }
};

} // namespace

Stamp stamp_of(const struct stat& info) {
    return {static_cast<std::uint64_t>(info.st_size),
            static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec,
            static_cast<std::uint64_t>(info.st_ino)};
}

Listing list_tree(const RunTree& tree, std::uint64_t most_files) {
    const fs::path root = tree.folder.empty() ? tree.base : tree.base / tree.folder;
    Walk walk{tree, most_files, root, {}};
    std::error_code ec;
    const auto kind = fs::symlink_status(root, ec).type();
    if (kind == fs::file_type::symlink) {
        walk.out.left_out.push_back("left out '" + tree.prefix + "': it is a link");
    }
    if (kind != fs::file_type::directory) {
        return std::move(walk.out);
    }
    auto at = fs::recursive_directory_iterator(root, fs::directory_options::skip_permission_denied, ec);
    while (!ec && at != fs::recursive_directory_iterator() && !walk.out.over_limit) {
        walk.visit(*at);
        at.increment(ec); // folders may vanish while we walk
    }
    return std::move(walk.out);
}

Result<std::string> artifact_name(const std::string& prefix, const std::string& name) {
    const std::string plain = prefix + "/" + name;
    if (auto fine = parse_relative_path(plain, "file")) {
        return fine;
    }
    return parse_relative_path(prefix + "/" + encoded(name), "file");
}

} // namespace linarite::agent
