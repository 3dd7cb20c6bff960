// agent/container/pull_progress.hpp: from the engine's report of a pull or a build to lines for people.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace linarite::agent {

/// Takes the body of POST /images/create or /build: a JSON object on each line. An error comes inside of it, under a
/// status of 200.
class PullProgress {
public:
    using Clock = std::function<std::chrono::steady_clock::time_point()>;
    PullProgress(std::function<void(std::string)> log, Clock clock) : log_(std::move(log)), clock_(std::move(clock)) {}

    void feed(std::string_view piece);
    /// What the engine says went wrong; nothing if nothing did.
    [[nodiscard]] const std::optional<std::string>& error() const { return error_; }

private:
    struct Layer {
        std::uint64_t have = 0;
        std::uint64_t of = 0;
    };
    void take(const std::string& line);
    void take_output(std::string_view text);
    void say_sum();

    std::function<void(std::string)> log_;
    Clock clock_;
    std::string rest_;
    std::string output_; // of a build, after its last whole line
    std::map<std::string, Layer> layers_;
    std::optional<std::chrono::steady_clock::time_point> said_;
    std::optional<std::string> error_;
};

} // namespace linarite::agent
