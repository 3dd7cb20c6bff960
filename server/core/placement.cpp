// The scheduler: gangs by priority and age, with conservative backfill. A run that does not fit gets a reservation on
// the nodes that will be free first; those that come after it may use what it leaves, or borrow its slots if they are
// over before it can start.
#include "server/core/turn.hpp"

#include <algorithm>
#include <tuple>
#include <unordered_map>

namespace linarite::core {

namespace {

/// When one slot of a node is free.
struct SlotFree {
    Time expected{};    // if known
    bool known = false; // false: some day; who has been there longer is expected to leave first
    Time since{};
    bool free = false; // now, not "any moment": a run that is over its time is expected now as well
    [[nodiscard]] auto order() const { return std::make_tuple(!free, !known, known ? expected : since); }
};

struct Candidate {
    SlotFree slot;
    Node* node = nullptr;
    bool operator<(const Candidate& other) const {
        return std::make_tuple(slot.order(), std::cref(node->spec.name)) <
               std::make_tuple(other.slot.order(), std::cref(other.node->spec.name));
    }
};

/// The slots of one node that are reserved.
struct Claim {
    int taken = 0;
    std::optional<Time> until; // the first reservation is not expected to start before it; nothing: unknown
    bool unknown = false;
    const Run* first = nullptr;
    bool blocked = false; // it has free slots, and all of them are reserved
};

struct PoolPass {
    int blocked = 0; // nodes with free slots that are all reserved
    int reservations = 0;
    bool closed = false;
    Time borrow_until{}; // no borrower that ends later finds a slot
};

struct Cursor {
    Pool* pool = nullptr;
    Queue::iterator at;
    Queue::iterator end;
};

class Pass {
public:
    Pass(Turn& turn, Board& board) : turn_(turn), board_(board), now_(turn.now()) {}

    void run() {
        board_.kept_free.clear();
        open_cursors();
        while (!cursors_.empty()) {
            const auto first = std::min_element(cursors_.begin(), cursors_.end(), [](const Cursor& a, const Cursor& b) {
                return QueueOrder()(*a.at, *b.at);
            });
            Run& next = **first->at;
            Pool& pool = *first->pool;
            ++first->at;
            if (!try_place(next, pool)) {
                reserve(next, pool);
            }
            std::erase_if(cursors_, [this](const Cursor& c) { return c.at == c.end || is_closed(*c.pool); });
        }
        for (const auto& [node, claim] : claims_) {
            if (claim.blocked) {
                board_.kept_free.emplace(node, claim.first->spec.id);
            }
        }
    }

private:
    /// Of pools without a free slot nothing can start, and what waits there reserves nothing that others could take
    /// now.
    void open_cursors() {
        for (auto& [name, pool] : board_.pools) {
            if (pool.free.empty() || pool.queue.empty()) {
                continue;
            }
            for (auto& [size, queue] : pool.by_size) {
                if (!queue.empty() && size <= pool.usable) {
                    cursors_.push_back(Cursor{&pool, queue.begin(), queue.end()});
                }
            }
        }
    }

    bool is_closed(Pool& pool) {
        const PoolPass& state = pools_[&pool];
        const int spare = static_cast<int>(pool.free.size()) - state.blocked;
        return state.closed || pool.free.empty() || (spare <= 0 && (pool.bounded == 0 || state.borrow_until <= now_));
    }

    bool try_place(Run& run, Pool& pool) {
        const PoolPass& state = pools_[&pool];
        const auto wanted = static_cast<std::size_t>(run.spec.node_count);
        const int spare = static_cast<int>(pool.free.size()) - state.blocked;
        const bool may_borrow = run.spec.max_duration && now_ + *run.spec.max_duration <= state.borrow_until;
        if (spare < run.spec.node_count && !may_borrow) {
            return false;
        }
        std::vector<Node*> picked;
        std::vector<Node*> borrowed;
        for (const FreeKey& key : pool.free) {
            if (picked.size() == wanted) {
                break;
            }
            if (key.node->has_part_of(run.spec.id)) {
                continue; // what is left of an earlier attempt must go first
            }
            const auto claim = claims_.find(key.node);
            if (claim == claims_.end() || !claim->second.blocked) {
                picked.push_back(key.node);
            } else if (may_borrow && can_borrow(run, claim->second)) {
                borrowed.push_back(key.node);
            }
        }
        if (picked.size() + borrowed.size() < wanted) {
            return false;
        }
        while (picked.size() < wanted) {
            picked.push_back(borrowed[borrowed.size() - (wanted - picked.size())]);
        }
        turn_.place(run, picked);
        for (Node* node : picked) {
            slots_.erase(node);
            update_blocked(*node);
        }
        return true;
    }

