// agent/container/rootfs.hpp: root filesystems of the operator's, in a folder or in a tar, that become images.
#pragma once

#include "common/error.hpp"

#include <filesystem>
#include <string>

namespace linarite::agent {

namespace fs = std::filesystem;

/// Whether an image is named as "rootfs:/path", and that path.
bool is_rootfs(const std::string& image);
fs::path rootfs_path(const std::string& image);

/// A root filesystem as one file.
struct PackedRootfs {
    fs::path tar;
    bool temporary = false; // whoever asked for it removes it
    std::string hash;       // SHA-256 of the tar
};

/// Changes when anything in it does, as far as names, sizes, modes and times tell. Blocks. not_found: nothing is there.
Result<std::string> fingerprint_rootfs(const fs::path& path);

/// Packs a folder into a tar below `scratch`, in an order of its own, without what a container brings itself (devices,
/// sockets); a file is taken for a tar. Blocks.
Result<PackedRootfs> pack_rootfs(const fs::path& path, const fs::path& scratch);

} // namespace linarite::agent
