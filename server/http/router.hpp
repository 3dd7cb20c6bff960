// server/http/router.hpp: which handler answers which method and path, and who may call it.
#pragma once

#include "server/http/exchange.hpp"

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace linarite::http {

/// Must complete one answer on the exchange. The exchange outlives the coroutine.
using Handler = std::function<asio::awaitable<void>(Exchange&)>;

/// Patterns are of the form "/api/v1/runs/{id}/files/{path...}": "{x}" takes one part, "{x...}" takes the rest (at
/// least one). A path whose first part some route spells out is never taken by a route that begins with "{x}".
class Router {
public:
    Router();
    ~Router();
    Router(Router&&) noexcept;
    Router& operator=(Router&&) noexcept;

    /// Roles that may call; others get 403.
    void add(beast_http::verb method, const std::string& pattern, std::set<Principal::Role> roles, Handler handler);

    struct Match {
        const Handler* handler = nullptr;
        std::map<std::string, std::string> parameters;
        std::string route;                                // the pattern, for metrics
        const std::set<Principal::Role>* roles = nullptr; // who may call
    };
    /// The route, whoever asks: not_found, or invalid_argument with `allowed` filled.
    Result<Match> locate(beast_http::verb method, const std::string& path,
                         std::vector<beast_http::verb>* allowed) const;
    /// not_found (404), invalid_argument with `allowed` filled (405: the path is known with other methods), forbidden
    /// (403). HEAD finds the GET route.
    Result<Match> find(beast_http::verb method, const std::string& path, Principal::Role role,
                       std::vector<beast_http::verb>* allowed) const;

private:
    struct Routes;
    std::unique_ptr<Routes> routes_;
};

} // namespace linarite::http
