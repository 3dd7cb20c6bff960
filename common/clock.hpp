// common/clock.hpp: wall time in milliseconds, injectable so that tests decide what time it is.
#pragma once

#include <chrono>
#include <string>

namespace linarite {

/// Milliseconds since the Unix epoch, UTC. What the history stores.
using Time = std::chrono::sys_time<std::chrono::milliseconds>;
using Millis = std::chrono::milliseconds;
/// Microseconds since the Unix epoch, UTC: for what others timed and may have timed within one millisecond.
using PreciseTime = std::chrono::sys_time<std::chrono::microseconds>;

/// Where a shell asks for the time; pure code takes `now` as an argument instead.
class Clock {
public:
    Clock() = default;
    Clock(const Clock&) = delete;
    Clock& operator=(const Clock&) = delete;
    virtual ~Clock() = default;
    [[nodiscard]] virtual Time now() const = 0;
};

/// Wall time that never jumps: the wall clock at the start plus what the monotonic clock counted since. Deadlines are
/// compared with it, so that setting the machine's clock expires no lease.
class SteadyWallClock final : public Clock {
public:
    [[nodiscard]] Time now() const override {
        return wall_ + std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - steady_);
    }

private:
    Time wall_ = std::chrono::time_point_cast<Millis>(std::chrono::system_clock::now());
    std::chrono::steady_clock::time_point steady_ = std::chrono::steady_clock::now();
};

class SystemClock final : public Clock {
public:
    [[nodiscard]] Time now() const override {
        return std::chrono::time_point_cast<Millis>(std::chrono::system_clock::now());
    }
};

/// Stands still until it is moved.
class FakeClock final : public Clock {
public:
    explicit FakeClock(Time start) : now_(start) {}
    [[nodiscard]] Time now() const override { return now_; }
    void advance(Millis by) { now_ += by; }

private:
    Time now_;
};

/// "2026-11-23T20:15:03.123Z".
std::string format_time(Time at);
/// "2026-11-23T20:15:03.123456Z".
std::string format_time(PreciseTime at);
/// "850 ms", "12 s", "4 min 10 s", "2 h 5 min", "3 d 4 h": for people.
std::string format_duration(Millis span);

inline std::int64_t to_ms(Time at) {
    return at.time_since_epoch().count();
}
inline Time from_ms(std::int64_t ms) {
    return Time(Millis(ms));
}

} // namespace linarite
