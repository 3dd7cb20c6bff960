#include "server/store/job_thread.hpp"

#include <pthread.h>
#include <utility>

namespace linarite::store {

JobThread::JobThread(const char* name, std::function<void(std::vector<QueuedJob>&)> run,
                     std::function<void(bool)> between)
    : run_(std::move(run)), between_(std::move(between)), thread_([this] { loop(); }) {
    pthread_setname_np(thread_.native_handle(), name);
}

JobThread::~JobThread() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    arrived_.notify_one();
    thread_.join();
}

void JobThread::push(QueuedJob job) {
    bool was_empty = false;
    {
        const std::lock_guard lock(mutex_);
        was_empty = queue_.empty();
        queue_.push_back(std::move(job));
    }
    if (was_empty) {
        arrived_.notify_one();
    }
}

std::vector<QueuedJob> JobThread::take_all() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return !queue_.empty() || ending_; });
    return std::exchange(queue_, {});
}

void JobThread::loop() {
    for (;;) {
        std::vector<QueuedJob> batch = take_all();
        if (batch.empty()) {
            return;
        }
        run_(batch);
        for (QueuedJob& job : batch) {
            job.work = nullptr; // what it holds on to is released before the one who waits goes on
            job.answer(std::move(job.outcome));
        }
        bool idle = false;
        {
            const std::lock_guard lock(mutex_);
            idle = queue_.empty();
        }
        between_(idle);
    }
}

} // namespace linarite::store
