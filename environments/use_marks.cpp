// A mark is a symbolic link to the run's folder: it is whole or not there, takes no block of a full disk, and whether
// it counts is one stat(2). Its name says from where it was made, because a folder that is not there proves that the
// run is over only to those who see the same folders; and it ends with something random, so that removing an old mark
// cannot take away the new one of a run that begins again in the same folder.
#include "environments/use_marks.hpp"

#include "common/files.hpp"
#include "common/hash.hpp"
#include "common/host.hpp"
#include "common/ids.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace linarite::environments {

namespace {

constexpr std::size_t identity_length = 16;
constexpr int most_tries = 100;

std::string short_hash(const std::string& text) {
    return sha256_hex(text).substr(0, identity_length);
}

// Equal in processes that see the same files at the same paths, until the next boot.
const std::string& viewpoint() {
    static const std::string text = short_hash(host_id());
    return text;
}

// The folder of all runs of an agent is the same one, wherever it is seen from and after a boot: inode and time of
// birth.
std::string identity_of(const fs::path& folder) {
    struct statx facts {};
    if (::statx(AT_FDCWD, folder.c_str(), 0, STATX_INO | STATX_BTIME, &facts) != 0) {
        return "";
    }
    return short_hash(std::to_string(facts.stx_ino) + " " + std::to_string(facts.stx_btime.tv_sec) + " " +
                      std::to_string(facts.stx_btime.tv_nsec));
}

enum class Standing { counts, counts_unseen, over };

Standing judge(const std::string& name, const fs::path& folder) {
    const std::string parent = identity_of(folder.parent_path());
    const bool same_view = name.starts_with(viewpoint() + "-");
    const bool same_parent = !parent.empty() && name.find("-" + parent + "-") != std::string::npos;
    if (!same_view && !same_parent) {
        return Standing::counts_unseen;
    }
    struct stat facts {};
    if (::lstat(folder.c_str(), &facts) == 0) {
        return Standing::counts;
    }
    return errno == ENOENT || errno == ENOTDIR ? Standing::over : Standing::counts_unseen;
}

} // namespace

Result<void> mark_use(const fs::path& cache, const std::string& key, const fs::path& user) {
    const fs::path marks = marks_of(cache, key);
    const std::string name =
        viewpoint() + "-" + identity_of(user.parent_path()) + "-" + random_hex(identity_length / 2);
    for (int tries = 1;; ++tries) {
        if (auto made = make_folders(marks); !made) {
            return made.error().within("mark the environment as used");
        }
        if (::symlink(user.c_str(), (marks / name).c_str()) == 0) {
            break;
        }
        if (errno != ENOENT || tries == most_tries) { // else somebody found the folder empty just now, and removed it
            return errno_error("mark the environment as used in '" + marks.string() + "'", errno);
        }
    }
    users_of(cache, key); // each run leaves one behind
    return {};
}

std::vector<User> users_of(const fs::path& cache, const std::string& key) {
    std::vector<User> users;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(marks_of(cache, key), ec)) {
        std::error_code gone;
        const fs::path folder = fs::read_symlink(entry.path(), gone);
        if (gone) {
            continue;
        }
        const Standing standing = judge(entry.path().filename().string(), folder);
        if (standing == Standing::over) {
            ::unlink(entry.path().c_str());
        } else {
            users.push_back({folder.filename().string(), folder, standing == Standing::counts});
        }
    }
    return users;
}

} // namespace linarite::environments
