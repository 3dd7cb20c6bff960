#include "agent/gpus.hpp"

#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

namespace linarite::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Result<Gpus> find(const std::string& spec) {
    asio::io_context io;
    std::optional<Result<Gpus>> out;
    asio::co_spawn(io, find_gpus(spec),
                   [&](const std::exception_ptr&, Result<Gpus> found) { out.emplace(std::move(found)); });
    io.run();
    return *out;
}

TEST(Gpus, AreToldByNumberOrByName) {
    EXPECT_THAT(**find("fake:3"), ElementsAre("0", "1", "2"));
    EXPECT_THAT(**find("none"), IsEmpty());
    EXPECT_THAT(**find("2, 5"), ElementsAre("2", "5"));
    EXPECT_THAT(**find("GPU-8d1f"), ElementsAre("GPU-8d1f"));
}

TEST(Gpus, WhatIsNoneOfTheFormsIsRefused) {
    for (const char* wrong : {"", "atuo", "fake:", "fake:x", "fake:-1", "0,,1", "1,1", "fake:99999999999"}) {
        const auto found = find(wrong);
        ASSERT_FALSE(found) << wrong;
        EXPECT_EQ(found.error().code(), Errc::invalid_argument);
        EXPECT_THAT(found.error().detail(), HasSubstr("--gpus '" + std::string(wrong) + "'"));
    }
}

TEST(Gpus, AutoTakesWhatTheAgentItselfWasGivenAsCudaReadsIt) {
    const auto found_with = [](const char* visible) {
        ::setenv("CUDA_VISIBLE_DEVICES", visible, 1);
        const auto found = find("auto");
        ::unsetenv("CUDA_VISIBLE_DEVICES");
        return **found;
    };

    EXPECT_THAT(found_with("1,GPU-77"), ElementsAre("1", "GPU-77"));
    EXPECT_THAT(found_with("-1"), IsEmpty());
    EXPECT_THAT(found_with("2,-1,0"), ElementsAre("2"));
}

/// What `auto` finds with this in the place of nvidia-smi.
Result<Gpus> find_with(const std::string& script) {
    std::string folder = "/tmp/linarite-gpus-XXXXXX";
    ::mkdtemp(folder.data());
    const std::string program = folder + "/nvidia-smi";
    std::ofstream(program) << "#!/bin/sh\n" << script;
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    const char* const before = std::getenv("PATH");
    const std::string path = before == nullptr ? "" : before;
    ::setenv("PATH", (folder + ":" + path).c_str(), 1);
    auto found = find("auto");
    ::setenv("PATH", path.c_str(), 1);
    std::filesystem::remove_all(folder);
    return found;
}

TEST(Gpus, AutoAsksNvidiaSmi) {
    const auto found = find_with("[ \"$1 $2\" = '--query-gpu=index,uuid --format=csv,noheader' ] || exit 2\n"
                                 "echo '0, GPU-aaaa'\necho '1, GPU-bbbb'\n");

    ASSERT_TRUE(found && *found);
    EXPECT_THAT(**found, ElementsAre("0", "1"));
}

TEST(Gpus, WithoutADriverThereAreNone) {
    const auto found = find_with("echo 'NVIDIA-SMI has failed because it could not talk to the driver.'; exit 9");

    ASSERT_TRUE(found);
    EXPECT_FALSE(*found) << "the script's words were taken for GPUs";
}

TEST(Gpus, SharesAreDisjointAndEven) {
    const std::vector<std::string> five{"0", "1", "2", "3", "4"};

    EXPECT_THAT(share_of(five, 0, 2), ElementsAre("0", "1"));
    EXPECT_THAT(share_of(five, 1, 2), ElementsAre("2", "3", "4"));
    EXPECT_THAT(share_of({"0"}, 0, 2), IsEmpty());
    EXPECT_THAT(share_of({"0"}, 1, 2), ElementsAre("0"));
}

TEST(GpuSlots, TheSlotWithMostGpusIsTakenFirst) {
    GpuSlots slots(Gpus({"0"}), 2);

    EXPECT_EQ(slots.take()->slot(), 1);
    const auto held = slots.take();
    EXPECT_EQ(slots.take()->slot(), 0);
}

TEST(GpuSlots, ASlotIsFreeAgainWhenItsLeaseEnds) {
    GpuSlots slots(Gpus({"0", "1"}), 1);
    auto lease = slots.take();
    ASSERT_TRUE(lease);
    EXPECT_FALSE(slots.take());
    EXPECT_FALSE(slots.take(0));
    const auto before = slots.freed().count();

    lease.reset();

    EXPECT_NE(slots.freed().count(), before);
    EXPECT_TRUE(slots.take());
}

TEST(GpuSlots, ARunKeepsItsSlotOverARestart) {
    GpuSlots slots(Gpus({"0", "1", "2", "3"}), 4);

    const auto old = slots.take(2);

    ASSERT_TRUE(old);
    EXPECT_THAT(*slots.of(old->slot()), ElementsAre("2"));
    EXPECT_FALSE(slots.take(-1));
    EXPECT_FALSE(slots.take(4));
}

TEST(GpuSlots, WhatIsNotManagedStaysAsItIs) {
    GpuSlots slots(std::nullopt, 2);

    const auto lease = slots.take();

    ASSERT_TRUE(lease);
    EXPECT_FALSE(slots.of(lease->slot()));
    EXPECT_EQ(slots.count(), 0);
}

void expect_disjoint(const GpuSlots& slots, const std::vector<GpuSlots::Lease>& running) {
    std::set<std::string> seen;
    for (const auto& lease : running) {
        const auto devices_of_slot = slots.of(lease.slot());
        for (const auto& device : *devices_of_slot) {
            EXPECT_TRUE(seen.insert(device).second) << device << " is with two runs";
        }
    }
}

TEST(GpuSlots, NoGpuIsEverWithTwoRuns) {
    std::mt19937 random(11); // NOLINT(cert-msc51-cpp): repeatable
    for (int round = 0; round < 200; ++round) {
        const int gpus = static_cast<int>(random() % 9);
        const int count = 1 + static_cast<int>(random() % 6);
        std::vector<std::string> devices;
        devices.reserve(static_cast<std::size_t>(gpus));
        for (int at = 0; at < gpus; ++at) {
            devices.push_back(std::to_string(at));
        }
        GpuSlots slots(devices, count);
        std::vector<GpuSlots::Lease> running;
        for (int step = 0; step < 50; ++step) {
            if (random() % 2 == 0) {
                if (auto lease = slots.take()) {
                    running.push_back(std::move(*lease));
                } else {
                    EXPECT_EQ(running.size(), static_cast<std::size_t>(count));
                }
            } else if (!running.empty()) {
                std::swap(running[random() % running.size()], running.back());
                running.pop_back();
            }
            expect_disjoint(slots, running);
        }
    }
}

} // namespace
} // namespace linarite::agent
