// A real server on port 0 in a thread of its own, and a plain socket to say to it whatever one likes, byte by byte.
#pragma once

#include "client/http_client.hpp"
#include "common/files.hpp"
#include "server/http/server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>

#include <atomic>
#include <future>
#include <optional>
#include <string>
#include <thread>

namespace linarite::http {

/// Routes, most of them for role admin: GET /hello, GET /agents-only, GET /open (no token), POST /echo (JSON), POST
/// /text (up to 1 MiB), POST|PUT /count (streamed), POST /early (answers without reading), GET /file/{name...}, GET
/// /three (three chunks), GET /endless (chunks until the server stops), GET /deaf (chunks for ever), GET /half,
/// /throws, /silent, /twice, /internal, /where.
class TestServer {
public:
    explicit TestServer(ServerLimits limits = {}, std::vector<std::string> hosts = {});
    ~TestServer();
    TestServer(const TestServer&) = delete;
    TestServer& operator=(const TestServer&) = delete;

    static constexpr const char* token = "right-token";
    static constexpr const char* agent_token = "agent-token";

    unsigned short http_port = 0;
    unsigned short https_port = 0;
    std::string ca_pem;
    std::filesystem::path folder;          // what /file serves
    std::atomic<int> handled{0};           // calls of a handler
    std::atomic<std::uint64_t> counted{0}; // bytes that /count has read so far

    [[nodiscard]] client::Address http() const { return {"http://127.0.0.1:" + std::to_string(http_port), token, ""}; }
    [[nodiscard]] client::Address https() const {
        return {"https://localhost:" + std::to_string(https_port), token, ca_pem};
    }
    /// Runs a coroutine on the server's thread to its end.
    template <class T>
    T await(asio::awaitable<T> work) {
        return asio::co_spawn(io_, std::move(work), asio::use_future).get();
    }
    std::future<void> begin_stop(std::chrono::milliseconds grace) {
        return asio::co_spawn(io_, server_->stop(grace), asio::use_future);
    }
    Server::Counters counters();
    asio::io_context& io() { return io_; }

private:
    Router routes();

    asio::io_context io_{1};
    std::unique_ptr<Server> server_;
    std::thread thread_;
};

/// What came back: everything up to the end of one answer.
struct Answer {
    int status = 0;
    std::string head;
    std::string body; // chunks joined
    [[nodiscard]] bool has(const std::string& header_line) const;
};

/// A blocking socket to the server. Waits at most 20 s for anything, then reports the end of the connection.
class RawSocket {
public:
    explicit RawSocket(unsigned short port);

    /// False once the peer has reset the connection.
    bool send(std::string_view bytes);
    /// The next whole answer; nothing if the connection ends first.
    std::optional<Answer> answer(bool of_head_request = false);
    /// True if the connection ends without any further byte.
    bool ends();
    /// All bytes until the end of the connection.
    std::string rest();
    /// Reads until `text` has come; false if the connection ends first.
    bool wait_for(const std::string& text);
    void shut();

private:
    bool more();
    UniqueFd socket_;
    std::string arrived_;
};

/// A request with Host and token. `more` are header lines with CRLF each.
std::string request(const std::string& method, const std::string& target, const std::string& more = "",
                    const std::string& body = "");
/// One request on a connection of its own.
std::optional<Answer> ask(const TestServer& server, const std::string& raw);

} // namespace linarite::http
