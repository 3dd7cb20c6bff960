#include "common/host.hpp"

#include "common/files.hpp"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/sysinfo.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace linarite {

std::string boot_id() {
    auto text = read_file("/proc/sys/kernel/random/boot_id");
    std::string id = text ? *text : "unknown";
    while (!id.empty() && id.back() == '\n') {
        id.pop_back();
    }
    return id;
}

std::string host_id() {
    std::error_code ec;
    return boot_id() + "/" + fs::read_symlink("/proc/self/ns/mnt", ec).string();
}

std::string host_name() {
    std::array<char, 256> name{};
    return ::gethostname(name.data(), name.size() - 1) == 0 ? std::string(name.data()) : "localhost";
}

int core_count() {
    return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

std::uint64_t memory_bytes() {
    struct sysinfo info {};
    return ::sysinfo(&info) == 0 ? static_cast<std::uint64_t>(info.totalram) * info.mem_unit : 0;
}

std::filesystem::path own_executable() {
    std::error_code ec;
    return fs::read_symlink("/proc/self/exe", ec);
}

Result<FileLock> FileLock::take(const std::filesystem::path& path) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!fd) {
        return errno_error("open '" + path.string() + "'", errno);
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        const auto holder = read_file(path);
        return Error(Errc::conflict, "'" + path.string() + "' is locked by process " + (holder ? *holder : "unknown"));
    }
    const std::string pid = std::to_string(::getpid());
    if (::ftruncate(fd.get(), 0) != 0) {
        return errno_error("truncate '" + path.string() + "'", errno);
    }
    if (auto written = write_all(fd.get(), pid); !written) {
        return written.error();
    }
    return FileLock(fd.release());
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
}

FileLock::~FileLock() {
    if (fd_ >= 0) {
        ::close(fd_);
    }
}

} // namespace linarite
