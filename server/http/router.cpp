#include "server/http/router.hpp"

#include <algorithm>
#include <stdexcept>
#include <string_view>

namespace linarite::http {
namespace {

using beast_http::verb;

struct Route {
    verb method;
    std::string pattern;
    std::vector<std::string> names; // of the parameters, in order
    std::set<Principal::Role> roles;
    Handler handler;
};

/// What may follow a path so far.
struct Node {
    std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
    std::unique_ptr<Node> any; // "{x}"
    std::vector<Route> here;   // patterns that end here
    std::vector<Route> rest;   // patterns that end with "{x...}" from here
};

/// One search: the captures of the way so far, and what the path would allow.
struct Search {
    verb method;
    const Node* root;
    std::vector<std::string_view> captures;
    const Route* found = nullptr;
    std::vector<verb> allowed;

    bool take(const std::vector<Route>& routes) {
        for (const Route& route : routes) {
            if (route.method == method || (method == verb::head && route.method == verb::get)) {
                found = &route;
                return true;
            }
            if (std::find(allowed.begin(), allowed.end(), route.method) == allowed.end()) {
                allowed.push_back(route.method);
            }
        }
        return false;
    }
    // `path` starts with a slash, or is empty at the end.
    bool walk(const Node& node, std::string_view path) { // NOLINT(misc-no-recursion): as deep as the deepest pattern
        if (path.empty()) {
            return take(node.here);
        }
        const std::string_view tail = path.substr(1);
        const std::size_t end = std::min(tail.find('/'), tail.size());
        const std::string_view part = tail.substr(0, end);
        const auto literal = node.literals.find(part);
        if (literal != node.literals.end()) {
            if (walk(*literal->second, tail.substr(end))) {
                return true;
            }
            if (&node == root) {
                return false;
            }
        }
        captures.push_back(part);
        if (node.any && walk(*node.any, tail.substr(end))) {
            return true;
        }
        captures.back() = tail;
        if (!tail.empty() && take(node.rest)) {
            return true;
        }
        captures.pop_back();
        return false;
    }
};

[[noreturn]] void bad_pattern(const std::string& pattern) {
    throw std::logic_error("bad route pattern " + pattern);
}

void insert(std::vector<Route>& routes, Route route) {
    const auto same = [&](const Route& other) { return other.method == route.method; };
    if (std::any_of(routes.begin(), routes.end(), same)) {
        throw std::logic_error("route is there twice: " + route.pattern);
    }
    routes.push_back(std::move(route));
}

} // namespace

struct Router::Routes {
    Node root;
};

Router::Router() : routes_(std::make_unique<Routes>()) {}
Router::~Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;

void Router::add(verb method, const std::string& pattern, std::set<Principal::Role> roles, Handler handler) {
    Route route{method, pattern, {}, std::move(roles), std::move(handler)};
    if (pattern.empty() || pattern.front() != '/') {
        bad_pattern(pattern);
    }
    Node* node = &routes_->root;
    std::string_view left = pattern == "/" ? std::string_view() : std::string_view(pattern);
    while (!left.empty()) {
        left.remove_prefix(1);
        const std::size_t end = std::min(left.find('/'), left.size());
        const std::string_view part = left.substr(0, end);
        left.remove_prefix(end);
        if (part.empty()) {
            bad_pattern(pattern);
        }
        if (part.front() != '{') {
            auto& next = node->literals[std::string(part)];
            next = next ? std::move(next) : std::make_unique<Node>();
            node = next.get();
            continue;
        }
        if (part.ends_with("...}")) {
            if (!left.empty()) {
                bad_pattern(pattern);
            }
            route.names.emplace_back(part.substr(1, part.size() - 5));
            return insert(node->rest, std::move(route));
        }
        route.names.emplace_back(part.substr(1, part.size() - 2));
        node->any = node->any ? std::move(node->any) : std::make_unique<Node>();
        node = node->any.get();
    }
    insert(node->here, std::move(route));
}

Result<Router::Match> Router::locate(verb method, const std::string& path, std::vector<verb>* allowed) const {
    Search search{method, &routes_->root, {}, nullptr, {}};
    if (!search.walk(routes_->root, path == "/" ? std::string_view() : std::string_view(path))) {
        if (search.allowed.empty()) {
            return Error(Errc::not_found, "there is nothing at '" + path + "'");
        }
        if (allowed != nullptr) {
            *allowed = std::move(search.allowed);
        }
        return Error(Errc::invalid_argument, "'" + path + "' is not there for this method");
    }
    Match match{&search.found->handler, {}, search.found->pattern, &search.found->roles};
    for (std::size_t i = 0; i < search.found->names.size(); ++i) {
        match.parameters.emplace(search.found->names[i], search.captures[i]);
    }
    return match;
}

Result<Router::Match> Router::find(verb method, const std::string& path, Principal::Role role,
                                   std::vector<verb>* allowed) const {
    Result<Match> match = locate(method, path, allowed);
    if (match && !match->roles->contains(role)) {
        return Error(Errc::forbidden, "this token may not do that");
    }
    return match;
}

} // namespace linarite::http
