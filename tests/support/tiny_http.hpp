// tests/support/tiny_http.hpp: an HTTP server with canned answers, on a thread of its own.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace linarite::test {

class TinyHttp {
public:
    struct Question {
        std::string method;
        std::string target;
        std::string body;
        std::map<std::string, std::string> headers = {}; // as they were sent
    };
    struct Answer {
        int status = 200;
        std::string body;
        std::size_t cut = std::string::npos; // after so many bytes of the body the connection breaks
    };
    /// Called on the server's threads, one question at a time.
    using Handler = std::function<Answer(const Question&)>;

    explicit TinyHttp(Handler handler)
        : handler_(std::move(handler)),
          acceptor_(io_, {boost::asio::ip::address_v4::loopback(), 0}),
          thread_([this] { accept(); }) {}
    TinyHttp(const TinyHttp&) = delete;
    TinyHttp& operator=(const TinyHttp&) = delete;
    ~TinyHttp() {
        stopping_ = true;
        boost::system::error_code ec;
        boost::asio::ip::tcp::socket wake(io_);
        wake.connect(acceptor_.local_endpoint(), ec);
        thread_.join();
        for (auto& socket : sockets_) {
            socket->shutdown(boost::asio::ip::tcp::socket::shutdown_both, ec);
        }
        for (std::thread& session : sessions_) {
            session.join();
        }
    }
    [[nodiscard]] std::string url() const {
        return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port());
    }

private:
    void accept() {
        while (!stopping_) {
            auto socket = std::make_shared<boost::asio::ip::tcp::socket>(io_);
            boost::system::error_code ec;
            acceptor_.accept(*socket, ec);
            if (ec || stopping_) {
                return;
            }
            sockets_.push_back(socket);
            sessions_.emplace_back([this, socket] { serve(*socket); });
        }
    }
    void serve(boost::asio::ip::tcp::socket& socket) {
        namespace http = boost::beast::http;
        boost::beast::flat_buffer buffer;
        boost::system::error_code ec;
        while (!ec) {
            http::request_parser<http::string_body> parser;
            parser.body_limit(std::uint64_t{1} << 30U);
            http::read(socket, buffer, parser, ec);
            if (ec) {
                return;
            }
            const auto& request = parser.get();
            Answer answer;
            {
                const std::lock_guard lock(mutex_);
                Question question{std::string(request.method_string()), std::string(request.target()), request.body()};
                for (const auto& field : request) {
                    question.headers[std::string(field.name_string())] = std::string(field.value());
                }
                answer = handler_(question);
            }
            if (answer.cut != std::string::npos) {
                const std::string half = "HTTP/1.1 " + std::to_string(answer.status) +
                                         " Half\r\nContent-Length: " + std::to_string(answer.body.size()) + "\r\n\r\n" +
                                         answer.body.substr(0, answer.cut);
                boost::asio::write(socket, boost::asio::buffer(half), ec);
                socket.shutdown(boost::asio::ip::tcp::socket::shutdown_both, ec);
                return;
            }
            http::response<http::string_body> response(static_cast<http::status>(answer.status), 11,
                                                       std::move(answer.body));
            response.prepare_payload();
            http::write(socket, response, ec);
        }
    }

    Handler handler_;
    boost::asio::io_context io_;
    boost::asio::ip::tcp::acceptor acceptor_;
    std::atomic<bool> stopping_ = false;
    std::mutex mutex_;
    std::vector<std::shared_ptr<boost::asio::ip::tcp::socket>> sockets_;
    std::vector<std::thread> sessions_;
    std::thread thread_;
};

} // namespace linarite::test
