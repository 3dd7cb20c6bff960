// agent/capture/file_watcher.hpp: tells when files below a folder are written, by one inotify instance for a whole
// agent.
#pragma once

#include "common/error.hpp"
#include "common/files.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <string>

namespace linarite::agent {

namespace asio = boost::asio;

enum class FileEvent {
    grown,  // written to, still open
    closed, // closed after writing, or moved here
    found,  // in a folder that is new itself: perhaps still open
    lost,   // events were lost, or a folder can't be watched: look at everything again (the name is "")
};

/// Watches trees. Must outlive its watches; all of it belongs to the event loop's thread.
class FileWatcher {
    struct State;

public:
    explicit FileWatcher(asio::any_io_executor executor);
    ~FileWatcher();
    FileWatcher(const FileWatcher&) = delete;
    FileWatcher& operator=(const FileWatcher&) = delete;

    using Listener = std::function<void(const std::string& name, FileEvent event)>;

    /// Ends with it; the listener is not called any more then.
    class Watch {
    public:
        Watch(std::weak_ptr<State> state, int tree) : state_(std::move(state)), tree_(tree) {}
        Watch(Watch&& other) noexcept : state_(std::move(other.state_)), tree_(std::exchange(other.tree_, -1)) {}
        Watch& operator=(Watch&& other) = delete;
        Watch(const Watch&) = delete;
        Watch& operator=(const Watch&) = delete;
        ~Watch();
        /// Some folder of it can't be watched (the limit of watches): the owner must look for itself now and then.
        [[nodiscard]] bool incomplete() const;

    private:
        std::weak_ptr<State> state_;
        int tree_;
    };

    /// Calls `listener` from the event loop for files below `folder` (names relative to it), in folders that are made
    /// later too. Links are not followed. Files that are there already are not told.
    Result<Watch> watch(const fs::path& folder, Listener listener);

    /// Calls the listeners now for what has happened up to now. Whoever has listed a folder knows after it that what he
    /// found there and was not told of, is older than its watch.
    void catch_up();

private:
    std::shared_ptr<State> state_;
};

} // namespace linarite::agent
