#include "agent/shim/supervise.hpp"

#include "agent/shim/processes.hpp"
#include "agent/shim/supervision.hpp"

#include <cstdio>
#include <unistd.h>

namespace linarite::shim {

namespace {

constexpr std::int64_t lost_patience_ms = 20'000;

Json read_json(const std::string& path) {
    return Json::parse(slurp(path), nullptr, false);
}

} // namespace

int supervise(const char* job_file) {
    ::close_range(3, ~0U, 0); // whatever the agent left open
    Job job;
    if (const std::string wrong = read_job(job_file, job); !wrong.empty()) {
        std::fprintf(stderr, "linarite-shim: %s\n", wrong.c_str());
        return 2;
    }
    return Supervision(std::move(job)).run();
}

int sweep(const char* facts_dir) {
    const std::string folder = facts_dir;
    const Json fact = read_json(folder + "/supervisor.json");
    if (!fact.is_object() || fact.value("boot_id", "") != boot_id()) {
        return 0; // nothing was started, or the machine has been rebooted since
    }
    const std::string path = fact.value("cgroup", "");
    const bool freezer = fact.value("containment", "") == to_text(Containment::freezer);
    const Cgroup group = Cgroup::at(path, freezer);
    const std::int64_t deadline = steady_ms() + lost_patience_ms;
    while (group.usable() && !group.empty() && steady_ms() < deadline) {
        group.kill();
        ::usleep(1'000);
    }
    const Json started = read_json(folder + "/started.json");
    const pid_t session = started.is_object() ? started.value("pid", 0) : 0;
    const std::string tag = fact.value("run", "") + "." + fact.value("fence", "");
    const bool gone = kill_marked(tag, session, lost_patience_ms);
    if (group.usable()) {
        group.remove();
    }
    return gone ? 0 : 1;
}

} // namespace linarite::shim
