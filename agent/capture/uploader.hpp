// agent/capture/uploader.hpp: how a run's bytes get to the coordinator.
#pragma once

#include "agent/capture/coordinator.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/ids.hpp"
#include "proto/frames.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace linarite::agent {

/// A frame with its payload, or with the file that it is read from while it is sent.
struct OutgoingFrame {
    proto::FrameHeader header;
    std::string bytes;              // header.size of them, if there is no file
    std::shared_ptr<UniqueFd> file; // its first header.size bytes
};
using Frames = std::vector<OutgoingFrame>;

/// Where the coordinator stands if it does not: the frames before this one were taken.
struct LengthConflict {
    std::string path;
    std::uint64_t length = 0;
};

class Uploader {
public:
    Uploader() = default;
    Uploader(const Uploader&) = delete;
    Uploader& operator=(const Uploader&) = delete;
    virtual ~Uploader() = default;

    /// Nothing: all frames are stored. Errors that another try may heal: unavailable, resource_exhausted, no_space,
    /// internal. A frame is at fault: invalid_argument, too_large. The placement is over: conflict, gone, not_found,
    /// unauthorized, forbidden.
    virtual asio::awaitable<Result<std::optional<LengthConflict>>> send(std::shared_ptr<const Frames> frames) = 0;
};

/// Whether that error of send() says that the placement is over.
inline bool is_over(Errc code) {
    return code == Errc::conflict || code == Errc::gone || code == Errc::not_found || code == Errc::unauthorized ||
           code == Errc::forbidden;
}

/// POST /api/v1/agent/runs/{id}/files?fence=N
std::shared_ptr<Uploader> make_http_uploader(std::shared_ptr<Coordinator> coordinator, const RunId& run, Fence fence);

} // namespace linarite::agent
