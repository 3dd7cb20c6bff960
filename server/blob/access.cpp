#include "server/blob/access.hpp"

#include "common/files.hpp"
#include "common/hash.hpp"
#include "server/blob/shared_key.hpp"

#include <charconv>

namespace linarite::blob {
namespace {

using namespace std::chrono_literals;
using service::LinkRight;

constexpr auto clock_slack = 15min; // as Azure allows between the client's clock and its own

Error no_good_signature() {
    return Error(Errc::unauthorized, "the request carries no valid signature, or one that has expired");
}

bool is_linked(const std::string& container) {
    return container == service::artifact_container || container == service::snapshot_container;
}

std::optional<Time> expiry(const Call& call) {
    const std::string text = call.query("se");
    std::int64_t seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    const bool sane =
        error == std::errc() && end == text.data() + text.size() && seconds > 0 && seconds < std::int64_t{1} << 40U;
    return sane ? std::optional(from_ms(seconds * 1000)) : std::nullopt;
}

/// Of a link to one file. Who may write may also look whether all has arrived, and only that.
std::optional<Rights> linked_rights(const Call& call) {
    const auto expires = expiry(call);
    const std::string right = call.query("sp");
    if (!expires || (right != "r" && right != "w")) {
        return std::nullopt;
    }
    const LinkRight wanted = right == "r" ? LinkRight::read : LinkRight::write;
    if (!call.api->tokens.check_link(wanted, call.head().path, *expires, call.query("sig"), call.api->clock.now())) {
        return std::nullopt;
    }
    Rights rights;
    rights.look = true;
    rights.read = wanted == LinkRight::read;
    rights.write = wanted == LinkRight::write;
    return rights;
}

Result<Opened> open_linked(const Call& call) {
    const auto rights = linked_rights(call);
    if (!rights) {
        return no_good_signature();
    }
    Opened opened;
    opened.rights = *rights;
    if (call.container() == service::snapshot_container) {
        opened.place = snapshot_place(call.api, call.blob());
        return opened;
    }
    auto blob = service::parse_artifact_blob(call.blob());
    if (!blob) {
        return blob.error();
    }
    opened.place = artifact_place(call.api, std::move(*blob));
    return opened;
}

bool is_recent(const Call& call) {
    const std::string own = call.header("x-ms-date");
    const auto sent = parse_http_date(own.empty() ? call.header("date") : own);
    const Time now = call.api->clock.now();
    return sent && *sent > now - clock_slack && *sent < now + clock_slack;
}

/// The account whose key signed the request; "" if none did.
std::string signing_account(const Call& call) {
    const auto given = parse_shared_key(call.header("authorization"));
    if (!given || given->account.empty() || !is_recent(call)) {
        return "";
    }
    const std::string right =
        sign(call.api->tokens.account_key(given->account), string_to_sign(call.head(), given->account));
    return equal_in_constant_time(right, given->signature) ? given->account : "";
}

Rights rights_of(const std::string& letters) {
    const auto has = [&](char letter) { return letters.find(letter) != std::string::npos; };
    Rights rights;
    rights.read = rights.look = has('r');
    rights.write = has('w');
    rights.create = has('c') || has('w');
    rights.remove = has('d');
    rights.list = has('l');
    return rights;
}

/// Of all accounts' datastores with a container of that name, the one whose signature the request carries.
std::optional<store::DatastoreRow> by_sas(const Call& call, const std::vector<store::DatastoreRow>& rows) {
    const auto expires = expiry(call);
    for (const store::DatastoreRow& row : rows) {
        if (expires && service::check_container_sas(call.api->tokens, service::blob_names(row), call.query("sp"),
                                                    *expires, call.query("sig"), call.api->clock.now())) {
            return row;
        }
    }
    return std::nullopt;
}

asio::awaitable<Result<Opened>> open_container(Call call) {
    const std::string account = signing_account(call);
    const auto rows = co_await call.api->datastores.with_container(call.container());
    if (!rows) {
        co_return rows.error();
    }
    Opened opened;
    if (!account.empty()) {
        opened.rights = rights_of("rwcdl");
        for (const store::DatastoreRow& row : *rows) {
            opened.datastore = service::blob_names(row).account == account ? row : opened.datastore;
        }
        if (opened.datastore.name.empty()) {
            co_return Error(Errc::not_found, "account '" + account + "' has no container '" + call.container() + "'");
        }
    } else if (auto row = by_sas(call, *rows)) {
        opened.rights = rights_of(call.query("sp"));
        opened.datastore = std::move(*row);
    } else {
        co_return no_good_signature();
    }
    if (!call.blob().empty()) {
        auto name = parse_relative_path(call.blob(), "blob");
        if (!name) {
            co_return name.error();
        }
        opened.place = datastore_place(call.api, opened.datastore.name, std::move(*name));
    }
    co_return opened;
}

} // namespace

asio::awaitable<Result<Opened>> open(Call call) {
    if (is_linked(call.container())) {
        co_return open_linked(call);
    }
    co_return co_await open_container(call);
}

bool has_blob_marks(const Call& call) {
    return is_linked(call.container()) || !call.header("x-ms-version").empty() || !call.query("sig").empty() ||
           call.header("authorization").starts_with("SharedKey");
}

} // namespace linarite::blob
