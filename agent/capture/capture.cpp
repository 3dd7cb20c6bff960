#include "agent/capture/capture.hpp"

#include "agent/capture/capture_core.hpp"

#include <algorithm>

namespace linarite::agent {

std::vector<RunTree> captured_trees(const CaptureSettings& settings) {
    std::vector<RunTree> out;
    if (settings.work_dir.empty()) {
        return out;
    }
    if (settings.outputs) {
        out.push_back({settings.work_dir, "outputs", "outputs", Manner::whole, false});
    }
    for (std::string folder : settings.watched_folders) {
        if (folder.starts_with("./")) {
            folder.erase(0, 2);
        }
        while (folder.ends_with('/')) {
            folder.pop_back();
        }
        const bool nested = std::any_of(out.begin(), out.end(), [&](const RunTree& tree) {
            return (folder + "/").starts_with(tree.prefix + "/") || (tree.prefix + "/").starts_with(folder + "/");
        });
        if (!nested && parse_relative_path(folder, "watched folder")) {
            out.push_back({settings.work_dir, folder, folder, Manner::growing, true});
        }
    }
    return out;
}

namespace {

std::vector<RunTree> all_trees(const CaptureSettings& settings) {
    std::vector<RunTree> out = captured_trees(settings);
    out.insert(out.begin(), {settings.azureml_logs, "", "azureml-logs", Manner::growing, false});
    return out;
}

} // namespace

CaptureCore::CaptureCore(asio::any_io_executor on, asio::thread_pool& file_pool, FileWatcher& file_watcher,
                         std::shared_ptr<Uploader> to, CaptureSettings what)
    : executor_(on),
      pool_(file_pool),
      watcher_(file_watcher),
      uploader_(std::move(to)),
      settings_(std::move(what)),
      trees_owned_(std::make_shared<const std::vector<RunTree>>(all_trees(settings_))),
      trees_(*trees_owned_),
      tick_(on) {}

void CaptureCore::start() {
    live_ = true;
    for (std::size_t tree = 0; tree < trees_.size(); ++tree) {
        watch(tree);
    }
    lost_ = false;
    look();
    begin_sending();
    if (is_blind()) {
        arm();
    }
}

asio::awaitable<Result<void>> CaptureCore::finish(std::shared_ptr<CaptureCore> self, CancelToken cancel) {
    self->live_ = false;
    self->watches_.clear();
    self->tick_.cancel();
    self->open_.clear();
    // azureml-logs come last: warnings about the others may be written there. What has not been sent of them goes with
    // their end.
    self->dirty_.forget_tree(0);
    std::vector<std::size_t> others;
    for (std::size_t tree = 1; tree < self->trees_.size(); ++tree) {
        others.push_back(tree);
    }
    const auto sent = co_await finish_trees(self, others, cancel);
    if (!sent) {
        co_return sent.error();
    }
    co_return co_await finish_trees(self, {0}, std::move(cancel));
}

void CaptureCore::stop() {
    stopped_ = true;
    live_ = false;
    settings_.warn = nullptr; // what is under way may end later than our owner
    watches_.clear();
    tick_.cancel();
    changed_.notify();
    rested_.notify();
}

Capture::Capture(asio::any_io_executor executor, asio::thread_pool& pool, FileWatcher& watcher,
                 std::shared_ptr<Uploader> uploader, CaptureSettings settings)
    : core_(std::make_shared<CaptureCore>(std::move(executor), pool, watcher, std::move(uploader),
                                          std::move(settings))) {}

Capture::~Capture() {
    core_->stop();
}

void Capture::start() {
    core_->start();
}

asio::awaitable<Result<void>> Capture::finish(CancelToken cancel) {
    co_return co_await CaptureCore::finish(core_, std::move(cancel));
}

const std::string& Capture::trouble() const {
    return core_->trouble();
}

} // namespace linarite::agent
