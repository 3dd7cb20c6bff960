// server/service/environments.hpp: use cases on named environments: versioned definitions that clients register.
#pragma once

#include "async/async.hpp"
#include "proto/json_reader.hpp"
#include "server/store/store.hpp"

#include <string>
#include <vector>

namespace linarite::service {

/// One version of an environment.
struct Environment {
    std::string name;
    std::string version;
    proto::Json definition;
    Time created{};
};

class Environments {
public:
    Environments(store::Store& store, const Clock& clock) : store_(store), clock_(clock) {}

    /// `version` "" is the next number; a definition that is that of the newest version gives that one. A version that
    /// is there with another definition is a conflict. Passwords of registries are not kept.
    asio::awaitable<Result<Environment>> put(std::string workspace, std::string name, std::string version,
                                             proto::Json definition);
    /// `version` "" is the newest.
    asio::awaitable<Result<Environment>> find(std::string workspace, std::string name, std::string version);
    /// The newest version of each, by name.
    asio::awaitable<Result<std::vector<Environment>>> list(std::string workspace);

private:
    store::Store& store_;
    const Clock& clock_;
};

} // namespace linarite::service
