// server/service/run_history.hpp: use cases on what clients say of runs, and ask of them: interactive runs, tags,
// children, queries. What the scheduler does with runs is in runs.hpp.
#pragma once

#include "server/service/runs.hpp"

#include <string>
#include <vector>

namespace linarite::service {

/// A run whose status its client decides: of a notebook, or a child of another run.
struct InteractiveRun {
    RunId id;
    std::string workspace; // id
    std::string experiment;
    RunId parent; // empty: none
    std::string target;
    std::string kind;
    std::string display_name;
    std::string description;
    core::RunStatus status = core::RunStatus::not_started;
    store::Labels tags;
    store::Labels properties;
    std::string document; // what else its client said of it, JSON
    std::string submitted_by;
};

class RunHistory {
public:
    RunHistory(store::Store& store, Runs& runs, Scheduler& scheduler, const Clock& clock);

    /// conflict if the id is taken.
    asio::awaitable<Result<store::RunRow>> create(InteractiveRun run);
    /// Gives the run as it is then.
    asio::awaitable<Result<store::RunRow>> patch(store::RunPatch patch);
    /// The client's word on an interactive run; conflict for others, whose status is not theirs to say.
    asio::awaitable<Result<void>> move(RunId run, core::RunStatus to, std::string reason);
    asio::awaitable<Result<std::vector<store::RunRow>>> query(store::RunQuery query);

private:
    store::Store& store_;
    Runs& runs_;
    Scheduler& scheduler_;
    const Clock& clock_;
};

} // namespace linarite::service
