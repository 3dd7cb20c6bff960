// cli/fields.hpp: members of the coordinator's answers, without surprises if one is missing or of another type.
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace linarite::cli {

using Json = nlohmann::json;

/// The member, or null.
const Json& member(const Json& object, const char* key);
/// The text; "" if it is null, missing or no text.
std::string text(const Json& object, const char* key);
std::int64_t number(const Json& object, const char* key);
bool flag(const Json& object, const char* key);
/// The texts of an array.
std::vector<std::string> texts(const Json& object, const char* key);
std::string join(const std::vector<std::string>& words, const std::string& between);

} // namespace linarite::cli
