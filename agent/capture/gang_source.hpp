// agent/capture/gang_source.hpp: how a node gets what the other nodes of its run have closed.
#pragma once

#include "agent/capture/coordinator.hpp"
#include "common/error.hpp"
#include "common/ids.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace linarite::agent {

/// A file as another node closed it.
struct GangFile {
    std::string path; // artifact name
    std::uint64_t size = 0;
    std::string sha256;
    bool executable = false;
};

struct GangFileList {
    std::uint64_t version = 0; // ask from here the next time
    std::vector<GangFile> files;
};

class GangSource {
public:
    GangSource() = default;
    GangSource(const GangSource&) = delete;
    GangSource& operator=(const GangSource&) = delete;
    virtual ~GangSource() = default;

    using Sink = std::function<asio::awaitable<Result<void>>(std::string_view piece)>;

    /// A page of what other nodes closed after that version, in the order in which they did. Errors as Uploader::send.
    virtual asio::awaitable<Result<GangFileList>> list(std::uint64_t since) = 0;
    /// Their bytes as frames, in the same order; those that are not there any more are left out.
    virtual asio::awaitable<Result<void>> fetch(std::vector<GangFile> files, Sink sink) = 0;
};

/// GET /api/v1/agent/runs/{id}/gang-files and POST .../content
std::shared_ptr<GangSource> make_http_gang_source(std::shared_ptr<Coordinator> coordinator, const RunId& run,
                                                  Fence fence);

} // namespace linarite::agent
