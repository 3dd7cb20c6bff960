#include "agent/shim/job.hpp"

#include <array>
#include <fcntl.h>
#include <unistd.h>

namespace linarite::shim {

namespace {

constexpr std::array kinds{Containment::automatic, Containment::pid_namespace, Containment::cgroup,
                           Containment::freezer, Containment::sweep};

std::string text(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::int64_t number(const Json& object, const char* key, std::int64_t otherwise) {
    const auto found = object.find(key);
    return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : otherwise;
}

bool flag(const Json& object, const char* key, bool otherwise) {
    const auto found = object.find(key);
    return found != object.end() && found->is_boolean() ? found->get<bool>() : otherwise;
}

std::vector<std::string> texts(const Json& object, const char* key) {
    std::vector<std::string> out;
    const auto found = object.find(key);
    if (found != object.end() && found->is_array()) {
        for (const auto& item : *found) {
            if (item.is_string()) {
                out.push_back(item.get<std::string>());
            }
        }
    }
    return out;
}

LogLines log_lines(const Json& object) {
    LogLines lines;
    const auto found = object.find("log");
    if (found != object.end() && found->is_object()) {
        lines.before = texts(*found, "before");
        lines.success = text(*found, "success");
        lines.failure = text(*found, "failure");
    }
    return lines;
}

std::map<std::string, std::string> environment(const Json& object) {
    std::map<std::string, std::string> out;
    const auto found = object.find("env");
    if (found != object.end() && found->is_object()) {
        for (const auto& [name, value] : found->items()) {
            if (value.is_string()) {
                out.emplace(name, value.get<std::string>());
            }
        }
    }
    return out;
}

RankProcess rank_process(const Json& object) {
    RankProcess process;
    process.rank = static_cast<int>(number(object, "rank", 0));
    process.word = text(object, "word");
    process.service = flag(object, "service", false);
    process.env = environment(object);
    return process;
}

std::string read_object(const std::string& path, Json& document) {
    document = Json::parse(slurp(path), nullptr, false);
    return document.is_object() ? "" : "'" + path + "' cannot be read or is no JSON object";
}

} // namespace

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

std::string slurp(const std::string& path) {
    std::string out;
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return out;
    }
    std::array<char, 16384> piece{};
    for (ssize_t n = 0; (n = ::read(fd, piece.data(), piece.size())) > 0;) {
        out.append(piece.data(), static_cast<std::size_t>(n));
    }
    ::close(fd);
    return out;
}

std::string read_job(const std::string& path, Job& job) {
    Json document;
    if (auto wrong = read_object(path, document); !wrong.empty()) {
        return wrong;
    }
    job.run = text(document, "run");
    job.fence = text(document, "fence");
    job.argv = texts(document, "argv");
    for (const auto& [name, value] : environment(document)) {
        job.env.push_back(name);
        job.env.back().append("=").append(value);
    }
    job.cwd = text(document, "cwd");
    job.out = text(document, "stdout");
    job.err = text(document, "stderr");
    job.facts_dir = text(document, "facts_dir");
    job.limit_ms = number(document, "limit_ms", job.limit_ms);
    job.grace_ms = number(document, "grace_ms", job.grace_ms);
    job.straggler_ms = number(document, "straggler_ms", job.straggler_ms);
    job.log = log_lines(document);
    for (const Containment kind : kinds) {
        if (text(document, "containment") == to_text(kind)) {
            job.containment = kind;
        }
    }
    job.cgroup = text(document, "cgroup");
    job.folders = texts(document, "folders");
    job.signal_group = flag(document, "signal_group", job.signal_group);
    const auto views = document.find("views");
    for (const auto& each : views != document.end() ? *views : Json::array()) {
        job.views.push_back({text(each, "path"), text(each, "changes")});
    }
    job.read_only = texts(document, "read_only");
    job.user_namespace = flag(document, "user_namespace", job.user_namespace);
    if (job.argv.empty() || job.cwd.empty() || job.out.empty() || job.facts_dir.empty()) {
        return "'" + path + "' lacks argv, cwd, stdout or facts_dir";
    }
    return "";
}

std::string read_rank_job(const std::string& path, RankJob& job) {
    Json document;
    if (auto wrong = read_object(path, document); !wrong.empty()) {
        return wrong;
    }
    job.argv = texts(document, "argv");
    job.env = environment(document);
    job.cwd = text(document, "cwd");
    job.log_dir = text(document, "log_dir");
    job.facts_dir = text(document, "facts_dir");
    job.plain_name = flag(document, "plain_name", job.plain_name);
    job.bind = flag(document, "bind", job.bind);
    job.log = log_lines(document);
    job.linger = flag(document, "linger", job.linger);
    const auto processes = document.find("processes");
    for (const auto& each : processes != document.end() ? *processes : Json::array()) {
        job.processes.push_back(rank_process(each));
    }
    if (job.argv.empty() || job.cwd.empty() || job.log_dir.empty() || job.facts_dir.empty()) {
        return "'" + path + "' lacks argv, cwd, log_dir or facts_dir";
    }
    return "";
}

} // namespace linarite::shim
