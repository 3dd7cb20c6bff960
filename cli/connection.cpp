#include "cli/connection.hpp"

#include "client/discovery.hpp"
#include "client/http_client.hpp"
#include "common/data_dir.hpp"
#include "proto/json_reader.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <csignal>
#include <cstdlib>
#include <exception>
#include <optional>

namespace linarite::cli {
namespace {

namespace asio = boost::asio;

// A follower gets at least a comment line every 15 s; three of them missing is a broken connection.
constexpr std::chrono::seconds silence{45};
// Large trees and data files take their time; a connection that is dead is found by TCP.
constexpr std::chrono::hours upload_time{24};

std::string variable(const char* name) {
    const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): one thread
    return value == nullptr ? "" : value;
}

Errc code_of(int status) {
    switch (status) {
    case 401: return Errc::unauthorized;
    case 403: return Errc::forbidden;
    case 404: return Errc::not_found;
    case 409: return Errc::conflict;
    case 410: return Errc::gone;
    case 413: return Errc::too_large;
    case 429: return Errc::resource_exhausted;
    case 502:
    case 503:
    case 504: return Errc::unavailable;
    case 507: return Errc::no_space;
    default: return status < 500 ? Errc::invalid_argument : Errc::internal;
    }
}

Error error_of(const client::Response& response) {
    const auto document = proto::parse_json(response.body);
    if (document && document->is_object()) {
        std::vector<Fault> ignored;
        proto::JsonReader reader(*document, "", ignored);
        proto::JsonReader error = reader.object("error");
        const std::string message = error.text("message");
        if (!message.empty()) {
            return Error(code_of(response.status), message);
        }
    }
    return Error(code_of(response.status), "the coordinator answered with status " + std::to_string(response.status));
}

std::string given_url(const GlobalOptions& options) {
    return options.url.empty() ? variable("LINARITE_URL") : options.url;
}

Result<client::Address> locate(const GlobalOptions& options) {
    auto address =
        client::find_coordinator(DataDir::find(options.data_dir), given_url(options), variable("LINARITE_TOKEN"));
    if (!address && address.error().code() == Errc::not_found) {
        return Error(Errc::unavailable, address.error().detail());
    }
    return address;
}

class HttpConnection final : public Connection {
public:
    HttpConnection(GlobalOptions options, client::Address address)
        : options_(std::move(options)), address_(std::move(address)), signals_(io_) {
        open();
    }

    Result<Json> call(const std::string& method, const std::string& target, const Json& body) override {
        return wait(http_->call(method, target, body));
    }

    Result<void> download(const std::string& target, const Sink& sink) override {
        client::HttpClient::Request request;
        request.target = target;
        request.timeout = silence;
        const auto answered =
            wait(http_->download(std::move(request), [&sink](std::string_view piece) { return take(sink, piece); }));
        return answered ? Result<void>() : Result<void>(answered.error());
    }

    Result<Json> upload(const std::string& method, const std::string& target, const Source& source,
                        std::int64_t length) override {
        client::HttpClient::Request request;
        request.method = method;
        request.target = target;
        request.content_type = "application/octet-stream";
        request.timeout = upload_time;
        request.idempotent = false; // the source cannot be read twice
        const auto answered = wait(http_->upload(std::move(request), source, length));
        if (!answered) {
            return answered.error();
        }
        if (answered->status > 299) {
            return error_of(*answered);
        }
        return answered->body.empty() ? Result<Json>(Json()) : proto::parse_json(answered->body);
    }

    void catch_interrupt() override {
        if (catching_) {
            return;
        }
        catching_ = true;
        signals_.add(SIGINT);
        signals_.async_wait([this](const boost::system::error_code& error, int) {
            if (!error) {
                interrupted_ = true;
                signals_.clear(); // a second Ctrl-C ends the program at once
                http_->close();
                if (timer_) {
                    timer_->cancel();
                }
            }
        });
    }

    [[nodiscard]] bool interrupted() const override { return interrupted_; }

    void pause(std::chrono::milliseconds time) override {
        if (interrupted_) {
            return;
        }
        bool over = false;
        timer_.emplace(io_, time);
        timer_->async_wait([&over](const boost::system::error_code&) { over = true; });
        run_until(over);
        timer_.reset();
    }

    Result<void> reconnect() override {
        auto address = locate(options_);
        if (!address) {
            return address.error();
        }
        address_ = std::move(*address);
        http_->close();
        open();
        return {};
    }

    [[nodiscard]] std::string url() const override { return address_.url; }

private:
    // Static, with all it needs as arguments: the coroutine outlives no lambda.
    static asio::awaitable<Result<void>> take(const Sink& sink, std::string_view piece) { co_return sink(piece); }

    void open() { http_ = std::make_unique<client::HttpClient>(io_.get_executor(), address_); }

    void run_until(const bool& done) {
        io_.restart();
        while (!done && io_.run_one() > 0) {
        }
    }

    template <class T>
    Result<T> wait(asio::awaitable<Result<T>> work) {
        if (interrupted_) {
            return Error(Errc::unavailable, "interrupted");
        }
        bool done = false;
        std::optional<Result<T>> result;
        asio::co_spawn(io_, std::move(work), [&](const std::exception_ptr& failed, Result<T> answer) {
            done = true;
            if (failed) {
                std::rethrow_exception(failed); // a bug: out through run_one()
            }
            result.emplace(std::move(answer));
        });
        run_until(done);
        return std::move(*result);
    }

    GlobalOptions options_;
    client::Address address_;
    asio::io_context io_{1};
    asio::signal_set signals_;
    std::optional<asio::steady_timer> timer_;
    std::unique_ptr<client::HttpClient> http_;
    bool catching_ = false;
    bool interrupted_ = false;
};

} // namespace

Result<std::unique_ptr<Connection>> connect(const GlobalOptions& options) {
    auto address = locate(options);
    if (!address) {
        return address.error();
    }
    return Result<std::unique_ptr<Connection>>(std::make_unique<HttpConnection>(options, std::move(*address)));
}

Result<client::SecureAddress> find_secure_address(const GlobalOptions& options) {
    return client::find_secure_coordinator(DataDir::find(options.data_dir), given_url(options),
                                           variable("LINARITE_TOKEN"));
}

} // namespace linarite::cli
