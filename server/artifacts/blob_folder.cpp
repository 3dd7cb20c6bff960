#include "server/artifacts/blob_folder.hpp"

#include "server/artifacts/beneath.hpp"
#include "server/artifacts/incoming_state.hpp"
#include "server/artifacts/listing.hpp"

#include <sys/stat.h>

namespace linarite::artifacts {
namespace {

constexpr const char* incoming = ".incoming";

} // namespace

BlobFolder::BlobFolder(fs::path root) : root_(std::move(root)) {}

bool BlobFolder::has(const std::string& sha256) const {
    return locate(sha256).has_value();
}

Result<IncomingFile> BlobFolder::create(const std::string& sha256) {
    if (!is_sha256_hex(sha256)) {
        return Error(Errc::invalid_argument, "'" + sha256.substr(0, 100) + "' is not a SHA-256");
    }
    auto state = start();
    if (!state) {
        return state.error();
    }
    (*state)->target = IncomingFile::State::place_of(sha256);
    (*state)->expected = sha256;
    return IncomingFile(std::move(*state));
}

Result<IncomingFile> BlobFolder::create() {
    auto state = start();
    if (!state) {
        return state.error();
    }
    (*state)->by_content = true;
    return IncomingFile(std::move(*state));
}

Result<std::unique_ptr<IncomingFile::State>> BlobFolder::start() const {
    auto root = make_root(root_);
    if (!root) {
        return root.error();
    }
    auto state = std::make_unique<IncomingFile::State>();
    state->root = std::move(*root);
    if (auto started = state->start(incoming, 0600); !started) {
        return started.error();
    }
    return state;
}

Result<fs::path> BlobFolder::locate(const std::string& sha256) const {
    if (!is_sha256_hex(sha256)) {
        return Error(Errc::invalid_argument, "'" + sha256.substr(0, 100) + "' is not a SHA-256");
    }
    fs::path path = root_ / IncomingFile::State::place_of(sha256);
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
