#include "agent/app.hpp"

#include "agent/hardware.hpp"
#include "agent/identity.hpp"
#include "agent/link/link.hpp"
#include "agent/run_task.hpp"
#include "agent/service_access.hpp"
#include "agent/shared_dir.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"
#include "common/host.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <set>

namespace linarite::agent {

struct App::Parts {
    Parts(asio::io_context& io, Options given, FileLock taken, Identity who, Gpus found);

    Options options;
    FileLock lock;
    Identity identity;
    fs::path folder;
    std::string this_boot = boot_id();
    std::string this_host = host_id();
    GpuSlots gpus;
    std::string shared_id;
    proto::NodeResources resources;
    std::string address;
    asio::any_io_executor executor;
    asio::thread_pool pool{2};
    EnvironmentCache environments;
    Containers containers;
    std::shared_ptr<Coordinator> coordinator;
    SnapshotCache snapshots;
    DataCache data_cache;
    FileWatcher watcher;
    Spawner spawner;
    Trash trash;
    MpiVersions mpi_versions;
    TaskContext context;
    std::map<RunId, std::shared_ptr<RunTask>> tasks;
    std::set<std::shared_ptr<RunTask>> ending;  // forgotten or replaced, still cleaning up
    std::map<RunId, proto::DesiredRun> waiting; // new placements of runs whose former part is still ending
    bool swept = false;                         // left-over folders of runs that nobody wants were looked for
    std::function<void(Error)> on_refused;
    std::unique_ptr<Link> link;

