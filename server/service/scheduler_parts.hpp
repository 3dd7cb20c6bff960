// server/service/scheduler_parts.hpp: what the scheduler keeps of runs and nodes; for its own files alone.
#pragma once

#include "server/service/scheduler.hpp"

namespace linarite::service {

/// What agents must be told of a run that is not terminal, beyond what the reactor knows.
struct Scheduler::ActiveRun {
    std::string experiment;
    SnapshotId snapshot;
    proto::Json definition;
    proto::DesiredRunData data;
    std::map<std::string, std::string> variables;
    proto::RegistryLogin registry; // for its image
    /// The last word of each node about its part, by node; only of the current fence.
    std::map<NodeName, proto::RunReport> reports;
    std::vector<proto::ProcessPlace> layout; // if it has several processes
    Fence fence = 0;
    int attempt = 0;
    /// The nodes of the current placement. Where each of them was then decides for good which of them share a
    /// directory.
    std::vector<proto::GangMember> gang;
    bool several_directories = false;
    std::uint64_t files_version = 0;
};

struct Scheduler::Node {
    std::uint64_t version = 0;
    Signal changed;
    std::string host_id;
    std::string shared_dir;
    std::string address;
    store::NodeRow row; // as stored
};

struct Scheduler::Batch {
    std::optional<store::RunRow> insert;
    core::Actions actions;
    Environments environments;
};
} // namespace linarite::service
