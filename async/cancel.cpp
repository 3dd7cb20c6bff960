#include "async/cancel.hpp"

#include <utility>

namespace linarite {

void CancelToken::cancel() const {
    const auto state = state_; // a hook may destroy this token
    state->cancelled = true;
    while (!state->hooks.empty()) {
        const auto hook = state->hooks.extract(state->hooks.begin());
        hook.mapped()();
    }
}

CancelToken::Hook CancelToken::on_cancel(std::function<void()> what) const {
    const std::uint64_t id = state_->next++;
    if (state_->cancelled) {
        what();
    } else {
        state_->hooks.emplace(id, std::move(what));
    }
    return {state_, id};
}

} // namespace linarite
