#include "agent/shim/mounts.hpp"

#include <filesystem>
#include <sched.h>
#include <sys/mount.h>

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
    return ::mount("overlay", view.path.c_str(), "overlay", 0, options.c_str()) == 0;
}

void mount_read_only(const std::string& path) {
    if (::mount(path.c_str(), path.c_str(), nullptr, MS_BIND, nullptr) == 0) {
        ::mount(nullptr, path.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr);
    }
}

} // namespace

bool wants_mounts(const Job& job) {
    return !job.views.empty() || !job.read_only.empty();
}

bool enter_mount_namespace() {
    return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0;
}

void mount_all(const Job& job) {
    for (const View& view : job.views) {
        if (!mount_view(view)) {
            mount_read_only(view.path);
        }
    }
    for (const std::string& path : job.read_only) {
        mount_read_only(path);
    }
}

} // namespace linarite::shim
