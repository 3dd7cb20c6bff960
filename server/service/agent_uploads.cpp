// What agents bring of a run's files.
#include "fmt/core.h"
#include "server/service/run_storage.hpp"

namespace linarite::service {

namespace {

// Files below the working directory; each node has logs of its own beside it.
bool is_in_work_dir(const std::string& path) {
    return !path.starts_with("azureml-logs/");
}

} // namespace

RunStorage::Upload::Upload(RunStorage& storage, RunId run, GangPlace sender)
    : storage_(storage), run_(std::move(run)), sender_(std::move(sender)), files_(storage.data_.run(run_)) {}

RunStorage::Upload::~Upload() = default;

asio::awaitable<Result<std::optional<RunStorage::Turn>>> RunStorage::Upload::join_gang() {
    if (!sender_.several_directories) {
        co_return std::optional<Turn>();
    }
    auto turn = co_await storage_.take_turn(run_, sender_.fence);
    if (!turn) {
        co_return turn.error();
    }
    gang_ = &turn->gang();
    co_return std::optional<Turn>(std::move(*turn));
}

asio::awaitable<Result<void>> RunStorage::Upload::feed(std::string_view bytes) {
    reader_.feed(bytes);
    const auto turn = co_await join_gang();
    if (!turn) {
        co_return turn.error();
    }
    // the loop runs as a whole on the file thread; nothing else touches this upload meanwhile, its owner awaits
    auto work = [this] { return take_pieces(); };
    for (;;) {
        const auto step = co_await on_pool(storage_.pool_, work);
        if (!step) {
            co_return step.error();
        }
        if (*step == Step::on) {
            co_return Result<void>{};
        }
        if (auto parted = co_await part(); !parted) {
            co_return parted;
        }
    }
}

Result<RunStorage::Upload::Step> RunStorage::Upload::take_pieces() {
    for (;;) {
        if (!piece_) {
            auto piece = reader_.next();
            if (!piece) {
                return piece.error();
            }
            if (!*piece) {
                return Step::on;
            }
            piece_ = **piece;
        }
        auto step = take_piece();
        if (!step || *step == Step::part) {
            return step; // the piece is still to be taken
        }
        piece_.reset();
    }
}

Result<RunStorage::Upload::Step> RunStorage::Upload::take_piece() {
    if (piece_->is_header && !in_frame_) {
        if (auto begun = begin_frame(reader_.header()); !begun) {
            return begun.error();
        }
    } else if (!piece_->is_header && !ending_) {
        if (auto step = payload(piece_->bytes); !step || *step == Step::part) {
            return step;
        }
    }
    if (!reader_.frame_complete()) {
        return Step::on;
    }
    ending_ = true;
    auto step = end_frame();
    if (step && *step == Step::on) {
        in_frame_ = false;
        ending_ = false;
    }
    return step;
}

// ---- names ----------------------------------------------------------------------------------------------------------

bool RunStorage::Upload::is_gang_file() const {
    return gang_ != nullptr && is_in_work_dir(frame_.path);
}

bool RunStorage::Upload::is_contested() const {
    return is_gang_file() && gang_->files.is_contested(frame_.path, sender_.node);
}

std::string RunStorage::Upload::artifact() const {
    return is_gang_file() ? gang_->files.artifact_of(frame_.path, sender_.node) : frame_.path;
}

Error RunStorage::Upload::length_error(std::uint64_t length, const std::string& why) {
    conflict_ = LengthConflict{frame_.path, length};
    return Error(Errc::conflict, why);
}

// What the other nodes may know of the frame's file.
void RunStorage::Upload::declare() {
    if (!is_gang_file()) {
        return;
    }
    const GangFiles::Entry* known = gang_->files.find(frame_.path, sender_.node);
    // bytes that follow those that were closed do not make them others; a file that was replaced is another one
    const bool replaced = whole_.has_value();
    if (known == nullptr || replaced || !frame_.closed.empty()) {
        gang_->files.put(frame_.path, sender_.node, frame_.closed, at_, frame_.executable);
        std::erase(declared_, frame_.path);
        declared_.push_back(frame_.path);
    }
}

// ---- bytes ----------------------------------------------------------------------------------------------------------

Result<void> RunStorage::Upload::begin_frame(const proto::FrameHeader& header) {
    frame_ = header;
    at_ = header.offset;
    in_frame_ = true;
    whole_.reset();
    const std::string name = artifact();
    if (header.offset == 0 && !header.sha256.empty()) {
        auto incoming = files_.create(name);
        if (!incoming) {
            return incoming.error();
        }
        whole_.emplace(std::move(*incoming));
        return {};
    }
    const auto size = files_.size(name);
    const std::uint64_t length = size ? *size : 0;
    if (header.offset > length) {
        return length_error(length, fmt::format("'{}' has {} bytes, not {}", header.path, length, header.offset));
    }
    return {};
}

Result<RunStorage::Upload::Step> RunStorage::Upload::payload(std::string_view bytes) {
    if (whole_) {
        auto appended = whole_->append(bytes);
        return appended ? Result<Step>(Step::on) : appended.error();
    }
    const std::string name = artifact();
    if (is_contested()) {
        // for as long as they are the same they are one file
        const auto there = files_.read(name, at_, bytes.size());
        if (!there || *there != bytes) {
            return Step::part;
        }
        at_ += bytes.size();
        return Step::on;
    }
    auto length = files_.append(name, at_, bytes);
    if (!length) {
        if (length.error().code() == Errc::conflict) {
            const auto size = files_.size(name);
            conflict_ = LengthConflict{frame_.path, size ? *size : 0};
        }
        return length.error();
    }
    at_ += bytes.size();
    return Step::on;
}

Result<RunStorage::Upload::Step> RunStorage::Upload::end_frame() {
    auto step = whole_ ? end_whole() : end_growing();
    if (step && *step == Step::on) {
        lengths_[frame_.path] = at_;
        whole_.reset();
    }
    return step;
}

Result<RunStorage::Upload::Step> RunStorage::Upload::end_whole() {
    at_ = whole_->size();
    if (whole_->sha256() != frame_.sha256) {
        return Error(Errc::invalid_argument, "'" + frame_.path + "' arrived with other bytes than its SHA-256 says");
    }
    if (is_contested()) {
        if (!gang_->files.others_have(frame_.path, sender_.node, frame_.sha256)) {
            return Step::part;
        }
        declare(); // the same bytes are there already
        return Step::on;
    }
    if (auto named = whole_->retarget(artifact()); !named) {
        return named.error();
    }
    // a few files are synced one by one; for many one syncfs at the end is cheaper
    const bool sync_now = ++whole_files_ <= 2;
    if (auto done = whole_->commit(sync_now); !done) {
        return done.error();
    }
    unsynced_ = unsynced_ || !sync_now;
    rows_.push_back({{run_, frame_.path, at_, frame_.sha256, storage_.clock_.now()}, is_gang_file()});
    declare();
    return Step::on;
}

Result<RunStorage::Upload::Step> RunStorage::Upload::end_growing() {
    const std::string& said = frame_.sha256.empty() ? frame_.closed : frame_.sha256;
    if (is_contested()) {
        if (said.empty()) {
            return Step::on; // the same so far
        }
        if (!gang_->files.others_have(frame_.path, sender_.node, said)) {
            return Step::part;
        }
        declare();
        return Step::on;
    }
    const std::string name = artifact();
    const auto size = files_.size(name);
    if ((size ? *size : 0) < at_) {
        return length_error(size ? *size : 0, "'" + frame_.path + "' has a name of its own now"); // it was parted
    }
    if (!frame_.sha256.empty()) {
        if (auto done = files_.finish(name, frame_.sha256); !done) {
            conflict_ = LengthConflict{frame_.path, size ? *size : 0};
            return done.error();
        }
    }
    rows_.push_back({{run_, frame_.path, at_, frame_.sha256, storage_.clock_.now()}, is_gang_file()});
    declare();
    return Step::on;
}

} // namespace linarite::service
