// bench/load.cpp: load on a running coordinator over its HTTP API, with many connections from one thread. Prints one
// JSON document.
//
//   linarite-load URL TOKEN submit CLIENTS COUNT BODY
//       POST BODY to /api/v1/runs COUNT times over CLIENTS connections
//   linarite-load URL TOKEN complete CLIENTS COUNT BODY
//       the same, then waits until all of them are terminal
//   linarite-load URL TOKEN get CLIENTS COUNT TARGET
//       GET TARGET
//   linarite-load URL TOKEN metrics CLIENTS COUNT TARGET
//       POST a batch of one value of the metric "acc" to TARGET: 0, 1, ... COUNT - 1
#include "client/http_client.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

namespace {

namespace asio = boost::asio;
using linarite::client::Address;
using linarite::client::HttpClient;
using linarite::client::Json;
using SteadyClock = std::chrono::steady_clock;

double ms_since(SteadyClock::time_point start) {
    return std::chrono::duration<double, std::milli>(SteadyClock::now() - start).count();
}

struct Load {
    asio::io_context io{1};
    Address address;
    std::string method;
    std::string target;
    Json body;
    bool metrics = false; // each call has a body of its own
    int left = 0;
    int failed = 0;
    std::string first_failure;
    std::vector<double> latencies;
    std::string newest; // a run id, to wait for

    static Json metric_batch(int number) {
        const Json point{{"metricId", "load-" + std::to_string(number)}, {"data", {{"acc", number + 0.5}}}};
        return Json{{"values", Json::array({Json{{"name", "acc"},
                                                 {"columns", {{"acc", "double"}}},
                                                 {"value", Json::array({point})},
                                                 {"properties", {{"uxMetricType", "azureml.v1.scalar"}}}}})},
                    {"reportErrors", true}};
    }

    asio::awaitable<void> client_loop() {
        HttpClient client(io.get_executor(), address);
        while (left > 0) {
            --left;
            const auto start = SteadyClock::now();
            const Json sent = metrics ? metric_batch(left) : body;
            const auto answer = co_await client.call(method, target, sent);
            latencies.push_back(ms_since(start));
            if (!answer) {
                ++failed;
                first_failure = answer.error().detail();
            } else if (answer->contains("run_id")) {
                newest = answer->at("run_id").get<std::string>();
            }
        }
    }

    // Asked so seldom that the question itself does not cost what is to be measured.
    asio::awaitable<void> until_idle() {
        HttpClient client(io.get_executor(), address);
        for (;;) {
            HttpClient::Request request;
            request.target = "/api/v1/runs?limit=1&status=NotStarted,Queued,Provisioning,Preparing,Starting,Running,"
                             "NotResponding,CancelRequested,Finalizing";
            const auto answer = co_await client.send(std::move(request));
            if (!answer) {
                std::cerr << answer.error().detail() << '\n';
                co_return;
            }
            if (Json::parse(answer->body).at("runs").empty()) {
                co_return;
            }
            asio::steady_timer pause(io, std::chrono::milliseconds(10));
            co_await pause.async_wait(asio::use_awaitable);
        }
    }
};

double quantile(const std::vector<double>& sorted, double q) {
    const auto last = static_cast<double>(sorted.size() - 1);
    return sorted.empty() ? 0 : sorted[static_cast<std::size_t>(q * last)];
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 7) {
        std::cerr << "usage: linarite-load URL TOKEN submit|complete|get|metrics CLIENTS COUNT BODY|TARGET\n";
        return 2;
    }
    const std::string mode = argv[3];
    Load load;
    load.address = Address{argv[1], argv[2], ""};
    load.method = mode == "get" ? "GET" : "POST";
    load.metrics = mode == "metrics";
    const bool to_target = mode == "get" || load.metrics;
    load.target = to_target ? argv[6] : "/api/v1/runs";
    load.body = to_target ? Json() : Json::parse(argv[6]);
    const int clients = std::stoi(argv[4]);
    const int count = std::stoi(argv[5]);
    load.left = count;
    const auto start = SteadyClock::now();
    for (int i = 0; i < clients; ++i) {
        asio::co_spawn(load.io, load.client_loop(), asio::detached);
    }
    load.io.run();
    const double accepted_ms = ms_since(start);
    if (mode == "complete") {
        load.io.restart();
        asio::co_spawn(load.io, load.until_idle(), asio::detached);
        load.io.run();
    }
    std::sort(load.latencies.begin(), load.latencies.end());
    const Json out{{"count", count},
                   {"clients", clients},
                   {"failed", load.failed},
                   {"first_failure", load.first_failure},
                   {"p50_ms", quantile(load.latencies, 0.5)},
                   {"p95_ms", quantile(load.latencies, 0.95)},
                   {"p99_ms", quantile(load.latencies, 0.99)},
                   {"accepted_ms", accepted_ms},
                   {"total_ms", ms_since(start)}};
    std::cout << out.dump() << '\n';
    return load.failed == 0 ? 0 : 1;
}
