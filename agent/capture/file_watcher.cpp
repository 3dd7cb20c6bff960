#include "agent/capture/file_watcher.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <map>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace linarite::agent {

namespace {

constexpr std::uint32_t wanted_events =
    IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK;

std::string join(const std::string& folder, const std::string& name) {
    return folder.empty() ? name : folder + "/" + name;
}

} // namespace

struct FileWatcher::State {
    State(const asio::any_io_executor& executor, int fd) : inotify(executor, fd) {}

    struct Tree {
        fs::path root;
        Listener listener;
        bool incomplete = false;
        std::map<std::string, int> folders; // relative name -> watch
    };
    struct Place {
        int tree = -1;
        std::string folder;
    };

    asio::posix::stream_descriptor inotify;
    std::map<int, Tree> trees;
    // One folder may belong to several trees, and inotify gives one watch for it.
    std::multimap<int, Place> places; // by watch
    int next_tree = 0;
    bool usable = true;

    // Watches the folder and those below it. In a folder that appeared while we looked elsewhere nothing may be missed,
    // so its files are told as found after the watch is there.
    void add_folder(int id, const std::string& folder, bool tell) {
        const auto tree = trees.find(id);
        if (tree == trees.end()) {
            return;
        }
        const fs::path path = folder.empty() ? tree->second.root : tree->second.root / folder;
        const int watch = usable ? ::inotify_add_watch(inotify.native_handle(), path.c_str(), wanted_events) : -1;
        if (watch < 0) {
            if (!usable || (errno != ENOENT && errno != ENOTDIR)) {
                tree->second.incomplete = true;
            }
        } else {
            tree->second.folders[folder] = watch;
            place(watch, id, folder);
        }
        std::error_code ec;
        std::vector<std::string> names;
        for (const auto& entry : fs::directory_iterator(path, ec)) {
            const std::string name = join(folder, entry.path().filename().string());
            if (entry.is_symlink(ec)) {
                continue;
            }
            if (entry.is_directory(ec)) {
                add_folder(id, name, tell);
            } else if (tell) {
                names.push_back(name);
            }
        }
        for (const std::string& name : names) {
            tell_tree(id, name, FileEvent::found);
        }
    }

    void place(int watch, int id, const std::string& folder) {
        const auto [first, last] = places.equal_range(watch);
        for (auto at = first; at != last; ++at) {
            if (at->second.tree == id) {
                at->second.folder = folder; // it was renamed
                return;
            }
        }
        places.emplace(watch, Place{id, folder});
    }

    void tell_tree(int id, const std::string& name, FileEvent event) {
        if (const auto tree = trees.find(id); tree != trees.end()) {
            const Listener listener = tree->second.listener; // it may end the watch
            listener(name, event);
        }
    }

    void remove_tree(int id) {
        const auto tree = trees.find(id);
        if (tree == trees.end()) {
            return;
        }
        for (const auto& [folder, watch] : tree->second.folders) {
            const auto [first, last] = places.equal_range(watch);
            for (auto at = first; at != last; ++at) {
                if (at->second.tree == id) {
                    places.erase(at);
                    break;
                }
            }
            if (!places.contains(watch)) {
                ::inotify_rm_watch(inotify.native_handle(), watch);
            }
        }
        trees.erase(tree);
    }

    void on_event(const inotify_event& event, const std::string& name) {
        if ((event.mask & IN_Q_OVERFLOW) != 0) {
            std::vector<int> all;
            all.reserve(trees.size());
            for (const auto& [id, tree] : trees) {
                all.push_back(id);
            }
            for (const int id : all) {
                add_folder(id, "", false);
                tell_tree(id, "", FileEvent::lost);
            }
            return;
        }
        if ((event.mask & IN_IGNORED) != 0) {
            places.erase(event.wd);
            return;
        }
        std::vector<Place> told;
        const auto [first, last] = places.equal_range(event.wd);
        for (auto at = first; at != last; ++at) {
            told.push_back(at->second);
        }
        for (const Place& at : told) {
            const std::string full = join(at.folder, name);
            if ((event.mask & IN_ISDIR) != 0) {
                if ((event.mask & (IN_CREATE | IN_MOVED_TO)) != 0) {
                    add_folder(at.tree, full, true);
                }
            } else if ((event.mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) != 0) {
                tell_tree(at.tree, full, FileEvent::closed);
            } else if ((event.mask & IN_MODIFY) != 0) {
                tell_tree(at.tree, full, FileEvent::grown);
            }
        }
    }

    /// As many as are read at once; gives how many bytes those were.
    std::size_t take_events() {
        alignas(inotify_event) std::array<char, 65536> buffer{};
        const ssize_t got = ::read(inotify.native_handle(), buffer.data(), buffer.size());
        const auto size = static_cast<std::size_t>(std::max<ssize_t>(got, 0));
        for (std::size_t at = 0; at + sizeof(inotify_event) <= size;) {
            inotify_event event{};
            std::memcpy(&event, buffer.data() + at, sizeof event);
            const char* name = buffer.data() + at + sizeof event;
            on_event(event, std::string(name, ::strnlen(name, event.len)));
            at += sizeof event + event.len;
        }
        return size;
    }

    // Waits instead of reading: whoever reads in between must not get later events than what we have in our hands.
    static asio::awaitable<void> await_events(std::shared_ptr<State> self) {
        for (;;) {
            const auto [error] = co_await self->inotify.async_wait(asio::posix::stream_descriptor::wait_read,
                                                                   asio::as_tuple(asio::use_awaitable));
            if (error) {
                co_return;
            }
            self->take_events();
        }
    }
};

FileWatcher::FileWatcher(asio::any_io_executor executor) {
    const int fd = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd >= 0) {
        state_ = std::make_shared<State>(executor, fd);
        asio::co_spawn(executor, State::await_events(state_),
                       asio::detached); // ends when the instance is closed, can't fail
    } else {
        // the limit of instances: every watch is incomplete, so their owners look for themselves
        state_ = std::make_shared<State>(executor, ::open("/dev/null", O_RDONLY | O_CLOEXEC));
        state_->usable = false;
    }
}

FileWatcher::~FileWatcher() {
    state_->trees.clear();
    state_->inotify.close();
}

Result<FileWatcher::Watch> FileWatcher::watch(const fs::path& folder, Listener listener) {
    std::error_code ec;
    if (!fs::is_directory(folder, ec)) {
        return Error(Errc::not_found, "'" + folder.string() + "' is not a folder");
    }
    const int id = state_->next_tree++;
    state_->trees[id] = State::Tree{folder, std::move(listener), false, {}};
    state_->add_folder(id, "", false);
    return Watch(state_, id);
}

void FileWatcher::catch_up() {
    int waiting = 0; // bytes; what comes while we read is left, since it may never end
    if (!state_->usable || ::ioctl(state_->inotify.native_handle(), FIONREAD, &waiting) != 0) {
        return;
    }
    for (auto left = static_cast<std::size_t>(waiting); left > 0;) {
        const std::size_t taken = state_->take_events();
        left = taken == 0 ? 0 : left - std::min(left, taken);
    }
}

FileWatcher::Watch::~Watch() {
    if (const auto state = state_.lock(); state && tree_ >= 0) {
        state->remove_tree(tree_);
    }
}

bool FileWatcher::Watch::incomplete() const {
    const auto state = state_.lock();
    if (!state) {
        return true;
    }
    const auto tree = state->trees.find(tree_);
    return tree == state->trees.end() || tree->second.incomplete;
}

} // namespace linarite::agent
