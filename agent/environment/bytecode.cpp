#include "agent/environment/bytecode.hpp"

#include "agent/environment/build_session.hpp"
#include "async/async.hpp"
#include "common/files.hpp"

#include <spdlog/spdlog.h>

namespace linarite::agent {

namespace {

// It ends by itself when the agent is killed.
constexpr const char* script = R"(
import compileall, os, sys, sysconfig
try:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
except (AttributeError, OSError):
    os.nice(19)
parent = os.getppid()
prefix = sys.prefix + os.sep
folders = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
for folder in sorted(path for path in folders if path.startswith(prefix)):
    for place, names, files in os.walk(folder):
        for name in files:
            if name.endswith(".py"):
                if os.getppid() != parent:
                    sys.exit("nobody waits for this any more")
                compileall.compile_file(os.path.join(place, name), quiet=2)
)";

fs::path marker_of(const fs::path& environment) {
    return environment / ".linarite-bytecode";
}

} // namespace

bool lacks_bytecode(const fs::path& environment) {
    std::error_code ec;
    return !fs::exists(marker_of(environment), ec);
}

asio::awaitable<void> compile_bytecode(Node& node, fs::path environment, int lock_fd, CancelToken cancel) {
    ProcessOrder order;
    order.arguments = {(environment / "bin" / "python").string(), "-I", "-c", script};
    order.variables = installer_variables();
    order.folder = node.settings().environments;
    order.limit = std::chrono::hours(2);
    order.place = environment.string() + ".bytecode";
    order.keep_fd = lock_fd;
    const auto begun = std::chrono::steady_clock::now();
    auto words = std::make_shared<std::string>();
    const auto ended = co_await run_process(
        order, [words](std::string_view line) { *words = line; }, cancel);
    if (!ended || !ended->ok()) {
        if (!cancel.cancelled()) {
            spdlog::warn("environment={} compiled=false words={}", environment.filename().string().substr(0, 12),
                         ended ? *words : ended.error().detail());
        }
        co_return;
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    spdlog::info("environment={} compiled=true seconds={:.1f}", environment.filename().string().substr(0, 12),
                 took.count());
    co_await on_pool(node.pool(), [environment] { return write_file_durably(marker_of(environment), "", 0444); });
}

} // namespace linarite::agent
