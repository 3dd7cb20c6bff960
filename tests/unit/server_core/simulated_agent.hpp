// An agent as the reactor's simulator plays it: it does what is wanted, mostly, in jumps, and sometimes badly.
#pragma once

#include "server/core/reactor.hpp"

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace linarite::core {

/// The one source of chance: a seed repeats everything.
class Chance {
public:
    explicit Chance(std::uint64_t seed) : engine_(seed) {}
    [[nodiscard]] bool percent(double p) { return static_cast<double>(engine_() >> 11U) * 0x1.0p-53 * 100 < p; }
    /// 0 .. n-1.
    [[nodiscard]] std::size_t below(std::size_t n) { return static_cast<std::size_t>(engine_() % n); }
    [[nodiscard]] int between(int low, int high) {
        return low + static_cast<int>(below(static_cast<std::size_t>(high - low) + 1));
    }

private:
    std::mt19937_64 engine_;
};

struct Job {
    Fence fence = 0;
    int index = 0;
    Want want = Want::prepare;
    NodePhase phase = NodePhase::assigned;
    Outcome outcome;
    bool mute = false;     // the agent does not say how far it is until it is to be stopped
    bool stubborn = false; // it takes very long to do anything
};

class SimulatedAgent {
public:
    SimulatedAgent(NodeSpec offer, bool forgetful) : spec(std::move(offer)), forgetful_(forgetful) {}

    /// Takes an answer: starts what is new, drops what is not wanted. Faults are put into words.
    void obey(const std::vector<Desired>& wanted, Chance& chance, std::vector<std::string>& faults);
    /// Gets on with its jobs. `smooth`: everything goes well and fast.
    void work(Chance& chance, bool smooth);
    [[nodiscard]] std::vector<NodeReport> picture() const;
    [[nodiscard]] int busy() const;
    void reboot();
    /// Whether something of this placement still runs here, or has not been sent yet.
    [[nodiscard]] bool has_before(const RunId& run, Fence fence, NodePhase phase) const;

    NodeSpec spec;
    bool reachable = true;
    bool joined = true;
    bool drained = false;
    bool has_spoken = false; // to the present coordinator, about its jobs
    std::vector<NodeReport> late_picture;
    bool sent_late_picture = false;

private:
    void start(const Desired& order, Chance& chance, std::vector<std::string>& faults);
    static void work_on(Job& job, Chance& chance, bool smooth);
    static void stop(Job& job, Chance& chance, bool smooth);
    static void finish(Job& job, Chance& chance, bool smooth);

    std::map<RunId, Job> jobs_;
    bool forgetful_; // ignores an order to stop what it does not have
};

} // namespace linarite::core
