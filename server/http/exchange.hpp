// server/http/exchange.hpp: one request and its answer, whichever transport it came by. What handlers see of HTTP.
#pragma once

#include "common/error.hpp"
#include "common/files.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/verb.hpp>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace linarite::http {

namespace asio = boost::asio;
namespace beast_http = boost::beast::http;

/// Who calls. Decided from the bearer token before a handler runs.
struct Principal {
    enum class Role { none, admin, agent, run };
    Role role = Role::none;
    std::string name; // node name for an agent, run id for a run, else who it is ("admin" for the local token)
};

/// A request's head, decoded once: percent-encoding resolved, then split, every part checked.
struct RequestHead {
    beast_http::verb method = beast_http::verb::get;
    std::string path;                              // decoded, "/api/v1/runs/r1"
    std::string target;                            // as sent: signatures are over that
    std::map<std::string, std::string> query;      // decoded; a repeated name is a 400
    std::map<std::string, std::string> parameters; // from the route's pattern ("{id}", "{path...}")
    std::map<std::string, std::string> headers;    // names in lower case
    std::optional<std::uint64_t> content_length;   // nothing: no body or chunked
    Principal principal;
    std::string peer; // "127.0.0.1:4711"
};

/// One request being answered. Exactly one of reply*, start_stream is called; if a handler returns without, the client
/// gets a 500. Memory per exchange does not depend on body sizes. A client that is gone shows as an error of the write.
class Exchange {
public:
    virtual ~Exchange() = default;
    [[nodiscard]] virtual const RequestHead& head() const = 0;

    /// The whole body; too_large over `limit` bytes.
    virtual asio::awaitable<Result<std::string>> read_body(std::size_t limit) = 0;
    /// The whole body as JSON within the limits for JSON (4 MiB, depth 64, no duplicate keys); an empty body is null.
    virtual asio::awaitable<Result<nlohmann::json>> read_json() = 0;
    /// The next bytes of the body; 0 at its end.
    virtual asio::awaitable<Result<std::size_t>> read_some(asio::mutable_buffer into) = 0;

    /// One more header line for the answer that follows, whichever reply gives it. Names are given once.
    virtual void add_header(std::string_view name, std::string_view value) = 0;
    /// The words beside the status of the answer that follows, in place of the usual ones: some clients show no others.
    virtual void set_reason(std::string_view words) = 0;
    /// An answer without a body.
    virtual asio::awaitable<void> reply_empty(beast_http::status status) = 0;
    virtual asio::awaitable<void> reply_json(beast_http::status status, const nlohmann::json& body) = 0;
    virtual asio::awaitable<void> reply_text(beast_http::status status, std::string content_type, std::string body) = 0;
    /// {"error":{"code","message","details":[{"target":pointer,"message"}]}} with the status that Errc maps to.
    /// Internal errors are logged and answered without their detail.
    virtual asio::awaitable<void> reply_error(const Error& error) = 0;
    /// A file, or the part that the Range header asks for; HEAD gives the head alone. `size` is what may be served of
    /// it (a growing file is served up to the size known when asked). `etag` without quotes, "" for none. `range`, if
    /// not empty, stands in the place of the Range header: for dialects with a header of their own for it.
    virtual asio::awaitable<void> reply_file(std::filesystem::path file, std::uint64_t size, std::string content_type,
                                             std::string etag, std::string range = "") = 0;
    /// The same of a file that is open already: what a name stands for may be another thing a moment later.
    virtual asio::awaitable<void> reply_open_file(UniqueFd file, std::uint64_t size, std::string content_type,
                                                  std::string etag, std::string range = "") = 0;

    /// A chunked answer of unknown length.
    virtual asio::awaitable<Result<void>> start_stream(std::string content_type) = 0;
    virtual asio::awaitable<Result<void>> write_chunk(std::string bytes) = 0;
    virtual asio::awaitable<void> end_stream() = 0;
    /// Set when the server shuts down: a long answer should end soon.
    [[nodiscard]] virtual bool stopping() const = 0;
};

beast_http::status to_http(Errc code);

} // namespace linarite::http
