// How programs find each other: the join string and endpoint.json, both declared in agent_protocol.hpp.
#include "common/hash.hpp"
#include "proto/agent_protocol.hpp"
#include "proto/json_reader.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace linarite::proto {

namespace {

constexpr std::string_view join_family = "linarite-join-";
constexpr std::string_view join_prefix = "linarite-join-1.";
constexpr std::size_t join_limit = std::size_t{64} << 10U;

/// The alphabet that needs no quoting in a shell or a URL, and no padding (RFC 4648, section 5).
std::string base64url_encode(std::string_view bytes) {
    std::string text = base64_encode(bytes);
    text.erase(text.find_last_not_of('=') + 1);
    std::replace(text.begin(), text.end(), '+', '-');
    std::replace(text.begin(), text.end(), '/', '_');
    return text;
}

Result<std::string> base64url_decode(std::string text) {
    if (text.find_first_of("+/=") != std::string::npos) {
        return Error(Errc::invalid_argument, "not base64url");
    }
    std::replace(text.begin(), text.end(), '-', '+');
    std::replace(text.begin(), text.end(), '_', '/');
    text.append((4 - text.size() % 4) % 4, '=');
    return base64_decode(text);
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    const auto begin = text.find_first_not_of(blanks);
    return begin == std::string_view::npos ? std::string_view()
                                           : text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

} // namespace

std::string print(const JoinString& join) {
    const Json document = {{"url", join.url}, {"token", join.token}, {"ca", join.ca_pem}};
    return std::string(join_prefix) + base64url_encode(print_json(document));
}

Result<JoinString> parse_join_string(const std::string& text) {
    const std::string_view word = trimmed(text);
    if (!word.starts_with(join_family) || word.size() > join_limit) {
        return Error(Errc::invalid_argument, "this is no join string: `linarite nodes join` prints one, which starts "
                                             "with \"linarite-join-\"");
    }
    if (!word.starts_with(join_prefix)) {
        return Error(Errc::invalid_argument, "this join string is of another version: update the older program");
    }
    const auto bytes = base64url_decode(std::string(word.substr(join_prefix.size())));
    const auto document = bytes ? parse_json(*bytes) : Result<Json>(bytes.error());
    if (!document) { // what is wrong with the bytes says nothing to a person
        return Error(Errc::invalid_argument, "the join string is damaged: copy it whole, it is one word");
    }
    std::vector<Fault> faults;
    JsonReader in(*document, "", faults);
    JoinString join;
    join.url = in.required_text("url");
    join.token = in.required_text("token");
    join.ca_pem = in.text("ca");
    in.refuse_others();
    if (!join.url.starts_with("https://") && !join.url.starts_with("http://")) {
        in.fault("url", "must start with https:// or http://");
    }
    if (!faults.empty()) {
        return Error(std::move(faults)).within("join string");
    }
    return join;
}

Json print(const Endpoint& endpoint) {
    return {{"pid", endpoint.pid},
            {"https_url", endpoint.https_url},
            {"http_url", endpoint.http_url},
            {"ca_file", endpoint.ca_file},
            {"version", endpoint.version}};
}

Result<Endpoint> parse_endpoint(const Json& document) {
    std::vector<Fault> faults;
    JsonReader in(document, "", faults);
    Endpoint endpoint;
    endpoint.pid = static_cast<int>(in.integer("pid", 0, std::numeric_limits<int>::max(), 0));
    endpoint.https_url = in.text("https_url");
    endpoint.http_url = in.text("http_url");
    endpoint.ca_file = in.text("ca_file");
    endpoint.version = in.text("version");
    if (!faults.empty()) {
        return Error(std::move(faults)).within("endpoint.json");
    }
    return endpoint;
}

} // namespace linarite::proto
