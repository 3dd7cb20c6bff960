#include "agent/container/containers.hpp"

#include "agent/container/container_supervisor.hpp"
#include "agent/container/container_tool.hpp"
#include "agent/container/image_tools.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"
#include "common/ids.hpp"
#include "proto/json_reader.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <unistd.h>

namespace linarite::agent {

namespace {

constexpr const char* owner_label = "linarite.agent";
constexpr const char* run_label = "linarite.run";
constexpr const char* fence_label = "linarite.fence";
constexpr const char* process_label = "linarite.process";      // of tools: of which process of the agent's
constexpr const char* default_shm = "2g";                      // v1's own default
constexpr std::uint64_t least_shm = std::uint64_t{256} << 20U; // below that Open MPI's ranks of one node don't start

/// state/container.json: which container it is, and whose.
struct ContainerNote {
    std::string name;
    fs::path socket;
};

fs::path note_file(const fs::path& facts_dir) {
    return facts_dir / "container.json";
}

Result<ContainerNote> read_note(const fs::path& facts_dir) {
    const auto text = read_file(note_file(facts_dir));
    if (!text) {
        return text.error();
    }
    const auto document = proto::parse_json(*text);
    if (!document) {
        return document.error();
    }
    std::vector<Fault> faults;
    proto::JsonReader reader(*document, "", faults);
    ContainerNote note{reader.required_text("name"), reader.required_text("socket")};
    return faults.empty() ? Result<ContainerNote>(std::move(note)) : Result<ContainerNote>(Error(std::move(faults)));
}

/// Unique on this machine, and the same for the same attempt: nodes that share a host run the same run with the same
/// fence.
std::string container_name(const ContainerOrder& order) {
    return "linarite-" + std::to_string(order.fence) + "-" + sha256_hex(order.facts_dir.string()).substr(0, 12);
}

std::uint64_t shm_bytes(const proto::ContainerSettings& settings, const proto::ContainerArguments& arguments) {
    const std::string& asked = arguments.shm_size.empty() ? settings.shm_size : arguments.shm_size;
    const auto bytes = proto::parse_byte_size(asked.empty() ? default_shm : asked);
    return std::max(bytes.value_or(least_shm), least_shm);
}

/// The smaller of two limits, of which 0 is none.
template <class Number>
Number tighter(Number a, Number b) {
    return a == 0 || b == 0 ? std::max(a, b) : std::min(a, b);
}

} // namespace

std::string own_user() {
    return std::to_string(::geteuid()) + ":" + std::to_string(::getegid());
}

Containers::Containers(asio::any_io_executor executor, asio::thread_pool& pool, ContainerPolicy policy)
    : executor_(std::move(executor)), pool_(pool), policy_(std::move(policy)), process_(random_hex(8)) {
    std::error_code ignored;
    fs::remove_all(policy_.scratch, ignored); // what an agent that was killed had packed
}

Containers::~Containers() = default;

Labels Containers::tool_labels() const {
    return {{owner_label, policy_.owner}, {process_label, process_}};
}

std::shared_ptr<Engine> Containers::engine_at(const fs::path& socket) {
    return engine_ && engine_->socket() == socket ? engine_ : std::make_shared<Engine>(executor_, socket);
}

Result<std::shared_ptr<Engine>> Containers::engine() {
    const auto socket = find_engine_socket();
    if (!socket) {
        return socket.error();
    }
    if (!engine_ || engine_->socket() != *socket) {
        engine_ = std::make_shared<Engine>(executor_, *socket);
        images_ = std::make_shared<Images>(
            engine_, pool_, ImageSettings{own_user(), tool_labels(), policy_.scratch, policy_.build_limit});
    }
    return engine_;
}

asio::awaitable<StandIn> Containers::look_for_stand_in() {
    const auto found = engine();
    if (!found) {
        co_return StandIn{found.error().detail(), false};
    }
    const auto image = co_await (*found)->find_image(stand_in_image);
    const bool answers = image || image.error().code() == Errc::not_found;
    co_return StandIn{answers ? "" : image.error().detail(), image.has_value()};
}

asio::awaitable<Result<ImageChoice>> Containers::choose(proto::ContainerSettings container,
                                                        std::optional<BuildFiles> files) {
    const std::string hash = files ? files->sha256 : "";
    if (files) {
        container.base_dockerfile = files->text;
    }
    StandIn stand_in;
    if (wants_stand_in(container, policy_.images)) {
        stand_in = co_await look_for_stand_in();
    }
    co_return choose_image(container, policy_.images, stand_in, hash);
}

asio::awaitable<Result<Image>> Containers::provide(ImageOrder order, LineOut log, CancelToken cancel) {
    const bool is_built = !order.dockerfile.empty();
    const std::string cannot = is_built ? "ImageBuildError: no image can be built of the run's dockerfile"
                                        : "ImagePullError: image '" + order.name + "' can't be used";
    const auto found = engine();
    if (!found) {
        co_return Error(Errc::invalid_argument,
                        cannot + ": " + found.error().detail() +
                            "; install Docker or Podman there, map the image to the node itself (linarite up "
                            "--image-map '" +
                            (is_built ? "linarite/dockerfile:*" : order.name) +
                            "=none'), or submit with docker switched off");
    }
    const auto images = images_; // another engine may be found meanwhile
    const auto name = co_await (*found)->introduce();
    if (!name) {
        co_return name.error().within(cannot);
    }
    log("engine: " + *name);
    if ((*found)->parts_networks()) {
        log("containers of an ordinary user's Docker have a network of their own: the run can't reach a coordinator "
            "on its own node, or its ranks on other nodes; Podman's have the node's");
    }
    auto provided = co_await images->provide(std::move(order), log, std::move(cancel));
    if (provided) {
        log("image '" + provided->name + "' is " + provided->digest() + ": " +
            (provided->python.empty() ? std::string("no Python")
                                      : "Python " + provided->python_version.str() + " at " + provided->python) +
            (provided->mpirun.empty() ? ", no Open MPI" : ", Open MPI " + provided->open_mpi));
    }
    co_return provided;
}

std::shared_ptr<const ImageBase> Containers::base_of(const Image& image) const {
    auto base = std::make_shared<ImageBase>();
    base->name = image.name;
    base->digest = image.digest();
    base->variables = image.facts.variables;
    if (!image.python.empty()) {
        base->python = Interpreter{image.python, image.python_version};
    }
    base->run = make_image_tools(engine_, image, own_user(), tool_labels());
    return base;
}

ContainerSpec Containers::make_spec(const ContainerOrder& order, const std::string& name,
                                    const proto::ContainerArguments& arguments) const {
    ContainerSpec spec;
    spec.image = order.image.facts.id;
    spec.argv = {order.shim.string(), "supervise", order.job_file.string()};
    spec.variables = {{"LINARITE_CONTAINER", name}};
    spec.user = own_user();
    spec.labels = {
        {owner_label, policy_.owner}, {run_label, order.run.str()}, {fence_label, std::to_string(order.fence)}};
    spec.mounts = order.mounts;
    spec.mounts.push_back({order.shim, true});
    spec.views = order.views;
    spec.shm_bytes = shm_bytes(order.settings, arguments);
    spec.host_ipc = arguments.host_ipc;
    spec.memory_bytes = tighter(policy_.memory_bytes, arguments.memory_bytes);
    spec.nano_cpus = static_cast<std::int64_t>(tighter(policy_.cpus, arguments.cpus) * 1e9);
    spec.limits = arguments.limits;
    spec.gpus = order.gpus;
    return spec;
}

asio::awaitable<Result<std::unique_ptr<Supervisor>>> Containers::start(ContainerOrder order) {
    const auto found = engine();
    if (!found) {
        co_return found.error();
    }
    const auto arguments = proto::parse_container_arguments(order.settings.arguments);
    if (!arguments) {
        co_return arguments.error();
    }
    const std::string name = container_name(order);
    const proto::Json note{{"name", name}, {"socket", (*found)->socket().string()}};
    if (auto written = replace_file(note_file(order.facts_dir), proto::print_json(note) + "\n"); !written) {
        co_return written.error();
    }
    ContainerSpec spec = make_spec(order, name, *arguments);
    if (::geteuid() != 0) {
        spec = without_views(std::move(spec)); // an overlay of root's leaves files that only root can remove
    }
    if (!spec.views.empty()) {
        auto started = co_await ContainerSupervisor::start(executor_, *found, name, spec, order.facts_dir);
        if (started || started.error().code() == Errc::unavailable) {
            co_return started;
        }
        spdlog::warn("a run has to do with a read-only environment: container={} cause=\"{}\"", name,
                     started.error().detail());
        spec = without_views(std::move(spec));
    }
    co_return co_await ContainerSupervisor::start(executor_, *found, name, std::move(spec), order.facts_dir);
}

bool Containers::holds(const fs::path& facts_dir) {
    std::error_code ec;
    return fs::exists(note_file(facts_dir), ec);
}

Result<std::unique_ptr<Supervisor>> Containers::attach(const fs::path& facts_dir) {
    const auto note = read_note(facts_dir);
    if (!note) {
        return note.error();
    }
    return ContainerSupervisor::attach(executor_, engine_at(note->socket), note->name, facts_dir);
}

asio::awaitable<void> Containers::discard(fs::path facts_dir) {
    const auto note = read_note(facts_dir);
    if (!note) {
        co_return;
    }
    const auto removed = co_await engine_at(note->socket)->remove(note->name);
    if (!removed) {
        spdlog::warn("a run's container cannot be removed: container={} cause=\"{}\"", note->name,
                     removed.error().detail());
    }
}

asio::awaitable<void> Containers::sweep(std::function<bool(const RunId&)> is_known) {
    const auto found = engine();
    if (!found) {
        co_return;
    }
    const auto ours = co_await (*found)->list(owner_label, policy_.owner);
    if (!ours) {
        co_return; // it is away, and no run has asked for it
    }
    for (const ListedContainer& container : *ours) {
        const auto run = container.labels.find(run_label);
        if (run != container.labels.end() && is_known(RunId(run->second))) {
            continue;
        }
        const auto process = container.labels.find(process_label);
        if (process != container.labels.end() && process->second == process_) {
            continue; // a tool of ours, begun since
        }
        spdlog::info("a container of a former agent process is removed: container={}", container.id.substr(0, 12));
        co_await (*found)->remove(container.id);
    }
}

} // namespace linarite::agent
