#include "server/artifacts/blob_folder.hpp"

#include "server/artifacts/beneath.hpp"
#include "server/artifacts/incoming_state.hpp"
#include "server/artifacts/listing.hpp"

#include <sys/stat.h>

namespace linarite::artifacts {
namespace {

constexpr const char* incoming = ".incoming";

std::string place_of(const std::string& sha256) {
    return "sha256/" + sha256.substr(0, 2) + "/" + sha256;
}

} // namespace

BlobFolder::BlobFolder(fs::path root) : root_(std::move(root)) {}

bool BlobFolder::has(const std::string& sha256) const {
    return locate(sha256).has_value();
}

Result<IncomingFile> BlobFolder::create(const std::string& sha256) {
    if (!is_sha256_hex(sha256)) {
        return Error(Errc::invalid_argument, "'" + sha256.substr(0, 100) + "' is not a SHA-256");
    }
    auto root = make_root(root_);
    if (!root) {
        return root.error();
    }
    auto state = std::make_unique<IncomingFile::State>();
    state->root = std::move(*root);
    state->target = place_of(sha256);
    state->expected = sha256;
    if (auto started = state->start(incoming, 0600); !started) {
        return started.error();
    }
    return IncomingFile(std::move(state));
}

Result<fs::path> BlobFolder::locate(const std::string& sha256) const {
    if (!is_sha256_hex(sha256)) {
        return Error(Errc::invalid_argument, "'" + sha256.substr(0, 100) + "' is not a SHA-256");
    }
    fs::path path = root_ / place_of(sha256);
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
        return Error(Errc::not_found, "blob '" + sha256 + "' not found");
    }
    return path;
}

Result<void> BlobFolder::clean_up() {
    const auto folder = open_root(root_ / incoming);
    if (!folder) {
        return folder.error().code() == Errc::not_found ? Result<void>() : folder.error();
    }
    return remove_temporaries(folder->get());
}

} // namespace linarite::artifacts
