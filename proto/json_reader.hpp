// proto/json_reader.hpp: typed access to a JSON document that gathers every fault with its JSON pointer.
#pragma once

#include "common/error.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace linarite::proto {

using Json = nlohmann::json;

/// Parses text with the limits that keep hostile input harmless: depth 64, 100,000 values, no duplicate keys. How long
/// the text may be is the caller's matter. Never throws for bad input: invalid_argument says where it is bad.
Result<Json> parse_json(std::string_view text);

/// One line, invalid UTF-8 replaced.
std::string print_json(const Json& document);
/// Indented by two, for people.
std::string print_json_pretty(const Json& document);

/// Reads members of one object. Faults go to a list that all readers of one document share, so that a caller can say
/// everything that is wrong at once (the list stops growing at 100). Null counts as absent. The document and the list
/// must outlive the reader.
class JsonReader {
public:
    /// If `object` is not an object that is a fault, and every member is absent.
    JsonReader(const Json& object, std::string pointer, std::vector<Fault>& faults);

    [[nodiscard]] bool has(std::string_view key) const;
    /// The member, or `otherwise` if it is absent (or of a wrong type, which is a fault).
    std::string text(std::string_view key, std::string otherwise = "");
    std::string required_text(std::string_view key);
    std::int64_t integer(std::string_view key, std::int64_t lowest, std::int64_t highest, std::int64_t otherwise);
    std::uint64_t unsigned_integer(std::string_view key, std::uint64_t otherwise);
    bool boolean(std::string_view key, bool otherwise);
    std::vector<std::string> texts(std::string_view key);
    /// A reader of the object below `key`; of an empty object if it is absent.
    JsonReader object(std::string_view key);
    /// Calls `each` with a reader for every object of the array below `key`.
    void objects(std::string_view key, const std::function<void(JsonReader&)>& each);
    /// Calls `each` for every member of the object below `key`.
    void members(std::string_view key, const std::function<void(const std::string& name, const Json& value)>& each);
    /// The raw member, or null.
    [[nodiscard]] const Json& raw(std::string_view key) const;
    /// Makes every member that has not been asked for a fault: for the agent protocol, which is strict.
    void refuse_others();
    void fault(std::string_view key, std::string message);
    /// The same for one element of the array below `key`.
    void fault(std::string_view key, std::size_t index, std::string message);
    /// The pointer of a member.
    [[nodiscard]] std::string at(std::string_view key) const;

private:
    [[nodiscard]] const Json* member(std::string_view key) const;
    const Json& object_;
    std::string pointer_;
    std::vector<Fault>& faults_;
    mutable std::vector<std::string> asked_; // what refuse_others() lets pass; a look is not a change
};

} // namespace linarite::proto