    Result<void> open();
    [[nodiscard]] proto::SyncRequest picture() const;
    [[nodiscard]] std::string coordinator_url() const;
    void wanted(proto::SyncAnswer answer);
    void make_task(proto::DesiredRun desired);
    [[nodiscard]] bool is_ending(const RunId& run) const;
    void retire(const RunId& run);
    void sweep();
};

namespace {

EnvironmentSettings environment_settings(const Options& options, const fs::path& folder) {
    EnvironmentSettings settings = options.packages;
    settings.environments = options.environments.empty() ? folder / "envs" : options.environments;
    settings.tools = options.data.root() / "tools";
    settings.azureml_dropin = options.azureml_dropin;
    return settings;
}

ContainerPolicy container_policy(const Options& options, const fs::path& folder) {
    ContainerPolicy policy;
    policy.images = options.images;
    policy.memory_bytes = options.container_memory;
    policy.cpus = options.container_cpus;
    policy.owner = sha256_hex(folder.string()).substr(0, 16);
    policy.scratch = folder / "scratch";
    policy.build_limit = options.packages.build_limit;
    return policy;
}

} // namespace

App::Parts::Parts(asio::io_context& io, Options given, FileLock taken, Identity who, Gpus found)
    : options(std::move(given)),
      lock(std::move(taken)),
      identity(std::move(who)),
      folder(options.data.agent(options.name)),
      gpus(std::move(found), options.slots),
      resources(find_resources(options.slots, gpus.count(), options.labels)),
      executor(io.get_executor()),
      environments(executor, pool, environment_settings(options, folder)),
      containers(executor, pool, container_policy(options, folder)),
      coordinator(
          std::make_shared<Coordinator>(executor, [this] { return coordinator_address(identity, options.data); })),
      snapshots(pool, coordinator, folder / "snapshots"),
      data_cache(pool, coordinator, folder / "data-cache", options.data_cache_size),
      watcher(executor),
      spawner(options.shim),
      trash(folder / "trash"),
      context{executor,
              pool,
              folder,
              options.shim,
              NodeName(identity.node),
              this_host,
              options.shared_dir,
              resources.cores,
              options.slots == 1 && !options.shares_host,
              gpus,
              options.max_processes,
              options.max_log_size,
              options.user_namespaces,
              environments,
              containers,
              snapshots,
              data_cache,
              watcher,
              spawner,
              trash,
              mpi_versions,
              coordinator,
              nullptr,
              [this] { link->report(); },
              [this] { return link->silence(); },
              {},
              [this] { return service_variables(identity, options.data, folder); },
              [this] { return mpi_interface(options.mpi_interface, coordinator_url()); }} {}

// Of a coordinator on this host the https address, which may be one that others reach, too.
std::string App::Parts::coordinator_url() const {
    const auto known = coordinator_service(identity, options.data);
    return known ? known->url : identity.url;
}

proto::SyncRequest App::Parts::picture() const {
    proto::SyncRequest request;
    request.node = NodeName(identity.node);
    request.incarnation = identity.incarnation;
    request.boot_id = this_boot;
    request.host_id = this_host;
    request.shared_dir = shared_id;
    request.address = address;
    request.version = options.version;
    request.resources = resources;
    for (const auto& [run, task] : tasks) {
        request.runs.push_back(task->report());
    }
    return request;
}

void App::Parts::make_task(proto::DesiredRun desired) {
    const RunId run = desired.run;
    if (is_ending(run)) {
        waiting.insert_or_assign(run, std::move(desired)); // its folder is not free yet
        return;
    }
    auto task = std::make_shared<RunTask>(context, std::move(desired));
    tasks[run] = task;
    task->start([this, task, run] {
        ending.erase(task);
        if (auto next = waiting.extract(run)) {
            make_task(std::move(next.mapped()));
        }
    });
}

bool App::Parts::is_ending(const RunId& run) const {
    return std::any_of(ending.begin(), ending.end(), [&](const auto& task) { return task->run() == run; });
}

void App::Parts::retire(const RunId& run) {
    const auto found = tasks.find(run);
    ending.insert(found->second);
    const auto task = found->second;
    tasks.erase(found);
    task->forget();
}

void App::Parts::wanted(proto::SyncAnswer answer) {
    std::set<RunId> named;
    // a left-over of a lost placement may stand beside the new one: the old part has to end first
    std::ranges::stable_sort(answer.runs, {}, &proto::DesiredRun::fence);
    for (proto::DesiredRun& desired : answer.runs) {
        if (!named.insert(desired.run).second) {
            continue;
        }
        const auto found = tasks.find(desired.run);
        if (found != tasks.end() && found->second->fence() == desired.fence) {
            found->second->update(std::move(desired));
            continue;
        }
        if (desired.brief) {
            continue; // an answer from before the last one: we had the run then, and gave it up
        }
        if (found != tasks.end()) {
            retire(desired.run); // a new placement of the same run
        }
        make_task(std::move(desired));
    }
    std::vector<RunId> over;
    for (const auto& [run, task] : tasks) {
        if (!named.contains(run)) {
            over.push_back(run);
        }
    }
    for (const RunId& run : over) {
        retire(run);
    }
    if (!swept) {
        swept = true;
        sweep();
    }
}

// Folders and containers of runs that nobody wants any more are left when the agent was down as their runs ended.
void App::Parts::sweep() {
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(folder / "work", ec)) {
        const RunId run(entry.path().filename().string());
        if (!tasks.contains(run)) {
            proto::DesiredRun nothing;
            nothing.run = run;
            nothing.want = proto::Want::stop;
            make_task(std::move(nothing));
            retire(run);
        }
    }
    const auto is_known = [this](const RunId& run) { return tasks.contains(run) || is_ending(run); };
    asio::co_spawn(executor, containers.sweep(is_known), [](const std::exception_ptr& bug) {
        if (bug) {
            spdlog::error("looking for left-over containers ended by an exception");
        }
    });
}

