// The working directory of a run on this node: made, captured, and kept in step with those of other hosts.
#include "agent/capture/data.hpp"
#include "agent/capture/placing.hpp"
#include "agent/run_task.hpp"
#include "common/files.hpp"

#include <fstream>

namespace linarite::agent {

using proto::Phase;

int RunTask::keeper() const {
    return desired_.gang.empty() ? desired_.node_index : proto::keeper_of(desired_.gang, desired_.node_index);
}

// Each placement has a folder of its own there: what is left of an earlier one on another host must not meet it.
fs::path RunTask::own_dir() const {
    return context_.shared_dir.empty()
               ? folders_.wd
               : context_.shared_dir / (desired_.run.str() + "." + std::to_string(desired_.fence)) / "wd";
}

fs::path RunTask::work_dir() const {
    if (keeps_directory()) {
        return own_dir();
    }
    const auto& gang = desired_.gang;
    const proto::GangMember& host = gang[static_cast<std::size_t>(keeper())];
    const bool same_host = host.host_id == gang[static_cast<std::size_t>(desired_.node_index)].host_id;
    return same_host ? fs::path(host.work_dir) : own_dir(); // the shared directory may be mounted elsewhere here
}

asio::awaitable<Result<void>> RunTask::prepare_directory() {
    detail_ = "fetching the source tree";
    if (keeps_directory()) {
        auto made = co_await context_.snapshots.materialise(desired_.snapshot, own_dir(), cancel_);
        if (!made) {
            co_return made.error().within("fetch the source tree");
        }
        if (auto noted = co_await note_source_tree(); !noted) {
            co_return noted.error().within("look at the source tree");
        }
    }
    if (desired_.data.references.empty()) {
        co_return Result<void>{};
    }
    set_phase(Phase::preparing, "fetching data");
    DataReferences references = data_references(desired_.data.references, folders_.root / "data");
    auto prepared = co_await references.prepare(cancel_);
    if (!prepared) {
        co_return prepared.error().within("prepare data");
    }
    data_paths_ = std::move(*prepared);
    co_return Result<void>{};
}

// Nodes that work in another one's directory have copies of their own all the same: their paths need not wait for that.
DataReferences RunTask::data_references(std::vector<proto::DesiredData> data, fs::path scratch) {
    DataSettings settings;
    settings.data = std::move(data);
    settings.host_id = context_.host_id;
    settings.coordinator_host_id = desired_.host_id;
    settings.work_dir = keeps_directory() ? own_dir() : folders_.wd;
    settings.scratch = std::move(scratch);
    settings.work = folders_.root.parent_path();
    settings.warn = [this](const std::string& line) { note(line); };
    settings.progress = [this](const std::string& words) { set_phase(Phase::preparing, words); };
    return DataReferences(context_.pool, context_.coordinator, context_.data_cache, std::move(settings));
}

CaptureSettings RunTask::capture_settings() {
    CaptureSettings settings;
    settings.azureml_logs = folders_.logs;
    settings.work_dir = keeps_directory() ? own_dir() : fs::path();
    settings.outputs = definition_.collect_outputs;
    settings.largest_log = context_.max_log_size;
    settings.watched_folders = definition_.watched_folders;
    settings.written_from_elsewhere = keeps_directory() && !context_.shared_dir.empty() && desired_.gang.size() > 1;
    settings.warn = [this](const std::string& line) { note(line); };
    return settings;
}

void RunTask::start_capture() {
    std::error_code ec;
    fs::create_directories(folders_.logs, ec);
    CaptureSettings settings = capture_settings();
    if (keeps_directory() && proto::has_several_directories(desired_.gang)) {
        start_mirror(settings);
    }
    capture_ =
        std::make_unique<Capture>(context_.executor, context_.pool, context_.watcher,
                                  make_http_uploader(context_.coordinator, desired_.run, desired_.fence), settings);
    capture_->start();
}

// Brings what nodes with other directories write, and has the capture tell the two apart.
void RunTask::start_mirror(CaptureSettings& settings) {
    MirrorSettings mirror;
    mirror.work_dir = settings.work_dir;
    mirror.arrivals = own_dir().parent_path() / "arrivals";
    mirror.trees = captured_trees(settings);
    mirror.warn = settings.warn;
    auto foreign = ForeignFiles::open(folders_.foreign());
    const auto ready = foreign ? Arrivals::prepare(mirror.arrivals) : Result<void>(foreign.error());
    if (!ready) {
        note("warning: this node does not get the other nodes' files: " + ready.error().detail());
        return;
    }
    mirror.foreign = *foreign;
    settings.foreign = std::move(*foreign);
    mirror_ = std::make_unique<Mirror>(context_.executor, context_.pool,
                                       make_http_gang_source(context_.coordinator, desired_.run, desired_.fence),
                                       std::move(mirror));
    mirror_->update(desired_.files_version);
}

// The source tree counts as the lead's: what of it the others don't touch is not theirs.
asio::awaitable<Result<void>> RunTask::note_source_tree() {
    std::error_code ec;
    fs::remove(folders_.foreign(), ec);
    if (is_lead() || !proto::has_several_directories(desired_.gang)) {
        co_return Result<void>{};
    }
    auto look = [trees = captured_trees(capture_settings())] { return files_of_source_tree(trees); };
    const std::vector<ForeignFiles::File> files = co_await on_pool(context_.pool, std::move(look));
    auto foreign = ForeignFiles::open(folders_.foreign());
    co_return foreign ? (*foreign)->add(files) : foreign.error();
}

TaskRecord RunTask::record(bool launched) const {
    TaskRecord record{.fence = desired_.fence, .launched = launched, .port = ports_ ? ports_->first() : 0};
    if (keeps_directory() && !context_.shared_dir.empty()) {
        record.shared = own_dir().parent_path().string();
    }
    return record;
}

// A line for people in this node's own log of the run. The name has two underscores because the v1 SDK, choosing which
// log to follow, takes a name without them for the log of the last node.
void RunTask::note(const std::string& line) {
    note_in("65_job_prep", line);
}

// The same, of what the container engine was asked to do.
void RunTask::note_engine(const std::string& line) {
    note_in("55_azureml-execution", line);
}

void RunTask::note_in(const std::string& log_name, const std::string& line) {
    const fs::path log = folders_.logs / (log_name + "-tvmps_" + context_.node.str() + "_d.txt");
    std::ofstream(log, std::ios::app) << format_time(SystemClock().now()) << ' ' << line << '\n';
}

} // namespace linarite::agent
