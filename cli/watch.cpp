#include "cli/fields.hpp"
#include "cli/follow.hpp"
#include "cli/log_printer.hpp"
#include "cli/outcome.hpp"
#include "cli/submit.hpp"

namespace linarite::cli {
namespace {

// "Queued: waiting for 2 nodes of compute target cpu-cluster"
std::string status_line(const Json& run) {
    const std::string reason = text(run, "reason");
    std::string line = text(run, "status");
    line += reason.empty() || is_terminal_status(line) ? "" : ": " + reason;
    return line;
}

} // namespace

Result<Watched> watch(CommandContext& context, const std::string& run_id, const WatchOptions& options) {
    const LogPrinter::Write to_out = options.logs_to_err ? LogPrinter::Write(write_err) : LogPrinter::Write(write_out);
    LogPrinter printer(options.raw, context.terminal, to_out);
    FollowHandlers handlers;
    handlers.status = [&](const Json& run) {
        const std::string status = text(run, "status");
        if (status != "Failed" && status != "Canceled") { // how these came about is said at the end
            context.notice(status_line(run));
        }
    };
    handlers.log = [&](const std::string& name, std::string_view bytes) { printer.print(name, bytes); };
    handlers.notice = [&](const std::string& words) { context.notice(words); };
    const auto followed = follow_run(context.connection, run_id, options.logs, handlers);
    printer.finish();
    if (!followed) {
        return followed.error();
    }
    if (followed->interrupted) {
        write_err("\nThe run goes on. Follow it again: linarite logs -f " + run_id +
                  "\n                 Cancel it:      linarite cancel " + run_id + "\n");
        return Watched{followed->run, exit_interrupted};
    }
    write_err(describe_failure(followed->run, context.terminal));
    return Watched{followed->run, exit_code_of_run(followed->run)};
}

} // namespace linarite::cli
