// agent/container/engine_http.hpp: HTTP over a Unix socket, as container engines speak it. One connection a call.
#pragma once

#include "async/cancel.hpp"
#include "common/error.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace linarite::agent {

namespace asio = boost::asio;
namespace fs = std::filesystem;

struct EngineRequest {
    std::string method = "GET";
    std::string target; // path and query, already encoded
    std::string body;   // JSON
    fs::path body_file; // a tar to send instead
    std::map<std::string, std::string> headers;
    std::chrono::milliseconds timeout{30'000}; // for all of the answer; with a sink, between two pieces of it
};

struct EngineAnswer {
    int status = 0;
    std::string body; // empty if it went to a sink
};

/// Takes each piece of a body as it comes.
using PieceSink = std::function<void(std::string_view piece)>;

/// One call. Any status is an answer; the body of one over 299 is collected even if there is a sink. unavailable:
/// nobody answers at the socket, or not in time; conflict: it was cancelled.
asio::awaitable<Result<EngineAnswer>> ask_engine(asio::any_io_executor executor, fs::path socket, EngineRequest request,
                                                 PieceSink sink, CancelToken cancel);

} // namespace linarite::agent
