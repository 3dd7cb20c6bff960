// cli/connection.hpp: the coordinator as a command sees it: blocking calls, Ctrl-C noticed where a command asks for it.
#pragma once

#include "cli/commands.hpp"
#include "common/error.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace linarite::client {
struct SecureAddress;
} // namespace linarite::client

namespace linarite::cli {

using Json = nlohmann::json;

class Connection {
public:
    Connection() = default;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    virtual ~Connection() = default;

    /// JSON in, JSON out; a status over 299 is the server's error. `body` null sends none.
    virtual Result<Json> call(const std::string& method, const std::string& target, const Json& body) = 0;
    Result<Json> get(const std::string& target) { return call("GET", target, nullptr); }

    /// Takes each piece of the answer; an error from it ends the download and is returned.
    using Sink = std::function<Result<void>(std::string_view piece)>;
    virtual Result<void> download(const std::string& target, const Sink& sink) = 0;

    /// Gives the next piece of the body, "" at its end.
    using Source = std::function<Result<std::string>()>;
    virtual Result<Json> upload(const std::string& method, const std::string& target, const Source& source,
                                std::int64_t length) = 0;

    /// From now on the first Ctrl-C ends the call that is under way (as `unavailable`) instead of the program.
    virtual void catch_interrupt() = 0;
    [[nodiscard]] virtual bool interrupted() const = 0;
    /// Waits; less long if interrupted.
    virtual void pause(std::chrono::milliseconds time) = 0;
    /// Looks for the coordinator again: after a restart it may have another address.
    virtual Result<void> reconnect() = 0;
    /// Where the coordinator is.
    [[nodiscard]] virtual std::string url() const = 0;
};

/// Finds the coordinator by the global options. `unavailable` if there is none. Nothing is sent yet.
Result<std::unique_ptr<Connection>> connect(const GlobalOptions& options);
/// Its https address, for programs that insist on TLS.
Result<client::SecureAddress> find_secure_address(const GlobalOptions& options);

} // namespace linarite::cli
