#include "server/http/body.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace linarite::http {
namespace {

using beast_http::status;
constexpr std::size_t buffer_piece = 32U << 10U;

} // namespace

void BodyReader::start(const ParsedHead& parsed) {
    kind_ = parsed.body;
    left_ = parsed.body == ParsedHead::Body::length ? *parsed.head.content_length : 0;
    total_ = 0;
    chunks_ = ChunkDecoder();
    waits_for_continue_ = parsed.expects_continue;
    until_ = SteadyTime::max();
    waited_ = {};
    window_bytes_ = 0;
    failure_.reset();
}

bool BodyReader::complete() const {
    switch (kind_) {
    case ParsedHead::Body::none: return true;
    case ParsedHead::Body::length: return left_ == 0;
    case ParsedHead::Body::chunked: return chunks_.done();
    }
    return true;
}

std::uint64_t BodyReader::at_least_left() const {
    if (complete()) {
        return 0;
    }
    return kind_ == ParsedHead::Body::length ? left_ : std::max<std::uint64_t>(1, chunks_.data_left());
}

Error BodyReader::fail(status why, Errc code, std::string message) {
    failure_ = why;
    return {code, std::move(message)};
}

asio::awaitable<Result<std::size_t>> BodyReader::read_some(asio::mutable_buffer into) {
    if (failure_) {
        co_return Error(Errc::invalid_argument, "the body could not be read");
    }
    if (complete() || into.size() == 0) {
        co_return std::size_t{0};
    }
    if (waits_for_continue_) {
        waits_for_continue_ = false;
        const std::array<std::string_view, 3> go_on{"HTTP/1.1 100 Continue\r\n\r\n", "", ""};
        co_await wire_->write(go_on, limits_->write_time); // a failure shows in the read
    }
    auto piece = kind_ == ParsedHead::Body::length ? read_known(into) : read_chunked(into);
    const Result<std::size_t> count = co_await std::move(piece);
    if (count) {
        total_ += *count;
        if (total_ > limits_->blob_body) {
            co_return fail(status::payload_too_large, Errc::too_large, "the body is too large");
        }
    }
    co_return count;
}

asio::awaitable<Result<std::size_t>> BodyReader::read_known(asio::mutable_buffer into) {
    const asio::mutable_buffer wanted = asio::buffer(into, std::min<std::uint64_t>(into.size(), left_));
    const Result<std::size_t> count = co_await take(wanted);
    if (count) {
        left_ -= *count;
    }
    co_return count;
}

asio::awaitable<Result<std::size_t>> BodyReader::read_chunked(asio::mutable_buffer into) {
    for (;;) {
        const std::string_view arrived(static_cast<const char*>(buffer_->data().data()), buffer_->size());
        const Result<std::size_t> framing = chunks_.skip(arrived);
        if (!framing) {
            co_return fail(status::bad_request, framing.error().code(), framing.error().detail());
        }
        buffer_->consume(*framing);
        if (chunks_.done()) {
            co_return std::size_t{0};
        }
        if (chunks_.data_left() > 0) {
            break;
        }
        const Result<void> more = co_await fill_buffer();
        if (!more) {
            co_return more.error();
        }
    }
    const Result<std::size_t> count =
        co_await take(asio::buffer(into, std::min<std::uint64_t>(into.size(), chunks_.data_left())));
    if (count) {
        chunks_.took(*count);
    }
    co_return count;
}

asio::awaitable<Result<std::size_t>> BodyReader::take(asio::mutable_buffer into) {
    if (buffer_->size() > 0) {
        const std::size_t count = asio::buffer_copy(into, buffer_->data());
        buffer_->consume(count);
        co_return count;
    }
    co_return co_await receive(into);
}

asio::awaitable<Result<void>> BodyReader::fill_buffer() {
    const std::size_t room = std::min(buffer_->max_size() - buffer_->size(), buffer_piece);
    const Result<std::size_t> count = co_await receive(buffer_->prepare(room));
    if (!count) {
        co_return count.error();
    }
    buffer_->commit(*count);
    co_return Result<void>();
}

// Only the time spent waiting for the sender counts, not what the handler does between two reads.
asio::awaitable<Result<std::size_t>> BodyReader::receive(asio::mutable_buffer into) {
    const SteadyTime begin = std::chrono::steady_clock::now();
    wire_->expire_at(std::min(until_, begin + (limits_->slow_window - waited_)));
    const IoResult<std::size_t> count = co_await wire_->read_some(into);
    const bool expired = !count && wire_->expired();
    wire_->never_expire();
    if (expired) {
        co_return fail(status::request_timeout, Errc::unavailable, "the body came too slowly");
    }
    if (!count) {
        co_return fail(status::bad_request, Errc::unavailable, "the client broke off in the middle of the body");
    }
    window_bytes_ += *count;
    waited_ += std::chrono::steady_clock::now() - begin;
    if (window_bytes_ >= limits_->slow_bytes) {
        window_bytes_ = 0;
        waited_ = {};
    }
    co_return *count;
}

asio::awaitable<bool> BodyReader::drop(std::size_t most) {
    std::vector<char> dropped(std::min<std::size_t>(most, buffer_piece));
    std::size_t total = 0;
    while (!complete() && total <= most) {
        const Result<std::size_t> count = co_await read_some(asio::buffer(dropped));
        if (!count) {
            co_return false;
        }
        total += *count;
    }
    co_return complete();
}

} // namespace linarite::http
