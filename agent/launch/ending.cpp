#include "agent/launch/ending.hpp"

#include "agent/launch/plan.hpp"
#include "fmt/core.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <utility>

namespace linarite::agent {

namespace {

using proto::LaunchKind;

constexpr int mpirun_lost_a_node = 205; // Open MPI's ORTE_ERR_COMM_FAILURE as an exit code

/// How something ended, in words that follow its name.
std::string how(int exit_code, int signal, bool out_of_memory) {
    if (out_of_memory) {
        return fmt::format("was killed by the kernel ({}): the node ran out of memory",
                           signal_name(signal != 0 ? signal : SIGKILL));
    }
    return signal != 0 ? fmt::format("was ended by {}", signal_name(signal))
                       : fmt::format("exited with status code {}", exit_code);
}

std::string with_tail(std::string words, const fs::path& log) {
    const std::string tail = log_tail(log);
    if (!tail.empty()) {
        words += fmt::format("\nLast lines of {}:\n{}", log.filename().string(), tail);
    }
    return words;
}

/// Whether that is a failure of its own. Whoever ends a gang does it by TERM and KILL, so one of these alone may be
/// nothing but the consequence of another rank's failure.
bool speaks_for_itself(int exit_code, int signal, bool out_of_memory) {
    return out_of_memory || exit_code != 0 || (signal != 0 && signal != SIGTERM && signal != SIGKILL);
}

bool speaks_for_itself(const RankFact& rank) {
    return speaks_for_itself(rank.exit_code, rank.signal, rank.out_of_memory);
}

/// The rank of this node that failed first: the one that mpirun names, else the earliest of those that failed by
/// themselves, else the earliest. Those that were told to end because of another come later.
const RankFact* first_failure(const std::vector<RankFact>& ranks, int named) {
    const RankFact* first = nullptr;
    const auto order = [](const RankFact& rank) { return std::pair(!speaks_for_itself(rank), rank.ended_us); };
    for (const auto& rank : ranks) {
        if (rank.told) {
            continue;
        }
        if (!rank.ok() && rank.rank == named) {
            return &rank;
        }
        if (!rank.ok() && (first == nullptr || order(rank) < order(*first))) {
            first = &rank;
        }
    }
    return first;
}

/// The rank that ended first of those that this signal ended.
const RankFact* first_ended_by(const std::vector<RankFact>& ranks, int signal) {
    const RankFact* first = nullptr;
    for (const auto& rank : ranks) {
        if (!rank.told && rank.signal == signal && (first == nullptr || rank.ended_us < first->ended_us)) {
            first = &rank;
        }
    }
    return first;
}

/// The driver log of a rank.
fs::path log_of(const EndingContext& context, int rank) {
    const auto at = static_cast<std::size_t>(rank);
    const bool known = rank >= 0 && at < context.processes.size();
    const auto count = static_cast<int>(context.processes.size());
    return context.log_dir / proto::driver_log_name(known ? proto::file_word(context.processes[at], count) : "");
}

std::string name_of(const EndingContext& context, int rank) {
    const auto at = static_cast<std::size_t>(rank);
    return at < context.processes.size() ? proto::describe(context.processes[at]) : fmt::format("rank {}", rank);
}

void tell_rank(const EndingContext& context, const RankFact& rank, proto::Ending& ending) {
    ending.rank = rank.rank;
    ending.rank_ended_us = std::max<std::int64_t>(rank.ended_us, 0);
    ending.exit_code = rank.exit_code;
    ending.signal = rank.signal;
    ending.out_of_memory = ending.out_of_memory || rank.out_of_memory;
    ending.code = "UserError";
    ending.message =
        with_tail(fmt::format("User process '{}' {} ({}, node {}){}.", context.program,
                              how(rank.exit_code, rank.signal, ending.out_of_memory), name_of(context, rank.rank),
                              context.node, rank.service ? " before the workers had ended" : ""),
                  log_of(context, rank.rank));
}

void tell_launcher(const EndingContext& context, int named, proto::Ending& ending) {
    ending.rank = named;
    const std::string end = how(ending.exit_code, ending.signal, ending.out_of_memory);
    std::string words = context.lead ? fmt::format("mpirun on node {} {}", context.node, end)
                                     : fmt::format("Open MPI's daemon on node {} {}", context.node, end);
    ending.code = context.lead && named >= 0 ? "UserError" : "ServiceError";
    if (context.lead && named >= 0) {
        words += fmt::format("; rank {} failed first", named);
    } else if (context.lead && ending.exit_code == mpirun_lost_a_node) {
        words += "; the connection to another node of the run was lost";
    }
    ending.message = with_tail(words + ".", context.output);
}

/// The first rank of this node; of all, with MPI, whose limit is the lead's.
int first_here(const EndingContext& context) {
    const auto here = std::ranges::find(context.processes, context.node_index, &proto::ProcessPlace::node);
    return here == context.processes.end() ? 0 : here->rank;
}

void tell_limit(const EndingContext& context, proto::Ending& ending) {
    ending.code = "UserError";
    ending.message =
        with_tail(fmt::format("The run reached its time limit{} on node {} and was ended.",
                              context.limit ? fmt::format(" of {} s", context.limit->count()) : "", context.node),
                  context.launch == LaunchKind::single ? context.output : log_of(context, first_here(context)));
}

/// An MPI run's node of which something failed.
void tell_mpi(const EndingContext& context, const ExitFact& fact, const std::vector<RankFact>& ranks,
              proto::Ending& ending) {
    const int named = context.lead ? rank_named_by_mpirun(log_tail(context.output, 60)) : -1;
    const RankFact* failed = first_failure(ranks, named);
    const bool elsewhere = failed != nullptr && named >= 0 && failed->rank != named; // those here ended because of it
    // what kills a launcher makes its ranks fail in any way; and mpirun names the rank if one failed by itself
    const bool killed = named < 0 && ending.signal != 0;
    const bool none_by_itself = named < 0 && context.lead && failed != nullptr && !speaks_for_itself(*failed);
    const int signal = none_by_itself ? unnamed_signal(context, fact) : 0;
    const RankFact* alike = signal != 0 ? first_ended_by(ranks, signal) : nullptr;
    if (alike != nullptr) {
        tell_rank(context, *alike, ending);
    } else if (failed == nullptr || elsewhere || killed || none_by_itself) {
        tell_launcher(context, named, ending);
    } else {
        tell_rank(context, *failed, ending);
    }
}

/// A node of a run whose ranks we start ourselves, of which something failed.
void tell_group(const EndingContext& context, const std::vector<RankFact>& ranks, proto::Ending& ending) {
    if (const RankFact* failed = first_failure(ranks, -1)) {
        tell_rank(context, *failed, ending);
        return;
    }
    ending.code = "ServiceError";
    ending.message = with_tail(fmt::format("What starts the processes of the run on node {} {}.", context.node,
                                           how(ending.exit_code, ending.signal, ending.out_of_memory)),
                               context.output);
}

/// With MPI a daemon ends well also if a rank of it did not: mpirun has told it to go.
bool ended_well(const EndingContext& context, const ExitFact& fact, const std::vector<RankFact>& ranks) {
    return fact.exit_code == 0 && fact.signal == 0 &&
           (context.launch != LaunchKind::mpi || std::ranges::all_of(ranks, &RankFact::ok));
}

} // namespace

std::string signal_name(int signal) {
    constexpr std::array<std::pair<int, const char*>, 20> names{
        {{SIGHUP, "SIGHUP"},   {SIGINT, "SIGINT"},   {SIGQUIT, "SIGQUIT"}, {SIGILL, "SIGILL"},   {SIGTRAP, "SIGTRAP"},
         {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},   {SIGFPE, "SIGFPE"},   {SIGKILL, "SIGKILL"}, {SIGUSR1, "SIGUSR1"},
         {SIGSEGV, "SIGSEGV"}, {SIGUSR2, "SIGUSR2"}, {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"}, {SIGTERM, "SIGTERM"},
         {SIGSTOP, "SIGSTOP"}, {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"}, {SIGSYS, "SIGSYS"},   {SIGIO, "SIGIO"}}};
    const auto* found = std::ranges::find(names, signal, &std::pair<int, const char*>::first);
    return found == names.end() ? fmt::format("signal {}", signal) : found->second;
}

int rank_named_by_mpirun(std::string_view output) {
    // "mpirun noticed that process rank 2 with PID 0 on node w1 exited on signal 9" (since 5 it calls itself prterun),
    // "  Process name: [[21150,1],2]\n  Exit code:    3", since 5 "[prterun-w1-77@1,2]", and "MPI_ABORT was invoked on
    // rank 2 in communicator" (the texts help-orterun, help-prun and help-mpi-api of Open MPI 4.1 and 5.0)
    std::size_t at = std::string_view::npos;
    for (const std::string_view words : {"noticed that process rank ", "MPI_ABORT was invoked on rank "}) {
        if (const auto found = output.find(words); found != std::string_view::npos) {
            at = std::min(at, found + words.size());
        }
    }
    if (const auto found = output.find("Process name: ["); found < at) {
        const std::string_view line = output.substr(found, output.find('\n', found) - found);
        const auto comma = line.rfind(',');
        at = comma == std::string_view::npos ? at : found + comma + 1;
    }
    int rank = -1;
    if (at < output.size()) {
        std::from_chars(output.data() + at, output.data() + output.size(), rank);
    }
    return rank;
}

namespace {

// Another node may have told of its part of the failure first, so that this mpirun was stopped while it was ending by
// itself. It names a rank only if that rank failed, never because it was told to stop. Ranks that we start have it in
// their facts.
bool failed_before_stop(const EndingContext& context, const std::vector<RankFact>& ranks) {
    switch (context.launch) {
    case LaunchKind::single: return false;
    case LaunchKind::mpi: return context.lead && rank_named_by_mpirun(log_tail(context.output, 60)) >= 0;
    case LaunchKind::process_group:
    case LaunchKind::parameter_server: return first_failure(ranks, -1) != nullptr;
    }
    return false;
}

/// A daemon is started by a shell, which tells by its own exit code that a signal ended the daemon.
void see_through_shell(const EndingContext& context, proto::Ending& ending) {
    const int signal = ending.exit_code - 128;
    if (context.launch == LaunchKind::mpi && !context.lead && signal > 0 && signal <= SIGSYS) {
        ending.exit_code = 0;
        ending.signal = signal;
    }
}

} // namespace

proto::Ending make_ending(const EndingContext& context, const ExitFact& fact, const std::vector<RankFact>& ranks) {
    proto::Ending ending;
    ending.started = fact.started;
    ending.exit_code = fact.exit_code;
    ending.signal = fact.signal;
    see_through_shell(context, ending);
    ending.out_of_memory = fact.out_of_memory;
    ending.timed_out = fact.timed_out;
    ending.stopped = fact.stopped;
    if (!fact.started) {
        ending.code = "UserError";
        ending.message = fmt::format("node {}: {}", context.node, fact.error);
    } else if (fact.timed_out) {
        tell_limit(context, ending);
    } else if (fact.stopped && !failed_before_stop(context, ranks)) {
        ending.message = context.stop_reason;
    } else if (ended_well(context, fact, ranks)) {
        ending.message = fact.stragglers_killed ? "processes that the run left behind were ended" : "";
    } else if (context.launch == LaunchKind::mpi) {
        ending.stopped = false;
        tell_mpi(context, fact, ranks, ending);
    } else if (context.launch != LaunchKind::single) {
        ending.stopped = false;
        tell_group(context, ranks, ending);
    } else {
        ending.rank = 0;
        ending.code = "UserError";
        ending.message = with_tail(fmt::format("User process '{}' {} (node {}).", context.program,
                                               how(fact.exit_code, fact.signal, fact.out_of_memory), context.node),
                                   context.output);
    }
    return ending;
}

int unnamed_signal(const EndingContext& context, const ExitFact& fact) {
    const int signal = fact.exit_code - 128;
    const bool possible = context.launch == LaunchKind::mpi && context.lead && signal > 0 && signal <= SIGSYS;
    return possible && rank_named_by_mpirun(log_tail(context.output, 60)) < 0 ? signal : 0;
}

namespace {

/// Of the nodes whose rank this signal ended the one where it did first. Clocks tell: what mpirun ended because of that
/// rank, it ended a second later.
const proto::Ending* first_node_ended_by(int signal, const proto::Ending& lead,
                                         const std::map<int, proto::Ending>& others) {
    const proto::Ending* first = lead.rank >= 0 ? &lead : nullptr;
    for (const auto& [node, other] : others) {
        const bool alike = other.rank >= 0 && other.signal == signal && other.rank_ended_us > 0;
        if (alike && (first == nullptr || other.rank_ended_us < first->rank_ended_us)) {
            first = &other;
        }
    }
    return first;
}

/// How much an ending of another node says about why the run failed, where mpirun named no rank.
int weight_of(const proto::Ending& ending) {
    const bool rank = ending.rank >= 0 && !ending.code.empty();
    if (rank && speaks_for_itself(ending.exit_code, ending.signal, ending.out_of_memory)) {
        return 2;
    }
    return ending.code == "ServiceError" ? 1 : 0; // a daemon that was killed
}

} // namespace

proto::Ending merge_endings(const proto::Ending& lead, const std::map<int, proto::Ending>& others, int signal) {
    if (lead.ok() || lead.timed_out || lead.stopped || !lead.started) {
        return lead;
    }
    if (const proto::Ending* first = signal != 0 ? first_node_ended_by(signal, lead, others) : nullptr) {
        return *first;
    }
    const proto::Ending* first = nullptr;
    for (const auto& [node, other] : others) {
        if (lead.rank >= 0 && other.rank == lead.rank && !other.code.empty()) {
            return other;
        }
        if (weight_of(other) > (first == nullptr ? 0 : weight_of(*first))) {
            first = &other;
        }
    }
    // mpirun named none, and none failed here: then the one that did elsewhere it is
    return lead.rank < 0 && first != nullptr ? *first : lead;
}

proto::Ending lost_ending(const std::string& node, const Error& error) {
    proto::Ending ending;
    ending.started = true;
    ending.exit_code = 1;
    ending.code = "ServiceError";
    ending.message = fmt::format("node {}: {}", node, error.detail());
    return ending;
}

} // namespace linarite::agent
