#include "unit/server_core/simulation.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace linarite::core {
namespace {

/// For longer or other simulations by hand: LINARITE_SIMULATION_EVENTS, LINARITE_SIMULATION_SEED.
std::uint64_t setting(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::stoull(text);
}

void expect_no_fault(Simulation& simulation, std::uint64_t seed, std::size_t events) {
    const bool good = simulation.run(events);
    EXPECT_TRUE(good) << "seed " << seed << ", event " << simulation.events();
    for (const std::string& fault : simulation.faults()) {
        ADD_FAILURE() << fault;
    }
}

TEST(Simulation, AMillionRandomEventsBreakNoPromise) {
    const std::uint64_t seed = setting("LINARITE_SIMULATION_SEED", 1);
    const std::uint64_t events = setting("LINARITE_SIMULATION_EVENTS", 1'000'000);
    Simulation simulation(seed);

    expect_no_fault(simulation, seed, events);

    // it went through everything that the table allows, but for what only a damaged history or a full queue brings
    // about
    const std::set<std::pair<RunStatus, RunStatus>> not_simulated = {
        {RunStatus::not_started, RunStatus::cancel_requested},
        {RunStatus::queued, RunStatus::failed},
    };
    for (int from = 0; from < 12 && events >= 1'000'000; ++from) {
        for (int to = 0; to < 12; ++to) {
            const std::pair move{static_cast<RunStatus>(from), static_cast<RunStatus>(to)};
            if (may_move(move.first, move.second) && !not_simulated.contains(move)) {
                EXPECT_TRUE(simulation.moves_seen().contains(move))
                    << to_wire(move.first) << " to " << to_wire(move.second) << " was never seen";
            }
        }
    }
    EXPECT_GT(simulation.submitted(), events / 100);
}

TEST(Simulation, OtherSeedsBreakNoPromiseEither) {
    for (std::uint64_t seed = 100; seed < 120; ++seed) {
        Simulation simulation(seed);
        expect_no_fault(simulation, seed, 2'000);
    }
}

} // namespace
} // namespace linarite::core
