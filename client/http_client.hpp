// client/http_client.hpp: HTTP to the coordinator for the CLI and the agents: keep-alive, TLS with our CA, streaming.
#pragma once

#include "common/error.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace linarite::client {

namespace asio = boost::asio;
using Json = nlohmann::json;

struct Address {
    std::string url;    // "https://host:port" or "http://host:port"
    std::string token;  // bearer
    std::string ca_pem; // PEM text that https servers are checked against; "" is the system's store
};

struct Response {
    int status = 0;
    std::map<std::string, std::string> headers; // names in lower case
    std::string body;
};

/// One connection, made when first needed and made anew when it broke. Not for two requests at the same time: a second
/// one waits for nothing, it is a bug. All errors of the transport are `unavailable`, with the address and cause in
/// words.
class HttpClient {
public:
    HttpClient(asio::any_io_executor executor, Address address);
    ~HttpClient();
    HttpClient(const HttpClient&) = delete;
    HttpClient& operator=(const HttpClient&) = delete;

    struct Request {
        std::string method = "GET";
        std::string target; // path and query, already encoded (see encode_path, encode_query)
        std::string body;
        std::string content_type = "application/json";
        std::map<std::string, std::string> headers;
        std::chrono::milliseconds timeout{60'000}; // from the start of the request to its whole answer
        /// Set to retry once on a fresh connection if a kept-alive one turned out closed before any byte of the answer.
        bool idempotent = true;
    };
    /// Any status is a success here; the body may be up to 256 MiB.
    asio::awaitable<Result<Response>> send(Request request);

    /// Like send with a JSON answer: a 4xx or 5xx becomes an Error with the server's message and faults
    /// (invalid_argument for 400, not_found for 404, ...). An empty body is null.
    asio::awaitable<Result<Json>> call(std::string method, std::string target, Json body = nullptr,
                                       std::chrono::milliseconds timeout = std::chrono::seconds(60));

    /// Gives the next piece of the body, "" at its end.
    using Source = std::function<Result<std::string>()>;
    /// Streams a body of unknown length (chunked), or of `length` if it is not negative.
    asio::awaitable<Result<Response>> upload(Request request, Source source, std::int64_t length = -1);

    /// Takes each piece of the answer as it comes; an error from it ends the download and is returned.
    using Sink = std::function<asio::awaitable<Result<void>>(std::string_view piece)>;
    /// Streams the answer. `request.timeout` bounds the time between two pieces. Statuses over 299 are errors as in
    /// `call`.
    asio::awaitable<Result<Response>> download(Request request, Sink sink);

    /// Closes the connection; a pending request ends with `unavailable`.
    void close();

private:
    struct State;
    std::shared_ptr<State> state_; // shared with the request under way
};

/// Percent-encodes one path part, or a path whose '/' stay.
std::string encode_part(std::string_view part);
std::string encode_path(std::string_view path);
/// "?a=1&b=x%20y"; "" without parameters.
std::string encode_query(const std::map<std::string, std::string>& parameters);

/// One server-sent event.
struct Event {
    std::string name; // "message" if none was given
    std::string data;
};
/// Cuts a text/event-stream into events. Comments are dropped.
class EventReader {
public:
    std::vector<Event> feed(std::string_view bytes);

private:
    std::string buffer_;
};

} // namespace linarite::client
