// agent/capture/data_upload.hpp: what a run made for a datastore, on its way there.
#pragma once

#include "agent/capture/coordinator.hpp"
#include "async/cancel.hpp"
#include "common/error.hpp"
#include "common/files.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <functional>
#include <string>

namespace linarite::agent {

struct DataUpload {
    std::string datastore;
    std::string path;   // on it; "" is its root
    fs::path base;      // nobody but us can replace it
    std::string folder; // below base, where anything may be by now; "" is base itself
    bool overwrite = false;
    std::function<void(const std::string&)> warn;
};

/// Sends every file of the folder. No link is followed, neither within the folder nor on the way to it: they are left
/// out with a warning, as is what the datastore has already and is not to be overwritten. A folder that is not there
/// any more is empty.
asio::awaitable<Result<void>> send_data(asio::thread_pool& pool, std::shared_ptr<Coordinator> coordinator,
                                        DataUpload upload, CancelToken cancel);

} // namespace linarite::agent
