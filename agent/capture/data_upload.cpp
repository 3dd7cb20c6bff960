#include "agent/capture/data_upload.hpp"

#include "agent/capture/persist.hpp"
#include "agent/capture/remote_data.hpp"
#include "agent/capture/run_tree.hpp"
#include "common/tree_walk.hpp"
#include "proto/json_reader.hpp"

#include <cerrno>
#include <fcntl.h>
#include <set>
#include <unistd.h>
#include <vector>

namespace linarite::agent {

namespace {

using Names = std::set<std::string>;

constexpr std::size_t most_files = 1'000'000;
constexpr std::size_t most_warnings = 100;
// What the run made is not given up because the coordinator is away.
constexpr Millis patience = std::chrono::hours(24);

struct Found {
    std::shared_ptr<UniqueFd> folder; // that was listed, whatever its name stands for later
    std::vector<std::string> files;   // bytes as they are
    std::vector<std::string> left_out;
};

Result<UniqueFd> open_folder(const fs::path& base, const std::string& folder) {
    UniqueFd root(::open(base.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!root) {
        const bool link = errno == ELOOP || errno == ENOTDIR;
        return link ? Error(Errc::invalid_argument, "'" + base.string() + "' is not a folder")
                    : errno_error("open '" + base.string() + "'", errno);
    }
    return folder.empty() ? Result<UniqueFd>(std::move(root))
                          : open_beneath(root.get(), folder, O_RDONLY | O_DIRECTORY);
}

Result<Found> find_files(const fs::path& base, const std::string& folder) {
    Found found;
    auto opened = open_folder(base, folder);
    if (!opened && opened.error().code() == Errc::internal) {
        return opened.error();
    }
    if (!opened) {
        std::error_code ec;
        if (fs::exists(fs::symlink_status(base / folder, ec))) {
            found.left_out.push_back("'" + folder +
                                     "' is, or lies behind, a link or a file: nothing of it is uploaded");
        }
        return found;
    }
    found.folder = std::make_shared<UniqueFd>(std::move(*opened));
    TreeVisitor visitor;
    visitor.file = [&](const std::string& name, const FileStamp&) {
        found.files.push_back(name);
        return found.files.size() <= most_files;
    };
    visitor.odd = [&](const std::string& name, const char* why) {
        if (found.left_out.size() < most_warnings) {
            const auto printable = artifact_name("data", name);
            found.left_out.push_back("left out '" + (printable ? *printable : "data/...") + "': " + why);
        }
    };
    if (auto walked = walk_tree(found.folder->get(), "", visitor); !walked) {
        return walked.error();
    }
    if (found.files.size() > most_files) {
        return Error(Errc::too_large, "more than " + std::to_string(most_files) + " files");
    }
    return found;
}

// Names of the files at or below `path`.
asio::awaitable<Result<Names>> list_names(std::shared_ptr<Coordinator> coordinator, std::string datastore,
                                          std::string path) {
    const auto document =
        co_await coordinator->get_json(datastore_target(datastore) + "/files?prefix=" + client::encode_part(path));
    if (!document) {
        co_return document.error();
    }
    Names names;
    std::vector<Fault> faults;
    proto::JsonReader reader(*document, "", faults);
    reader.objects("files", [&](proto::JsonReader& file) { names.insert(file.required_text("path")); });
    co_return faults.empty() ? Result<Names>(names)
                             : Error(Errc::unavailable, "the coordinator's list of files can't be read");
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

asio::awaitable<Result<bool>> put_file(std::shared_ptr<Coordinator> coordinator, std::shared_ptr<UniqueFd> folder,
                                       std::string name, std::string target, bool overwrite) {
    auto opened = open_beneath(folder->get(), name, O_RDONLY);
    if (!opened) {
        co_return opened.error();
    }
    client::HttpClient::Request request;
    request.method = "PUT";
    request.target = std::move(target);
    request.content_type = "application/octet-stream";
    request.timeout = std::chrono::hours(6); // a whole file, of any size
    if (!overwrite) {
        request.headers["If-None-Match"] = "*";
    }
    const auto file = std::make_shared<UniqueFd>(std::move(*opened));
    const auto response = co_await coordinator->upload(std::move(request), read_pieces(file), -1);
    if (!response) {
        co_return response.error();
    }
    co_return response->status > 299 ? Result<bool>(error_of(*response)) : Result<bool>(true);
}

std::string stays(const std::string& name, const std::string& datastore) {
    return "warning: '" + name + "' is on datastore '" + datastore + "' already and stays as it is (overwrite is off)";
}

asio::awaitable<Result<void>> send_all(std::shared_ptr<Coordinator> coordinator, Found found, Names there,
                                       DataUpload upload, CancelToken cancel) {
    for (const std::string& local : found.files) {
        const auto name = upload.path.empty() ? parse_relative_path(local, "file") : artifact_name(upload.path, local);
        if (!name || there.contains(*name)) {
            upload.warn(name ? stays(*name, upload.datastore) : "warning: not uploaded: " + name.error().detail());
            continue;
        }
        const std::string target = datastore_target(upload.datastore) + "/files/" + client::encode_path(*name);
        const auto sent = co_await persist<bool>(
            [coordinator, folder = found.folder, local, target, overwrite = upload.overwrite] {
                return put_file(coordinator, folder, local, target, overwrite);
            },
            cancel, patience);
        if (!sent && sent.error().code() == Errc::conflict && !upload.overwrite) {
            upload.warn(stays(*name, upload.datastore)); // it came there meanwhile
        } else if (!sent) {
            co_return sent.error().within("upload '" + *name + "' of datastore '" + upload.datastore + "'");
        }
    }
    co_return Result<void>();
}

} // namespace

asio::awaitable<Result<void>> send_data(asio::thread_pool& pool, std::shared_ptr<Coordinator> coordinator,
                                        DataUpload upload, CancelToken cancel) {
    auto found =
        co_await on_pool(pool, [base = upload.base, folder = upload.folder] { return find_files(base, folder); });
    if (!found) {
        co_return found.error();
    }
    for (const std::string& line : found->left_out) {
        upload.warn("warning: " + line);
    }
    Names there;
    if (!upload.overwrite && !found->files.empty()) {
        auto listed = co_await persist<Names>([coordinator, store = upload.datastore,
                                               path = upload.path] { return list_names(coordinator, store, path); },
                                              cancel, patience);
        if (!listed) {
            co_return listed.error();
        }
        there = std::move(*listed);
    }
    co_return co_await send_all(std::move(coordinator), std::move(*found), std::move(there), std::move(upload), cancel);
}

} // namespace linarite::agent
