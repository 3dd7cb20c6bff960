#include "agent/run_task.hpp"

#include "agent/capture/data.hpp"
#include "agent/launch/ending.hpp"
#include "agent/run_container.hpp"
#include "agent/task_record.hpp"
#include "common/files.hpp"

#include <spdlog/spdlog.h>

#include <fstream>

namespace linarite::agent {

using proto::Ending;
using proto::Phase;
using proto::Want;

RunTask::RunTask(TaskContext& context, proto::DesiredRun desired)
    : context_(context), desired_(std::move(desired)), folders_(context.folder, desired_.run) {}

void RunTask::start(std::function<void()> on_end) {
    asio::co_spawn(context_.executor, live(),
                   [self = shared_from_this(), on_end = std::move(on_end)](const std::exception_ptr& failure) {
                       if (failure) {
                           spdlog::critical("a run's task ended by an exception: run={}", self->run().str());
                           std::abort(); // its state is on disk; the next start goes on with it
                       }
                       on_end();
                   });
}

void RunTask::update(proto::DesiredRun desired) {
    if (desired.brief) { // what it leaves out stays as it is
        desired.brief = false;
        desired.experiment = std::move(desired_.experiment);
        desired.snapshot = std::move(desired_.snapshot);
        desired.definition = std::move(desired_.definition);
        desired.data = std::move(desired_.data);
        desired.host_id = std::move(desired_.host_id);
        desired.variables = std::move(desired_.variables);
    }
    desired_ = std::move(desired);
    if (mirror_) {
        mirror_->update(desired_.files_version);
    }
    answer_daemons();
    if (stop_wanted()) {
        cancel_.cancel();
    }
    changed_.notify();
}

void RunTask::forget() {
    forgotten_ = true;
    cancel_.cancel();
    finish_cancel_.cancel();
    changed_.notify();
}

bool RunTask::stop_wanted() const {
    return forgotten_ || desired_.want == Want::stop;
}

proto::RunReport RunTask::report() const {
    proto::RunReport report;
    report.run = desired_.run;
    report.fence = desired_.fence;
    report.phase = phase_;
    report.detail = capture_ && phase_ == Phase::exited && !capture_->trouble().empty() ? capture_->trouble() : detail_;
    report.ending = ending_;
    report.daemons = daemons_;
    if (phase_ >= Phase::ready) {
        report.work_dir = own_dir().string();
        report.port = ports_ ? ports_->first() : 0;
    }
    for (const auto& [rank, fact] : ranks_) {
        report.ended.push_back({rank, fact.exit_code, fact.signal, fact.told});
    }
    report.work_done = work_is_done();
    return report;
}

void RunTask::set_phase(Phase phase, std::string detail) {
    phase_ = phase;
    detail_ = std::move(detail);
    context_.report();
}

// ---- the whole life -------------------------------------------------------------------------------------------------

asio::awaitable<void> RunTask::live() {
    const auto self = shared_from_this();
    const auto record = read_record(folders_.record());
    if (record) {
        gpus_ = context_.gpus.take(record->gpu_slot); // what it had started may live
    }
    const bool ours = record && record->fence == desired_.fence;
    if (!ours) {
        co_await clear(); // another placement's folder, or a half-made one
        gpus_.reset();
    } else {
        record_ = *record;
    }
    if (!forgotten_) {
        co_await work(ours && record->launched);
    }
    while (!forgotten_) {
        co_await changed_.wait();
    }
    mirror_.reset();
    capture_.reset();
    co_await clear();
}

// Ends what still runs in the folder and removes it.
asio::awaitable<void> RunTask::clear() {
    std::error_code ec;
    if (!fs::exists(folders_.root, ec)) {
        co_return;
    }
    const bool contained = Containers::holds(folders_.state);
    auto attached = attach_supervisor();
    if (attached && (!(*attached)->lives() || (*attached)->stop(Millis(0)))) {
        const auto ended = co_await (*attached)->wait();
        if (!ended) {
            spdlog::warn("a run had lost its supervisor: run={} cause=\"{}\"", desired_.run.str(),
                         ended.error().detail());
        }
    }
    if (contained) {
        co_await context_.containers.discard(folders_.state);
    }
    if (const auto record = read_record(folders_.record()); record && !record->shared.empty()) {
        co_await on_pool(context_.pool, [shared = record->shared] {
            std::error_code failed;
            return fs::remove_all(shared, failed);
        });
    }
    if (context_.trash.put(folders_.root)) {
        co_return;
    }
    auto remove = [root = folders_.root]() -> Result<void> {
        std::error_code failed;
        fs::remove_all(root, failed);
        return failed ? Result<void>(Error(Errc::internal, failed.message())) : Result<void>();
    };
    if (auto removed = co_await on_pool(context_.pool, std::move(remove)); !removed) {
        spdlog::warn("a run's folder cannot be removed: folder={} cause=\"{}\"", folders_.root.string(),
                     removed.error().detail());
    }
}

asio::awaitable<void> RunTask::work(bool was_launched) {
    auto definition = proto::parse_run_definition(desired_.definition);
    if (definition) {
        definition_ = std::move(*definition);
        layout_ = proto::process_layout(definition_);
    }
    if (record_.port != 0) {
        ports_ = PortLease::take_again(record_.port, ports_of(definition_, desired_.node_index));
    }
    if (auto ending = read_ending(folders_.ending())) {
        ending_ = std::move(*ending); // it had ended before this agent was started
        start_capture();
        co_return co_await finish();
    }
    Result<bool> running = false;
    if (!definition) {
        running = definition.error().within("read the run definition");
    } else if (was_launched) {
        start_capture();
        running = take_up();
        if (!running && running.error().code() == Errc::not_found) {
            // killed between the record and the start: nothing was launched, and nothing will be
            mirror_.reset();
            capture_.reset();
            co_await clear();
            gpus_.reset();
            running = co_await prepare_and_launch();
        }
    } else {
        running = co_await prepare_and_launch();
    }
    if (!running) {
        end_with_error(running.error());
    } else if (!*running) {
        end_stopped();
    } else {
        set_phase(Phase::launched, "running");
        co_await await_exit();
    }
    co_await finish();
}

// False if it was stopped before the launch.
asio::awaitable<Result<bool>> RunTask::prepare_and_launch() {
    if (auto ready = co_await prepare(); !ready) {
        if (stop_wanted()) {
            co_return false;
        }
        co_return ready.error();
    }
    if (!co_await await_launch()) {
        co_return false;
    }
    if (!co_await lease_gpus()) {
        co_return false;
    }
    if (auto launched = co_await launch(); !launched) {
        co_return launched.error().within("launch");
    }
    co_return true;
}

// ---- prepare --------------------------------------------------------------------------------------------------------

asio::awaitable<Result<void>> RunTask::prepare() {
    // a task that is made anew keeps a folder with a record: worth it where data was fetched; and it knows by it what
    // is elsewhere
    TaskRecord mine = record(false);
    const auto written = desired_.data.empty() && mine.shared.empty() ? std::nullopt : std::optional(std::move(mine));
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
    co_return keep_ports();
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
    const fs::path log = folders_.logs / "20_image_build_log.txt";
    auto sink = [this, log](std::string line) {
        if (detail_.starts_with("preparing")) {
            set_phase(Phase::preparing, "building the environment");
        }
        std::ofstream(log, std::ios::app) << line << '\n';
    };
    auto prepared = co_await context_.environments.prepare(definition_.python, std::move(*base), sink, cancel_);
    if (!prepared) {
        co_return prepared.error().within("prepare the environment");
    }
    environment_ = std::move(*prepared);
    co_return write_lock();
}

Result<void> RunTask::write_lock() {
    const std::string text = (image_ ? image_lock(*image_) : "") + environment_.lock;
    return text.empty() || !is_lead() ? Result<void>() : replace_file(folders_.logs / "environment_lock.txt", text);
}

// The image that the run is to be in, if it is to be in one.
asio::awaitable<Result<EnvironmentBase>> RunTask::prepare_image() {
    const auto choice = context_.containers.choose(definition_.container);
    if (!choice) {
        note_engine(choice.error().detail());
        co_return choice.error();
    }
    EnvironmentBase base;
    base.reason = choice->reason;
    if (choice->image.empty()) {
        co_return base;
    }
    note_engine(choice->reason);
    set_phase(Phase::preparing, "preparing image '" + choice->image + "'");
    auto image = co_await context_.containers.provide(
        choice->image, [this](const std::string& line) { note_engine(line); }, cancel_);
    const auto checked = image ? check_image(*image, definition_) : Result<void>(image.error());
    if (!checked) {
        note_engine(checked.error().detail());
        co_return checked.error();
    }
    image_ = std::move(*image);
    base.image = context_.containers.base_of(*image_);
    co_return base;
}

// True when the launch is wanted; false when it will not be.
asio::awaitable<bool> RunTask::await_launch() {
    while (!stop_wanted()) {
        if (desired_.want == Want::launch && may_launch()) {
            co_return true;
        }
        if (phase_ != Phase::ready) {
            set_phase(Phase::ready, "ready");
        }
        co_await changed_.wait();
    }
    co_return false;
}

// All is known that the launch needs to know of other nodes.
bool RunTask::may_launch() const {
    const auto& gang = desired_.gang;
    if (is_lead() && definition_.launch != proto::LaunchKind::parameter_server) {
        return true;
    }
    const bool has_folder = keeps_directory() || !gang[static_cast<std::size_t>(keeper())].work_dir.empty();
    switch (definition_.launch) {
    case proto::LaunchKind::single: return true;
    case proto::LaunchKind::mpi: return !desired_.daemon_command.empty();
    case proto::LaunchKind::process_group: return has_folder && gang.front().port != 0;
    case proto::LaunchKind::parameter_server: break;
    }
    const auto self = static_cast<std::size_t>(desired_.node_index);
    for (std::size_t node = 0; node < gang.size(); ++node) {
        if (node != self && gang[node].port == 0) {
            return false;
        }
    }
    return has_folder;
}

// False if it was stopped before there were any. They are free as soon as nothing lives of the run before.
asio::awaitable<bool> RunTask::lease_gpus() {
    while (!stop_wanted()) {
        gpus_ = context_.gpus.take();
        if (gpus_) {
            co_return true;
        }
        set_phase(phase_, "waiting until the GPUs of an earlier run are free");
        co_await context_.gpus.freed().wait(std::chrono::milliseconds(500)); // an order to stop does not wake it
    }
    co_return false;
}

// ---- launch ---------------------------------------------------------------------------------------------------------

LaunchOrder RunTask::launch_order() {
    LaunchOrder order;
    order.run = desired_.run;
    order.fence = desired_.fence;
    order.experiment = desired_.experiment;
    order.definition = definition_;
    order.node_index = desired_.node_index;
    order.gang = desired_.gang;
    order.variables = desired_.variables;
    if (context_.service_variables) {
        if (const auto service = context_.service_variables()) {
            order.variables.insert(service->begin(), service->end());
        } else {
            note("the run starts without a way to the service: " + service.error().detail());
        }
    }
    order.dropin = context_.dropin;
    order.environment = environment_.variables;
    order.inherited = inherited_variables();
    order.data_paths = data_paths_;
    order.python = environment_.python;
    order.interpreter = environment_.bare;
    order.work_dir = work_dir();
    order.run_dir = folders_.root;
    order.facts_dir = folders_.state;
    order.shim = context_.shim;
    if (is_lead() && desired_.gang.size() > 1 && definition_.launch == proto::LaunchKind::mpi) {
        order.launch_socket = context_.daemons->path();
        order.launch_token = context_.daemons->expect(desired_.run, desired_.fence);
    }
    order.daemon_command = desired_.daemon_command;
    order.grace = desired_.grace;
    order.cores = context_.cores;
    order.owns_cores = context_.owns_cores;
    order.own_port = ports_ ? ports_->first() : 0;
    order.gpus = context_.gpus.of(gpus_->slot());
    order.gpus_are_shared = context_.gpus.shared();
    if (image_) {
        fit_into(*image_, order);
    }
    return order;
}

asio::awaitable<Result<void>> RunTask::launch() {
    LaunchOrder order = launch_order();
    auto plan = plan_launch(order);
    if (!plan) {
        co_return plan.error();
    }
    if (image_) {
        plan->job.containment = Containment::sweep; // the container itself is what ends all of it
    }
    record_ = record(true);
    record_.output = plan->job.out.string();
    record_.gpu_slot = gpus_->slot();
    auto write = [plan = *plan, f = folders_, record = record_]() -> Result<void> {
        if (auto written = write_plan(plan, f.job()); !written) {
            return written;
        }
        // first the record, then the start: a task that is made anew looks for the supervisor, never starts a second
        // one
        return write_record(f.record(), record);
    };
    if (auto written = co_await on_pool(context_.pool, std::move(write)); !written) {
        co_return written;
    }
    auto started = co_await start_supervisor(std::move(order));
    if (!started) {
        co_return started.error();
    }
    supervisor_ = std::move(*started);
    watch_ranks();
    co_return Result<void>{};
}

asio::awaitable<Result<std::unique_ptr<Supervisor>>> RunTask::start_supervisor(LaunchOrder order) {
    if (!image_) {
        co_return Supervisor::start(context_.executor, context_.shim, folders_.job(), folders_.state,
                                    &context_.spawner);
    }
    ContainerOrder container;
    container.run = desired_.run;
    container.fence = desired_.fence;
    container.image = *image_;
    container.settings = definition_.container;
    container.mounts = container_mounts(order, desired_.data);
    container.shim = context_.shim;
    container.job_file = folders_.job();
    container.facts_dir = folders_.state;
    container.gpus = has_nvidia_driver() && (!order.gpus || !order.gpus->empty()); // of them, as the variables say
    auto started = co_await context_.containers.start(std::move(container));
    note_engine(started ? "the container is started" : started.error().detail());
    co_return started;
}

// The supervisor that an earlier agent process started.
Result<std::unique_ptr<Supervisor>> RunTask::attach_supervisor() {
    return Containers::holds(folders_.state) ? context_.containers.attach(folders_.state)
                                             : Supervisor::attach(context_.executor, context_.shim, folders_.state);
}

Result<bool> RunTask::take_up() {
    auto attached = attach_supervisor();
    if (!attached) {
        return attached.error();
    }
    supervisor_ = std::move(*attached);
    watch_ranks();
    if (is_lead() && desired_.gang.size() > 1) {
        context_.daemons->expect(desired_.run, desired_.fence, read_launch_token(folders_.job()));
    }
    spdlog::info("run taken up again: run={}", desired_.run.str());
    return true;
}

void RunTask::request_daemon(const LaunchRequest& request) {
    const int index = node_of_alias(request.host);
    if (index <= 0 || static_cast<std::size_t>(index) >= desired_.gang.size()) {
        context_.daemons->ended(desired_.run, request.host, 1, "'" + request.host + "' is no node of this run");
        return;
    }
    const proto::DaemonRequest daemon{index, request.command};
    if (std::find(daemons_.begin(), daemons_.end(), daemon) == daemons_.end()) {
        daemons_.push_back(daemon);
        context_.report();
    }
    context_.daemons->started(desired_.run, request.host); // it is in the hands of that node; its end comes back
    answer_daemons();
}

void RunTask::answer_daemons() {
    if (!is_lead()) {
        return;
    }
    for (const auto& [index, ending] : desired_.daemon_ends) {
        const int code = ending.signal != 0 ? 128 + ending.signal : ending.exit_code;
        context_.daemons->ended(desired_.run, alias_of_node(index), ending.started ? code : 1, ending.message);
    }
}

} // namespace linarite::agent
