#include "server/artifacts/beneath.hpp"
#include "server/artifacts/incoming_state.hpp"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
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

Result<void> IncomingFile::State::rename_into_place() {
    const auto folder = make_parents(root.get(), target);
    if (!folder) {
        return folder.error();
    }
    if (::renameat(root.get(), temporary.c_str(), folder->get(), std::string(leaf_of(target)).c_str()) == 0) {
        committed = true;
        return {};
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

Result<void> IncomingFile::commit(bool sync) {
    State& state = *state_;
    if (state.committed) {
        return Error(Errc::internal, "'" + state.target + "' is already in its place");
    }
    if (!state.expected.empty() && sha256() != state.expected) {
        return Error(Errc::conflict, "the bytes for '" + state.expected + "' have another SHA-256");
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
