#include "agent/shim/facts.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

namespace linarite::shim {

namespace {

std::int64_t clock_us(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
}

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = ::write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return false;
        }
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

bool sync_folder(const std::string& folder) {
    const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const bool ok = ::fsync(fd) == 0;
    ::close(fd);
    return ok;
}

std::string time_text() {
    const std::int64_t us = wall_us();
    const time_t seconds = us / 1'000'000;
    struct tm parts {};
    ::gmtime_r(&seconds, &parts);
    std::array<char, 40> text{};
    const std::size_t n = ::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
    const auto millis = std::to_string(1'000 + us % 1'000'000 / 1'000);
    return std::string(text.data(), n) + "." + millis.substr(1) + "Z";
}

} // namespace

std::int64_t wall_us() {
    return clock_us(CLOCK_REALTIME);
}
std::int64_t steady_ms() {
    return clock_us(CLOCK_MONOTONIC) / 1'000;
}

bool write_fact(const std::string& folder, const std::string& name, const Json& fact, bool durable) {
    const std::string path = folder + "/" + name;
    const std::string temporary = folder + "/." + name + "." + std::to_string(::getpid());
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    const std::string bytes = fact.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    bool ok = write_all(fd, bytes) && (!durable || ::fsync(fd) == 0);
    ok = ::close(fd) == 0 && ok;
    ok = ok && ::rename(temporary.c_str(), path.c_str()) == 0 && (!durable || sync_folder(folder));
    if (!ok) {
        const int kept = errno;
        ::unlink(temporary.c_str());
        errno = kept;
    }
    return ok;
}

int open_log(const std::string& path) {
    // readable too: whether the last line was ended is asked of the file itself
    return ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

void write_before(int log, const LogLines& lines) {
    std::string text;
    for (const auto& line : lines.before) {
        text += "[" + time_text() + "] " + line + "\n";
    }
    static_cast<void>(write_all(log, text)); // a full disk must not keep the run from its exit fact
}

void write_line(int log, std::string line) {
    struct stat about {};
    char last = '\n';
    if (::fstat(log, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0) {
        static_cast<void>(::pread(log, &last, 1, about.st_size - 1));
    }
    line = (last == '\n' ? "[" : "\n[") + time_text() + "] " + line + "\n";
    static_cast<void>(write_all(log, line));
}

void write_after(int log, const LogLines& lines, int exit_code, int signal) {
    std::string line = signal == 0 && exit_code == 0 ? lines.success : lines.failure;
    if (line.empty()) {
        return;
    }
    constexpr std::string_view placeholder = "{code}";
    if (const auto at = line.find(placeholder); at != std::string::npos) {
        line.replace(at, placeholder.size(), std::to_string(signal != 0 ? -signal : exit_code));
    }
    write_line(log, line);
}

std::int64_t oom_kills() {
    const std::string text = slurp("/proc/vmstat");
    constexpr std::string_view key = "\noom_kill ";
    const auto at = text.find(key);
    return at == std::string::npos ? 0 : std::strtoll(text.c_str() + at + key.size(), nullptr, 10);
}

std::string boot_id() {
    std::string id = slurp("/proc/sys/kernel/random/boot_id");
    while (!id.empty() && id.back() == '\n') {
        id.pop_back();
    }
    return id;
}

std::uint64_t start_time(int pid) {
    const std::string text = slurp("/proc/" + std::to_string(pid) + "/stat");
    auto at = text.rfind(')'); // a program's name may hold anything, also ')'
    if (at == std::string::npos) {
        return 0;
    }
    for (int field = 2; field < 22 && at != std::string::npos; ++field) {
        at = text.find(' ', at + 1);
    }
    return at == std::string::npos ? 0 : std::strtoull(text.c_str() + at + 1, nullptr, 10);
}

} // namespace linarite::shim
