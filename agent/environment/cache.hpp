// agent/environment/cache.hpp: environments by content, each built once, whoever asks and however often.
#pragma once

#include "agent/environment/provider.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <memory>

namespace linarite::agent {

/// The environments of one node, in a folder that several agents may share. An environment is built where it will be
/// used, under a lock between processes, and is published by a marker file; what has no marker was left half-built and
/// is built anew.
class EnvironmentCache {
public:
    EnvironmentCache(asio::any_io_executor executor, asio::thread_pool& pool, EnvironmentSettings settings);
    /// Ends builds that are under way.
    ~EnvironmentCache();
    EnvironmentCache(const EnvironmentCache&) = delete;
    EnvironmentCache& operator=(const EnvironmentCache&) = delete;

    /// Gives the environment that is asked for on what it stands on, building it if it isn't there. `log` gets lines
    /// only if something is built or there is something to say. Those who ask for the same at the same time share one
    /// build and its log; it is ended when the last of them cancels. `user` is the run's folder: for as long as it is
    /// there, nobody removes the environment ("" makes no such claim). invalid_argument: the request can't be met
    /// (detail has the installer's own words); unavailable: not now.
    asio::awaitable<Result<PreparedEnvironment>> prepare(proto::PythonEnvironment python, EnvironmentBase base,
                                                         LogSink log, CancelToken cancel, fs::path user = {});
    /// Brings the cache within its limits some time soon, and removes what was left half-built.
    void tidy();

private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace linarite::agent
