#include "common/ids.hpp"

#include "common/hash.hpp"

#include <openssl/rand.h>

#include <algorithm>
#include <vector>

namespace linarite {
namespace {

bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

} // namespace

Result<std::string> parse_name(std::string_view text, std::string_view what) {
    const bool fits = !text.empty() && text.size() <= 128 && is_word(text.front()) &&
                      std::all_of(text.begin(), text.end(), [](char c) { return is_word(c) || c == '-' || c == '.'; });
    if (!fits) {
        return Error(Errc::invalid_argument, std::string(what) + " '" + std::string(text.substr(0, 140)) +
                                                 "' must be 1 to 128 letters, digits, '_', '-' or '.', and start "
                                                 "with a letter, a digit or '_'");
    }
    return std::string(text);
}

std::string random_hex(std::size_t bytes) {
    std::vector<unsigned char> raw(bytes);
    if (RAND_bytes(raw.data(), static_cast<int>(bytes)) != 1) {
        throw std::runtime_error("the kernel gives no random bytes");
    }
    return to_hex(raw);
}

std::string random_guid() {
    std::string hex = random_hex(16);
    hex[12] = '4'; // the version
    hex[16] = 'a'; // the variant
    return hex.substr(0, 8) + "-" + hex.substr(8, 4) + "-" + hex.substr(12, 4) + "-" + hex.substr(16, 4) + "-" +
           hex.substr(20);
}

RunId make_run_id(std::string_view experiment, std::int64_t unix_seconds) {
    return RunId(std::string(experiment.substr(0, 96)) + "_" + std::to_string(unix_seconds) + "_" + random_hex(4));
}

} // namespace linarite
