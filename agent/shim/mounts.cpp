#include "agent/shim/mounts.hpp"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

namespace linarite::shim {

namespace {

/// In the options of a mount a comma ends an option, and a colon a folder.
std::string escaped(const std::string& path) {
    std::string out;
    for (const char c : path) {
        if (c == ',' || c == ':' || c == '\\') {
            out += '\\';
        }
        out += c;
    }
    return out;
}

bool mount_view(const View& view) {
    const std::string upper = view.changes + "/upper";
    const std::string work = view.changes + "/work";
    std::error_code error;
    std::filesystem::create_directories(upper, error);
    std::filesystem::create_directories(work, error);
    const std::string options =
        "lowerdir=" + escaped(view.path) + ",upperdir=" + escaped(upper) + ",workdir=" + escaped(work);
    // in a user namespace overlay's own notes go to attributes that users may write (kernel 5.11)
    return ::mount("overlay", view.path.c_str(), "overlay", 0, options.c_str()) == 0 ||
           ::mount("overlay", view.path.c_str(), "overlay", 0, (options + ",userxattr").c_str()) == 0;
}

/// What a mount in a user namespace has to keep of the one that it covers.
unsigned long locked_flags(const std::string& path) {
    struct statvfs facts {};
    if (::statvfs(path.c_str(), &facts) != 0) {
        return 0;
    }
    unsigned long flags = 0;
    flags |= (facts.f_flag & ST_NOSUID) != 0 ? MS_NOSUID : 0;
    flags |= (facts.f_flag & ST_NODEV) != 0 ? MS_NODEV : 0;
    flags |= (facts.f_flag & ST_NOEXEC) != 0 ? MS_NOEXEC : 0;
    flags |= (facts.f_flag & ST_NOATIME) != 0 ? MS_NOATIME : 0;
    flags |= (facts.f_flag & ST_NODIRATIME) != 0 ? MS_NODIRATIME : 0;
    flags |= (facts.f_flag & ST_RELATIME) != 0 ? MS_RELATIME : 0;
    return flags;
}

bool mount_read_only(const std::string& path) {
    return ::mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) == 0 &&
           ::mount(nullptr, path.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY | locked_flags(path), nullptr) == 0;
}

/// What can be mounted of it. False if that is not everything.
bool mount_all(const Job& job) {
    bool all = true;
    for (const View& view : job.views) {
        if (!mount_view(view)) {
            all = false;
            mount_read_only(view.path);
        }
    }
    for (const std::string& path : job.read_only) {
        all = mount_read_only(path) && all;
    }
    return all;
}

bool write_once(const char* path, const std::string& text) {
    const int file = ::open(path, O_WRONLY | O_CLOEXEC);
    const bool written = file >= 0 && ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::close(file);
    return written;
}

/// With a mount namespace in it, in which mounts are allowed. User and group stay who they are: user_namespaces(7).
bool enter_user_namespace() {
    const std::string user = std::to_string(::geteuid());
    const std::string group = std::to_string(::getegid());
    return ::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && write_once("/proc/self/setgroups", "deny") &&
           write_once("/proc/self/uid_map", user + " " + user + " 1") &&
           write_once("/proc/self/gid_map", group + " " + group + " 1") &&
           ::mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0;
}

/// By trying it in a process that ends, and its mounts with it.
bool can_mount_in_user_namespace(const Job& job) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::_exit(enter_user_namespace() && mount_all(job) ? 0 : 1);
    }
    int status = 1;
    while (child > 0 && ::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return child > 0 && status == 0;
}

} // namespace

bool enter_mount_namespace() {
    return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0;
}

void see_otherwise(const Job& job, bool has_namespace) {
    if (job.views.empty() && job.read_only.empty()) {
        return;
    }
    const bool ready = has_namespace || enter_mount_namespace() ||
                       (job.user_namespace && can_mount_in_user_namespace(job) && enter_user_namespace());
    if (ready) {
        mount_all(job);
    }
}

} // namespace linarite::shim
