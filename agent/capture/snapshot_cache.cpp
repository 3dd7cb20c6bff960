#include "agent/capture/snapshot_cache.hpp"

#include "agent/capture/copying.hpp"
#include "agent/capture/persist.hpp"
#include "common/hash.hpp"
#include "proto/frames.hpp"
#include "proto/snapshot.hpp"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace linarite::agent {

namespace {

// Puts a snapshot together from its frames, in a folder of its own. Nothing that arrives is believed: each file must
// have the bytes of its hash, and all of them together must be the manifest whose hash is the snapshot's id.
class Assembly {
public:
    Assembly(fs::path folder, SnapshotId id) : folder_(std::move(folder)), id_(std::move(id)) {}

    Result<void> feed(std::string_view bytes) {
        const auto take = [this](std::string_view piece) {
            hash_.update(piece);
            return write_all(file_.get(), piece);
        };
        return proto::read_frames(
            reader_, bytes, [this](const proto::FrameHeader& header) { return begin(header); }, take,
            [this] { return end(); });
    }

    Result<void> finish() {
        if (!reader_.at_boundary() || file_ || proto::snapshot_id(manifest_) != id_) {
            return Error(Errc::unavailable, "snapshot '" + id_.str() + "' arrived incomplete");
        }
        return {};
    }

private:
    Result<void> begin(const proto::FrameHeader& header) {
        const auto name = parse_relative_path(header.path, "snapshot file");
        if (!name) {
            return name.error();
        }
        manifest_.files.push_back({*name, header.size, header.sha256, header.executable});
        hash_ = Sha256();
        const fs::path path = folder_ / *name;
        if (auto made = make_folders(path.parent_path()); !made) {
            return made;
        }
        const mode_t mode = header.executable ? 0755 : 0644;
        file_.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
        return file_ ? Result<void>() : errno_error("create '" + path.string() + "'", errno);
    }

    Result<void> end() {
        file_.reset();
        if (hash_.hex() != manifest_.files.back().sha256) {
            return Error(Errc::unavailable,
                         "'" + manifest_.files.back().path + "' arrived with other bytes than its SHA-256 says");
        }
        return {};
    }

    fs::path folder_;
    SnapshotId id_;
    proto::Manifest manifest_; // in the order of arrival, which is sorted
    proto::FrameReader reader_;
    UniqueFd file_;
    Sha256 hash_;
};

// Into its place; somebody else may have been quicker.
Result<void> put_in_place(const fs::path& from, const fs::path& to) {
    const UniqueFd fd(::open(from.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::syncfs(fd.get()) != 0) { // the rename must not be on disk before the files
        return errno_error("sync '" + from.string() + "'", errno);
    }
    std::error_code ec;
    if (::rename(from.c_str(), to.c_str()) != 0) {
        const int error = errno;
        const bool there = fs::is_directory(to, ec);
        fs::remove_all(from, ec);
        return there ? Result<void>() : Result<void>(errno_error("rename to '" + to.string() + "'", error));
    }
    return sync_folder(to.parent_path());
}

Result<fs::path> make_temporary(const fs::path& folder, const SnapshotId& id) {
    fs::path path = folder / (".new-" + id.str().substr(0, 12) + "-" + random_hex(6));
    if (auto made = make_folders(path); !made) {
        return made.error();
    }
    return path;
}

Result<void> make_work_dir(const fs::path& snapshot, const fs::path& work_dir) {
    std::error_code ec;
    fs::remove_all(work_dir, ec);
    if (ec) {
        return Error(Errc::internal, "remove '" + work_dir.string() + "': " + ec.message());
    }
    if (auto copied = copy_tree(snapshot, work_dir, Existing::impossible); !copied) {
        return copied;
    }
    for (const char* name : {"outputs", "logs"}) {
        if (fs::exists(fs::symlink_status(work_dir / name)) && !fs::is_directory(work_dir / name)) {
            return Error(Errc::invalid_argument,
                         "the source tree has a file '" + std::string(name) + "' where the run needs a folder");
        }
        if (auto made = make_folders(work_dir / name); !made) {
            return made;
        }
    }
    return {};
}

// A piece of the download, handed to the file thread; the next one is read when this one is written.
asio::awaitable<Result<void>> take_piece(asio::thread_pool* pool, std::shared_ptr<Assembly> assembly,
                                         std::string_view piece) {
    co_return co_await on_pool(*pool, [assembly, bytes = std::string(piece)] { return assembly->feed(bytes); });
}

} // namespace

SnapshotCache::SnapshotCache(asio::thread_pool& pool, std::shared_ptr<Coordinator> coordinator, fs::path folder)
    : pool_(pool), coordinator_(std::move(coordinator)), folder_(std::move(folder)) {}

asio::awaitable<Result<fs::path>> SnapshotCache::fetch(SnapshotId id, CancelToken cancel) {
    if (!is_sha256_hex(id.str())) {
        co_return Error(Errc::invalid_argument, "'" + id.str() + "' is not a snapshot id");
    }
    const fs::path place = folder_ / id.str();
    std::error_code ec;
    if (fs::is_directory(place, ec)) {
        co_return place;
    }
    const auto found = downloads_.find(id);
    if (found != downloads_.end()) {
        const auto running = found->second;
        while (!running->outcome) {
            co_await running->changed.wait();
        }
        co_return *running->outcome;
    }
    const auto mine = std::make_shared<Download>();
    downloads_[id] = mine;
    mine->outcome = co_await persist<fs::path>([this, id] { return download(id); }, cancel);
    downloads_.erase(id);
    mine->changed.notify();
    co_return *mine->outcome;
}

asio::awaitable<Result<fs::path>> SnapshotCache::download(SnapshotId id) {
    const auto temporary = co_await on_pool(pool_, [folder = folder_, id] { return make_temporary(folder, id); });
    if (!temporary) {
        co_return temporary.error();
    }
    const auto assembly = std::make_shared<Assembly>(*temporary, id);
    client::HttpClient::Request request;
    request.target = "/api/v1/agent/snapshots/" + id.str() + "/content";
    const auto response =
        co_await coordinator_->download(std::move(request), [pool = &pool_, assembly](std::string_view piece) {
            return take_piece(pool, assembly, piece);
        });
    Result<void> done = response ? Result<void>() : Result<void>(response.error());
    if (done) {
        done = co_await on_pool(pool_, [assembly, from = *temporary, to = folder_ / id.str()] {
            const auto complete = assembly->finish();
            return complete ? put_in_place(from, to) : complete;
        });
    }
    if (!done) {
        co_await on_pool(pool_, [from = *temporary] {
            std::error_code ec;
            return fs::remove_all(from, ec);
        });
        co_return done.error().within("fetch snapshot");
    }
    co_return folder_ / id.str();
}

asio::awaitable<Result<void>> SnapshotCache::materialise(SnapshotId id, fs::path work_dir, CancelToken cancel) {
    const auto snapshot = co_await fetch(std::move(id), std::move(cancel));
    if (!snapshot) {
        co_return snapshot.error();
    }
    co_return co_await on_pool(pool_, [from = *snapshot, work_dir] { return make_work_dir(from, work_dir); });
}

} // namespace linarite::agent
