#include "server/service/process_files.hpp"

#include "proto/json_reader.hpp"

#include <spdlog/spdlog.h>

#include <utility>

namespace linarite::service {

using namespace std::chrono_literals;

namespace {

constexpr Millis before_first = 200ms; // the disk is left to the launch that is under way
constexpr Millis between_writes = 1s;

} // namespace

void ProcessFiles::show(ProcessPicture picture) {
    const RunId run = picture.run;
    const bool idle = !pending_.contains(run);
    pending_[run] = std::move(picture);
    shown_.notify();
    if (idle) {
        asio::co_spawn(io_, write_all(run), [this, run](const std::exception_ptr& failure) {
            pending_.erase(run);
            written_.notify();
            if (failure) {
                spdlog::error("the processes of a run are no longer written down: run={}", run.str());
            }
        });
    }
}

asio::awaitable<void> ProcessFiles::finish() {
    finishing_ = true;
    shown_.notify();
    while (!pending_.empty()) {
        co_await written_.wait();
    }
}

asio::awaitable<void> ProcessFiles::write_all(RunId run) {
    Millis pause = before_first;
    for (;;) {
        co_await gather(run, pause);
        std::optional<ProcessPicture> picture = std::exchange(pending_[run], std::nullopt);
        if (!picture) {
            co_return;
        }
        const bool over = picture->over;
        co_await write(std::move(*picture));
        if (over) {
            co_return;
        }
        pause = between_writes;
    }
}

// The last picture is not kept waiting.
asio::awaitable<void> ProcessFiles::gather(RunId run, Millis span) {
    const auto end = std::chrono::steady_clock::now() + span;
    while (!finishing_ && !(pending_[run] && pending_[run]->over)) {
        const auto left = std::chrono::duration_cast<Millis>(end - std::chrono::steady_clock::now());
        if (left <= 0ms) {
            break;
        }
        co_await shown_.wait(left);
    }
}

asio::awaitable<void> ProcessFiles::write(ProcessPicture picture) {
    std::string info = proto::print_json_pretty(print_info(picture)) + "\n";
    std::string status = proto::print_json_pretty(print_status(picture)) + "\n";
    auto written = co_await write_file(picture.run, process_info_file, std::move(info));
    if (written) {
        written = co_await write_file(picture.run, process_status_file, std::move(status));
    }
    if (!written) {
        spdlog::warn("the processes of a run cannot be written down: run={} cause=\"{}\"", picture.run.str(),
                     written.error().detail());
    }
}

asio::awaitable<Result<void>> ProcessFiles::write_file(RunId run, std::string path, std::string text) {
    auto file = co_await storage_.receive(run, path, false);
    if (!file) {
        co_return file.error();
    }
    if (auto appended = file->append(text); !appended) {
        co_return appended;
    }
    const auto kept = co_await storage_.keep(run, path, std::move(*file), false);
    co_return kept ? Result<void>{} : Result<void>(kept.error());
}

} // namespace linarite::service
