// tests/support/small_disk.hpp: a file system that is soon full.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <sys/mount.h>

namespace linarite::test {

/// A tmpfs for the life of this object. Mounting needs root.
class SmallDisk {
public:
    /// Makes the folder; null if it cannot be mounted.
    static std::unique_ptr<SmallDisk> mount(const std::filesystem::path& folder, int mebibytes) {
        std::filesystem::create_directories(folder);
        const std::string options = "size=" + std::to_string(mebibytes) + "m,mode=0755";
        if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, options.c_str()) != 0) {
            return nullptr;
        }
        return std::unique_ptr<SmallDisk>(new SmallDisk(folder));
    }
    SmallDisk(const SmallDisk&) = delete;
    SmallDisk& operator=(const SmallDisk&) = delete;
    ~SmallDisk() { ::umount2(folder_.c_str(), MNT_DETACH); }

private:
    explicit SmallDisk(std::filesystem::path folder) : folder_(std::move(folder)) {}
    std::filesystem::path folder_;
};

} // namespace linarite::test
