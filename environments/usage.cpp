#include "environments/usage.hpp"

#include "common/file_tree.hpp"

#include <set>
#include <sys/stat.h>
#include <sys/statvfs.h>

namespace linarite::environments {

namespace {

constexpr std::uint64_t block = 512; // what st_blocks counts, on every file system
const std::atomic<bool> never{false};

bool has_facts(const FTSENT& entry) {
    return entry.fts_info == FTS_D || entry.fts_info == FTS_DNR || entry.fts_info == FTS_F ||
           entry.fts_info == FTS_SL || entry.fts_info == FTS_DEFAULT;
}

std::uint64_t bytes_of(const struct stat& facts) {
    return static_cast<std::uint64_t>(facts.st_blocks) * block;
}

using FileId = std::pair<std::uint64_t, std::uint64_t>; // device and inode

FileId id_of(const struct stat& facts) {
    return {facts.st_dev, facts.st_ino};
}

bool has_one_name(const struct stat& facts) {
    return S_ISDIR(facts.st_mode) || facts.st_nlink < 2;
}

fs::path nearest_existing(fs::path folder) {
    std::error_code ec;
    while (!fs::exists(folder, ec) && folder.has_parent_path() && folder != folder.parent_path()) {
        folder = folder.parent_path();
    }
    return folder;
}

} // namespace

std::uint64_t bytes_on_disk(const fs::path& folder) {
    Usage usage;
    usage.measure(folder, never);
    return usage.total();
}

std::uint64_t make_files_read_only(const fs::path& folder) {
    constexpr mode_t writable = S_IWUSR | S_IWGRP | S_IWOTH;
    std::uint64_t bytes = 0;
    std::set<FileId> seen;
    // One walk for both, and no chmod for what a link to the installer's cache finds read-only: it is a third of the
    // time.
    for_each_entry(folder, never, [&](FTSENT& entry) {
        if (!has_facts(entry)) {
            return;
        }
        const struct stat& facts = *entry.fts_statp;
        if (S_ISREG(facts.st_mode) && (facts.st_mode & writable) != 0) {
            ::chmod(entry.fts_path, facts.st_mode & ALLPERMS & ~writable);
        }
        if (has_one_name(facts) || seen.insert(id_of(facts)).second) {
            bytes += bytes_of(facts);
        }
    });
    return bytes;
}

Result<Space> space_of(const fs::path& folder) {
    struct statvfs facts {};
    const fs::path there = nearest_existing(folder);
    if (::statvfs(there.c_str(), &facts) != 0) {
        return errno_error("look at the file system of '" + there.string() + "'", errno);
    }
    return Space{facts.f_blocks * facts.f_frsize, facts.f_bavail * facts.f_frsize};
}

fs::path mount_point_of(const fs::path& folder) {
    std::error_code ec;
    fs::path at = fs::canonical(nearest_existing(fs::absolute(folder, ec)), ec);
    struct stat facts {};
    if (ec || ::stat(at.c_str(), &facts) != 0) {
        return folder;
    }
    struct stat above {};
    while (at.has_parent_path() && at != at.parent_path() && ::stat(at.parent_path().c_str(), &above) == 0 &&
           above.st_dev == facts.st_dev) {
        at = at.parent_path();
    }
    return at;
}

void Usage::measure(const fs::path& part, const std::atomic<bool>& stop) {
    remove(part);
    Part& found = parts_[part];
    std::set<FileId> seen;
    for_each_entry(part, stop, [&](FTSENT& entry) {
        if (!has_facts(entry)) {
            return;
        }
        const struct stat& facts = *entry.fts_statp;
        const std::uint64_t bytes = bytes_of(facts);
        if (has_one_name(facts)) {
            found.own += bytes;
            return;
        }
        const FileId id = id_of(facts);
        if (seen.insert(id).second) {
            found.shared.push_back(id);
            found.all += bytes;
            Shared& shared = shared_[id];
            shared.bytes = bytes;
            total_ += shared.parts++ == 0 ? bytes : 0;
        }
    });
    found.all += found.own;
    total_ += found.own;
}

std::uint64_t Usage::of(const fs::path& part) const {
    const auto found = parts_.find(part);
    return found == parts_.end() ? 0 : found->second.all;
}

std::uint64_t Usage::remove(const fs::path& part) {
    const auto found = parts_.find(part);
    if (found == parts_.end()) {
        return 0;
    }
    std::uint64_t freed = found->second.own;
    for (const FileId& id : found->second.shared) {
        const auto shared = shared_.find(id);
        if (--shared->second.parts == 0) {
            freed += shared->second.bytes;
            shared_.erase(shared);
        }
    }
    parts_.erase(found);
    total_ -= freed;
    return freed;
}

} // namespace linarite::environments
