#include "environments/stored.hpp"

#include "common/files.hpp"
#include "proto/iso_time.hpp"

#include <array>
#include <ctime>
#include <fcntl.h>
#include <sys/stat.h>

namespace linarite::environments {

namespace {

constexpr std::size_t longest_marker = std::size_t{16} << 20U;

Time changed_at(const fs::path& path) {
    struct stat facts {};
    if (::stat(path.c_str(), &facts) != 0) {
        return Time{};
    }
    return Time(std::chrono::seconds(facts.st_mtim.tv_sec) +
                std::chrono::duration_cast<Millis>(std::chrono::nanoseconds(facts.st_mtim.tv_nsec)));
}

} // namespace

Result<Stored> read_stored(const fs::path& environment) {
    const fs::path marker = marker_of(environment);
    const auto text = read_file(marker, longest_marker);
    if (!text) {
        return text.error();
    }
    const auto document = proto::parse_json(*text);
    if (!document) {
        return document.error().within("read '" + marker.string() + "'");
    }
    std::vector<Fault> faults; // what is not as expected is taken for absent
    proto::JsonReader in(*document, "", faults);
    Stored stored;
    stored.key = environment.filename().string();
    stored.folder = environment;
    stored.provider = in.text("provider");
    stored.python = in.text("python");
    stored.interpreter = in.text("interpreter");
    stored.requirements = in.texts("conda");
    for (std::string& line : in.texts("requirements")) {
        stored.requirements.push_back(std::move(line));
    }
    stored.lock = in.text("lock");
    in.members("variables", [&](const std::string& name, const proto::Json& value) {
        if (value.is_string()) {
            stored.variables[name] = value.get<std::string>();
        }
    });
    if (in.has("bytes")) {
        stored.bytes = in.unsigned_integer("bytes", 0);
    }
    stored.last_used = changed_at(marker);
    stored.created = proto::parse_iso_time(in.text("created")).value_or(stored.last_used);
    return stored;
}

std::vector<Stored> list_stored(const fs::path& cache) {
    std::vector<Stored> found;
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(cache, ec)) {
        const std::string name = entry.path().filename().string();
        std::error_code failed;
        if (!is_key(name) || !entry.is_directory(failed)) {
            continue;
        }
        auto stored = read_stored(entry.path());
        if (!stored) {
            stored = Stored{};
            stored->key = name;
            stored->folder = entry.path();
            stored->whole = false;
            stored->created = stored->last_used = changed_at(entry.path());
        }
        found.push_back(std::move(*stored));
    }
    return found;
}

void touch_marker(const fs::path& environment) {
    // by our clock: the kernel's own times of files go by its ticks, some milliseconds, and uses may be closer than
    // that
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const std::array<timespec, 2> times{now, now};
    ::utimensat(AT_FDCWD, marker_of(environment).c_str(), times.data(), 0);
}

} // namespace linarite::environments
