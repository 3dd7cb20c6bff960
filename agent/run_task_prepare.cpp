// What a node does for a run before it is ready to launch.
#include "agent/launch/mpi_plan.hpp"
#include "agent/launch/run_environment.hpp"
#include "agent/run_container.hpp"
#include "agent/run_task.hpp"
#include "agent/task_record.hpp"
#include "common/files.hpp"

#include <fmt/core.h>

#include <fstream>

namespace linarite::agent {

using proto::Phase;

namespace {

/// A program of the user's own, and nothing is to be installed for it.
bool needs_no_python(const proto::RunDefinition& definition) {
    const auto& python = definition.python;
    return !definition.command.empty() && python.conda_packages.empty() && python.pip_packages.empty() &&
           python.python_version.empty();
}

proto::RunEnvironment describe_environment(const PreparedEnvironment& environment, const Image* image) {
    proto::RunEnvironment out;
    out.key = environment.key;
    out.provider = environment.provider;
    out.python = environment.python_version;
    out.interpreter = environment.python.string();
    if (image != nullptr) {
        out.image = image->name;
        out.image_digest = image->digest();
    }
    return out;
}

/// What the list of packages is of, as comments that no installer minds.
std::string lock_heading(const proto::RunEnvironment& environment) {
    std::string text = "# environment " + (environment.key.empty() ? "none was built" : environment.key) + "\n";
    text += "# provider " + environment.provider + "\n";
    text += "# Python " + environment.python + (environment.python.empty() ? "at " : " at ") + environment.interpreter;
    return text + "\n";
}

} // namespace

Result<void> RunTask::check_size() const {
    const int wanted = definition_.processes_per_node;
    if (context_.max_processes == 0 || wanted <= context_.max_processes) {
        return {};
    }
    return Error(Errc::invalid_argument,
                 fmt::format("node '{0}' allows {1} processes of a run, and {2} were asked for: ask for at most {1} on "
                             "each node, or start its agent with --max-processes {2}",
                             context_.node.str(), context_.max_processes, wanted));
}

asio::awaitable<Result<void>> RunTask::prepare() {
    if (auto fits = check_size(); !fits) {
        co_return fits;
    }
    // a task that is made anew keeps a folder with a record: worth it where data was fetched; and it knows by it what
    // is elsewhere
    TaskRecord mine = record(false);
    const auto written =
        desired_.data.references.empty() && mine.shared.empty() ? std::nullopt : std::optional(std::move(mine));
    auto folders = [f = folders_, record = written]() -> Result<void> {
        for (const fs::path& folder : {f.root, f.state, f.logs, f.tmp}) {
            if (auto made = make_folders(folder, 0700); !made) {
                return made;
            }
        }
        return record ? write_record(f.record(), *record) : Result<void>();
    };
    if (auto made = co_await on_pool(context_.pool, std::move(folders)); !made) {
        co_return made.error().within("make the run's folders");
    }
    if (auto done = co_await prepare_directory(); !done) {
        co_return done;
    }
    start_capture();
    if (auto done = co_await prepare_environment(); !done) {
        co_return done;
    }
    if (auto kept = keep_ports(); !kept) {
        co_return kept;
    }
    co_return co_await prepare_network();
}

// From now on the other nodes may be told of them.
Result<void> RunTask::keep_ports() {
    const int count = ports_of(definition_, desired_.node_index);
    if (count == 0 || ports_) {
        return {};
    }
    auto kept = PortLease::take(count, desired_.fence);
    if (!kept) {
        return kept.error();
    }
    ports_ = std::move(*kept);
    return {};
}

asio::awaitable<Result<void>> RunTask::prepare_environment() {
    detail_ = "preparing the environment";
    auto base = co_await prepare_image();
    if (!base) {
        co_return base.error().within("prepare the environment");
    }
    auto prepared = co_await context_.environments.prepare(
        definition_.python, std::move(*base),
        [this](const std::string& line) {
            if (detail_.starts_with("preparing")) {
                set_phase(Phase::preparing, "building the environment");
            }
            note_build(line);
        },
        cancel_, folders_.root);
    if (!prepared && prepared.error().code() == Errc::not_found && needs_no_python(definition_)) {
        note("there is no Python here; the command runs without: " + prepared.error().detail());
        co_return Result<void>{};
    }
    if (!prepared) {
        co_return prepared.error().within("prepare the environment");
    }
    environment_ = std::move(*prepared);
    told_environment_ = describe_environment(environment_, image_ ? &*image_ : nullptr);
    co_return write_lock();
}

void RunTask::note_build(const std::string& line) const {
    std::ofstream(folders_.logs / "20_image_build_log.txt", std::ios::app) << line << '\n';
}

Result<void> RunTask::write_lock() {
    const std::string text = (image_ ? image_lock(*image_) : "") + environment_.lock;
    return text.empty() || !is_lead()
               ? Result<void>()
               : replace_file(folders_.logs / "environment_lock.txt", lock_heading(*told_environment_) + text);
}

// What the run's image is to be built from, if it is to be built from a folder.
asio::awaitable<Result<std::optional<BuildFiles>>> RunTask::bring_build_files() {
    const auto& context = definition_.container.build_context;
    if (!context) {
        co_return std::optional<BuildFiles>();
    }
    if (!desired_.data.build_context) {
        co_return Error(Errc::not_found, "datastore '" + context->datastore + "' is not there any more");
    }
    set_phase(Phase::preparing, "fetching what the image is built from");
    DataReferences references = data_references({*desired_.data.build_context}, folders_.root / "context");
    const auto paths = co_await references.prepare(cancel_);
    if (!paths) {
        co_return paths.error();
    }
    auto files = co_await on_pool(context_.pool, [folder = paths->begin()->second, name = context->dockerfile] {
        return read_build_files(folder, name);
    });
    co_return files ? Result<std::optional<BuildFiles>>(std::move(*files)) : files.error();
}

// The image that the run is to be in, if it is to be in one.
asio::awaitable<Result<EnvironmentBase>> RunTask::prepare_image() {
    auto files = co_await bring_build_files();
    if (!files) {
        const Error error = files.error().within("ImageBuildError: no image can be built of the run's build context");
        note_build(error.detail());
        co_return error;
    }
    const auto choice = co_await context_.containers.choose(definition_.container, *files);
    if (!choice) {
        note_engine(choice.error().detail());
        co_return choice.error();
    }
    EnvironmentBase base;
    base.reason = choice->reason;
    if (choice->image.empty()) {
        co_return base;
    }
    const bool is_built = !choice->dockerfile.empty();
    const auto say = [this, is_built](const std::string& line) { is_built ? note_build(line) : note_engine(line); };
    say(choice->reason);
    if (is_built) {
        base.reason.clear(); // it is said already, before what the build says
    }
    set_phase(Phase::preparing, (is_built ? "building image '" : "preparing image '") + choice->image + "'");
    ImageOrder order = image_order(*choice, definition_.container, desired_.registry);
    order.files = std::move(*files);
    auto image = co_await context_.containers.provide(std::move(order), say, cancel_);
    const auto checked = image ? check_image(*image, definition_) : Result<void>(image.error());
    if (!checked) {
        say(checked.error().detail());
        co_return checked.error();
    }
    image_ = std::move(*image);
    base.image = context_.containers.base_of(*image_);
    co_return base;
}

// Of the mpirun that the run finds here, in its image if it has one; "" for runs that need none.
asio::awaitable<Result<std::string>> RunTask::find_mpi_version() {
    if (definition_.launch != proto::LaunchKind::mpi) {
        co_return std::string();
    }
    if (image_) {
        co_return "Open MPI " + image_->open_mpi; // that it has one was checked
    }
    auto version = co_await context_.mpi_versions.find(run_environment(launch_order(), LaunchPlan{}), cancel_);
    if (version && version->empty()) {
        co_return no_mpirun(context_.node.str());
    }
    co_return version;
}

// Nodes on one host reach each other anyway, and have the same mpirun.
asio::awaitable<Result<void>> RunTask::prepare_network() {
    if (definition_.launch == proto::LaunchKind::single || on_one_host(desired_.gang)) {
        co_return Result<void>{};
    }
    detail_ = "looking at the network";
    const auto chosen = co_await on_pool(context_.pool, context_.mpi_interface); // it may have to ask for a name
    if (!chosen) {
        co_return Error(Errc::unavailable, chosen.error().detail());
    }
    note("between the nodes the run uses interface " + describe(chosen->interface) + ": " + chosen->reason);
    const auto version = co_await find_mpi_version();
    if (!version) {
        co_return version.error();
    }
    if (!version->empty()) {
        note("mpirun is that of " + *version);
    }
    const BarrierPlace place{desired_.run, desired_.fence, context_.node, context_.host_id, desired_.node_index};
    auto opened = GangBarrier::open(context_.executor, place, chosen->interface, *version, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) {
            self->context_.report();
            self->changed_.notify();
        }
    });
    if (!opened) {
        co_return opened.error();
    }
    barrier_ = std::move(*opened);
    barrier_->see(desired_.gang);
    co_return Result<void>{};
}

} // namespace linarite::agent
