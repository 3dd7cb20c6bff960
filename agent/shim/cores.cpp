#include "agent/shim/cores.hpp"

#include "agent/shim/job.hpp"

#include <cstdlib>
#include <map>
#include <sched.h>
#include <string>
#include <utility>
#include <vector>

namespace linarite::shim {

namespace {

using Core = std::pair<long, long>; // package, core

long topology(int cpu, const char* what) {
    const std::string text = slurp("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/" + what);
    return text.empty() ? cpu : std::strtol(text.c_str(), nullptr, 10);
}

} // namespace

void bind_to_share(int index, int count) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (index < 0 || index >= count || ::sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        return;
    }
    std::map<Core, std::vector<int>> threads; // in the order of the packages
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &allowed)) {
            threads[{topology(cpu, "physical_package_id"), topology(cpu, "core_id")}].push_back(cpu);
        }
    }
    const auto cores = static_cast<int>(threads.size());
    if (cores < count) {
        return;
    }
    cpu_set_t share;
    CPU_ZERO(&share);
    int at = 0;
    for (const auto& [core, cpus] : threads) {
        if (at >= cores * index / count && at < cores * (index + 1) / count) {
            for (const int cpu : cpus) {
                CPU_SET(cpu, &share);
            }
        }
        ++at;
    }
    ::sched_setaffinity(0, sizeof share, &share); // refused: it runs where it may
}

} // namespace linarite::shim
