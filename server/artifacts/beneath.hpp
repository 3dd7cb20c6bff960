// server/artifacts/beneath.hpp: folders and files below a root that may hold anything, links included.
#pragma once

#include "common/error.hpp"
#include "common/files.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace linarite::artifacts {

/// Temporary files have this before 16 hex digits as their name. No file of a run may be called so.
inline constexpr std::string_view temporary_prefix = ".tmp-linarite-";
bool is_temporary(std::string_view name);
std::string make_temporary_name();

/// The root itself, which may be a link: whoever set it up may have wished so. not_found if it is not there.
Result<UniqueFd> open_root(const fs::path& root);
/// Makes it (and keeps that it was made) if it is not there.
Result<UniqueFd> make_root(const fs::path& root);

/// What comes before the last '/' ("" if there is none), and after it.
std::string_view parent_of(std::string_view name);
std::string_view leaf_of(std::string_view name);

/// The folder that `name` lies in, made step by step without following a link. conflict if a part of it is something
/// else than a folder.
Result<UniqueFd> make_parents(int root, const std::string& name);
/// fsyncs the folder of `name` and those above it, up to the root.
Result<void> sync_parents(int root, const std::string& name);

/// A regular file below the root; a folder is not_found. Gives its size too.
struct OpenFile {
    UniqueFd fd;
    std::uint64_t size = 0;
};
Result<OpenFile> open_regular(int root, const std::string& name, int flags);

/// fsync. A failure ends the process: the kernel may have dropped what it could not write, so neither this file nor a
/// later success could be trusted.
void must_sync(int fd, const std::string& name);

/// All of `bytes` at `offset`.
Result<void> write_at(int fd, std::uint64_t offset, std::string_view bytes);
/// `count` bytes at `offset`, or fewer at the end of the file.
Result<std::string> read_at(int fd, std::uint64_t offset, std::size_t count);

} // namespace linarite::artifacts
