#include "cli/snapshot_upload.hpp"

#include "cli/fields.hpp"
#include "cli/progress.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"
#include "proto/frames.hpp"

#include <fcntl.h>
#include <map>
#include <unistd.h>

namespace linarite::cli {
namespace {

constexpr std::size_t piece_bytes = std::size_t{256} << 10U;
constexpr int rounds = 3; // a clean-up on the other side between two calls may ask for a file once more

struct Blob {
    std::string sha256;
    std::uint64_t size = 0;
    fs::path path;
};

/// Gives the blobs as frames, piece by piece.
class BlobSource {
public:
    BlobSource(std::vector<Blob> blobs, Progress& progress) : blobs_(std::move(blobs)), progress_(progress) {}

    Result<std::string> next() {
        if (fd_) {
            return next_piece();
        }
        if (at_ == blobs_.size()) {
            return std::string();
        }
        const Blob& blob = blobs_[at_];
        fd_.reset(::open(blob.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
        if (!fd_) {
            return Error(Errc::invalid_argument, errno_error("open '" + blob.path.string() + "'", errno).detail());
        }
        left_ = blob.size;
        hash_ = Sha256();
        proto::FrameHeader header;
        header.path = blob.sha256;
        header.size = blob.size;
        header.sha256 = blob.sha256;
        std::string piece = proto::print_frame_header(header);
        if (left_ == 0) {
            fd_.reset();
            ++at_;
        }
        return piece;
    }

private:
    Result<std::string> next_piece() {
        const Blob& blob = blobs_[at_];
        const Error changed(Errc::invalid_argument, "'" + blob.path.string() + "' changed while it was sent");
        std::string piece(static_cast<std::size_t>(std::min<std::uint64_t>(left_, piece_bytes)), '\0');
        const ssize_t got = ::read(fd_.get(), piece.data(), piece.size());
        if (got < 0) {
            return Error(Errc::invalid_argument, errno_error("read '" + blob.path.string() + "'", errno).detail());
        }
        if (got == 0) {
            return changed;
        }
        piece.resize(static_cast<std::size_t>(got));
        hash_.update(piece);
        left_ -= piece.size();
        progress_.add(piece.size());
        if (left_ == 0) {
            if (hash_.hex() != blob.sha256) {
                return changed;
            }
            fd_.reset();
            ++at_;
        }
        return piece;
    }

    std::vector<Blob> blobs_;
    Progress& progress_;
    std::size_t at_ = 0;
    UniqueFd fd_;
    std::uint64_t left_ = 0;
    Sha256 hash_;
};

Result<std::vector<Blob>> wanted_blobs(const Json& missing, const SourceTree& tree) {
    std::map<std::string, std::uint64_t> sizes;
    for (const proto::SnapshotFile& file : tree.manifest.files) {
        sizes.emplace(file.sha256, file.size);
    }
    std::vector<Blob> blobs;
    for (const Json& entry : missing) {
        const auto name = entry.is_string() ? entry.get<std::string>() : std::string();
        const auto path = tree.blobs.find(name);
        if (path == tree.blobs.end()) {
            return Error(Errc::internal, "the coordinator asks for a file that is not in the tree");
        }
        blobs.push_back({name, sizes.at(name), path->second});
    }
    return blobs;
}

Result<void> send_blobs(Connection& connection, std::vector<Blob> blobs, const Terminal& terminal) {
    std::uint64_t bytes = 0;
    for (const Blob& blob : blobs) {
        bytes += blob.size;
    }
    Progress progress(terminal, "sending", bytes);
    BlobSource source(std::move(blobs), progress);
    const auto sent = connection.upload(
        "POST", "/api/v1/snapshots/blobs", [&source] { return source.next(); }, -1);
    return sent ? Result<void>() : Result<void>(sent.error().within("send the source files"));
}

} // namespace

Result<std::string> send_snapshot(Connection& connection, const SourceTree& tree, const Terminal& terminal) {
    const Json manifest = proto::print(tree.manifest);
    for (int round = 0; round < rounds; ++round) {
        const auto offered = connection.call("POST", "/api/v1/snapshots", manifest);
        if (!offered) {
            return offered.error();
        }
        const Json& missing = member(*offered, "missing");
        if (missing.empty()) { // null, if the member is not there
            return text(*offered, "id");
        }
        auto blobs = wanted_blobs(missing, tree);
        if (!blobs) {
            return blobs.error();
        }
        if (auto sent = send_blobs(connection, std::move(*blobs), terminal); !sent) {
            return sent.error();
        }
    }
    return Error(Errc::internal, "the coordinator still misses files that were sent");
}

} // namespace linarite::cli
