// server/store/job_thread.hpp: a thread that works off batches of jobs, and how their answers get home.
#pragma once

#include "common/error.hpp"

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace linarite::store {

/// One work in the queue. Without a work it is a marker: it is answered once all before it are done.
struct QueuedJob {
    std::function<Result<void>()> work;
    std::function<void(Result<void>)> answer; // called once, on the job thread: it posts to who waits
    Result<void> outcome;
    bool outside = false; // of any transaction, after the batch's own
};

/// Takes all jobs that are queued at once, runs them as one batch, answers them in their order, and looks again. What
/// is queued while a batch runs makes up the next one.
class JobThread {
public:
    /// `run` sets the outcome of each job. `between` runs after each batch, with whether the queue is empty.
    JobThread(const char* name, std::function<void(std::vector<QueuedJob>&)> run, std::function<void(bool)> between);
    /// Finishes what is queued. No push may follow.
    ~JobThread();
    JobThread(const JobThread&) = delete;
    JobThread& operator=(const JobThread&) = delete;

    /// From any thread.
    void push(QueuedJob job);

private:
    void loop();
    std::vector<QueuedJob> take_all();

    std::function<void(std::vector<QueuedJob>&)> run_;
    std::function<void(bool)> between_;
    std::mutex mutex_; // guards the two below
    std::vector<QueuedJob> queue_;
    bool ending_ = false;
    std::condition_variable arrived_;
    std::thread thread_; // last: it uses all others
};

} // namespace linarite::store
