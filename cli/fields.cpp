#include "cli/fields.hpp"

namespace linarite::cli {

const Json& member(const Json& object, const char* key) {
    static const Json nothing;
    if (!object.is_object()) {
        return nothing;
    }
    const auto found = object.find(key);
    return found == object.end() ? nothing : *found;
}

std::string text(const Json& object, const char* key) {
    const Json& value = member(object, key);
    return value.is_string() ? value.get<std::string>() : std::string();
}

std::int64_t number(const Json& object, const char* key) {
    const Json& value = member(object, key);
    return value.is_number() ? value.get<std::int64_t>() : 0;
}

bool flag(const Json& object, const char* key) {
    const Json& value = member(object, key);
    return value.is_boolean() && value.get<bool>();
}

std::vector<std::string> texts(const Json& object, const char* key) {
    std::vector<std::string> words;
    for (const Json& value : member(object, key)) {
        if (value.is_string()) {
            words.push_back(value.get<std::string>());
        }
    }
    return words;
}

std::string join(const std::vector<std::string>& words, const std::string& between) {
    std::string joined;
    for (const std::string& word : words) {
        joined += (joined.empty() ? "" : between) + word;
    }
    return joined;
}

} // namespace linarite::cli
