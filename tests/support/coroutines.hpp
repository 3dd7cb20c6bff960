// tests/support/coroutines.hpp: running coroutines to their end in a test.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <exception>
#include <fstream>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace linarite::test {

/// Runs the event loop until the coroutine is done and gives its result; a test that hangs fails after a minute.
template <class T>
T run(boost::asio::io_context& io, boost::asio::awaitable<T> work,
      std::chrono::seconds limit = std::chrono::seconds(60)) {
    std::optional<T> result;
    std::exception_ptr failure;
    boost::asio::co_spawn(io, std::move(work), [&](std::exception_ptr bug, T value) {
        failure = bug;
        result.emplace(std::move(value));
    });
    const auto until = std::chrono::steady_clock::now() + limit;
    io.restart();
    while (!result && std::chrono::steady_clock::now() < until) {
        io.run_one_until(until);
    }
    if (failure) {
        std::rethrow_exception(failure);
    }
    if (!result) {
        throw std::runtime_error("the coroutine did not end in time");
    }
    return std::move(*result);
}

/// Runs the event loop until the condition holds; false if it did not within a minute.
inline bool run_until(boost::asio::io_context& io, const std::function<bool()>& holds,
                      std::chrono::seconds limit = std::chrono::seconds(60)) {
    const auto until = std::chrono::steady_clock::now() + limit;
    io.restart();
    while (!holds()) {
        if (std::chrono::steady_clock::now() >= until) {
            return false;
        }
        if (io.run_one_for(std::chrono::milliseconds(5)) == 0) {
            io.restart(); // what we wait for may be outside of the loop
        }
    }
    return true;
}

/// Whether that process is there and not a zombie.
inline bool is_running(int pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(file, text);
    const auto end = text.rfind(')');
    return end != std::string::npos && end + 2 < text.size() && text[end + 2] != 'Z' && text[end + 2] != 'X';
}

} // namespace linarite::test
