// server/service/process_files.hpp: process_info.json and process_status.json among the logs of a run: which process is
// where, and what it does.
#pragma once

#include "server/service/process_picture.hpp"
#include "server/service/run_storage.hpp"

#include <boost/asio/io_context.hpp>

#include <map>
#include <optional>

namespace linarite::service {

/// Writes what it is shown. While a run changes quickly, only the newest picture of each second is written; the last
/// one always is, but for a crash. Here and not on a node, since no node knows of all processes.
class ProcessFiles {
public:
    ProcessFiles(asio::io_context& io, RunStorage& storage) : io_(io), storage_(storage) {}
    ProcessFiles(const ProcessFiles&) = delete;
    ProcessFiles& operator=(const ProcessFiles&) = delete;

    void show(ProcessPicture picture);
    /// Returns when all that was shown is written; nothing is gathered any more.
    asio::awaitable<void> finish();

private:
    asio::awaitable<void> write_all(RunId run);
    asio::awaitable<void> gather(RunId run, Millis span);
    asio::awaitable<void> write(ProcessPicture picture);
    asio::awaitable<Result<void>> write_file(RunId run, std::string path, std::string text);

    asio::io_context& io_;
    RunStorage& storage_;
    Signal shown_;
    Signal written_;
    bool finishing_ = false;
    std::map<RunId, std::optional<ProcessPicture>> pending_; // of runs that are being written
};

} // namespace linarite::service
