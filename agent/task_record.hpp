// agent/task_record.hpp: what a task leaves on disk for the one that is made after the agent was killed.
#pragma once

#include "common/error.hpp"
#include "common/files.hpp"
#include "common/ids.hpp"
#include "proto/agent_protocol.hpp"

#include <optional>

namespace linarite::agent {

/// state/task.json: whose folder this is, and whether a supervisor was ordered, with the log of its main process.
/// Written before the order.
struct TaskRecord {
    Fence fence = 0;
    bool launched = false;
    std::string output; // once launched
    int port = 0;       // first of the ports that are kept for it; 0 is none
    int gpu_slot = -1;  // once launched: whose GPUs it has
    std::string shared; // folder in the shared directory that is this node's to remove; "" is none
};

Result<void> write_record(const fs::path& file, const TaskRecord& record);
/// Nothing if there is none, or none that can be read: the folder is then of no use.
std::optional<TaskRecord> read_record(const fs::path& file);

/// What an ending was made from.
enum class EndingSource {
    exit_fact, // the supervisor's, which is on disk: the ending can be made again from it
    agent,     // nobody but this agent process knows it
};

/// state/ending.json: how it ended, where no exit fact says it.
Result<void> write_ending(const fs::path& file, const proto::Ending& ending);
std::optional<proto::Ending> read_ending(const fs::path& file);

} // namespace linarite::agent
