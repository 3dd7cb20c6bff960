#include "agent/capture/data.hpp"

#include "agent/capture/copying.hpp"
#include "agent/capture/persist.hpp"
#include "agent/capture/run_tree.hpp"
#include "async/async.hpp"
#include "common/ids.hpp"
#include "proto/json_reader.hpp"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace linarite::agent {

namespace {

using proto::DataMode;
using proto::DesiredData;
using Files = std::map<std::string, std::uint64_t>; // name -> bytes

// "/a/b/" and "./a/b" are "a/b"; "" is the whole store.
Result<std::string> path_on_datastore(const proto::DataReference& reference) {
    std::string path = reference.path_on_datastore;
    while (path.starts_with("./") || path.starts_with('/')) {
        path.erase(0, path.starts_with('/') ? 1 : 2);
    }
    while (path.ends_with('/')) {
        path.pop_back();
    }
    if (path.empty() || path == ".") {
        return std::string();
    }
    return parse_relative_path(path, "path on datastore '" + reference.datastore + "'");
}

Error missing(const std::string& datastore, const std::string& path) {
    return path.empty() ? Error(Errc::not_found, "datastore '" + datastore + "' has no folder")
                        : Error(Errc::not_found, "'" + path + "' is not on datastore '" + datastore + "'");
}

// The place on this file system, with no link in it below the datastore's own folder.
Result<fs::path> locate(const fs::path& store, const std::string& path, const std::string& datastore) {
    std::error_code ec;
    const fs::path root = fs::canonical(store, ec);
    if (ec) {
        return missing(datastore, "");
    }
    const fs::path wanted = path.empty() ? root : root / path;
    const fs::path real = fs::canonical(wanted, ec);
    if (ec) {
        return missing(datastore, path);
    }
    if (real != wanted) {
        return Error(Errc::invalid_argument,
                     "'" + path + "' on datastore '" + datastore + "' is, or lies behind, a link");
    }
    return real;
}

Result<fs::path> copy_here(const fs::path& store, const std::string& path, const std::string& datastore,
                           const fs::path& to, Existing existing) {
    const auto from = locate(store, path, datastore);
    if (!from) {
        return from.error();
    }
    std::error_code ec;
    if (fs::is_directory(*from, ec)) {
        const auto copied = copy_tree(*from, to, existing);
        return copied ? Result<fs::path>(to) : copied.error();
    }
    if (auto made = make_folders(to.parent_path()); !made) {
        return made.error();
    }
    if (existing == Existing::kept && fs::exists(to, ec)) {
        return to;
    }
    const auto copied = copy_file(*from, to, existing);
    return copied ? Result<fs::path>(to) : copied.error();
}

std::string files_target(const std::string& datastore) {
    return "/api/v1/agent/datastores/" + client::encode_part(datastore) + "/files";
}

std::string file_target(const std::string& datastore, const std::string& name) {
    return files_target(datastore).append("/").append(client::encode_path(name));
}

std::string on_store(std::string what, const std::string& name, const std::string& datastore) {
    return what.append(" '").append(name).append("' of datastore '").append(datastore).append("'");
}

// Names of the files at or below `path`, with their sizes.
asio::awaitable<Result<Files>> list_remote(std::shared_ptr<Coordinator> coordinator, std::string datastore,
                                           std::string path) {
    const auto document =
        co_await coordinator->get_json(files_target(datastore) + "?prefix=" + client::encode_part(path));
    if (!document) {
        co_return document.error();
    }
    Files out;
    std::vector<Fault> faults;
    proto::JsonReader reader(*document, "", faults);
    reader.objects("files", [&](proto::JsonReader& file) {
        const std::string name = file.required_text("path");
        const bool inside = path.empty() || name == path || name.starts_with(path + "/");
        if (inside && parse_relative_path(name, "file")) {
            out.emplace(name, file.unsigned_integer("size", 0));
        }
    });
    if (!faults.empty()) {
        co_return Error(Errc::unavailable, "the coordinator's list of files can't be read");
    }
    co_return out;
}

Result<std::shared_ptr<UniqueFd>> create(const fs::path& path) {
    if (auto made = make_folders(path.parent_path()); !made) {
        return made.error();
    }
    auto fd = std::make_shared<UniqueFd>(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    return *fd ? Result<std::shared_ptr<UniqueFd>>(fd) : errno_error("create '" + path.string() + "'", errno);
}

asio::awaitable<Result<void>> write_piece(asio::thread_pool* pool, std::shared_ptr<UniqueFd> file,
                                          std::string_view piece) {
    co_return co_await on_pool(*pool, [file, bytes = std::string(piece)] { return write_all(file->get(), bytes); });
}

// One file of a datastore, whole or not at all.
asio::awaitable<Result<bool>> fetch_file(std::shared_ptr<Coordinator> coordinator, asio::thread_pool* pool,
                                         std::string target, fs::path to, std::uint64_t size, Existing existing) {
    const fs::path part = to.string() + ".part-" + random_hex(6);
    const auto file = co_await on_pool(*pool, [part] { return create(part); });
    if (!file) {
        co_return file.error();
    }
    client::HttpClient::Request request;
    request.target = std::move(target);
    const auto response = co_await coordinator->download(
        std::move(request), [pool, fd = *file](std::string_view piece) { return write_piece(pool, fd, piece); });
    Result<void> done = response ? Result<void>() : Result<void>(response.error());
    const off_t length = ::lseek((*file)->get(), 0, SEEK_END);
    if (done && static_cast<std::uint64_t>(length) != size) {
        done = Error(Errc::unavailable, "'" + to.filename().string() + "' changed while it was fetched");
    }
    if (!done) {
        ::unlink(part.c_str());
        co_return done.error();
    }
    const auto moved = co_await on_pool(*pool, [part, to, existing] { return move_into_place(part, to, existing); });
    co_return moved ? Result<bool>(true) : Result<bool>(moved.error());
}

// Where `name`, which is at or below `path` of a datastore, goes; `to` is a folder, or the one file itself.
fs::path place_below(const fs::path& to, const std::string& path, const std::string& name, bool single) {
    if (single) {
        return to;
    }
    return to / (path.empty() ? name : name.substr(path.size() + 1));
}

// Copies what is at or below `path` to `to` through the coordinator.
asio::awaitable<Result<fs::path>> fetch_tree(std::shared_ptr<Coordinator> coordinator, asio::thread_pool* pool,
                                             proto::DataReference reference, std::string path, fs::path to,
                                             CancelToken cancel) {
    const std::string store = reference.datastore;
    const auto files =
        co_await persist<Files>([coordinator, store, path] { return list_remote(coordinator, store, path); }, cancel);
    if (!files) {
        co_return files.error().within("list datastore '" + store + "'");
    }
    if (files->empty() && !path.empty()) {
        co_return missing(store, path);
    }
    const Existing existing = reference.overwrite ? Existing::replaced : Existing::kept;
    const bool single = files->size() == 1 && files->begin()->first == path;
    if (!single) {
        const auto made = co_await on_pool(*pool, [to] { return make_folders(to); });
        if (!made) {
            co_return made.error();
        }
    }
    for (const auto& [name, size] : *files) {
        const fs::path target = place_below(to, path, name, single);
        std::error_code ec;
        if (existing == Existing::kept && fs::exists(target, ec)) {
            continue;
        }
        if (cancel.cancelled()) {
            co_return Error(Errc::conflict, "preparing data was cancelled");
        }
        const std::string address = file_target(store, name);
        const auto fetched = co_await persist<bool>(
            [coordinator, pool, address, target, length = size, existing] {
                return fetch_file(coordinator, pool, address, target, length, existing);
            },
            cancel);
        if (!fetched) {
            co_return fetched.error().within(on_store("fetch", name, store));
        }
    }
    co_return to;
}

// Reads a file in pieces of 256 KiB; each takes less than handing it to the socket, so it is done on the event loop.
client::HttpClient::Source read_pieces(std::shared_ptr<UniqueFd> file) {
    return [file]() -> Result<std::string> {
        std::string piece(std::size_t{256} << 10U, '\0');
        const ssize_t got = ::read(file->get(), piece.data(), piece.size());
        if (got < 0) {
            return errno_error("read", errno);
        }
        piece.resize(static_cast<std::size_t>(got));
        return piece;
    };
}

asio::awaitable<Result<bool>> put_file(std::shared_ptr<Coordinator> coordinator, fs::path root, std::string name,
                                       std::string target) {
    const UniqueFd base(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    auto opened = open_beneath(base.get(), name, O_RDONLY);
    if (!opened) {
        co_return opened.error();
    }
    const auto file = std::make_shared<UniqueFd>(std::move(*opened));
    client::HttpClient::Request request;
    request.method = "PUT";
    request.target = std::move(target);
    request.content_type = "application/octet-stream";
    request.timeout = std::chrono::hours(6); // a whole file, of any size
    const auto response = co_await coordinator->upload(std::move(request), read_pieces(file), -1);
    if (!response) {
        co_return response.error();
    }
    co_return response->status > 299 ? Result<bool>(error_of(*response)) : Result<bool>(true);
}

} // namespace

DataReferences::DataReferences(asio::thread_pool& pool, std::shared_ptr<Coordinator> coordinator, DataSettings settings)
    : pool_(pool), coordinator_(std::move(coordinator)), settings_(std::move(settings)) {}

bool DataReferences::sees(const DesiredData& data) const {
    return data.shared || (!settings_.host_id.empty() && settings_.host_id == settings_.coordinator_host_id);
}

Result<fs::path> DataReferences::place_of(const DesiredData& data) const {
    const proto::DataReference& reference = data.reference;
    if (!reference.path_on_compute.empty()) {
        const fs::path path = reference.path_on_compute;
        if (path.is_absolute()) {
            return path;
        }
        auto relative = parse_relative_path(reference.path_on_compute, "pathOnCompute of '" + reference.name + "'");
        return relative ? Result<fs::path>(settings_.work_dir / *relative) : relative.error();
    }
    const auto path = path_on_datastore(reference);
    if (!path) {
        return path.error();
    }
    const fs::path below = path->empty() ? fs::path(reference.datastore) : fs::path(reference.datastore) / *path;
    return (reference.mode == DataMode::mount ? settings_.scratch : settings_.work_dir) / below;
}

asio::awaitable<Result<fs::path>> DataReferences::provide(DesiredData data, CancelToken cancel) {
    const proto::DataReference& reference = data.reference;
    const auto path = path_on_datastore(reference);
    if (!path) {
        co_return path.error();
    }
    if (reference.mode == DataMode::mount && sees(data)) {
        co_return co_await on_pool(pool_, [store = data.datastore_path, at = *path, name = reference.datastore] {
            return locate(store, at, name);
        });
    }
    const auto place = place_of(data);
    if (!place) {
        co_return place.error();
    }
    if (reference.mode == DataMode::upload) {
        const auto made = co_await on_pool(pool_, [to = *place] { return make_folders(to); });
        co_return made ? Result<fs::path>(*place) : made.error();
    }
    if (sees(data)) {
        const Existing existing = reference.overwrite ? Existing::replaced : Existing::kept;
        co_return co_await on_pool(pool_, [store = data.datastore_path, at = *path, name = reference.datastore,
                                           to = *place, existing] { return copy_here(store, at, name, to, existing); });
    }
    co_return co_await fetch_tree(coordinator_, &pool_, reference, *path, *place, std::move(cancel));
}

asio::awaitable<Result<std::map<std::string, std::string>>> DataReferences::prepare(CancelToken cancel) {
    std::map<std::string, std::string> out;
    for (const DesiredData& data : settings_.data) {
        const auto path = co_await provide(data, cancel);
        if (!path) {
            co_return path.error().within("data reference '" + data.reference.name + "'");
        }
        out[data.reference.name] = path->string();
    }
    co_return out;
}

asio::awaitable<Result<void>> DataReferences::finish(CancelToken cancel) {
    for (const DesiredData& data : settings_.data) {
        if (data.reference.mode != DataMode::upload) {
            continue;
        }
        const auto sent = co_await send_back(data, cancel);
        if (!sent) {
            co_return sent.error().within("data reference '" + data.reference.name + "'");
        }
    }
    co_return Result<void>();
}

asio::awaitable<Result<void>> DataReferences::send_back(DesiredData data, CancelToken cancel) {
    const proto::DataReference& reference = data.reference;
    const auto path = path_on_datastore(reference);
    const auto place = place_of(data);
    if (!path || !place) {
        co_return path ? place.error() : path.error();
    }
    const RunTree tree{*place, "", path->empty() ? "data" : *path, Manner::whole, false};
    const Listing listing = co_await on_pool(pool_, [tree] { return list_tree(tree, 1'000'000); });
    for (const std::string& line : listing.left_out) {
        settings_.warn("warning: " + line);
    }
    const std::string store = reference.datastore;
    const auto there = reference.overwrite || listing.files.empty()
                           ? Result<Files>(Files())
                           : co_await persist<Files>([coordinator = coordinator_, store,
                                                      at = *path] { return list_remote(coordinator, store, at); },
                                                     cancel, std::chrono::hours(24));
    if (!there) {
        co_return there.error();
    }
    for (const FoundFile& file : listing.files) {
        const auto name = path->empty() ? parse_relative_path(file.name, "file") : artifact_name(*path, file.name);
        if (!name || there->contains(*name)) {
            settings_.warn(name ? "warning: '" + *name + "' is on datastore '" + store +
                                      "' already and stays as it is (overwrite is off)"
                                : "warning: not uploaded: " + name.error().detail());
            continue;
        }
        const std::string target = file_target(store, *name);
        const auto sent = co_await persist<bool>(
            [coordinator = coordinator_, root = *place, local = file.name, target] {
                return put_file(coordinator, root, local, target);
            },
            cancel, std::chrono::hours(24)); // what the run made is not given up because the coordinator is away
        if (!sent) {
            co_return sent.error().within(on_store("upload", *name, store));
        }
    }
    co_return Result<void>();
}

} // namespace linarite::agent
