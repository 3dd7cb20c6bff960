#include "agent/capture/data.hpp"

#include "agent/capture/data_upload.hpp"
#include "agent/capture/local_data.hpp"
#include "agent/capture/remote_data.hpp"
#include "async/async.hpp"

namespace linarite::agent {

namespace {

using proto::DataMode;
using proto::DesiredData;

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

std::string what_it_is(const proto::DataReference& reference) {
    return "pathOnCompute of '" + reference.name + "'";
}

bool is_absolute(const proto::DataReference& reference) {
    return reference.path_on_compute.starts_with('/');
}

// Below the working directory: what the user said, or the datastore's name and the path there.
Result<std::string> relative_place(const proto::DataReference& reference, const std::string& path) {
    if (!reference.path_on_compute.empty()) {
        return parse_relative_path(reference.path_on_compute, what_it_is(reference));
    }
    return path.empty() ? reference.datastore : reference.datastore + "/" + path;
}

Existing wanted(const proto::DataReference& reference) {
    return reference.overwrite ? Existing::replaced : Existing::kept;
}

} // namespace

DataReferences::DataReferences(asio::thread_pool& pool, std::shared_ptr<Coordinator> coordinator, DataCache& cache,
                               DataSettings settings)
    : pool_(pool), coordinator_(std::move(coordinator)), cache_(cache), settings_(std::move(settings)) {}

bool DataReferences::sees(const DesiredData& data) const {
    return data.shared || (!settings_.host_id.empty() && settings_.host_id == settings_.coordinator_host_id);
}

// Of a download or an upload.
asio::awaitable<Result<fs::path>> DataReferences::place_of(proto::DataReference reference, std::string path) {
    if (is_absolute(reference)) {
        const fs::path place = reference.path_on_compute;
        const auto checked =
            co_await on_pool(pool_, [place, what = what_it_is(reference)] { return check_data_path(place, what); });
        co_return checked ? Result<fs::path>(place) : checked.error();
    }
    const auto relative = relative_place(reference, path);
    co_return relative ? Result<fs::path>(settings_.work_dir / *relative) : relative.error();
}

// Scripts may know the place by its name instead of asking for it.
asio::awaitable<Result<void>> DataReferences::link_mount(proto::DataReference reference, fs::path target) {
    const auto place = co_await place_of(reference, "");
    if (!place) {
        co_return place.error();
    }
    // one that outlives the run must tell the next one that it is left over: by what it leads over
    const fs::path over = is_absolute(reference) ? settings_.scratch / ".links" / reference.name : fs::path();
    co_return co_await on_pool(pool_, [place = *place, target, over, work = settings_.work] {
        if (over.empty()) {
            return link_data(place, target, work);
        }
        const auto linked = link_data(over, target, work);
        return linked ? link_data(place, over, work) : linked;
    });
}

asio::awaitable<Result<fs::path>> DataReferences::mount(DesiredData data, std::string path, CancelToken cancel) {
    const proto::DataReference& reference = data.reference;
    fs::path found;
    if (sees(data)) {
        const DataPlace place{reference.datastore, data.datastore_path, path};
        const auto located = co_await on_pool(pool_, [place] { return locate_data(place); });
        if (!located) {
            co_return located.error();
        }
        found = *located;
    } else {
        found = settings_.scratch / reference.name / reference.datastore / path;
        found = path.empty() ? found.parent_path() : found;
        RemoteDataOrder order{reference.name,       reference.datastore, path,          found, Share::read_only,
                              Existing::impossible, settings_.progress,  settings_.warn};
        if (auto brought = co_await bring_data(pool_, coordinator_, cache_, std::move(order), cancel); !brought) {
            co_return brought.error();
        }
    }
    if (!reference.path_on_compute.empty()) {
        if (auto linked = co_await link_mount(reference, found); !linked) {
            co_return linked.error();
        }
    }
    co_return found;
}

asio::awaitable<Result<fs::path>> DataReferences::download(DesiredData data, std::string path, CancelToken cancel) {
    const proto::DataReference& reference = data.reference;
    const auto to = co_await place_of(reference, path);
    if (!to) {
        co_return to.error();
    }
    if (!sees(data)) {
        RemoteDataOrder order{reference.name,    reference.datastore, path,          *to, Share::own_copy,
                              wanted(reference), settings_.progress,  settings_.warn};
        const auto brought = co_await bring_data(pool_, coordinator_, cache_, std::move(order), cancel);
        co_return brought ? Result<fs::path>(*to) : brought.error();
    }
    const DataPlace place{reference.datastore, data.datastore_path, path};
    const auto kept = co_await on_pool(
        pool_, [place, to = *to, existing = wanted(reference)] { return copy_data(place, to, existing); });
    if (!kept) {
        co_return kept.error();
    }
    if (*kept > 0) {
        settings_.warn(words_of_kept_files(*kept, reference.name, *to));
    }
    co_return *to;
}

asio::awaitable<Result<fs::path>> DataReferences::provide(DesiredData data, CancelToken cancel) {
    const auto path = path_on_datastore(data.reference);
    if (!path) {
        co_return path.error();
    }
    switch (data.reference.mode) {
    case DataMode::mount: co_return co_await mount(std::move(data), *path, std::move(cancel));
    case DataMode::download: co_return co_await download(std::move(data), *path, std::move(cancel));
    case DataMode::upload: break;
    }
    const auto place = co_await place_of(data.reference, *path);
    if (!place) {
        co_return place.error();
    }
    const auto made = co_await on_pool(pool_, [to = *place] { return make_folders(to); });
    co_return made ? Result<fs::path>(*place) : made.error();
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
    if (!path) {
        co_return path.error();
    }
    const auto place = co_await place_of(reference, *path);
    if (!place) {
        co_return place.error();
    }
    DataUpload upload{reference.datastore, *path, *place, "", reference.overwrite, settings_.warn};
    if (!is_absolute(reference)) { // the run may have put links on the way to it
        upload.folder = place->lexically_relative(settings_.work_dir).string();
        upload.base = settings_.work_dir;
    }
    co_return co_await send_data(pool_, coordinator_, std::move(upload), std::move(cancel));
}

} // namespace linarite::agent
