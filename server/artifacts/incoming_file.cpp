#include "server/artifacts/beneath.hpp"
#include "server/artifacts/incoming_state.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace linarite::artifacts {

IncomingFile::State::~State() {
    if (file && !committed) {
        ::unlinkat(root.get(), temporary.c_str(), 0);
    }
}

Result<void> IncomingFile::State::start(const std::string& in, mode_t mode) {
    temporary = (in.empty() ? "" : in + "/") + make_temporary_name();
    const auto folder = make_parents(root.get(), temporary);
    if (!folder) {
        return folder.error();
    }
    const std::string name(leaf_of(temporary));
    file.reset(::openat(folder->get(), name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!file) {
        return errno_error("create '" + temporary + "' for '" + target + "'", errno);
    }
    return {};
}

std::string IncomingFile::State::place_of(const std::string& sha256) {
    return "sha256/" + sha256.substr(0, 2) + "/" + sha256;
}

namespace {

/// Like renameat, but fails with EEXIST if the new name is taken. Not every file system can do it in one step.
int rename_to_new(int from_folder, const char* from, int to_folder, const char* to) {
    const int done = ::renameat2(from_folder, from, to_folder, to, RENAME_NOREPLACE);
    if (done == 0 || (errno != EINVAL && errno != ENOSYS)) {
        return done;
    }
    return ::linkat(from_folder, from, to_folder, to, 0) == 0 ? ::unlinkat(from_folder, from, 0) : -1;
}

} // namespace

Result<void> IncomingFile::State::rename_into_place() {
    const auto folder = make_parents(root.get(), target);
    if (!folder) {
        return folder.error();
    }
    const std::string leaf(leaf_of(target));
    const int done = must_be_new ? rename_to_new(root.get(), temporary.c_str(), folder->get(), leaf.c_str())
                                 : ::renameat(root.get(), temporary.c_str(), folder->get(), leaf.c_str());
    if (done == 0) {
        committed = true;
        return {};
    }
    if (must_be_new && errno == EEXIST) {
        return Error(Errc::conflict, "'" + target + "' exists already");
    }
    if (errno == EISDIR || errno == ENOTEMPTY || errno == EEXIST) {
        return Error(Errc::conflict, "'" + target + "' is a folder");
    }
    return errno_error("rename to '" + target + "'", errno);
}

IncomingFile::IncomingFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
IncomingFile::IncomingFile(IncomingFile&&) noexcept = default;
IncomingFile& IncomingFile::operator=(IncomingFile&&) noexcept = default;
IncomingFile::~IncomingFile() = default;

Result<void> IncomingFile::append(std::string_view bytes) {
    if (state_->committed) {
        return Error(Errc::internal, "'" + state_->target + "' is already in its place");
    }
    if (auto written = write_all(state_->file.get(), bytes); !written) {
        return written.error().within("receive '" + state_->target + "'");
    }
    state_->hash.update(bytes);
    state_->size += bytes.size();
    return {};
}

std::uint64_t IncomingFile::size() const {
    return state_->size;
}

std::string IncomingFile::sha256() const {
    return state_->hash.hex();
}

void IncomingFile::must_be_new() {
    state_->must_be_new = true;
}

Result<void> IncomingFile::retarget(const std::string& name) {
    if (auto parsed = parse_relative_path(name, "file name"); !parsed) {
        return parsed.error();
    }
    state_->target = name;
    return {};
}

Result<void> IncomingFile::date_exactly() {
    std::array<timespec, 2> times{};
    times[0].tv_nsec = UTIME_OMIT;
    if (::clock_gettime(CLOCK_REALTIME, &times[1]) != 0 || ::futimens(state_->file.get(), times.data()) != 0) {
        return errno_error("date '" + state_->target + "'", errno);
    }
    return {};
}

Result<FileStamp> IncomingFile::stamp() const {
    return fresh_stamp(state_->file.get());
}

Result<void> IncomingFile::commit(bool sync) {
    State& state = *state_;
    if (state.committed) {
        return Error(Errc::internal, "'" + state.target + "' is already in its place");
    }
    if (!state.expected.empty() && sha256() != state.expected) {
        return Error(Errc::conflict, "the bytes for '" + state.expected + "' have another SHA-256");
    }
    if (state.by_content) {
        state.target = State::place_of(sha256());
    }
    if (sync) {
        must_sync(state.file.get(), state.target);
    }
    if (auto renamed = state.rename_into_place(); !renamed) {
        return renamed;
    }
    return sync ? sync_parents(state.root.get(), state.target) : Result<void>();
}

} // namespace linarite::artifacts
