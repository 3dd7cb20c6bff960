// agent/container/container_spec.hpp: a container as we want it, and how the engine's API says that.
#pragma once

#include "agent/launch/shim_job.hpp"
#include "proto/container_arguments.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace linarite::agent {

namespace fs = std::filesystem;

/// A file or folder of the node that is seen in the container, at the same path.
struct BindMount {
    fs::path path;
    bool read_only = true;
    bool operator==(const BindMount&) const = default;
};

using Labels = std::map<std::string, std::string>;

struct ContainerSpec {
    std::string image;
    std::vector<std::string> argv; // instead of the image's own entry point and command
    std::map<std::string, std::string> variables;
    std::string user;          // "1000:1000"
    bool keep_user_id = false; // of Podman without root: that user is the one inside who is the engine's outside
    fs::path folder = "/";
    Labels labels;
    std::vector<BindMount> mounts;
    std::vector<View> views;     // seen at the same path; `upper` and `work` are there in the folders for changes
    std::uint64_t shm_bytes = 0; // 0: the engine's own default
    bool host_ipc = false;
    std::uint64_t memory_bytes = 0; // 0: no limit
    std::int64_t nano_cpus = 0;     // 0: no limit
    std::vector<proto::ContainerArguments::Limit> limits;
    bool gpus = false;
};

/// Without mounts that lie in others which give as much, without doubles (the one that may be written to wins), outer
/// ones first.
std::vector<BindMount> tidy_mounts(std::vector<BindMount> mounts);

/// The same with read-only mounts in the place of views, for where the engine can't make them.
ContainerSpec without_views(ContainerSpec spec);

/// The body of POST /containers/create. Docker and Podman have different words for views.
nlohmann::json print(const ContainerSpec& spec, bool for_podman = false);

} // namespace linarite::agent