    [[nodiscard]] bool can_borrow(const Run& run, const Claim& claim) const {
        return !claim.unknown && claim.until && now_ + *run.spec.max_duration <= *claim.until;
    }

    /// Keeps for the run the nodes that will be free first.
    void reserve(Run& run, Pool& pool) {
        PoolPass& state = pools_[&pool];
        if (state.reservations >= board_.limits.backfill_depth) {
            state.closed = true; // nobody behind it starts out of order
            return;
        }
        ++state.reservations;
        std::vector<Candidate> candidates = candidates_for(run, pool);
        const auto wanted = static_cast<std::size_t>(run.spec.node_count);
        const bool enough = candidates.size() >= wanted;
        if (candidates.size() > wanted) {
            std::nth_element(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(wanted),
                             candidates.end());
            candidates.resize(wanted);
        }
        Time start = now_;
        bool known = enough;
        for (const Candidate& each : candidates) {
            known = known && each.slot.known;
            start = std::max(start, each.slot.expected);
        }
        for (const Candidate& each : candidates) {
            add_claim(*each.node, run, known ? std::optional(start) : std::nullopt);
        }
    }

    std::vector<Candidate> candidates_for(const Run& run, const Pool& pool) {
        std::vector<Candidate> candidates;
        for (const auto& [name, node] : pool.members) {
            if (!node->usable) {
                continue;
            }
            const std::vector<SlotFree>& slots = slots_of(*node);
            const auto claim = claims_.find(node);
            const auto index = static_cast<std::size_t>(claim == claims_.end() ? 0 : claim->second.taken);
            if (index >= slots.size()) {
                continue;
            }
            SlotFree slot = slots[index];
            if (node->has_part_of(run.spec.id)) {
                slot = SlotFree{{}, false, now_, false};
            }
            candidates.push_back(Candidate{slot, node});
        }
        return candidates;
    }

    /// All slots of a node, the one that is free first in front.
    const std::vector<SlotFree>& slots_of(const Node& node) {
        const auto [at, is_new] = slots_.try_emplace(&node);
        std::vector<SlotFree>& slots = at->second;
        if (!is_new) {
            return slots;
        }
        for (int i = 0; i < node.free_slots(); ++i) {
            slots.push_back(SlotFree{now_, true, now_, true});
        }
        for (const auto& part : node.parts) {
            if (part->phase == NodePhase::done) {
                continue;
            }
            SlotFree slot{{}, false, part->since, false};
            if (part->owner != nullptr && part->owner->spec.max_duration) {
                const Time begun = part->owner->running_since.value_or(now_);
                slot.expected = std::max(now_, begun + *part->owner->spec.max_duration);
                slot.known = true;
            }
            slots.push_back(slot);
        }
        std::sort(slots.begin(), slots.end(),
                  [](const SlotFree& a, const SlotFree& b) { return a.order() < b.order(); });
        slots.resize(std::min(slots.size(), static_cast<std::size_t>(node.spec.slots)));
        return slots;
    }

    void add_claim(Node& node, const Run& run, std::optional<Time> start) {
        Claim& claim = claims_[&node];
        ++claim.taken;
        claim.first = claim.first == nullptr ? &run : claim.first;
        claim.unknown = claim.unknown || !start;
        if (start && (!claim.until || *start < *claim.until)) {
            claim.until = start;
        }
        update_blocked(node);
    }

    void update_blocked(Node& node) {
        const auto found = claims_.find(&node);
        if (found == claims_.end()) {
            return;
        }
        Claim& claim = found->second;
        const bool blocked = node.listed_free && node.free_slots() <= claim.taken;
        for (const std::string& target : node.spec.targets) {
            PoolPass& state = pools_[&board_.pools[target]];
            state.blocked += static_cast<int>(blocked) - static_cast<int>(claim.blocked);
            if (blocked && !claim.unknown && claim.until) {
                state.borrow_until = std::max(state.borrow_until, *claim.until);
            }
        }
        claim.blocked = blocked;
    }

    Turn& turn_;
    Board& board_;
    Time now_;
    std::vector<Cursor> cursors_;
    std::unordered_map<const Node*, Claim> claims_;
    std::unordered_map<const Node*, std::vector<SlotFree>> slots_;
    std::unordered_map<const Pool*, PoolPass> pools_;
};

} // namespace

void schedule(Turn& turn, Board& board) {
    Pass(turn, board).run();
}

} // namespace linarite::core
