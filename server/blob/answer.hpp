// server/blob/answer.hpp: how the blob dialect answers: headers, errors, and what went wrong in Azure's words.
#pragma once

#include "server/blob/place.hpp"

namespace linarite::blob {

/// The headers of every answer: ids, version, date.
void add_common_headers(const Call& call);
/// ETag, Last-Modified and what else Azure says of a blob that it serves. `with_etag` false if the reply adds it
/// itself.
void add_blob_headers(const Call& call, const Facts& facts, bool with_etag);
/// What a client hears after a write.
void add_written_headers(const Call& call, const Facts& facts);

/// <Error> with the code, in the body and in x-ms-error-code.
asio::awaitable<void> refuse(Call call, Status status, std::string code, std::string message);
/// With the status and code of the error's kind.
asio::awaitable<void> refuse(Call call, Error error);

} // namespace linarite::blob
