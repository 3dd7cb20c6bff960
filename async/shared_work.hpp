// async/shared_work.hpp: work that several want at the same time, and that is done once.
#pragma once

#include "async/async.hpp"
#include "async/cancel.hpp"
#include "common/error.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace linarite {

/// By key, on one event loop. Each waiter gets all lines of the work's log, those from before they came as well. The
/// work goes on for as long as somebody waits for it: the last one who leaves ends it.
template <class T>
class SharedWork {
public:
    using Log = std::function<void(std::string line)>;
    /// Reports by the log, and gives up if the token is cancelled.
    using Work = std::function<asio::awaitable<Result<T>>(Log log, CancelToken cancel)>;

    struct Waiter {
        Log log;
        CancelToken cancel;
        std::string joins; // said to one who comes later: that others are at it
    };

    /// Ends all that is under way.
    void end() {
        for (const auto& [key, task] : Tasks(*tasks_)) {
            task->cancel.cancel();
        }
    }

    /// Waits for what is under way under this key, or begins it. Work that is being ended comes to its end before it is
    /// begun anew. Nothing: the waiter was cancelled first.
    asio::awaitable<std::optional<Result<T>>> wait(std::string key, Waiter waiter, Work work) {
        const auto tasks = tasks_; // the owner may die while we wait
        std::shared_ptr<Task> task;
        while (!task) {
            const auto found = tasks->find(key);
            if (found == tasks->end()) {
                task = begin(co_await asio::this_coro::executor, tasks, key, work);
            } else if (const auto there = found->second; there->cancel.cancelled()) {
                co_await there->changed.wait();
            } else {
                task = there;
                waiter.log(waiter.joins);
                for (const std::string& line : std::vector<std::string>(task->lines)) {
                    waiter.log(line);
                }
            }
        }
        const Seat seat(task, std::move(waiter.log));
        const auto hook = waiter.cancel.on_cancel([task] { task->changed.notify(); });
        while (!task->outcome && !waiter.cancel.cancelled()) {
            co_await task->changed.wait();
        }
        co_return task->outcome;
    }

private:
    struct Task {
        std::vector<std::string> lines; // so far, for those who come later
        std::map<int, Log> logs;
        int next = 0;
        CancelToken cancel;
        Signal changed;
        std::optional<Result<T>> outcome;

        void log(const std::string& line) {
            if (lines.size() < most_kept_lines) {
                lines.push_back(line);
            }
            for (const auto& [id, log] : std::map<int, Log>(logs)) { // one may leave meanwhile
                log(line);
            }
        }
    };
    using Tasks = std::map<std::string, std::shared_ptr<Task>>;
    static constexpr std::size_t most_kept_lines = 10'000;

    /// A waiter's place. A coroutine that is thrown away leaves it, too.
    class Seat {
    public:
        Seat(std::shared_ptr<Task> task, Log log) : task_(std::move(task)), id_(task_->next++) {
            task_->logs[id_] = std::move(log);
        }
        Seat(const Seat&) = delete;
        Seat& operator=(const Seat&) = delete;
        ~Seat() {
            task_->logs.erase(id_);
            if (task_->logs.empty() && !task_->outcome) {
                task_->cancel.cancel();
            }
        }

    private:
        std::shared_ptr<Task> task_;
        int id_;
    };

    static std::shared_ptr<Task> begin(const asio::any_io_executor& executor, const std::shared_ptr<Tasks>& tasks,
                                       const std::string& key, const Work& work) {
        const auto task = std::make_shared<Task>();
        (*tasks)[key] = task;
        // the work's function has to live as long as its coroutine
        asio::co_spawn(
            executor, [task, work] { return work([task](const std::string& line) { task->log(line); }, task->cancel); },
            [tasks, task, key](const std::exception_ptr& bug, Result<T> outcome) {
                tasks->erase(key);
                task->outcome = bug ? Error(Errc::internal, "it failed unexpectedly") : std::move(outcome);
                task->changed.notify();
            });
        return task;
    }

    std::shared_ptr<Tasks> tasks_ = std::make_shared<Tasks>();
};

} // namespace linarite
