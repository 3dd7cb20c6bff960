// agent/container/containers.hpp: runs in containers on one node, whichever engine it has.
#pragma once

#include "agent/container/image_choice.hpp"
#include "agent/container/images.hpp"
#include "agent/environment/provider.hpp"
#include "agent/launch/supervisor.hpp"
#include "common/ids.hpp"
#include "proto/container_arguments.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace linarite::agent {

struct ContainerPolicy {
    std::vector<ImageRule> images;          // the operator's map
    std::uint64_t memory_bytes = 0;         // of a run's container on this node; 0: no limit
    double cpus = 0;                        // 0: no limit
    std::string owner;                      // of our containers, among those of other agents: a label's value
    fs::path scratch;                       // for files that are needed for a moment
    std::chrono::seconds build_limit{1800}; // for an image that is built of a dockerfile
};

/// The container of one run on this node.
struct ContainerOrder {
    RunId run;
    Fence fence = 0;
    Image image;
    proto::ContainerSettings settings;
    std::vector<BindMount> mounts; // the run's folder, its data; the shim is added
    std::vector<View> views;       // the environment
    fs::path shim;
    fs::path job_file;
    fs::path facts_dir;
    bool gpus = false;
};

class Containers {
public:
    Containers(asio::any_io_executor executor, asio::thread_pool& pool, ContainerPolicy policy);
    ~Containers();
    Containers(const Containers&) = delete;
    Containers& operator=(const Containers&) = delete;

    /// As choose_image(), with what this node has; with the files its dockerfile is the one that comes with them.
    asio::awaitable<Result<ImageChoice>> choose(proto::ContainerSettings container, std::optional<BuildFiles> files);
    /// The image, fetched if need be. `log` gets what is done, with the engine's name.
    asio::awaitable<Result<Image>> provide(ImageOrder order, LineOut log, CancelToken cancel);
    /// What environments for the image stand on; tools are run in containers of it.
    [[nodiscard]] std::shared_ptr<const ImageBase> base_of(const Image& image) const;

    /// False if the engine takes no notice of a wish for GPUs, as Podman's side of this API does.
    [[nodiscard]] bool passes_gpus() const { return !engine_ || !engine_->is_podman(); }

    /// Starts the supervisor in a container of its own. What attach() needs is on disk before that.
    asio::awaitable<Result<std::unique_ptr<Supervisor>>> start(ContainerOrder order);
    /// Whether a container was ordered for the run with this facts folder.
    static bool holds(const fs::path& facts_dir);
    /// As Supervisor::attach, for those.
    Result<std::unique_ptr<Supervisor>> attach(const fs::path& facts_dir);
    /// Removes what is left of such a container.
    asio::awaitable<void> discard(fs::path facts_dir);
    /// Removes containers of ours that belong to none of the runs, and those of tools: an agent that was killed left
    /// them.
    asio::awaitable<void> sweep(std::function<bool(const RunId&)> is_known);

private:
    Result<std::shared_ptr<Engine>> engine();
    asio::awaitable<StandIn> look_for_stand_in();
    [[nodiscard]] Labels tool_labels() const;
    std::shared_ptr<Engine> engine_at(const fs::path& socket);
    [[nodiscard]] ContainerSpec make_spec(const ContainerOrder& order, const std::string& name,
                                          const proto::ContainerArguments& arguments) const;

    asio::any_io_executor executor_;
    asio::thread_pool& pool_;
    ContainerPolicy policy_;
    std::string process_; // by which tools of this process are told from those of former ones
    std::shared_ptr<Engine> engine_;
    std::shared_ptr<Images> images_; // of the engine
};

/// The user that the agent runs as, and its runs: "1000:1000".
std::string own_user();

} // namespace linarite::agent
