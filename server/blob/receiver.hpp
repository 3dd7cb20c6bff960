// server/blob/receiver.hpp: a request's body into a file, with the checks that the client asked for.
#pragma once

#include "server/blob/api.hpp"

#include <memory>
#include <string>

struct evp_md_ctx_st;

namespace linarite::blob {

/// Takes the body of one request. The file outlives it.
class Receiver {
public:
    /// Which hashes are checked is read from the headers.
    Receiver(Call call, artifacts::IncomingFile& file);
    asio::awaitable<Result<void>> receive();
    /// Fed by receive().
    asio::awaitable<Result<void>> feed(std::string_view bytes);

private:
    struct Free {
        void operator()(evp_md_ctx_st* context) const;
    };
    [[nodiscard]] Result<void> check() const;

    Call call_;
    artifacts::IncomingFile& file_;
    std::unique_ptr<evp_md_ctx_st, Free> md5_; // only if the client names it
};

} // namespace linarite::blob
