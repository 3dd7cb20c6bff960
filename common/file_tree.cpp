#include "common/file_tree.hpp"

#include <cerrno>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

namespace linarite {

void for_each_entry(const std::filesystem::path& folder, const std::atomic<bool>& stop,
                    const std::function<void(FTSENT&)>& each) {
    std::string path = folder.string();
    char* roots[] = {path.data(), nullptr}; // NOLINT(*-avoid-c-arrays): as fts_open(3) wants it
    const auto close = [](FTS* tree) { ::fts_close(tree); };
    const std::unique_ptr<FTS, decltype(close)> tree(::fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, nullptr), close);
    if (!tree) {
        return;
    }
    // read at least once: glibc's fts_close forgets the root of a tree that was never read
    do {
        FTSENT* entry = ::fts_read(tree.get()); // NOLINT(concurrency-mt-unsafe): a tree of its own
        if (entry == nullptr) {
            return;
        }
        if (!stop) {
            each(*entry);
        }
    } while (!stop);
}

Result<void> delete_tree(const std::filesystem::path& folder, const std::atomic<bool>& stop) {
    Result<void> done;
    const auto note = [&](const FTSENT& entry, int error_number) {
        if (done && error_number != ENOENT && error_number != ENOTEMPTY) { // another one deletes here, too
            done = errno_error("delete '" + std::string(entry.fts_path) + "'", error_number);
        }
    };
    for_each_entry(folder, stop, [&](FTSENT& entry) {
        if (entry.fts_info == FTS_D) {
            if ((entry.fts_statp->st_mode & S_IRWXU) != S_IRWXU) {
                ::chmod(entry.fts_path, S_IRWXU); // an owner's read-only folder lets nothing go
            }
        } else if (entry.fts_info == FTS_DP || entry.fts_info == FTS_DNR) {
            if (::rmdir(entry.fts_path) != 0) {
                note(entry, errno);
            }
        } else if (entry.fts_info == FTS_ERR || entry.fts_info == FTS_NS) {
            note(entry, entry.fts_errno);
        } else if (::unlink(entry.fts_path) != 0) {
            note(entry, errno);
        }
    });
    return done;
}

} // namespace linarite
