// server/http/session.hpp: one connection: requests in, handlers called, answers out.
#pragma once

#include "server/http/answer.hpp"
#include "server/http/body.hpp"
#include "server/http/server_core.hpp"
#include "server/http/wire.hpp"

#include <boost/beast/core/flat_buffer.hpp>

#include <memory>
#include <optional>
#include <string>

namespace linarite::http {

/// A connection, and at the same time the exchange of the request that is being answered on it. Owned by its coroutine;
/// known to the ServerCore as long as it lives.
class Session final : public Exchange {
public:
    /// `address` is the peer's without the port.
    Session(std::shared_ptr<ServerCore> core, std::unique_ptr<Wire> wire, std::string peer, std::string address);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session() override;

    /// Serves the connection to its end.
    asio::awaitable<void> run();
    /// Ends the connection if no request is under way.
    void stop_if_idle();
    /// Breaks the connection off.
    void abort();

    [[nodiscard]] const RequestHead& head() const override { return request_.head; }
    asio::awaitable<Result<std::string>> read_body(std::size_t limit) override;
    asio::awaitable<Result<nlohmann::json>> read_json() override;
    asio::awaitable<Result<std::size_t>> read_some(asio::mutable_buffer into) override;
    void add_header(std::string_view name, std::string_view value) override;
    void set_reason(std::string_view words) override { reason_ = words; }
    asio::awaitable<void> reply_empty(beast_http::status code) override;
    asio::awaitable<void> reply_json(beast_http::status code, const nlohmann::json& body) override;
    asio::awaitable<void> reply_text(beast_http::status code, std::string content_type, std::string body) override;
    asio::awaitable<void> reply_error(const Error& error) override;
    asio::awaitable<void> reply_file(std::filesystem::path file, std::uint64_t size, std::string content_type,
                                     std::string etag, std::string range = "") override;
    asio::awaitable<void> reply_open_file(UniqueFd file, std::uint64_t size, std::string content_type, std::string etag,
                                          std::string range = "") override;
    asio::awaitable<Result<void>> start_stream(std::string content_type) override;
    asio::awaitable<Result<void>> write_chunk(std::string bytes) override;
    asio::awaitable<void> end_stream() override;
    [[nodiscard]] bool stopping() const override { return core_->stopping; }

private:
    enum class Answer { none, streaming, complete };

    // session.cpp: from the first byte to the handler
    asio::awaitable<bool> serve_one();
    asio::awaitable<std::optional<std::size_t>> receive_head();
    asio::awaitable<void> refuse(Refusal why);
    asio::awaitable<void> dispatch();
    asio::awaitable<Result<Principal>> authenticate();
    asio::awaitable<void> answer_unauthorized(const Error& error);
    asio::awaitable<void> call(const Router::Match& match);
    asio::awaitable<void> finish_request();
    void log_answer(SteadyTime began) const;

    // session_answer.cpp: from the handler to the last byte
    asio::awaitable<void> send(beast_http::status code, std::string_view content_type, std::string_view body,
                               std::string more = "");
    asio::awaitable<void> reply_failure(beast_http::status code, const Error& error, std::string more = "");
    asio::awaitable<Result<void>> send_raw(std::array<std::string_view, 3> parts);
    /// Notes and counts the answer's status, and decides whether the connection lives on. False if there was an answer
    /// already.
    bool begin_answer(beast_http::status code);
    [[nodiscard]] AnswerHead answer_head(beast_http::status code, std::string more = "") const;
    [[nodiscard]] bool is_head() const { return request_.head.method == beast_http::verb::head; }

    std::shared_ptr<ServerCore> core_;
    std::unique_ptr<Wire> wire_;
    std::string peer_;
    std::string address_;
    boost::beast::flat_buffer buffer_;
    BodyReader body_;
    std::size_t requests_ = 0;
    bool idle_ = true;    // no byte of a request is here
    bool linger_ = false; // the peer may still be sending when we close

    // of the request under way
    ParsedHead request_;
    std::string route_;
    std::string more_headers_; // that the handler added
    std::string reason_;       // that the handler gave; "" for the status' own
    Answer answer_ = Answer::none;
    beast_http::status status_ = beast_http::status::unknown;
    bool keep_alive_ = false;
    bool broken_ = false; // nothing more can be written
};

} // namespace linarite::http
