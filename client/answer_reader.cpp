#include "client/answer_reader.hpp"

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace linarite::client {
namespace {

namespace beast_http = boost::beast::http;
using Parser = beast_http::response_parser<beast_http::buffer_body>;

constexpr std::size_t head_room = 16U << 10U;
constexpr std::size_t body_room = 256U << 10U;
constexpr std::uint32_t longest_head = 64U << 10U;
// Beast 1.81 asserts that so much of the last chunk is there once it has seen its first line; no body ends with less.
constexpr std::size_t shortest_last_chunk = 5;

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
    return out;
}

} // namespace

struct AnswerReader::State {
    enum class Body { none, known, chunked, to_the_end };

    bool of_head_request = false;
    boost::beast::flat_buffer buffer;
    std::size_t used = 0; // of the buffer, by the piece handed out last
    std::optional<Parser> parser;
    bool head_done = false;
    Body body = Body::none;
    std::uint64_t left = 0;       // of a known body
    std::uint64_t chunk_left = 0; // of the chunk that is being read
    std::string_view piece;       // what the parser found in the buffer
    bool ended = false;

    // Kept for the parser, which holds a reference to them.
    std::function<void(std::uint64_t, boost::beast::string_view, boost::beast::error_code&)> on_chunk =
        [this](std::uint64_t size, boost::beast::string_view, boost::beast::error_code&) { chunk_left = size; };
    std::function<std::size_t(std::uint64_t, boost::beast::string_view, boost::beast::error_code&)> on_bytes =
        [this](std::uint64_t, boost::beast::string_view bytes, boost::beast::error_code&) {
            piece = {bytes.data(), bytes.size()};
            chunk_left -= bytes.size();
            return bytes.size();
        };

    void begin() {
        parser.emplace();
        parser->header_limit(longest_head);
        parser->body_limit(boost::none);
        parser->skip(of_head_request);
        parser->on_chunk_header(on_chunk);
        parser->on_chunk_body(on_bytes);
    }
    void choose_body() {
        if (parser->is_done()) {
            body = Body::none;
        } else if (parser->chunked()) {
            body = Body::chunked;
        } else if (const auto length = parser->content_length()) {
            body = Body::known;
            left = *length;
        } else {
            body = Body::to_the_end;
        }
    }
    [[nodiscard]] std::string_view here() const {
        return {static_cast<const char*>(buffer.data().data()), buffer.size()};
    }
    Result<std::string_view> next_chunked();
};

AnswerReader::AnswerReader(bool of_head_request) : state_(std::make_unique<State>()) {
    state_->of_head_request = of_head_request;
    state_->begin();
}
AnswerReader::~AnswerReader() = default;

asio::mutable_buffer AnswerReader::room() {
    return state_->buffer.prepare(state_->head_done ? body_room : head_room);
}

Result<bool> AnswerReader::head_arrived(std::size_t count) {
    State& state = *state_;
    state.buffer.commit(count);
    for (;;) {
        boost::beast::error_code ec;
        const std::size_t used = state.parser->put(state.buffer.data(), ec);
        state.buffer.consume(used);
        if (ec == beast_http::error::need_more) {
            return false;
        }
        if (ec) {
            return Error(Errc::unavailable, "malformed answer: " + ec.message());
        }
        if (state.parser->is_header_done() && state.parser->get().result_int() >= 200) {
            state.head_done = true;
            state.choose_body();
            return true;
        }
        if (state.parser->is_header_done()) {
            state.begin(); // 100 Continue: the real answer follows
        }
        if (state.buffer.size() == 0) {
            return false;
        }
    }
}

Response AnswerReader::take_head() {
    Response response;
    const auto& message = state_->parser->get();
    response.status = static_cast<int>(message.result_int());
    for (const auto& header : message) {
        const auto [at, is_new] = response.headers.emplace(lower(header.name_string()), header.value());
        if (!is_new) {
            at->second.append(", ").append(header.value());
        }
    }
    return response;
}

void AnswerReader::arrived(std::size_t count) {
    state_->buffer.commit(count);
}

Result<std::string_view> AnswerReader::next_piece() {
    State& state = *state_;
    state.buffer.consume(std::exchange(state.used, 0));
    switch (state.body) {
    case State::Body::none: return std::string_view();
    case State::Body::chunked: return state.next_chunked();
    case State::Body::known: {
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(state.left, state.buffer.size()));
        state.left -= count;
        state.used = count;
        return state.here().substr(0, count);
    }
    case State::Body::to_the_end: state.used = state.buffer.size(); return state.here();
    }
    return std::string_view();
}

Result<std::string_view> AnswerReader::State::next_chunked() {
    piece = {};
    while (piece.empty() && !parser->is_done()) {
        if (buffer.size() == 0 || (chunk_left == 0 && buffer.size() < shortest_last_chunk)) {
            return std::string_view();
        }
        boost::beast::error_code ec;
        const std::size_t count = parser->put(buffer.data(), ec);
        if (ec == beast_http::error::need_more) {
            buffer.consume(count);
            return std::string_view();
        }
        if (ec) {
            return Error(Errc::unavailable, "malformed answer: " + ec.message());
        }
        if (piece.empty()) {
            buffer.consume(count);
        } else {
            used = count; // the piece lies in the buffer until it is used
        }
    }
    return piece;
}

bool AnswerReader::complete() const {
    switch (state_->body) {
    case State::Body::none: return true;
    case State::Body::known: return state_->left == 0;
    case State::Body::chunked: return state_->parser->is_done();
    case State::Body::to_the_end: return state_->ended;
    }
    return true;
}

bool AnswerReader::ended() {
    state_->ended = state_->body == State::Body::to_the_end;
    return state_->ended;
}

bool AnswerReader::keep_alive() const {
    return state_->parser->keep_alive() && state_->body != State::Body::to_the_end;
}

std::string print_chunk_size(std::size_t size) {
    std::array<char, 16> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), size, 16).ptr;
    return std::string(digits.data(), end).append("\r\n");
}

} // namespace linarite::client
