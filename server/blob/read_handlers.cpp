#include "server/blob/answer.hpp"
#include "server/blob/handlers.hpp"
#include "server/http/range.hpp"

namespace linarite::blob {

asio::awaitable<void> get_blob(Call call, Opened& opened) {
    const bool is_head = call.head().method == http::beast_http::verb::head;
    if (!(is_head ? opened.rights.look : opened.rights.read)) {
        co_return co_await refuse(call, Error(Errc::forbidden, "the signature does not allow to read"));
    }
    const auto facts = co_await opened.place->find();
    if (!facts) {
        co_return co_await refuse(call, facts.error());
    }
    // whoever reads a growing file in parts wants more of the same file, though its tag is another one by now
    const std::string condition = call.header("if-match");
    if (!condition.empty() && !facts->growing && !http::names_etag(condition, facts->etag)) {
        co_return co_await refuse(call, Status::precondition_failed, "ConditionNotMet", "the blob is another by now");
    }
    const std::string own_range = call.header("x-ms-range");
    const std::string range = own_range.empty() ? call.header("range") : own_range;
    if (!is_head && http::parse_range(range, facts->size).kind == http::Range::Kind::unsatisfiable) {
        call.exchange->add_header("Content-Range", "bytes */" + std::to_string(facts->size));
        co_return co_await refuse(call, Status::range_not_satisfiable, "InvalidRange",
                                  "the range begins behind the end of the blob");
    }
    add_blob_headers(call, *facts, false);
    if (facts->open) {
        co_return co_await call.exchange->reply_open_file(std::move(*facts->open), facts->size, facts->content_type,
                                                          facts->etag, range);
    }
    co_await call.exchange->reply_file(facts->file, facts->size, facts->content_type, facts->etag, range);
}

} // namespace linarite::blob
