#include "agent/container/container_spec.hpp"

#include <algorithm>

namespace linarite::agent {

using Json = nlohmann::json;

namespace {

bool lies_in(const fs::path& path, const fs::path& folder) {
    const auto [in_folder, in_path] = std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
    return in_folder == folder.end();
}

Json print_limits(const std::vector<proto::ContainerArguments::Limit>& limits) {
    Json out = Json::array();
    for (const proto::ContainerArguments::Limit& limit : limits) {
        out.push_back({{"Name", limit.name}, {"Soft", limit.soft}, {"Hard", limit.hard}});
    }
    return out;
}

/// A volume that is made with the container and removed with it.
Json print_view(const View& view) {
    const std::string options = "lowerdir=" + view.path.string() + ",upperdir=" + (view.changes / "upper").string() +
                                ",workdir=" + (view.changes / "work").string();
    return {{"Type", "volume"},
            {"Target", view.path.string()},
            {"VolumeOptions",
             {{"NoCopy", true},
              {"DriverConfig",
               {{"Name", "local"}, {"Options", {{"type", "overlay"}, {"device", "overlay"}, {"o", options}}}}}}}};
}

/// "FOLDER:FOLDER:O,...", as `podman run --volume` takes it (Podman 4).
std::string print_podman_view(const View& view) {
    return view.path.string() + ":" + view.path.string() + ":O,upperdir=" + (view.changes / "upper").string() +
           ",workdir=" + (view.changes / "work").string();
}

/// Neither way to say it has signs that would let these be parts of a path.
bool can_be_said(const View& view) {
    return (view.path.string() + view.changes.string()).find_first_of(",:\\") == std::string::npos;
}

Json print_host(const ContainerSpec& spec, bool for_podman) {
    Json host{{"NetworkMode", "host"}, // ranks and the service are reached as from the node itself
              {"Init", true},          // a first process that passes signals on and reaps
              {"IpcMode", spec.host_ipc ? "host" : "private"},
              {"RestartPolicy", {{"Name", "no"}}}};
    Json mounts = Json::array();
    for (const BindMount& mount : tidy_mounts(spec.mounts)) {
        mounts.push_back({{"Type", "bind"},
                          {"Source", mount.path.string()},
                          {"Target", mount.path.string()},
                          {"ReadOnly", mount.read_only}});
    }
    for (const View& view : spec.views) {
        if (for_podman) {
            host["Binds"].push_back(print_podman_view(view));
        } else {
            mounts.push_back(print_view(view));
        }
    }
    host["Mounts"] = std::move(mounts);
    if (spec.keep_user_id) {
        host["UsernsMode"] = "keep-id";
    }
    if (spec.shm_bytes > 0 && !spec.host_ipc) {
        host["ShmSize"] = spec.shm_bytes;
    }
    if (spec.memory_bytes > 0) {
        host["Memory"] = spec.memory_bytes;
        host["MemorySwap"] = spec.memory_bytes; // else swap doubles it
    }
    if (spec.nano_cpus > 0) {
        host["NanoCpus"] = spec.nano_cpus;
    }
    if (!spec.limits.empty()) {
        host["Ulimits"] = print_limits(spec.limits);
    }
    if (spec.gpus) {
        // all of them; which ones the run may use is said by CUDA_VISIBLE_DEVICES, by the node's own numbers
        host["DeviceRequests"] =
            Json::array({{{"Driver", ""}, {"Count", -1}, {"Capabilities", Json::array({Json::array({"gpu"})})}}});
    }
    return host;
}

} // namespace

std::vector<BindMount> tidy_mounts(std::vector<BindMount> mounts) {
    std::ranges::sort(mounts, [](const BindMount& a, const BindMount& b) {
        return a.path != b.path ? a.path < b.path : !a.read_only && b.read_only;
    });
    std::vector<BindMount> out;
    for (BindMount& mount : mounts) {
        const bool there = std::ranges::any_of(out, [&](const BindMount& outer) {
            return mount.path == outer.path || (lies_in(mount.path, outer.path) && mount.read_only == outer.read_only);
        });
        if (!there) {
            out.push_back(std::move(mount));
        }
    }
    return out;
}

ContainerSpec without_views(ContainerSpec spec) {
    for (View& view : spec.views) {
        spec.mounts.push_back({std::move(view.path), true});
    }
    spec.views.clear();
    return spec;
}

Json print(const ContainerSpec& spec, bool for_podman) {
    if (!std::ranges::all_of(spec.views, can_be_said)) {
        return print(without_views(spec), for_podman);
    }
    std::vector<std::string> variables;
    for (const auto& [name, value] : spec.variables) {
        variables.push_back(name);
        variables.back().append("=").append(value);
    }
    return Json{{"Image", spec.image},   {"Entrypoint", spec.argv},
                {"Cmd", Json::array()},  {"Env", variables},
                {"User", spec.user},     {"WorkingDir", spec.folder.string()},
                {"Labels", spec.labels}, {"Tty", false},
                {"OpenStdin", false},    {"HostConfig", print_host(spec, for_podman)}};
}

} // namespace linarite::agent
