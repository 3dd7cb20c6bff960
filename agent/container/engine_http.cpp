#include "agent/container/engine_http.hpp"

#include "client/answer_reader.hpp"
#include "common/clock.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/http/file_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <memory>
#include <optional>
#include <sys/un.h>

namespace linarite::agent {

namespace {

namespace http = boost::beast::http;
using Local = asio::local::stream_protocol;
using Stream = boost::beast::basic_stream<Local>;
using ErrorCode = boost::system::error_code;

constexpr auto tuple_awaitable = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t longest_body = std::size_t{64} << 20U; // of what is collected

/// One request and its answer.
class Call {
public:
    Call(asio::any_io_executor executor, fs::path socket, EngineRequest request, PieceSink sink, CancelToken cancel)
        : socket_(std::move(socket)),
          request_(std::move(request)),
          sink_(std::move(sink)),
          cancel_(std::move(cancel)),
          stream_(std::make_shared<Stream>(std::move(executor))),
          reader_(request_.method == "HEAD") {}

    asio::awaitable<Result<EngineAnswer>> run() {
        if (socket_.string().size() >= sizeof(sockaddr_un::sun_path)) {
            co_return Error(Errc::invalid_argument, "'" + socket_.string() + "' is too long for a socket's path");
        }
        const auto hook = cancel_.on_cancel([stream = stream_] { stream->close(); });
        stream_->expires_after(request_.timeout);
        const auto [ec] = co_await stream_->async_connect(Local::endpoint(socket_.string()), tuple_awaitable);
        if (ec) {
            co_return failed(ec);
        }
        if (auto sent = co_await send(); !sent) {
            co_return sent.error();
        }
        if (auto head = co_await receive_head(); !head) {
            co_return head.error();
        }
        if (auto body = co_await receive_body(); !body) {
            co_return body.error();
        }
        co_return std::move(answer_);
    }

private:
    [[nodiscard]] Error failed(const ErrorCode& ec) const {
        if (cancel_.cancelled()) {
            return {Errc::conflict, "a call of the container engine was cancelled"};
        }
        if (ec == boost::beast::error::timeout) {
            return {Errc::unavailable, "the container engine at '" + socket_.string() + "' did not answer within " +
                                           format_duration(std::chrono::duration_cast<Millis>(request_.timeout))};
        }
        if (answer_.status != 0) {
            return {Errc::unavailable,
                    "the container engine at '" + socket_.string() + "' went away in the middle of its answer"};
        }
        return {Errc::unavailable, "no container engine answers at '" + socket_.string() + "': " + ec.message()};
    }

    asio::awaitable<Result<void>> send() {
        if (!request_.body_file.empty()) {
            co_return co_await send_file();
        }
        http::request<http::string_body> message;
        if (!request_.body.empty()) {
            message.set(http::field::content_type, "application/json");
        }
        message.body() = request_.body;
        co_return co_await write(message);
    }

    asio::awaitable<Result<void>> send_file() {
        http::request<http::file_body> message;
        message.set(http::field::content_type, "application/x-tar");
        ErrorCode opened;
        message.body().open(request_.body_file.c_str(), boost::beast::file_mode::scan, opened);
        if (opened) {
            co_return Error(Errc::invalid_argument,
                            "'" + request_.body_file.string() + "' can't be read: " + opened.message());
        }
        co_return co_await write(message);
    }

    template <class Message>
    asio::awaitable<Result<void>> write(Message& message) {
        message.version(11);
        message.method(http::string_to_verb(request_.method));
        message.target(request_.target);
        message.set(http::field::host, "localhost");
        message.set(http::field::user_agent, "linarite");
        message.set(http::field::connection, "close");
        for (const auto& [name, value] : request_.headers) {
            message.set(name, value);
        }
        message.prepare_payload();
        const auto [ec, count] = co_await http::async_write(*stream_, message, tuple_awaitable);
        co_return ec ? Result<void>(failed(ec)) : Result<void>();
    }

    asio::awaitable<Result<std::size_t>> read_some() {
        if (sink_) {
            stream_->expires_after(request_.timeout);
        }
        const auto [ec, count] = co_await stream_->async_read_some(reader_.room(), tuple_awaitable);
        closed_ = ec == asio::error::eof;
        co_return ec ? Result<std::size_t>(failed(ec)) : Result<std::size_t>(count);
    }

    asio::awaitable<Result<void>> receive_head() {
        for (;;) {
            const auto count = co_await read_some();
            if (!count) {
                co_return count.error();
            }
            const auto whole = reader_.head_arrived(*count);
            if (!whole) {
                co_return whole.error();
            }
            if (*whole) {
                answer_.status = reader_.take_head().status;
                co_return Result<void>();
            }
        }
    }

    asio::awaitable<Result<void>> receive_body() {
        while (!reader_.complete()) {
            const auto piece = reader_.next_piece();
            if (!piece) {
                co_return piece.error();
            }
            if (!piece->empty()) {
                if (auto taken = take(*piece); !taken) {
                    co_return taken;
                }
                continue;
            }
            if (reader_.complete()) {
                break;
            }
            const auto count = co_await read_some();
            if (!count && closed_ && reader_.ended()) {
                break;
            }
            if (!count) {
                co_return count.error();
            }
            reader_.arrived(*count);
        }
        co_return Result<void>();
    }

    Result<void> take(std::string_view piece) {
        if (sink_ && answer_.status < 300) {
            sink_(piece);
            return {};
        }
        answer_.body += piece;
        return answer_.body.size() <= longest_body
                   ? Result<void>()
                   : Result<void>(Error(Errc::too_large, "the container engine's answer is too large"));
    }

    fs::path socket_;
    EngineRequest request_;
    PieceSink sink_;
    CancelToken cancel_;
    std::shared_ptr<Stream> stream_; // a hook of the token may outlive us for a moment
    client::AnswerReader reader_;
    bool closed_ = false; // by the engine
    EngineAnswer answer_;
};

} // namespace

asio::awaitable<Result<EngineAnswer>> ask_engine(asio::any_io_executor executor, fs::path socket, EngineRequest request,
                                                 PieceSink sink, CancelToken cancel) {
    if (cancel.cancelled()) {
        co_return Error(Errc::conflict, "a call of the container engine was cancelled");
    }
    Call call(std::move(executor), std::move(socket), std::move(request), std::move(sink), std::move(cancel));
    co_return co_await call.run();
}

} // namespace linarite::agent