App::App(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
App::~App() = default;

namespace {

asio::awaitable<Result<Identity>> identify(asio::any_io_executor executor, const Options& options,
                                           const fs::path& folder) {
    auto known = read_identity(folder);
    if (!known) {
        co_return known.error();
    }
    Identity identity;
    if (*known) {
        identity = std::move(**known);
    } else {
        if (!options.join) {
            co_return Error(
                Errc::invalid_argument,
                "this node has not joined a coordinator yet: give the join string that 'linarite nodes join' prints");
        }
        auto joined = co_await join(executor, *options.join, options.name);
        if (!joined) {
            co_return joined.error();
        }
        identity = std::move(*joined);
        identity.local = options.local;
    }
    ++identity.incarnation;
    if (auto written = write_identity(folder, identity); !written) {
        co_return written.error();
    }
    co_return identity;
}

fs::path find_shim(const Options& options) {
    return options.shim.empty() ? own_executable().parent_path() / "linarite-shim" : options.shim;
}

/// Checks what can be checked beforehand, makes the node's folders, and holds them for this process.
Result<FileLock> take_folder(Options& options, const fs::path& folder) {
    if (auto known = mpi_interface(options.mpi_interface, ""); !known) {
        return known.error();
    }
    for (const fs::path& part : {folder, folder / "work", folder / "snapshots"}) {
        if (auto made = make_folders(part, 0700); !made) {
            return made.error();
        }
    }
    auto lock = FileLock::take(folder / "agent.lock");
    if (!lock) {
        return lock.error().within("node '" + options.name + "' already runs here");
    }
    options.shim = find_shim(options);
    std::error_code ec;
    if (!fs::exists(options.shim, ec)) {
        return Error(Errc::not_found,
                     "'" + options.shim.string() + "' is missing: it belongs beside the linarite program");
    }
    return lock;
}

} // namespace

/// Listens to the run's shims, and to the coordinator.
Result<void> App::Parts::open() {
    const auto interface = context.mpi_interface();
    if (!interface) {
        return interface.error();
    }
    address = interface->interface.address;
    spdlog::info("MPI to other hosts: interface={} address={} because=\"{}\"", interface->interface.name, address,
                 interface->reason);
    // whatever the policy: an installed SDK wins over it, but needs it to send its last metrics
    auto dropin = install_dropin(folder);
    if (!dropin) {
        return dropin.error();
    }
    context.dropin = std::move(*dropin);
    auto daemons = DaemonSocket::open(executor, folder, [this](const LaunchRequest& request) {
        if (const auto found = tasks.find(request.run); found != tasks.end()) {
            found->second->request_daemon(request);
        }
    });
    if (!daemons) {
        return daemons.error();
    }
    context.daemons = std::move(*daemons);
    asio::co_spawn(executor, data_cache.open(), [](const std::exception_ptr& bug) {
        if (bug) {
            spdlog::error("looking through the data cache ended by an exception");
        }
    });
    link =
        std::make_unique<Link>(executor, LinkCallbacks{[this] { return coordinator_address(identity, options.data); },
                                                       [this] { return picture(); },
                                                       [this](proto::SyncAnswer answer) { wanted(std::move(answer)); },
                                                       [this](Error error) { on_refused(std::move(error)); }});
    link->start();
    environments.tidy();
    return {};
}

asio::awaitable<Result<std::unique_ptr<App>>> App::start(asio::io_context& io, Options options,
                                                         std::function<void(Error)> on_refused) {
    const fs::path folder = options.data.agent(options.name);
    auto lock = take_folder(options, folder);
    if (!lock) {
        co_return lock.error();
    }
    auto shared_id = identify_shared_dir(options.shared_dir);
    if (!shared_id) {
        co_return shared_id.error().within("--shared-dir");
    }
    auto gpus = co_await find_gpus(options.gpus);
    if (!gpus) {
        co_return gpus.error();
    }
    auto identity = co_await identify(io.get_executor(), options, folder);
    if (!identity) {
        co_return identity.error();
    }
    auto parts =
        std::make_unique<Parts>(io, std::move(options), std::move(*lock), std::move(*identity), std::move(*gpus));
    parts->on_refused = std::move(on_refused);
    parts->shared_id = std::move(*shared_id);
    if (auto opened = parts->open(); !opened) {
        co_return opened.error();
    }
    co_return std::unique_ptr<App>(new App(std::move(parts)));
}

asio::awaitable<void> App::stop() {
    parts_->link->stop();
    parts_->pool.stop(); // what it has not begun is done by the next agent, as after a kill
    parts_->pool.join();
    co_return;
}

std::size_t App::run_count() const {
    return parts_->tasks.size();
}

} // namespace linarite::agent
