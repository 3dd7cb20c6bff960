// agent/trash.hpp: folders of runs that are over, on their way out.
#pragma once

#include "common/error.hpp"

#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <filesystem>
#include <memory>

namespace linarite::agent {

/// Takes a folder out of its place at once and removes it later, on a thread of its own that gives way to all others:
/// runs that start just now are more urgent. What is left when the agent ends, the next one removes.
class Trash {
public:
    /// `folder` must be on the same file system as what is put into it; it is made if it is not there.
    explicit Trash(std::filesystem::path folder);
    ~Trash();
    Trash(const Trash&) = delete;
    Trash& operator=(const Trash&) = delete;

    /// resource_exhausted if too much waits already: the caller then has to remove it, and by that to wait.
    Result<void> put(const std::filesystem::path& folder);

private:
    void remove_later(std::filesystem::path entry);
    std::filesystem::path folder_;
    std::shared_ptr<std::atomic<bool>> ending_ = std::make_shared<std::atomic<bool>>(false);
    std::shared_ptr<std::atomic<int>> waiting_ = std::make_shared<std::atomic<int>>(0);
    boost::asio::thread_pool remover_{1};
};

} // namespace linarite::agent
