#include "proto/json_reader.hpp"

#include "proto/json_builder.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace linarite::proto {

namespace {

constexpr std::size_t fault_limit = 100;

const Json& empty_object() {
    static const Json empty = Json::object();
    return empty;
}

const Json& null_value() {
    static const Json null;
    return null;
}

} // namespace

Result<Json> parse_json(std::string_view text) {
    JsonBuilder builder;
    if (!Json::sax_parse(text, &builder)) {
        return Error(Errc::invalid_argument, "malformed JSON: " + builder.error());
    }
    return builder.take();
}

std::string print_json(const Json& document) {
    return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string print_json_pretty(const Json& document) {
    return document.dump(2, ' ', false, Json::error_handler_t::replace);
}

JsonReader::JsonReader(const Json& object, std::string pointer, std::vector<Fault>& faults)
    : object_(object.is_object() ? object : empty_object()), pointer_(std::move(pointer)), faults_(faults) {
    if (!object.is_object() && faults_.size() < fault_limit) {
        faults_.push_back({pointer_, "must be an object"});
    }
}

const Json* JsonReader::member(std::string_view key) const {
    asked_.emplace_back(key);
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
}

bool JsonReader::has(std::string_view key) const {
    return member(key) != nullptr;
}

const Json& JsonReader::raw(std::string_view key) const {
    const Json* value = member(key);
    return value == nullptr ? null_value() : *value;
}

std::string JsonReader::text(std::string_view key, std::string otherwise) {
    const Json* value = member(key);
    if (value == nullptr) {
        return otherwise;
    }
    if (!value->is_string()) {
        fault(key, "must be a string");
        return otherwise;
    }
    return value->get<std::string>();
}

std::string JsonReader::required_text(std::string_view key) {
    const Json* value = member(key);
    if (value == nullptr || (value->is_string() && value->get_ref<const std::string&>().empty())) {
        fault(key, "is needed");
        return {};
    }
    return text(key);
}

std::int64_t JsonReader::integer(std::string_view key, std::int64_t lowest, std::int64_t highest,
                                 std::int64_t otherwise) {
    const Json* value = member(key);
    if (value == nullptr) {
        return otherwise;
    }
    const bool fits = value->is_number_unsigned() ? std::in_range<std::int64_t>(value->get<std::uint64_t>())
                                                  : value->is_number_integer();
    const std::int64_t number = fits ? value->get<std::int64_t>() : 0;
    if (!fits || number < lowest || number > highest) {
        fault(key, fmt::format("must be a whole number from {} to {}", lowest, highest));
        return otherwise;
    }
    return number;
}

std::uint64_t JsonReader::unsigned_integer(std::string_view key, std::uint64_t otherwise) {
    const Json* value = member(key);
    if (value == nullptr) {
        return otherwise;
    }
    // a document that was built in memory may hold a small positive number as a signed one
    const bool fits = value->is_number_unsigned() || (value->is_number_integer() && value->get<std::int64_t>() >= 0);
    if (!fits) {
        fault(key, "must be a whole number from 0 to 18446744073709551615");
        return otherwise;
    }
    return value->get<std::uint64_t>();
}

bool JsonReader::boolean(std::string_view key, bool otherwise) {
    const Json* value = member(key);
    if (value == nullptr) {
        return otherwise;
    }
    if (!value->is_boolean()) {
        fault(key, "must be true or false");
        return otherwise;
    }
    return value->get<bool>();
}

std::vector<std::string> JsonReader::texts(std::string_view key) {
    std::vector<std::string> out;
    const Json* value = member(key);
    if (value == nullptr) {
        return out;
    }
    const bool all_texts = value->is_array() &&
                           std::all_of(value->begin(), value->end(), [](const Json& each) { return each.is_string(); });
    if (!all_texts) {
        fault(key, "must be a list of strings");
        return out;
    }
    return value->get<std::vector<std::string>>();
}

JsonReader JsonReader::object(std::string_view key) {
    const Json* value = member(key);
    return {value == nullptr ? empty_object() : *value, at(key), faults_};
}

void JsonReader::objects(std::string_view key, const std::function<void(JsonReader&)>& each) {
    const Json* value = member(key);
    if (value == nullptr) {
        return;
    }
    if (!value->is_array()) {
        fault(key, "must be a list of objects");
        return;
    }
    for (std::size_t i = 0; i < value->size(); ++i) {
        if (!(*value)[i].is_object()) {
            fault(key, i, "must be an object");
            continue;
        }
        JsonReader reader((*value)[i], fmt::format("{}/{}", at(key), i), faults_);
        each(reader);
    }
}

void JsonReader::members(std::string_view key,
                         const std::function<void(const std::string& name, const Json& value)>& each) {
    const Json* value = member(key);
    if (value == nullptr) {
        return;
    }
    if (!value->is_object()) {
        fault(key, "must be an object");
        return;
    }
    for (const auto& [name, inner] : value->items()) {
        each(name, inner);
    }
}

void JsonReader::refuse_others() {
    for (const auto& [name, value] : object_.items()) {
        if (std::find(asked_.begin(), asked_.end(), name) == asked_.end()) {
            fault(name, "is not known");
        }
    }
}

void JsonReader::fault(std::string_view key, std::string message) {
    if (faults_.size() < fault_limit) {
        faults_.push_back({at(key), std::move(message)});
    }
}

void JsonReader::fault(std::string_view key, std::size_t index, std::string message) {
    if (faults_.size() < fault_limit) {
        faults_.push_back({fmt::format("{}/{}", at(key), index), std::move(message)});
    }
}

std::string JsonReader::at(std::string_view key) const {
    std::string pointer = pointer_ + "/";
    for (const char c : key) { // RFC 6901
        if (c == '~') {
            pointer += "~0";
        } else if (c == '/') {
            pointer += "~1";
        } else {
            pointer += c;
        }
    }
    return pointer;
}

} // namespace linarite::proto
