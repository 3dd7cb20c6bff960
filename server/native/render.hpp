// server/native/render.hpp: rows as the API's JSON, and small things that all handlers need.
#pragma once

#include "server/native/api.hpp"

#include <set>

namespace linarite::native {

Json render_run(const store::RunRow& row);
Json render_event(const store::EventRow& row);
Json render_node(const store::NodeRow& row, const core::NodeView* view);
/// ISO text or null.
Json render_time(const std::optional<Time>& at);

/// "text/plain; charset=utf-8" for logs and texts, an image's type, else application/octet-stream.
std::string content_type_of(const std::string& path);

inline const std::set<http::Principal::Role> admins{http::Principal::Role::admin};
inline const std::set<http::Principal::Role> agents{http::Principal::Role::agent};

/// The route parameter or query value; "" if absent.
std::string parameter(const http::Exchange& exchange, const std::string& name);
std::string query(const http::Exchange& exchange, const std::string& name);
/// Answers with what the use case gave: `render` of its value, or the error.
template <class T, class F>
asio::awaitable<void> reply(http::Exchange& exchange, const Result<T>& result, F render,
                            http::beast_http::status status = http::beast_http::status::ok) {
    if (!result) {
        co_await exchange.reply_error(result.error());
        co_return;
    }
    co_await exchange.reply_json(status, render(*result));
}

} // namespace linarite::native
