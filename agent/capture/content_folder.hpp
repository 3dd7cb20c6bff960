// agent/capture/content_folder.hpp: files by the SHA-256 of what is in them, below one folder: sha256/ab/<hash>.
#pragma once

#include "agent/capture/copying.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace linarite::agent {

/// What a run gets of a file that is kept.
enum class Share {
    read_only, // mode 0444: a reflink if the file system can, else the kept file itself under another name
    own_copy,  // to be written to: a reflink, else a copy
};

/// The files on disk. Several processes may use one folder at a time. Kept files have mode 0444 and the beginning of
/// the year 2000 as the time of their last modification: what writes to one, as root may by a run's name of it, leaves
/// another time there, and by that it is no longer taken for what its name says. The time of the last access says when
/// a file was last given to a run. All functions block.
class ContentFolder {
public:
    /// A file that is being received. It is gone if it is destroyed before, or swept if the process is killed.
    class Incoming {
    public:
        ~Incoming();
        Incoming(const Incoming&) = delete;
        Incoming& operator=(const Incoming&) = delete;
        Result<void> append(std::string_view bytes);
        [[nodiscard]] std::uint64_t size() const { return size_; }
        /// Begins anew.
        Result<void> clear();

    private:
        friend class ContentFolder;
        Incoming(fs::path path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
        fs::path path_;
        UniqueFd fd_;
        Sha256 hash_;
        std::uint64_t size_ = 0;
        bool published_ = false;
    };

    /// What is kept is given by its hash and size.
    struct Content {
        std::string sha256;
        std::uint64_t size = 0;
    };
    struct Place {
        fs::path path; // the folders above it are made
        Share share = Share::read_only;
        Existing existing = Existing::impossible;
    };

    explicit ContentFolder(fs::path folder);

    /// False if the content is not kept, or is spoilt, in which case it is removed.
    Result<bool> give(const Content& content, const Place& place);
    Result<std::unique_ptr<Incoming>> receive();
    /// Keeps what was received, durably, and gives it. conflict if it is not that content.
    Result<void> keep(Incoming& incoming, const Content& content, const Place& place);

    /// Removes what was not used at or after `used_since` (nanoseconds since 1970), the longest unused first, until the
    /// rest has at most `bytes`. Gives the size of the rest.
    Result<std::uint64_t> trim(std::uint64_t bytes, std::int64_t used_since);
    /// Forgets one content. What runs were given of it stays theirs.
    void drop(const Content& content);
    /// Removes what killed processes left. Gives the size of what is kept.
    Result<std::uint64_t> sweep();

private:
    enum class Lock { shared, exclusive };
    [[nodiscard]] fs::path place_of(const std::string& sha256) const;
    [[nodiscard]] Result<UniqueFd> lock(Lock kind) const;
    [[nodiscard]] Result<UniqueFd> open_kept(const Content& content) const;
    Result<bool> give_locked(const Content& content, const Place& place, UniqueFd lock);
    Result<bool> share_read_only(int kept, const fs::path& to);
    Result<void> publish(Incoming& incoming, const Content& content);

    fs::path folder_;
    std::atomic<bool> clones_ = true; // until the file system says that it can't
};

} // namespace linarite::agent
