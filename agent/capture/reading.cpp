// Reading the files of a run while somebody may write them.
#include "agent/capture/run_tree.hpp"

#include <cerrno>
#include <csignal>
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

// The hash of the first `size` bytes; not_found if there are fewer by now.
Result<std::shared_ptr<Sha256>> hash_state(int fd, std::uint64_t size) {
    auto hash = std::make_shared<Sha256>();
    for (std::uint64_t at = 0; at < size;) {
        const auto piece = read_range(fd, at, std::min(small_read, size - at));
        if (!piece) {
            return piece.error();
        }
        if (piece->empty()) {
            return Error(Errc::not_found, "it became shorter while it was read");
        }
        hash->update(*piece);
        at += piece->size();
    }
    return hash;
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
            // whether it will be longer than that is known at the end alone
            tail_ = std::min(small_read, largest_log / 4);
            too_long_ = size_ > largest_log;
            size_ = std::min(size_, order.final && !too_long_ ? largest_log : largest_log - tail_);
        }
        out_.wanted = size_;
    }

    ReadResult run() {
        if (order_.foreign && *order_.foreign == out_.stamp) {
            return std::move(out_); // another node's, and sent by that one
        }
        closed_ = is_closed();
        const Result<void> done = order_.tree->manner == Manner::whole ? read_output() : read_log();
        if (!done) {
            out_.kind = done.error().code() == Errc::not_found ? ReadResult::Kind::nothing : ReadResult::Kind::left_out;
            out_.problem = done.error().detail();
        }
        tell_closed();
        return std::move(out_);
    }

