// server/service/tokens.hpp: everything that is signed: bearer tokens of clients and runs, links to single files, and
// the keys of storage accounts. One secret in the data directory makes them all, so that they outlive a restart.
#pragma once

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/ids.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace linarite::service {

/// Azure's tokens name the directory that they come from; ours is only printed by clients.
inline constexpr const char* tenant_id = "99999999-0000-0000-0000-6c696e617269";

/// Who a bearer token speaks for.
struct Claims {
    enum class Role { client, run };
    Role role = Role::client;
    std::string subject; // client id, or run id
    int attempt = 0;     // of a run's token
    Time expires{};
};

/// What a signed link allows.
enum class LinkRight { read, write };

class Tokens {
public:
    /// Reads the secret, or makes it (file mode 0600).
    static Result<Tokens> open(const fs::path& file);

    /// A JWT (HS256). Clients of Azure read `exp`, `tid` and `oid` of it without checking the signature.
    [[nodiscard]] Result<std::string> issue(const Claims& claims) const;
    /// Unauthorized if it is not one of ours, or is past its time at `now`.
    [[nodiscard]] Result<Claims> check(const std::string& token, Time now) const;

    /// The signature of a link to one file, as lower-case hex: of its right, its path and its last second.
    [[nodiscard]] std::string sign_link(LinkRight right, std::string_view path, Time expires) const;
    /// Whether `signature` is that of such a link, and it is not past its time.
    [[nodiscard]] bool check_link(LinkRight right, std::string_view path, Time expires, std::string_view signature,
                                  Time now) const;

    /// The key (32 bytes, in base64) of a storage account of ours.
    [[nodiscard]] std::string account_key(std::string_view account) const;

private:
    explicit Tokens(std::string secret) : secret_(std::move(secret)) {}
    std::string secret_;
};

} // namespace linarite::service
