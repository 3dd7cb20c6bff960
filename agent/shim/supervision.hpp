// agent/shim/supervision.hpp: the state of one supervisor. supervise.hpp says what it promises.
#pragma once

#include "agent/shim/facts.hpp"
#include "agent/shim/job.hpp"
#include "agent/shim/start.hpp"

#include <cstdint>
#include <optional>
#include <poll.h>
#include <sys/resource.h>
#include <utility>
#include <vector>

namespace linarite::shim {

/// One run on one node, from its job file to its exit fact. One thread, one loop over signals, the control socket and
/// deadlines.
class Supervision {
public:
    explicit Supervision(Job job) : job_(std::move(job)) {}
    int run();

private:
    bool take_lock();
    bool open_control();
    bool open_logs();
    void block_signals();
    void make_folders() const;
    void write_supervisor() const;
    void launch();
    void loop();
    void reap();
    void drain_signals();
    void read_control();
    void obey(const char* word);
    void ask_to_end(std::int64_t grace_ms);
    void tell_to_end();
    void await(pid_t pid);
    void take_ended(const std::vector<pollfd>& watched);
    void main_ended(int status, const rusage& used);
    void on_deadline();
    [[nodiscard]] bool over() const;
    void finish();
    [[nodiscard]] Json exit_fact() const;
    void write_epilogue() const;

    Job job_;
    Tree tree_;
    int lock_ = -1;
    int control_ = -1;
    int signals_ = -1;
    int out_ = -1;
    int err_ = -1;
    std::vector<int> awaited_; // handles of ranks that were told to end, and of mpirun's links to other nodes
    bool linked_ = false;      // there were such links: mpirun is here
    std::int64_t began_ = steady_ms();
    std::int64_t oom_before_ = oom_kills();
    std::optional<std::int64_t> limit_;    // the run's time is over then
    std::optional<std::int64_t> deadline_; // the tree is killed then
    bool started_ = false;
    bool main_gone_ = false;
    bool tree_gone_ = false;
    bool killing_ = false;
    bool stopped_ = false;
    bool timed_out_ = false;
    bool stragglers_killed_ = false;
    int status_ = 0;
    rusage used_{};
};

} // namespace linarite::shim