private:
    // As far as it is to be told. At the end nothing writes any more.
    [[nodiscard]] bool is_closed() const {
        if (order_.closed == Closed::untold || order_.final) {
            return order_.closed != Closed::untold;
        }
        const auto writer = has_writer(fd_.get());
        return writer ? !*writer : order_.closed == Closed::likely;
    }

    // The other nodes get what we read only if nobody wrote meanwhile. A large file is read while it is sent: its hash
    // tells then.
    void tell_closed() {
        struct stat info {};
        const bool whole =
            out_.kind == ReadResult::Kind::frame && out_.after == size_ && size_ == out_.stamp.size && !out_.tell_again;
        if (!closed_ || !whole || ::fstat(fd(), &info) != 0 || !(stamp_of(info) == out_.stamp) || !is_closed_now()) {
            return;
        }
        auto& header = out_.frame.header;
        header.closed = header.sha256.empty() && out_.hash ? out_.hash->hex() : header.sha256;
    }

    [[nodiscard]] int fd() const { return out_.frame.file ? out_.frame.file->get() : fd_.get(); }
    [[nodiscard]] bool is_closed_now() const { return order_.final || !has_writer(fd()).value_or(false); }

    Result<void> read_output() {
        if ((order_.last == out_.stamp && !closed_) || (order_.open && size_ > largest_open)) {
            return {};
        }
        return read_whole();
    }

    Result<void> read_log() {
        const bool replaced = order_.last && order_.last->inode != out_.stamp.inode;
        out_.rewritten = order_.rewritten || size_ < order_.sent || replaced || has_other_bytes();
        if ((order_.final && (out_.rewritten || (order_.sent == 0 && !too_long_))) || (closed_ && out_.rewritten)) {
            return read_whole();
        }
        if (out_.rewritten) {
            return {};
        }
        if (!order_.known && size_ > small_read && !order_.final) {
            return ask_where_to_begin();
        }
        const std::uint64_t left = size_ - order_.sent;
        if (order_.final && too_long_) {
            return left > 0 ? read_more(left) : read_cut_end();
        }
        return order_.final && left <= small_read ? read_end(left) : read_more(left);
    }

    // What was sent is not what is there: written anew in place. Looked at only when it is told to others, and for
    // files that are read in no time; another one shows it at the end.
    [[nodiscard]] bool has_other_bytes() const {
        if (!closed_ || !order_.hash || order_.sent == 0 || order_.sent > small_read || size_ < order_.sent) {
            return false;
        }
        const auto there = read_range(fd_.get(), 0, order_.sent);
        return there && sha256_hex(*there) != order_.hash->hex();
    }

    // A frame without bytes at our length: taken if the coordinator has as much (we were restarted), else it says what
    // it has.
    Result<void> ask_where_to_begin() {
        out_.kind = ReadResult::Kind::frame;
        out_.frame.header.offset = size_;
        out_.after = size_;
        out_.tell_again = closed_;
        return {};
    }

    Result<void> read_more(std::uint64_t left) {
        if (left == 0 && !closed_) {
            return {};
        }
        auto bytes = read_range(fd_.get(), order_.sent, std::min(left, small_read));
        if (!bytes) {
            return bytes.error();
        }
        if (auto hashed = track(*bytes); !hashed) {
            return hashed;
        }
        out_.tell_again = closed_ && bytes->size() < left;
        if (!bytes->empty() || closed_) {
            append(std::move(*bytes));
        }
        return {};
    }

    // Keeps the hash of what was sent, so that telling others of a log takes no reading of the whole each time.
    Result<void> track(const std::string& more) {
        if (!order_.tracked || (!order_.hash && order_.sent > 0 && !closed_)) {
            return {};
        }
        auto hash = order_.hash ? Result<std::shared_ptr<Sha256>>(std::make_shared<Sha256>(*order_.hash))
                                : hash_state(fd_.get(), order_.sent);
        if (!hash) {
            return hash.error();
        }
        (*hash)->update(more);
        out_.hash = std::move(*hash);
        return {};
    }

    Result<void> read_end(std::uint64_t left) {
        const auto hash = hash_state(fd_.get(), size_);
        if (!hash) {
            return hash.error();
        }
        auto bytes = read_range(fd_.get(), order_.sent, left);
        if (!bytes) {
            return bytes.error();
        }
        append(std::move(*bytes));
        out_.frame.header.sha256 = (*hash)->hex();
        out_.last = true;
        return {};
    }

    // What is in the middle is left out, since the end tells most.
    Result<void> read_cut_end() {
        const auto hash = hash_state(fd_.get(), size_);
        if (!hash) {
            return hash.error();
        }
        const auto tail = read_range(fd_.get(), out_.stamp.size - tail_, tail_);
        if (!tail) {
            return tail.error();
        }
        const std::uint64_t size = out_.stamp.size;
        std::string end = "\n[linarite: this log has " + std::to_string(size) + " bytes, of which the first " +
                          std::to_string(size_) + " and the last " + std::to_string(tail_) +
                          " are kept: " + std::to_string(size - size_ - tail_) + " are left out here]\n" + *tail;
        (*hash)->update(end);
        append(std::move(end));
        out_.frame.header.sha256 = (*hash)->hex();
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
            const auto hash = hash_state(fd_.get(), size_);
            if (!hash) {
                return hash.error();
            }
            header.sha256 = (*hash)->hex();
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
    std::uint64_t size_;     // as much as is read from its beginning
    std::uint64_t tail_ = 0; // what is kept of the end of one that is too long
    bool too_long_ = false;
    bool closed_ = false;
    ReadResult out_;
};

} // namespace

std::optional<bool> has_writer(int fd) {
    // A read lease is refused while somebody has the file open for writing. Whoever opens it in the instant that we
    // have the lease waits for its end; the signal for that must not be one that ends us.
    ::fcntl(fd, F_SETSIG, SIGURG);
    if (::fcntl(fd, F_SETLEASE, F_RDLCK) == 0) {
        ::fcntl(fd, F_SETLEASE, F_UNLCK);
        return false;
    }
    return errno == EAGAIN ? std::optional(true) : std::nullopt;
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
