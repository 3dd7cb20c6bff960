// agent/container/alarm.hpp: a limit of time for a call that can be cancelled.
#pragma once

#include "async/cancel.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <memory>
#include <utility>

namespace linarite::agent {

namespace asio = boost::asio;

/// Cancels what is under way when its time is over.
class Alarm {
public:
    Alarm(const asio::any_io_executor& executor, std::chrono::milliseconds limit, CancelToken ring)
        : timer_(executor, limit) {
        timer_.async_wait([this, alive = alive_, ring = std::move(ring)](const boost::system::error_code& ec) {
            if (!ec && *alive) {
                rung_ = true;
                ring.cancel();
            }
        });
    }
    Alarm(const Alarm&) = delete;
    Alarm& operator=(const Alarm&) = delete;
    ~Alarm() { *alive_ = false; }
    [[nodiscard]] bool rung() const { return rung_; }

private:
    asio::steady_timer timer_;
    bool rung_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

} // namespace linarite::agent
