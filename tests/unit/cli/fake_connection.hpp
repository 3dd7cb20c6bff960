// tests/unit/cli/fake_connection.hpp: a coordinator of canned answers that remembers what it was asked.
#pragma once

#include "cli/connection.hpp"

#include <deque>
#include <map>
#include <string>
#include <vector>

namespace linarite::cli {

class FakeConnection final : public Connection {
public:
    struct Stream {
        std::vector<std::string> pieces;
        Result<void> end; // what the download gives after them
    };

    std::map<std::string, std::deque<Result<Json>>> answers; // by "METHOD target"; the last one stays
    std::deque<Stream> streams;                              // one for each download
    std::vector<std::string> asked;
    std::vector<Json> bodies;
    std::string uploaded;
    int reconnects = 0;
    int pauses = 0;
    int interrupt_after_pauses = -1;

    Result<Json> call(const std::string& method, const std::string& target, const Json& body) override {
        bodies.push_back(body);
        return answer(method + " " + target);
    }

    Result<void> download(const std::string& target, const Sink& sink) override {
        asked.push_back("GET " + target);
        if (streams.empty()) {
            return Error(Errc::unavailable, "nothing more to stream");
        }
        const Stream stream = streams.front();
        streams.pop_front();
        for (const std::string& piece : stream.pieces) {
            if (auto taken = sink(piece); !taken) {
                return taken;
            }
        }
        return stream.end;
    }

    Result<Json> upload(const std::string& method, const std::string& target, const Source& source,
                        std::int64_t) override {
        Result<std::string> piece = source();
        while (piece && !piece->empty()) {
            uploaded += *piece;
            piece = source();
        }
        return piece ? answer(method + " " + target) : piece.error();
    }

    void catch_interrupt() override {}
    [[nodiscard]] bool interrupted() const override {
        return interrupt_after_pauses >= 0 && pauses > interrupt_after_pauses;
    }
    void pause(std::chrono::milliseconds) override { ++pauses; }
    Result<void> reconnect() override {
        ++reconnects;
        return {};
    }
    [[nodiscard]] std::string url() const override { return "http://127.0.0.1:1"; }

private:
    Result<Json> answer(const std::string& what) {
        asked.push_back(what);
        auto& queue = answers[what];
        if (queue.empty()) {
            return Error(Errc::not_found, "no answer for " + what);
        }
        Result<Json> first = queue.front();
        if (queue.size() > 1) {
            queue.pop_front();
        }
        return first;
    }
};

} // namespace linarite::cli
