// common/files.hpp: files that survive a crash, and paths that cannot leave their folder.
#pragma once

#include "common/error.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>

namespace linarite {

namespace fs = std::filesystem;

/// Owns a file descriptor.
class UniqueFd {
public:
    UniqueFd() = default;
    explicit UniqueFd(int fd) : fd_(fd) {}
    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    UniqueFd& operator=(UniqueFd&& other) noexcept {
        reset(std::exchange(other.fd_, -1));
        return *this;
    }
    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;
    ~UniqueFd() { reset(); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    void reset(int fd = -1) noexcept;
    explicit operator bool() const noexcept { return fd_ >= 0; }

private:
    int fd_ = -1;
};

/// The whole file; not_found if there is none, too_large over `limit` bytes.
Result<std::string> read_file(const fs::path& path, std::size_t limit = std::size_t{64} << 20U);

/// Writes a temporary file beside `path`, fsyncs it, renames it into place and fsyncs the folder.
Result<void> write_file_durably(const fs::path& path, std::string_view bytes, mode_t mode = 0644);
/// The same without any fsync: whole or not there if this program is killed, but not if the machine is.
Result<void> replace_file(const fs::path& path, std::string_view bytes, mode_t mode = 0644);
/// All of `bytes` at the descriptor's position.
Result<void> write_all(int fd, std::string_view bytes);
/// fsync of the file; and of a folder, so that a rename in it lasts.
Result<void> sync_fd(int fd, const std::string& name);
Result<void> sync_folder(const fs::path& folder);
Result<void> make_folders(const fs::path& folder, mode_t mode = 0755);

/// Checks a relative name that came from outside ("outputs/model.pkl"): at most 1,024 bytes and 32 parts of at most
/// 255 bytes; no empty part, ".", "..", NUL, control character, backslash or leading "/"; valid UTF-8. `what` names it.
Result<std::string> parse_relative_path(std::string_view text, std::string_view what);
bool is_utf8(std::string_view text);

/// Opens below `root` without following any symbolic link or leaving it (openat2 RESOLVE_BENEATH|NO_SYMLINKS); the file
/// must be a regular one. `flags` as for open(2); O_CLOEXEC and O_NOFOLLOW are added.
Result<UniqueFd> open_beneath(int root, const std::string& relative, int flags, mode_t mode = 0644);

} // namespace linarite
