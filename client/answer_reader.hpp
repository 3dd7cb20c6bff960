// client/answer_reader.hpp: an HTTP answer from the bytes that arrive, without a socket. The body is handed on in
// place.
#pragma once

#include "client/http_client.hpp"

#include <boost/asio/buffer.hpp>

#include <memory>
#include <string_view>

namespace linarite::client {

/// Reads one answer. First room() and head_arrived() until that says true; then next_piece(), and room() and arrived()
/// whenever it gives nothing and complete() is false.
class AnswerReader {
public:
    /// `of_head_request`: the answer has no body whatever its head says.
    explicit AnswerReader(bool of_head_request);
    ~AnswerReader();
    AnswerReader(const AnswerReader&) = delete;
    AnswerReader& operator=(const AnswerReader&) = delete;

    /// Where the next bytes go.
    asio::mutable_buffer room();
    /// True once the head is whole; interim answers (100 Continue) are skipped.
    Result<bool> head_arrived(std::size_t count);
    /// Status and headers.
    Response take_head();
    void arrived(std::size_t count);
    /// The next piece of the body that is here, valid until the next call; empty if more must arrive, or at the end.
    Result<std::string_view> next_piece();
    [[nodiscard]] bool complete() const;
    /// The connection has ended: true if that is how this body ends.
    [[nodiscard]] bool ended();
    [[nodiscard]] bool keep_alive() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// "1f\r\n".
std::string print_chunk_size(std::size_t size);

} // namespace linarite::client
