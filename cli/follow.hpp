// cli/follow.hpp: a run's statuses and logs while it goes on, over broken connections.
#pragma once

#include "cli/connection.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace linarite::cli {

/// What a follower wants to see. Each may be empty.
struct FollowHandlers {
    std::function<void(const Json& run)> status;
    /// The next bytes of a log, in order and each once.
    std::function<void(const std::string& name, std::string_view bytes)> log;
    /// For people: the connection broke, and is there again.
    std::function<void(const std::string& words)> notice;
};

struct Followed {
    Json run;                 // as last seen
    bool interrupted = false; // by Ctrl-C; the run goes on
};

/// Follows until the run has ended and all its log bytes were given out, or Ctrl-C. `logs` is as in the API: names,
/// "driver" or "none". A broken connection is made again, with growing pauses, for ten minutes at most (then
/// `unavailable`).
Result<Followed> follow_run(Connection& connection, const std::string& run_id, const std::string& logs,
                            const FollowHandlers& handlers);

} // namespace linarite::cli
