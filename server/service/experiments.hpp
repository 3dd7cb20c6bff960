// server/service/experiments.hpp: use cases on experiments: named groups of runs in a workspace.
#pragma once

#include "async/async.hpp"
#include "server/store/store.hpp"

#include <functional>
#include <string>
#include <vector>

namespace linarite::service {

class Experiments {
public:
    Experiments(store::Store& store, const Clock& clock);

    asio::awaitable<Result<store::ExperimentRow>> find(std::string workspace, std::string name);
    asio::awaitable<Result<store::ExperimentRow>> find_by_id(std::string workspace, std::string id);
    /// Makes it if it is not there.
    asio::awaitable<Result<store::ExperimentRow>> ensure(std::string workspace, std::string name);
    /// Oldest first; archived ones too.
    asio::awaitable<Result<std::vector<store::ExperimentRow>>> list(std::string workspace);
    /// Reads the row, lets `change` change it, and stores description, tags and archived.
    asio::awaitable<Result<store::ExperimentRow>> update(std::string workspace, std::string id,
                                                         std::function<void(store::ExperimentRow&)> change);

private:
    store::Store& store_;
    const Clock& clock_;
};

} // namespace linarite::service
