// What there is to send: files that were written, closed, or found.
#include "agent/capture/capture_core.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <numeric>

namespace linarite::agent {

bool DirtyFiles::add(const FileKey& key) {
    const bool is_new = known_.insert(key).second;
    if (is_new) {
        order_.push_back(key);
    }
    return is_new;
}

void DirtyFiles::put_back(const std::vector<FileKey>& keys) {
    for (auto key = keys.rbegin(); key != keys.rend(); ++key) {
        if (known_.insert(*key).second) {
            order_.push_front(*key);
        }
    }
}

FileKey DirtyFiles::take() {
    FileKey key = std::move(order_.front());
    order_.pop_front();
    known_.erase(key);
    return key;
}

void DirtyFiles::forget_tree(std::size_t tree) {
    const auto in_tree = [tree](const FileKey& key) { return key.tree == tree; };
    std::erase_if(order_, in_tree);
    std::erase_if(known_, in_tree);
}

void CaptureCore::warn(const std::string& line) const {
    if (settings_.warn) {
        settings_.warn(line);
    }
}

void CaptureCore::warn_limit() {
    if (!warned_limit_) {
        warned_limit_ = true;
        warn("warning: the run has over " + std::to_string(settings_.most_files) + " files: the others are left out");
    }
}

// The file's state; nothing if it is left out.
FileState* CaptureCore::state_of(const FileKey& key) {
    auto at = files_.find(key);
    if (at == files_.end()) {
        if (files_.size() >= settings_.most_files) {
            warn_limit();
            return nullptr;
        }
        at = files_.emplace(key, FileState{}).first;
        auto name = artifact_name(trees_[key.tree].prefix, key.name);
        if (name) {
            at->second.is_text = *name == trees_[key.tree].prefix + "/" + key.name;
            at->second.artifact = std::move(*name);
        } else {
            at->second.left_out = true;
            warn("warning: a file is left out: " + name.error().detail());
        }
    }
    return at->second.left_out ? nullptr : &at->second;
}

void CaptureCore::mark(const FileKey& key) {
    if (state_of(key) != nullptr && dirty_.add(key)) {
        changed_.notify();
    }
}

// The other nodes are to get it, if there are any that have not this directory.
void CaptureCore::close(const FileKey& key, Closed how) {
    FileState* state = state_of(key);
    if (state != nullptr && settings_.foreign && key.tree > 0 && state->is_text) {
        state->closing = std::max(state->closing, how);
    }
}

std::optional<Stamp> CaptureCore::foreign_stamp(std::size_t tree, const FileState& state) const {
    const auto* file = settings_.foreign && tree > 0 ? settings_.foreign->find(state.artifact) : nullptr;
    return file != nullptr ? std::optional(file->stamp) : std::nullopt;
}

void CaptureCore::on_event(std::size_t tree, const std::string& name, FileEvent event) {
    const FileKey key{tree, name};
    const bool hidden = trees_[tree].skip_hidden && (name.starts_with('.') || name.find("/.") != std::string::npos);
    if (event == FileEvent::lost) {
        lost_ = true;
        arm();
    } else if (hidden) {
        return;
    } else if (event == FileEvent::closed || event == FileEvent::found) {
        open_.erase(key);
        close(key, event == FileEvent::closed ? Closed::likely : Closed::unknown);
        mark(key);
    } else if (trees_[tree].manner == Manner::growing) {
        mark(key);
    } else {
        open_.insert(key);
        arm();
    }
}

void CaptureCore::watch(std::size_t tree) {
    const fs::path folder = trees_[tree].base / trees_[tree].folder;
    auto made = make_folders(folder); // a folder that is watched must be there before the script makes it
    auto listener = [weak = weak_from_this(), tree](const std::string& name, FileEvent event) {
        if (const auto self = weak.lock()) {
            self->on_event(tree, name, event);
        }
    };
    auto watched = made ? watcher_.watch(folder, std::move(listener)) : Result<FileWatcher::Watch>(made.error());
    if (watched) {
        watches_.push_back(std::move(*watched));
    } else {
        warn("warning: '" + trees_[tree].prefix + "' is not followed live: " + watched.error().detail());
    }
}

// Only while an output stays open, or events can't be had: nothing is looked at by the clock otherwise.
void CaptureCore::arm() {
    if (ticking_ || stopped_ || !live_) {
        return;
    }
    ticking_ = true;
    tick_.expires_after(settings_.open_outputs);
    tick_.async_wait([weak = weak_from_this()](const boost::system::error_code& error) {
        if (const auto self = weak.lock(); self && !error && !self->stopped_) {
            self->ticking_ = false;
            self->on_tick();
        }
    });
}

bool CaptureCore::is_blind() const {
    return settings_.written_from_elsewhere ||
           std::any_of(watches_.begin(), watches_.end(), [](const auto& watch) { return watch.incomplete(); });
}

void CaptureCore::on_tick() {
    for (const FileKey& key : open_) {
        mark(key);
    }
    const bool blind = is_blind();
    if (blind || lost_) {
        lost_ = false;
        look();
    }
    if (!open_.empty() || blind) {
        arm();
    }
}

void CaptureCore::look() {
    asio::co_spawn(executor_, look_at_all(shared_from_this()), [](std::exception_ptr bug) {
        if (bug) {
            spdlog::error("capture: looking at a run's files failed unexpectedly");
        }
    });
}

asio::awaitable<void> CaptureCore::look_at_all(std::shared_ptr<CaptureCore> self) {
    std::vector<std::size_t> all(self->trees_.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    co_await list(self, std::move(all), false);
}

// Marks what has changed since it was sent, or all that is not complete if it is to be `final`.
asio::awaitable<void> CaptureCore::list(std::shared_ptr<CaptureCore> self, std::vector<std::size_t> which, bool final) {
    auto look = [which, trees = self->trees_owned_, most = self->settings_.most_files] {
        std::vector<Listing> out;
        out.reserve(which.size());
        for (const std::size_t tree : which) {
            out.push_back(list_tree((*trees)[tree], most));
        }
        return out;
    };
    const std::vector<Listing> listings = co_await on_pool(self->pool_, std::move(look));
    if (!final && !self->live_) {
        co_return; // the end has begun meanwhile, and lists everything itself
    }
    if (!final) {
        // the list is not of one moment: of two files that were written meanwhile it may have the later one alone
        self->watcher_.catch_up();
    }
    self->take_listings(which, listings, final);
}

void CaptureCore::take_listings(const std::vector<std::size_t>& which, const std::vector<Listing>& listings,
                                bool final) {
    std::vector<std::pair<std::size_t, const FoundFile*>> found;
    for (std::size_t i = 0; i < which.size(); ++i) {
        if (final) {
            for (const std::string& line : listings[i].left_out) {
                warn("warning: " + line);
            }
        }
        if (listings[i].over_limit) {
            warn_limit();
        }
        for (const FoundFile& file : listings[i].files) {
            found.emplace_back(which[i], &file);
        }
    }
    // the order in which they were closed is known by this alone
    std::ranges::stable_sort(found, {}, [](const auto& entry) { return entry.second->stamp.modified; });
    for (const auto& [tree, file] : found) {
        take_found(tree, *file, final);
    }
}

void CaptureCore::take_found(std::size_t tree, const FoundFile& found, bool final) {
    const FileKey key{tree, found.name};
    FileState* state = state_of(key);
    if (state == nullptr || foreign_stamp(tree, *state) == found.stamp) {
        return;
    }
    if (final) {
        state->refusals = 0;
    }
    const bool told = state->told || !settings_.foreign || tree == 0 || !state->is_text;
    const bool same = state->last == found.stamp && (!final || told);
    const bool shows = found.stamp.size > 0 || trees_[tree].manner == Manner::whole || (settings_.foreign && tree > 0);
    if (final ? !(state->done && same) : !same && shows) {
        state->done = false;
        close(key, Closed::unknown);
        mark(key);
    }
}

} // namespace linarite::agent
