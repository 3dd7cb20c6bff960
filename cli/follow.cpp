#include "cli/follow.hpp"

#include "cli/fields.hpp"
#include "client/http_client.hpp"
#include "common/hash.hpp"
#include "proto/json_reader.hpp"

#include <algorithm>
#include <map>

namespace linarite::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds first_pause = 100ms;
constexpr std::chrono::milliseconds longest_pause = 5s;
constexpr std::chrono::milliseconds patience = 10min;

class Follower {
public:
    Follower(Connection& connection, std::string run_id, std::string logs, const FollowHandlers& handlers)
        : connection_(connection), run_id_(std::move(run_id)), logs_(std::move(logs)), handlers_(handlers) {}

    Result<Followed> follow() {
        connection_.catch_interrupt();
        std::chrono::milliseconds pause = first_pause;
        std::chrono::milliseconds waited{0};
        for (;;) {
            heard_ = false;
            const Result<void> streamed = stream();
            if (ended_ || connection_.interrupted()) {
                return Followed{run_, !ended_};
            }
            if (!streamed && streamed.error().code() != Errc::unavailable) {
                return streamed.error();
            }
            if (heard_) {
                pause = first_pause;
                waited = 0ms;
            }
            if (waited >= patience) {
                return streamed ? Error(Errc::unavailable, "the coordinator does not go on with its answer")
                                : streamed.error();
            }
            say_lost();
            connection_.pause(pause);
            waited += pause;
            pause = std::min(pause * 2, longest_pause);
            // if it is not there yet, the next round's error says so
            (void)connection_.reconnect();
        }
    }

private:
    Result<void> stream() {
        reader_ = client::EventReader();
        return connection_.download(target(), [this](std::string_view piece) { return take(piece); });
    }

    [[nodiscard]] std::string target() const {
        std::string from;
        for (const auto& [name, offset] : offsets_) {
            from += (from.empty() ? "" : ",") + name + ":" + std::to_string(offset);
        }
        std::string path =
            "/api/v1/runs/" + client::encode_part(run_id_) + "/follow?logs=" + client::encode_part(logs_);
        return from.empty() ? path : path + "&from=" + client::encode_part(from);
    }

    Result<void> take(std::string_view piece) {
        if (!heard_) {
            heard_ = true;
            say_back();
        }
        for (const client::Event& event : reader_.feed(piece)) {
            const auto data = proto::parse_json(event.data);
            if (!data) {
                return data.error().within("read what the coordinator streams");
            }
            if (event.name == "status" || event.name == "end") {
                run_ = *data;
                ended_ = event.name == "end";
                show_status();
            } else if (event.name == "log") {
                if (auto taken = take_log(*data); !taken) {
                    return taken;
                }
            }
        }
        return {};
    }

    // Once for each status and reason, also over reconnections.
    void show_status() {
        const std::string now = text(run_, "status") + "\n" + text(run_, "reason");
        if (handlers_.status && now != shown_) {
            shown_ = now;
            handlers_.status(run_);
        }
    }

    Result<void> take_log(const Json& data) {
        const std::string name = text(data, "name");
        const auto bytes = base64_decode(text(data, "data"));
        if (!bytes) {
            return bytes.error().within("read log '" + name + "'");
        }
        const auto offset = static_cast<std::uint64_t>(number(data, "offset"));
        std::uint64_t& seen = offsets_[name];
        const std::uint64_t end = offset + bytes->size();
        if (end <= seen) {
            return {};
        }
        const std::uint64_t known = seen > offset ? seen - offset : 0;
        seen = end;
        if (handlers_.log) {
            handlers_.log(name, std::string_view(*bytes).substr(static_cast<std::size_t>(known)));
        }
        return {};
    }

    void say_lost() {
        if (!lost_ && handlers_.notice) {
            handlers_.notice("the connection to the coordinator is lost; the run goes on without it, trying again");
        }
        lost_ = true;
    }

    void say_back() {
        if (lost_ && handlers_.notice) {
            handlers_.notice("connected again");
        }
        lost_ = false;
    }

    Connection& connection_;
    std::string run_id_;
    std::string logs_;
    const FollowHandlers& handlers_;
    client::EventReader reader_;
    std::map<std::string, std::uint64_t> offsets_;
    Json run_;
    std::string shown_;
    bool heard_ = false; // anything on this connection
    bool ended_ = false;
    bool lost_ = false;
};

} // namespace

Result<Followed> follow_run(Connection& connection, const std::string& run_id, const std::string& logs,
                            const FollowHandlers& handlers) {
    return Follower(connection, run_id, logs, handlers).follow();
}

} // namespace linarite::cli
