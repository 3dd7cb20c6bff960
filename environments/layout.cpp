#include "environments/layout.hpp"

#include "common/hash.hpp"
#include "common/ids.hpp"

namespace linarite::environments {

namespace {

constexpr std::string_view removed_prefix = ".removed-";

} // namespace

bool is_key(std::string_view name) {
    return is_sha256_hex(name);
}

fs::path new_removed_name(const fs::path& cache) {
    return cache / (std::string(removed_prefix) + random_hex(8));
}

bool is_removed_name(std::string_view name) {
    return name.starts_with(removed_prefix);
}

} // namespace linarite::environments
