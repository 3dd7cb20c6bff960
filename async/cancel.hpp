// async/cancel.hpp: how an owner ends work that it asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

namespace linarite {

/// A wish to end some work. Copies share one state; all of them belong to one thread.
class CancelToken {
    struct State {
        bool cancelled = false;
        std::uint64_t next = 0;
        std::map<std::uint64_t, std::function<void()>> hooks;
    };

public:
    CancelToken() : state_(std::make_shared<State>()) {}

    /// Calls every hook once. Calling it again does nothing.
    void cancel() const;
    [[nodiscard]] bool cancelled() const { return state_->cancelled; }

    /// Takes its hook away when it dies.
    class Hook {
    public:
        Hook(std::shared_ptr<State> state, std::uint64_t id) : state_(std::move(state)), id_(id) {}
        Hook(const Hook&) = delete;
        Hook& operator=(const Hook&) = delete;
        ~Hook() { state_->hooks.erase(id_); }

    private:
        std::shared_ptr<State> state_;
        std::uint64_t id_;
    };
    /// `what` is called at cancel(), or at once if that was before.
    [[nodiscard]] Hook on_cancel(std::function<void()> what) const;

private:
    std::shared_ptr<State> state_;
};

} // namespace linarite
