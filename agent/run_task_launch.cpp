// When a node launches its part of a run, and how.
#include "agent/run_container.hpp"
#include "agent/run_task.hpp"
#include "agent/task_record.hpp"
#include "common/files.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace linarite::agent {

using proto::Phase;
using proto::Want;

namespace {

/// More than a probe takes, and what its result needs to come here.
constexpr Millis network_patience{30'000};

std::string silent_nodes(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) {
        text += (text.empty() ? "node " : ", ") + name;
    }
    return text + " did not say within " + std::to_string(network_patience.count() / 1'000) +
           " s whether it reaches the other nodes of the run";
}

} // namespace

// Whether everything is there for this node's part.
Result<bool> RunTask::may_launch() const {
    if (barrier_ && barrier_->failure()) {
        return *barrier_->failure();
    }
    if (desired_.want != Want::launch) {
        return false;
    }
    if (!is_lead() && definition_.launch == proto::LaunchKind::mpi) {
        return !desired_.daemon_command.empty(); // mpirun is there: all is proven
    }
    if (barrier_ && is_lead()) {
        if (auto same = check_versions(desired_.gang); !same) {
            return same.error();
        }
    }
    return (!barrier_ || unproven_nodes(desired_.gang).empty()) && knows_peers();
}

// True when the launch is wanted; false when it will not be.
asio::awaitable<Result<bool>> RunTask::await_launch() {
    std::optional<std::chrono::steady_clock::time_point> deadline; // of the network probes
    while (!stop_wanted()) {
        const auto now = std::chrono::steady_clock::now();
        const auto may = may_launch();
        if (!may) {
            co_return may.error(); // never the result itself: Result<bool> would be made of whether it has a value
        }
        if (*may) {
            co_return true;
        }
        const bool unproven = barrier_ && !unproven_nodes(desired_.gang).empty();
        if (desired_.want == Want::launch && is_lead() && unproven && !deadline) {
            deadline = now + network_patience;
            set_phase(Phase::ready, "waiting for the nodes to reach each other");
        }
        if (deadline && now >= *deadline && unproven) {
            co_return Error(Errc::unavailable, silent_nodes(unproven_nodes(desired_.gang)));
        }
        if (phase_ != Phase::ready) {
            set_phase(Phase::ready, "ready");
        }
        co_await changed_.wait(deadline && now < *deadline ? std::chrono::ceil<Millis>(*deadline - now)
                                                           : Millis(std::chrono::hours(1)));
    }
    co_return false;
}

// Where nodes start their processes themselves: the ports of the others, and the directory that is shared.
bool RunTask::knows_peers() const {
    const auto& gang = desired_.gang;
    if (is_lead() && definition_.launch != proto::LaunchKind::parameter_server) {
        return true;
    }
    const bool has_folder = keeps_directory() || !gang[static_cast<std::size_t>(keeper())].work_dir.empty();
    if (definition_.launch == proto::LaunchKind::process_group) {
        return has_folder && gang.front().port != 0;
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

LaunchOrder RunTask::launch_order() const {
    LaunchOrder order;
    order.run = desired_.run;
    order.fence = desired_.fence;
    order.experiment = desired_.experiment;
    order.definition = definition_;
    order.node_index = desired_.node_index;
    order.gang = desired_.gang;
    order.variables = desired_.variables;
    order.dropin = context_.dropin;
    order.environment = environment_.variables;
    order.inherited = inherited_variables();
    order.data_paths = data_paths_;
    order.python = environment_.python;
    order.environment_folder = environment_.folder;
    order.interpreter = environment_.bare;
    order.work_dir = work_dir();
    order.run_dir = folders_.root;
    order.facts_dir = folders_.state;
    order.shim = context_.shim;
    order.daemon_command = desired_.daemon_command;
    order.grace = desired_.grace;
    order.user_namespace = context_.user_namespaces;
    order.cores = context_.cores;
    order.owns_cores = context_.owns_cores;
    order.own_port = ports_ ? ports_->first() : 0;
    if (gpus_) {
        order.gpus = context_.gpus.of(gpus_->slot());
        order.gpus_are_shared = context_.gpus.shared();
    }
    if (image_) {
        fit_into(*image_, order);
    }
    return order;
}

asio::awaitable<Result<void>> RunTask::launch() {
    LaunchOrder order = launch_order();
    if (context_.service_variables) {
        if (const auto service = context_.service_variables()) {
            order.variables.insert(service->begin(), service->end());
        } else {
            note("the run starts without a way to the service: " + service.error().detail());
        }
    }
    if (is_lead() && desired_.gang.size() > 1 && definition_.launch == proto::LaunchKind::mpi) {
        order.launch_socket = context_.daemons->path();
        order.launch_token = context_.daemons->expect(desired_.run, desired_.fence);
    }
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
    auto views = co_await on_pool(context_.pool, [order] { return container_views(order); });
    if (!views) {
        co_return views.error();
    }
    ContainerOrder container;
    container.run = desired_.run;
    container.fence = desired_.fence;
    container.image = *image_;
    container.settings = definition_.container;
    container.mounts = container_mounts(order, desired_.data.references);
    container.views = std::move(*views);
    container.shim = context_.shim;
    container.job_file = folders_.job();
    container.facts_dir = folders_.state;
    container.gpus = has_nvidia_driver() && (!order.gpus || !order.gpus->empty()); // of them, as the variables say
    if (container.gpus && !context_.containers.passes_gpus()) {
        note_engine("the run sees no GPU: Podman does not pass them on by this API (Docker with NVIDIA's container "
                    "toolkit does)");
    }
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
