#include "server/service/experiments.hpp"

namespace linarite::service {

Experiments::Experiments(store::Store& store, const Clock& clock) : store_(store), clock_(clock) {}

asio::awaitable<Result<store::ExperimentRow>> Experiments::find(std::string workspace, std::string name) {
    auto read = [workspace, name](store::Tables& tables) { return tables.find_experiment(workspace, name); };
    co_return co_await store_.read(std::move(read));
}

asio::awaitable<Result<store::ExperimentRow>> Experiments::find_by_id(std::string workspace, std::string id) {
    auto read = [workspace, id](store::Tables& tables) { return tables.find_experiment_by_id(workspace, id); };
    co_return co_await store_.read(std::move(read));
}

asio::awaitable<Result<store::ExperimentRow>> Experiments::ensure(std::string workspace, std::string name) {
    if (const auto fits = parse_name(name, "experiment"); !fits) {
        co_return fits.error();
    }
    auto known = co_await find(workspace, name);
    if (known) {
        co_return known; // the usual case needs no commit
    }
    auto make = [workspace, name, now = clock_.now()](store::Tables& tables) {
        return tables.ensure_experiment(workspace, name, now);
    };
    co_return co_await store_.write(std::move(make));
}

asio::awaitable<Result<std::vector<store::ExperimentRow>>> Experiments::list(std::string workspace) {
    auto read = [workspace](store::Tables& tables) { return tables.list_experiments(workspace); };
    co_return co_await store_.read(std::move(read));
}

asio::awaitable<Result<store::ExperimentRow>> Experiments::update(std::string workspace, std::string id,
                                                                  std::function<void(store::ExperimentRow&)> change) {
    auto write = [workspace, id, change = std::move(change)](store::Tables& tables) -> Result<store::ExperimentRow> {
        auto row = tables.find_experiment_by_id(workspace, id);
        if (!row) {
            return row;
        }
        change(*row);
        auto stored = tables.update_experiment(*row);
        return stored ? row : Result<store::ExperimentRow>(stored.error());
    };
    co_return co_await store_.write(std::move(write));
}

} // namespace linarite::service
