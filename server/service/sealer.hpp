// server/service/sealer.hpp: secrets that lie on disk for a while, so that whoever reads the history or a backup of it
// reads none of them.
#pragma once

#include "common/error.hpp"
#include "common/files.hpp"

#include <string>
#include <string_view>

namespace linarite::service {

/// Seals with a key of this data directory (AES-256-GCM). The key is in a file of its own that no backup holds.
class Sealer {
public:
    /// Reads the key, or makes it (file mode 0600).
    static Result<Sealer> open(const fs::path& file);

    /// As text. `owner` is whose it is: sealed for another one it does not open.
    [[nodiscard]] Result<std::string> seal(std::string_view secret, std::string_view owner) const;
    /// invalid_argument: it was sealed with another key or for another owner, or is damaged.
    [[nodiscard]] Result<std::string> unseal(std::string_view sealed, std::string_view owner) const;

private:
    explicit Sealer(std::string key) : key_(std::move(key)) {}
    std::string key_; // 32 bytes
};

} // namespace linarite::service
