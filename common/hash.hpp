// common/hash.hpp: SHA-256, hex and base64, all by OpenSSL.
#pragma once

#include "common/error.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace linarite {

/// SHA-256 over bytes that come in pieces.
class Sha256 {
public:
    Sha256();
    Sha256(const Sha256& other);
    Sha256& operator=(const Sha256& other);
    Sha256(Sha256&&) noexcept = default;
    Sha256& operator=(Sha256&&) noexcept = default;
    ~Sha256() = default;
    void update(std::string_view bytes);
    /// Lower-case hex of all bytes so far; more may follow.
    [[nodiscard]] std::string hex() const;

private:
    struct Free {
        void operator()(evp_md_ctx_st* context) const;
    };
    std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::string sha256_hex(std::string_view bytes);
std::string to_hex(std::span<const unsigned char> bytes);
/// HMAC with SHA-256 (RFC 2104).
std::array<unsigned char, 32> hmac_sha256(std::string_view key, std::string_view message);
/// 64 lower-case hex digits.
bool is_sha256_hex(std::string_view text);

std::string base64_encode(std::string_view bytes);
/// Standard alphabet with padding; anything else is invalid_argument.
Result<std::string> base64_decode(std::string_view text);

/// Takes the same time whatever differs.
bool equal_in_constant_time(std::string_view a, std::string_view b);

} // namespace linarite
