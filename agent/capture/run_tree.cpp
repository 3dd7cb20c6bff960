#include "agent/capture/run_tree.hpp"

#include "common/hash.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace linarite::agent {

namespace {

constexpr std::uint64_t largest_open = std::uint64_t{64}
                                       << 20U; // a file that is still written is sent early up to this size

std::string below(const RunTree& tree, const std::string& name) {
    return tree.folder.empty() ? name : tree.folder + "/" + name;
}

Stamp stamp_of(const struct stat& info) {
    return {static_cast<std::uint64_t>(info.st_size),
            static_cast<std::int64_t>(info.st_mtim.tv_sec) * 1'000'000'000 + info.st_mtim.tv_nsec,
            static_cast<std::uint64_t>(info.st_ino)};
}

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

Result<std::string> read_range(int fd, std::uint64_t offset, std::uint64_t count) {
    std::string out(static_cast<std::size_t>(count), '\0');
    std::size_t have = 0;
    while (have < out.size()) {
        const ssize_t got = ::pread(fd, out.data() + have, out.size() - have, static_cast<off_t>(offset + have));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return errno_error("read", errno);
        }
        if (got == 0) {
            break;
        }
        have += static_cast<std::size_t>(got);
    }
    out.resize(have);
    return out;
}

// The SHA-256 of the first `size` bytes; not_found if there are fewer by now.
Result<std::string> hash_of(int fd, std::uint64_t size) {
    Sha256 hash;
    for (std::uint64_t at = 0; at < size;) {
        const auto piece = read_range(fd, at, std::min(small_read, size - at));
        if (!piece) {
            return piece.error();
        }
        if (piece->empty()) {
            return Error(Errc::not_found, "it became shorter while it was read");
        }
        hash.update(*piece);
        at += piece->size();
    }
    return hash.hex();
}

// One file being read for one order.
class Reading {
public:
    Reading(const ReadOrder& order, UniqueFd fd, const struct stat& info, std::uint64_t largest_log)
        : order_(order), fd_(std::move(fd)), size_(static_cast<std::uint64_t>(info.st_size)) {
        out_.stamp = stamp_of(info);
        out_.frame.header.path = order.artifact;
        out_.frame.header.executable = (info.st_mode & S_IXUSR) != 0;
        if (order.tree->manner == Manner::growing) {
            size_ = std::min(size_, largest_log);
        }
    }

    ReadResult run() {
        const Result<void> done = order_.tree->manner == Manner::whole ? read_output() : read_log();
        if (!done) {
            out_.kind = done.error().code() == Errc::not_found ? ReadResult::Kind::nothing : ReadResult::Kind::left_out;
            out_.problem = done.error().detail();
        }
        return std::move(out_);
    }

private:
    Result<void> read_output() {
        if (order_.last == out_.stamp || (order_.open && size_ > largest_open)) {
            return {};
        }
        return read_whole();
    }

    Result<void> read_log() {
        const bool replaced = order_.last && order_.last->inode != out_.stamp.inode;
        out_.rewritten = order_.rewritten || size_ < order_.sent || replaced;
        if (order_.final && (out_.rewritten || order_.sent == 0)) {
            return read_whole();
        }
        if (out_.rewritten) {
            return {};
        }
        if (!order_.known && size_ > small_read && !order_.final) {
            return ask_where_to_begin();
        }
        const std::uint64_t left = size_ - order_.sent;
        return order_.final && left <= small_read ? read_end(left) : read_more(left);
    }

    // A frame without bytes at our length: taken if the coordinator has as much (we were restarted), else it says what
    // it has.
    Result<void> ask_where_to_begin() {
        out_.kind = ReadResult::Kind::frame;
        out_.frame.header.offset = size_;
        out_.after = size_;
        return {};
    }

    Result<void> read_more(std::uint64_t left) {
        if (left == 0) {
            return {};
        }
        auto bytes = read_range(fd_.get(), order_.sent, std::min(left, small_read));
        if (!bytes) {
            return bytes.error();
        }
        if (!bytes->empty()) {
            append(std::move(*bytes));
        }
        return {};
    }

    Result<void> read_end(std::uint64_t left) {
        const auto hash = hash_of(fd_.get(), size_);
        if (!hash) {
            return hash.error();
        }
        auto bytes = read_range(fd_.get(), order_.sent, left);
        if (!bytes) {
            return bytes.error();
        }
        append(std::move(*bytes));
        out_.frame.header.sha256 = *hash;
        out_.last = true;
        return {};
    }

    Result<void> read_whole() {
        auto& header = out_.frame.header;
        if (size_ <= small_read) {
            auto bytes = read_range(fd_.get(), 0, size_);
            if (!bytes) {
                return bytes.error();
            }
            header.sha256 = sha256_hex(*bytes);
            append(std::move(*bytes));
            header.offset = 0;
        } else {
            const auto hash = hash_of(fd_.get(), size_);
            if (!hash) {
                return hash.error();
            }
            header.sha256 = *hash;
            header.size = size_;
            out_.kind = ReadResult::Kind::frame;
            out_.frame.file = std::make_shared<UniqueFd>(std::move(fd_));
        }
        out_.after = header.size;
        out_.last = true;
        return {};
    }

    void append(std::string bytes) {
        out_.kind = ReadResult::Kind::frame;
        out_.frame.header.offset = order_.sent;
        out_.frame.header.size = bytes.size();
        out_.after = order_.sent + bytes.size();
        out_.frame.bytes = std::move(bytes);
    }

    const ReadOrder& order_;
    UniqueFd fd_;
    std::uint64_t size_;
    ReadResult out_;
};

} // namespace

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

ReadResult read_file_for(const ReadOrder& order, std::uint64_t largest_log) {
    ReadResult out;
    const UniqueFd base(::open(order.tree->base.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!base) {
        out.kind = ReadResult::Kind::gone;
        return out;
    }
    auto fd = open_beneath(base.get(), below(*order.tree, order.name), O_RDONLY);
    struct stat info {};
    if (!fd) {
        out.kind = fd.error().code() == Errc::not_found ? ReadResult::Kind::gone : ReadResult::Kind::left_out;
        out.problem = fd.error().detail();
    } else if (::fstat(fd->get(), &info) != 0 || !S_ISREG(info.st_mode)) {
        out.kind = ReadResult::Kind::gone;
    } else {
        return Reading(order, std::move(*fd), info, largest_log).run();
    }
    return out;
}

} // namespace linarite::agent
