// agent/gpus.hpp: the GPUs of this node, and which of its runs has which.
#pragma once

#include "async/async.hpp"
#include "common/error.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace linarite::agent {

namespace asio = boost::asio;

/// GPUs as CUDA_VISIBLE_DEVICES names them: indices, or what the agent itself was given. Nothing: there are none that
/// we know of, and what runs see of the machine is left alone.
using Gpus = std::optional<std::vector<std::string>>;

/// "auto" asks the agent's own CUDA_VISIBLE_DEVICES, else nvidia-smi, else counts the driver's device files; "none"
/// hides all; "fake:N" stands for N; "0,2" are these. Anything else is invalid_argument.
asio::awaitable<Result<Gpus>> find_gpus(std::string spec);

/// The share that the `index`th of `count` gets: disjoint, of one piece, and as even as can be.
std::vector<std::string> share_of(const std::vector<std::string>& devices, int index, int count);

/// Hands the GPUs of a node to its runs: each slot owns a share, all of them if there is one slot. A share is taken
/// back when the lease on it ends, which must outlive the run's process tree.
class GpuSlots {
    struct State {
        std::set<int> taken;
        Signal freed;
    };

public:
    GpuSlots(Gpus gpus, int slots) : gpus_(std::move(gpus)), slots_(slots) {}

    class Lease {
    public:
        Lease(std::shared_ptr<State> state, int slot);
        ~Lease();
        Lease(Lease&& other) noexcept : state_(std::move(other.state_)), slot_(other.slot_) {}
        Lease& operator=(Lease&& other) noexcept {
            std::swap(state_, other.state_);
            std::swap(slot_, other.slot_);
            return *this;
        }
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        [[nodiscard]] int slot() const { return slot_; }

    private:
        std::shared_ptr<State> state_;
        int slot_;
    };

    /// The free slot with most GPUs; nothing if all are taken: wait for freed().
    std::optional<Lease> take();
    /// That one, which a run has had since before this agent process; nothing if it is taken or there is no such.
    std::optional<Lease> take(int slot);
    [[nodiscard]] Signal& freed() { return state_->freed; }

    /// What a run in the slot sees.
    [[nodiscard]] Gpus of(int slot) const;
    [[nodiscard]] int count() const { return gpus_ ? static_cast<int>(gpus_->size()) : 0; }
    [[nodiscard]] bool shared() const { return slots_ > 1; }

private:
    Gpus gpus_;
    int slots_;
    std::shared_ptr<State> state_ = std::make_shared<State>();
};

} // namespace linarite::agent
