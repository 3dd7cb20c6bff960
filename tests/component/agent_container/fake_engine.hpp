// An engine's API on a Unix socket, with canned answers, on a thread of its own.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace linarite::test {

class FakeEngine {
public:
    struct Answer {
        int status = 200;
        std::string body = "{}";
        std::vector<std::string> chunks; // instead of a body
        bool silent = false;             // nothing is answered while the client stays
        bool cut = false;                // hangs up after the chunks, as an engine that dies
    };
    struct Question {
        std::string line; // "GET /v1.41/containers/x/json"
        std::string body;
        std::string login; // X-Registry-Auth
    };
    using Handler = std::function<Answer(const Question&)>;

    FakeEngine(std::string path, Handler handler)
        : handler_(std::move(handler)),
          path_(std::move(path)),
          acceptor_(io_, Local::endpoint(path_)),
          thread_([this] { accept(); }) {}
    FakeEngine(const FakeEngine&) = delete;
    FakeEngine& operator=(const FakeEngine&) = delete;
    ~FakeEngine() {
        stopping_ = true;
        boost::system::error_code ignored;
        {
            const std::lock_guard lock(mutex_);
            if (serving_ != nullptr) { // a client that will not say any more
                serving_->shutdown(Local::socket::shutdown_both, ignored);
            }
        }
        Local::socket wake(io_);
        wake.connect(Local::endpoint(path_), ignored);
        thread_.join();
    }

    [[nodiscard]] std::vector<Question> asked() const {
        const std::lock_guard lock(mutex_);
        return asked_;
    }

private:
    using Local = boost::asio::local::stream_protocol;

    void accept() {
        while (!stopping_) {
            Local::socket socket(io_);
            boost::system::error_code ec;
            acceptor_.accept(socket, ec);
            if (!ec && hold(&socket)) {
                serve(socket);
            }
            hold(nullptr);
        }
    }
    bool hold(Local::socket* socket) {
        const std::lock_guard lock(mutex_);
        serving_ = socket;
        return !stopping_;
    }
    void serve(Local::socket& socket) {
        namespace http = boost::beast::http;
        boost::beast::flat_buffer buffer;
        http::request<http::string_body> request;
        boost::system::error_code ec;
        http::read(socket, buffer, request, ec);
        if (ec) {
            return;
        }
        const Question question{std::string(request.method_string()) + " " + std::string(request.target()),
                                request.body(), std::string(request["X-Registry-Auth"])};
        {
            const std::lock_guard lock(mutex_);
            asked_.push_back(question);
        }
        const Answer answer = handler_(question);
        if (answer.silent) {
            char byte = 0;
            socket.read_some(boost::asio::buffer(&byte, 1), ec); // until it hangs up
            return;
        }
        if (answer.chunks.empty()) {
            http::response<http::string_body> response(static_cast<http::status>(answer.status), 11, answer.body);
            response.prepare_payload();
            http::write(socket, response, ec);
            return;
        }
        http::response<http::empty_body> head(static_cast<http::status>(answer.status), 11);
        head.chunked(true);
        http::response_serializer<http::empty_body> serializer(head);
        http::write_header(socket, serializer, ec);
        for (const std::string& chunk : answer.chunks) {
            boost::asio::write(socket, http::make_chunk(boost::asio::buffer(chunk)), ec);
        }
        if (!answer.cut) {
            boost::asio::write(socket, http::make_chunk_last(), ec);
        }
    }

    Handler handler_;
    std::string path_;
    boost::asio::io_context io_;
    Local::acceptor acceptor_;
    std::atomic<bool> stopping_ = false;
    mutable std::mutex mutex_;
    Local::socket* serving_ = nullptr;
    std::vector<Question> asked_;
    std::thread thread_; // last: it uses all of the others
};

} // namespace linarite::test
