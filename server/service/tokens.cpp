#include "server/service/tokens.hpp"

#include "common/hash.hpp"

#include <cstdlib>
#include <jwt.h>
#include <memory>

namespace linarite::service {
namespace {

constexpr const char* run_role = "run";
constexpr const char* client_role = "client";

struct FreeJwt {
    void operator()(jwt_t* jwt) const { jwt_free(jwt); }
};
struct FreeText {
    void operator()(char* text) const { std::free(text); } // NOLINT(cppcoreguidelines-no-malloc): libjwt's malloc
};
using Jwt = std::unique_ptr<jwt_t, FreeJwt>;

const unsigned char* bytes_of(const std::string& text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

std::string text_grant(const Jwt& jwt, const char* name) {
    const char* value = jwt_get_grant(jwt.get(), name);
    return value == nullptr ? "" : value;
}

std::int64_t seconds(Time at) {
    return to_ms(at) / 1000;
}

std::string link_text(LinkRight right, std::string_view path, Time expires) {
    std::string text = right == LinkRight::read ? "link-read\n" : "link-write\n";
    return text.append(path).append("\n").append(std::to_string(seconds(expires)));
}

} // namespace

Result<Tokens> Tokens::open(const fs::path& file) {
    const auto known = read_file(file, 4096);
    if (known && known->size() >= 64) {
        return Tokens(known->substr(0, 64));
    }
    if (!known && known.error().code() != Errc::not_found) {
        return known.error();
    }
    std::string secret = random_hex(32);
    if (auto written = write_file_durably(file, secret + "\n", 0600); !written) {
        return written.error();
    }
    return Tokens(std::move(secret));
}

Result<std::string> Tokens::issue(const Claims& claims) const {
    jwt_t* made = nullptr;
    if (jwt_new(&made) != 0) {
        return Error(Errc::internal, "a token cannot be made");
    }
    const Jwt jwt(made);
    const bool is_run = claims.role == Claims::Role::run;
    int failed = jwt_add_grant(made, "role", is_run ? run_role : client_role);
    failed |= jwt_add_grant(made, "sub", claims.subject.c_str());
    failed |= jwt_add_grant(made, "oid", claims.subject.c_str());
    failed |= jwt_add_grant(made, "tid", tenant_id);
    failed |= jwt_add_grant_int(made, "attempt", claims.attempt);
    failed |= jwt_add_grant_int(made, "exp", seconds(claims.expires));
    failed |= jwt_set_alg(made, JWT_ALG_HS256, bytes_of(secret_), static_cast<int>(secret_.size()));
    const std::unique_ptr<char, FreeText> text(failed == 0 ? jwt_encode_str(made) : nullptr);
    if (!text) {
        return Error(Errc::internal, "a token cannot be signed");
    }
    return std::string(text.get());
}

Result<Claims> Tokens::check(const std::string& token, Time now) const {
    jwt_t* read = nullptr;
    if (jwt_decode(&read, token.c_str(), bytes_of(secret_), static_cast<int>(secret_.size())) != 0) {
        return Error(Errc::unauthorized, "unknown token");
    }
    const Jwt jwt(read);
    const std::string role = text_grant(jwt, "role");
    if (jwt_get_alg(read) != JWT_ALG_HS256 || (role != run_role && role != client_role)) {
        return Error(Errc::unauthorized, "unknown token");
    }
    Claims claims;
    claims.role = role == run_role ? Claims::Role::run : Claims::Role::client;
    claims.subject = text_grant(jwt, "sub");
    claims.attempt = static_cast<int>(jwt_get_grant_int(read, "attempt"));
    claims.expires = from_ms(static_cast<std::int64_t>(jwt_get_grant_int(read, "exp")) * 1000);
    if (claims.expires <= now) {
        return Error(Errc::unauthorized, "the token expired at " + format_time(claims.expires));
    }
    return claims;
}

std::string Tokens::sign_link(LinkRight right, std::string_view path, Time expires) const {
    return to_hex(hmac_sha256(secret_, link_text(right, path, expires)));
}

bool Tokens::check_link(LinkRight right, std::string_view path, Time expires, std::string_view signature,
                        Time now) const {
    return expires > now && equal_in_constant_time(sign_link(right, path, expires), signature);
}

std::string Tokens::account_key(std::string_view account) const {
    const auto key = hmac_sha256(secret_, std::string("account\n").append(account));
    return base64_encode(std::string_view(reinterpret_cast<const char*>(key.data()), key.size()));
}

} // namespace linarite::service
