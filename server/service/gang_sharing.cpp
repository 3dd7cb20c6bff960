// What the nodes of a run get of each other's files.
#include "proto/json_reader.hpp"
#include "server/service/run_storage.hpp"

#include <cerrno>
#include <unistd.h>

namespace linarite::service {

namespace {

constexpr int page = 1'000;
constexpr std::size_t piece_bytes = std::size_t{256} << 10U;

} // namespace

RunStorage::Turn::~Turn() {
    if (gang_) {
        gang_->busy = false;
        gang_->freed.notify();
    }
}

asio::awaitable<Result<RunStorage::Turn>> RunStorage::take_turn(RunId run, Fence fence) {
    std::erase_if(gangs_, [&](const auto& entry) { return !scheduler_.is_active(entry.first); });
    if (auto allowed = check_fence(run, fence); !allowed) { // the run may have been placed anew since the request came
        co_return allowed.error();
    }
    std::shared_ptr<Gang>& known = gangs_[run];
    if (!known || known->fence != fence) {
        known = std::make_shared<Gang>();
        known->fence = fence;
    }
    const std::shared_ptr<Gang> gang = known;
    while (gang->busy) {
        co_await gang->freed.wait();
    }
    gang->busy = true;
    Turn turn(gang);
    if (!gang->loaded) {
        const auto rows = co_await store_.read(
            [run](store::Tables& tables) { return tables.list_gang_files(run, 0, std::numeric_limits<int>::max()); });
        if (!rows) {
            co_return rows.error();
        }
        gang->files = GangFiles(*rows);
        gang->loaded = true;
    }
    if (auto allowed = check_fence(run, fence); !allowed) {
        co_return allowed.error();
    }
    co_return turn;
}

asio::awaitable<Result<RunStorage::GangFileList>> RunStorage::gang_files(RunId run, GangPlace place,
                                                                         std::uint64_t since) {
    auto rows =
        co_await store_.read([run, since](store::Tables& tables) { return tables.list_gang_files(run, since, page); });
    if (!rows) {
        co_return rows.error();
    }
    GangFileList list;
    list.version = rows->empty() ? since : rows->back().sequence;
    for (store::GangFileRow& row : *rows) {
        if (row.node != place.node && !row.sha256.empty()) {
            list.files.push_back(std::move(row));
        }
    }
    co_return list;
}

RunStorage::Download::Download(RunStorage& storage, RunId run, std::vector<Wanted> wanted)
    : pool_(storage.pool_), folder_(storage.data_.run(run)), wanted_(std::move(wanted)) {}

asio::awaitable<Result<std::string>> RunStorage::Download::next() {
    // nothing else touches this download meanwhile, its owner awaits
    auto work = [this] { return read_on(); };
    co_return co_await on_pool(pool_, work);
}

// Begins a frame with it; false if it is not there as it was.
bool RunStorage::Download::open_file(const Wanted& file, std::string& out) {
    const auto opened = artifacts::RunFiles(folder_).open(file.path);
    if (!opened || opened->size < file.size) {
        return false;
    }
    open_ = opened->fd;
    sent_ = 0;
    proto::FrameHeader header;
    header.path = file.path;
    header.size = file.size;
    out += proto::print_frame_header(header);
    return true;
}

Result<std::string> RunStorage::Download::read_on() {
    std::string out;
    while (out.size() < piece_bytes && at_ < wanted_.size()) {
        const Wanted& file = wanted_[at_];
        if (!open_ && !open_file(file, out)) {
            ++at_;
            continue;
        }
        const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes, file.size - sent_));
        const std::size_t before = out.size();
        out.resize(before + want);
        const ssize_t got = want == 0 ? 0 : ::pread(open_->get(), out.data() + before, want, static_cast<off_t>(sent_));
        if (got < 0 || (got == 0 && want > 0)) {
            return got < 0 ? errno_error("read '" + file.path + "'", errno)
                           : Error(Errc::internal, "'" + file.path + "' became shorter while it was sent");
        }
        out.resize(before + static_cast<std::size_t>(got));
        sent_ += static_cast<std::uint64_t>(got);
        if (sent_ >= file.size) {
            open_.reset();
            ++at_;
        }
    }
    return out;
}

} // namespace linarite::service
