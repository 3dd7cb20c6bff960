#include "common/hash.hpp"
#include "proto/json_reader.hpp"
#include "server/native/render.hpp"

#include <charconv>

namespace linarite::native {
namespace {

using namespace std::chrono_literals;
using http::Exchange;
using Verb = http::beast_http::verb;
using ApiPtr = std::shared_ptr<Api>;

constexpr std::size_t piece_bytes = std::size_t{128} << 10U;
constexpr Millis keep_alive = 15s;

/// Which logs a follower wants: names, or the ones that tell a user how the run goes.
struct Choice {
    bool driver = true;
    std::set<std::string> names;

    [[nodiscard]] bool takes(const std::string& path) const {
        if (!driver) {
            return names.contains(path);
        }
        return path.starts_with("azureml-logs/20_") || path.starts_with("azureml-logs/70_");
    }
};

std::vector<std::string> split(const std::string& list, char separator) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < list.size();) {
        const std::size_t end = std::min(list.find(separator, at), list.size());
        if (end > at) {
            parts.push_back(list.substr(at, end - at));
        }
        at = end + 1;
    }
    return parts;
}

Choice parse_choice(const std::string& logs) {
    if (logs.empty() || logs == "driver") {
        return {};
    }
    Choice choice{false, {}};
    if (logs != "none") {
        for (std::string& name : split(logs, ',')) {
            choice.names.insert(std::move(name));
        }
    }
    return choice;
}

Result<std::map<std::string, std::uint64_t>> parse_offsets(const std::string& from) {
    std::map<std::string, std::uint64_t> offsets;
    for (const std::string& part : split(from, ',')) {
        const std::size_t colon = part.rfind(':');
        std::uint64_t offset = 0;
        const char* end = part.data() + part.size();
        const bool read =
            colon != std::string::npos && std::from_chars(part.data() + colon + 1, end, offset).ptr == end;
        if (!read) {
            return Error({Fault{"?from", "expected <name>:<offset>,..."}});
        }
        offsets[part.substr(0, colon)] = offset;
    }
    return offsets;
}

std::string event(const char* name, const Json& data) {
    return std::string("event: ") + name + "\ndata: " + proto::print_json(data) + "\n\n";
}

/// One client that follows one run.
class Follower {
public:
    Follower(ApiPtr api, Exchange& exchange, RunId run, Choice choice, std::map<std::string, std::uint64_t> offsets)
        : api_(std::move(api)),
          exchange_(exchange),
          run_(std::move(run)),
          choice_(std::move(choice)),
          offsets_(std::move(offsets)),
          signal_(api_->scheduler.run_signal(run_)) {}

    /// Until the run ended and all was sent, the client went away, or the server stops.
    asio::awaitable<Result<void>> follow() {
        while (!exchange_.stopping()) {
            const std::uint64_t seen = signal_->count();
            const auto row = co_await api_->runs.find(run_);
            if (!row) {
                co_return row.error();
            }
            if (auto sent = co_await send_status(*row); !sent) {
                co_return sent;
            }
            const auto grew = co_await send_logs();
            if (!grew) {
                co_return grew.error();
            }
            if (*grew) {
                continue; // more may have come while we sent
            }
            if (core::is_terminal(row->status)) {
                co_return co_await exchange_.write_chunk(event("end", render_run(*row)));
            }
            if (auto waited = co_await wait(seen); !waited) {
                co_return waited;
            }
        }
        co_return Result<void>{};
    }

private:
    asio::awaitable<Result<void>> send_status(const store::RunRow& row) {
        const std::pair<core::RunStatus, std::string> now{row.status, row.reason};
        if (shown_ == now) {
            co_return Result<void>{};
        }
        shown_ = now;
        co_return co_await exchange_.write_chunk(event("status", render_run(row)));
    }

    // True if anything was sent.
    asio::awaitable<Result<bool>> send_logs() {
        bool grew = false;
        const auto files = co_await api_->storage.list(run_, "");
        if (!files) {
            co_return files.error();
        }
        for (const service::RunFile& file : *files) {
            std::uint64_t& offset = offsets_[file.path];
            while (choice_.takes(file.path) && offset < file.size) {
                const auto bytes = co_await api_->storage.read(run_, file.path, offset, piece_bytes);
                if (!bytes || bytes->empty()) {
                    break; // replaced meanwhile; the next round sees it
                }
                const Json data{{"name", file.path}, {"offset", offset}, {"data", base64_encode(*bytes)}};
                if (auto sent = co_await exchange_.write_chunk(event("log", data)); !sent) {
                    co_return sent.error();
                }
                offset += bytes->size();
                grew = true;
            }
        }
        co_return grew;
    }

    asio::awaitable<Result<void>> wait(std::uint64_t seen) {
        const auto before = std::chrono::steady_clock::now();
        co_await signal_->wait_past(seen, keep_alive);
        if (std::chrono::steady_clock::now() - before >= keep_alive) {
            co_return co_await exchange_.write_chunk(": still here\n\n");
        }
        co_return Result<void>{};
    }

    ApiPtr api_;
    Exchange& exchange_;
    RunId run_;
    Choice choice_;
    std::map<std::string, std::uint64_t> offsets_;
    std::shared_ptr<Signal> signal_;
    std::pair<core::RunStatus, std::string> shown_{core::RunStatus::not_started, "\n"};
};

asio::awaitable<void> follow(ApiPtr api, Exchange& exchange) {
    const RunId id(parameter(exchange, "id"));
    auto offsets = parse_offsets(query(exchange, "from"));
    const auto row = co_await api->runs.find(id);
    if (!row || !offsets) {
        co_return co_await exchange.reply_error(row ? offsets.error() : row.error());
    }
    if (auto started = co_await exchange.start_stream("text/event-stream"); !started) {
        co_return;
    }
    Follower follower(api, exchange, id, parse_choice(query(exchange, "logs")), std::move(*offsets));
    const Result<void> done = co_await follower.follow();
    if (done) {
        co_await exchange.end_stream();
    }
}

} // namespace

void add_follow_route(http::Router& router, const ApiPtr& api) {
    router.add(Verb::get, "/api/v1/runs/{id}/follow", admins,
               [api](Exchange& exchange) { return follow(api, exchange); });
}

} // namespace linarite::native
