#include "common/hash.hpp"
#include "server/blob/answer.hpp"
#include "server/blob/handlers.hpp"
#include "server/blob/shared_key.hpp"
#include "server/blob/xml.hpp"

#include <charconv>
#include <optional>

namespace linarite::blob {
namespace {

constexpr int page_limit = 5000;

using Entry = artifacts::RunFiles::Entry;

/// Nothing if the query's value is not one that may be.
std::optional<int> max_results(const Call& call) {
    const std::string text = call.query("maxresults");
    int value = page_limit;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (!text.empty() && (error != std::errc() || end != text.data() + text.size() || value < 1)) {
        return std::nullopt;
    }
    return std::min(value, page_limit);
}

/// The name up to the first delimiter behind the prefix, with it; "" if there is none.
std::string folder_in(const std::string& name, const std::string& prefix, const std::string& delimiter) {
    const std::size_t at = delimiter.empty() ? std::string::npos : name.find(delimiter, prefix.size());
    return at == std::string::npos ? "" : name.substr(0, at + delimiter.size());
}

/// Fills the page with what comes after `last`.
void fill(Listing& listing, const std::vector<Entry>& entries, const std::string& last, int limit) {
    std::string reached;
    for (const Entry& entry : entries) {
        const std::string folder = folder_in(entry.name, listing.prefix, listing.delimiter);
        const std::string& shown = folder.empty() ? entry.name : folder;
        if (shown <= last || (!listing.folders.empty() && shown == listing.folders.back())) {
            continue;
        }
        if (static_cast<int>(listing.items.size() + listing.folders.size()) == limit) {
            listing.next_marker = base64_encode(reached);
            return;
        }
        reached = shown;
        if (folder.empty()) {
            listing.items.push_back({entry.name, entry.size, "", ""});
        } else {
            listing.folders.push_back(folder);
        }
    }
}

} // namespace

asio::awaitable<void> show_container(Call call) {
    const std::string now = print_http_date(call.api->clock.now());
    call.exchange->add_header("ETag", '"' + etag_of(call.container()) + '"');
    call.exchange->add_header("Last-Modified", now);
    call.exchange->add_header("x-ms-lease-state", "available");
    call.exchange->add_header("x-ms-lease-status", "unlocked");
    call.exchange->add_header("x-ms-has-immutability-policy", "false");
    call.exchange->add_header("x-ms-has-legal-hold", "false");
    co_await call.exchange->reply_empty(Status::ok);
}

asio::awaitable<void> list_blobs(Call call, Opened& opened) {
    if (!opened.rights.list) {
        co_return co_await refuse(call, Error(Errc::forbidden, "the signature does not allow to list"));
    }
    const auto limit = max_results(call);
    const auto last = base64_decode(call.query("marker"));
    if (!limit || !last) {
        co_return co_await refuse(call, Status::bad_request, "OutOfRangeQueryParameterValue",
                                  "maxresults or marker is not one that may be");
    }
    Listing listing;
    listing.endpoint = "https://" + call.header("host") + "/";
    listing.container = call.container();
    listing.prefix = call.query("prefix");
    listing.marker = call.query("marker");
    listing.delimiter = call.query("delimiter");
    listing.max_results = call.query("maxresults").empty() ? 0 : *limit;
    const auto entries = co_await call.api->datastores.files(opened.datastore.name, listing.prefix);
    if (!entries) {
        co_return co_await refuse(call, entries.error());
    }
    fill(listing, *entries, *last, *limit);
    for (auto item = listing.items.begin(); item != listing.items.end();) {
        const auto file = co_await call.api->datastores.open(opened.datastore.name, item->name);
        if (!file) { // gone meanwhile
            item = listing.items.erase(item);
            continue;
        }
        const Facts facts = facts_of(*file);
        item->size = facts.size;
        item->etag = facts.etag;
        item->modified = print_http_date(facts.modified);
        ++item;
    }
    co_await call.exchange->reply_text(Status::ok, "application/xml", print(listing));
}

} // namespace linarite::blob
