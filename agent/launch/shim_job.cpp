#include "agent/launch/shim_job.hpp"

#include "common/files.hpp"
#include "proto/json_reader.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <functional>
#include <limits>
#include <unistd.h>

namespace linarite::agent {

namespace {

using proto::Json;
using proto::JsonReader;

constexpr std::int64_t any_low = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t any_high = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t fact_limit = std::size_t{64} << 10U;

const char* to_text(Containment kind) {
    switch (kind) {
    case Containment::automatic: return "automatic";
    case Containment::pid_namespace: return "pid_namespace";
    case Containment::cgroup: return "cgroup";
    case Containment::freezer: return "freezer";
    case Containment::sweep: return "sweep";
    }
    return "";
}

Json print(const LogLines& lines) {
    return Json{{"before", lines.before}, {"success", lines.success}, {"failure", lines.failure}};
}

/// Only its owner may read it: the environment holds the run's token. Not fsynced: after a power cut there is nothing
/// left to supervise.
Result<void> write_private(const fs::path& file, const Json& document) {
    const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!fd) {
        return errno_error("open '" + file.string() + "'", errno);
    }
    const auto written = write_all(fd.get(), proto::print_json(document) + "\n");
    return written ? written : Result<void>(written.error().within("write '" + file.string() + "'"));
}

/// Unique on this machine: nodes that share a host run the same run with the same fence.
std::string group_name(const ShimJob& job) {
    return "linarite-" + job.run.str() + "-" + std::to_string(job.fence) + "-" +
           std::to_string(std::hash<std::string>()(job.facts_dir.string()));
}

std::vector<std::string> texts(const std::vector<fs::path>& paths) {
    std::vector<std::string> out;
    out.reserve(paths.size());
    for (const auto& path : paths) {
        out.push_back(path.string());
    }
    return out;
}

Json print(const std::vector<View>& views) {
    Json out = Json::array();
    for (const View& view : views) {
        out.push_back(Json{{"path", view.path.string()}, {"changes", view.changes.string()}});
    }
    return out;
}

int small(JsonReader& reader, std::string_view key) {
    return static_cast<int>(reader.integer(key, -1'000'000, 1'000'000, 0));
}

Json print(const std::vector<RankProcess>& processes) {
    Json out = Json::array();
    for (const auto& process : processes) {
        out.push_back(
            Json{{"rank", process.rank}, {"word", process.word}, {"service", process.service}, {"env", process.env}});
    }
    return out;
}

Result<Json> read_object(const fs::path& file) {
    const auto text = read_file(file, fact_limit);
    if (!text) {
        return text.error();
    }
    auto document = proto::parse_json(*text);
    if (!document) {
        return document.error().within("read '" + file.string() + "'");
    }
    if (!document->is_object()) {
        return Error(Errc::internal, "'" + file.string() + "' is no object");
    }
    return document;
}

} // namespace

Result<void> write_job_file(const fs::path& file, const ShimJob& job) {
    return write_private(file, Json{{"run", job.run.str()},
                                    {"fence", std::to_string(job.fence)},
                                    {"argv", job.argv},
                                    {"env", job.env},
                                    {"cwd", job.cwd.string()},
                                    {"stdout", job.out.string()},
                                    {"stderr", job.out.string()},
                                    {"facts_dir", job.facts_dir.string()},
                                    {"limit_ms", job.limit.count()},
                                    {"grace_ms", job.grace.count()},
                                    {"straggler_ms", job.stragglers.count()},
                                    {"log", print(job.log)},
                                    {"containment", to_text(job.containment)},
                                    {"cgroup", group_name(job)},
                                    {"folders", texts(job.folders)},
                                    {"signal_group", job.signal_group},
                                    {"views", print(job.views)},
                                    {"read_only", texts(job.read_only)},
                                    {"user_namespace", job.user_namespace}});
}

Result<void> write_rank_file(const fs::path& file, const RankJob& job) {
    return write_private(file, Json{{"argv", job.argv},
                                    {"env", job.env},
                                    {"cwd", job.cwd.string()},
                                    {"log_dir", job.log_dir.string()},
                                    {"facts_dir", job.facts_dir.string()},
                                    {"plain_name", job.plain_name},
                                    {"bind", job.bind},
                                    {"log", print(job.log)},
                                    {"processes", print(job.processes)},
                                    {"linger", job.linger}});
}

Result<std::optional<ExitFact>> read_exit_fact(const fs::path& facts_dir) {
    const auto document = read_object(facts_dir / "exit.json");
    if (!document) {
        if (document.error().code() == Errc::not_found) {
            return std::optional<ExitFact>();
        }
        return document.error();
    }
    std::vector<Fault> faults;
    JsonReader reader(*document, "", faults);
    ExitFact fact;
    fact.started = reader.boolean("started", false);
    fact.error = reader.text("error");
    fact.exit_code = small(reader, "exit_code");
    fact.signal = small(reader, "signal");
    fact.out_of_memory = reader.boolean("out_of_memory", false);
    fact.timed_out = reader.boolean("timed_out", false);
    fact.stopped = reader.boolean("stopped", false);
    fact.stragglers_killed = reader.boolean("stragglers_killed", false);
    fact.duration = Millis(reader.integer("duration_ms", any_low, any_high, 0));
    fact.ended = from_ms(reader.integer("ended_ms", any_low, any_high, 0));
    fact.max_rss_bytes = reader.unsigned_integer("max_rss_bytes", 0);
    if (!faults.empty()) {
        return Error(std::move(faults)).within("read '" + (facts_dir / "exit.json").string() + "'");
    }
    return std::optional<ExitFact>(std::move(fact));
}

std::optional<RankFact> read_rank_fact(const fs::path& file) {
    const auto document = read_object(file);
    if (!document) {
        return std::nullopt;
    }
    std::vector<Fault> faults;
    JsonReader reader(*document, "", faults);
    RankFact fact;
    fact.rank = small(reader, "rank");
    fact.exit_code = small(reader, "exit_code");
    fact.signal = small(reader, "signal");
    fact.out_of_memory = reader.boolean("out_of_memory", false);
    fact.told = reader.boolean("told", false);
    fact.service = reader.boolean("service", false);
    fact.ended_us = reader.integer("ended_us", any_low, any_high, 0);
    return fact;
}

std::vector<RankFact> read_rank_facts(const fs::path& facts_dir) {
    std::vector<RankFact> facts;
    std::error_code ec;
    for (fs::directory_iterator at(facts_dir, ec), end; !ec && at != end; at.increment(ec)) {
        const std::string name = at->path().filename().string();
        if (const auto fact = name.starts_with("rank-") ? read_rank_fact(at->path()) : std::nullopt) {
            facts.push_back(*fact);
        }
    }
    std::ranges::sort(facts, {}, &RankFact::rank);
    return facts;
}

} // namespace linarite::agent
