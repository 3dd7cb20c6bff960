// proto/message_parts.hpp: the parts of which agent messages are made, and how they are read: strictly, nothing unknown
// in them. For the files of this room alone.
#pragma once

#include "fmt/core.h"
#include "proto/agent_protocol.hpp"
#include "proto/json_reader.hpp"

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace linarite::proto {

inline constexpr std::int64_t most_int = std::numeric_limits<int>::max();
inline constexpr std::int64_t most_gang = 512;
inline constexpr std::int64_t most_port = 65'535;

/// Runs `read` over the whole document and then refuses what it has not asked for.
template <class Read>
auto parse_whole(const Json& document, const std::string& what, Read read)
    -> Result<decltype(read(std::declval<JsonReader&>()))> {
    std::vector<Fault> faults;
    JsonReader in(document, "", faults);
    auto value = read(in);
    in.refuse_others();
    if (!faults.empty()) {
        return Error(std::move(faults)).within(what);
    }
    return value;
}

int read_int(JsonReader& in, std::string_view key, std::int64_t lowest, std::int64_t highest, int otherwise);
/// At most a month: a longer wait is a mistake.
Millis read_ms(JsonReader& in, std::string_view key, Millis otherwise);
/// A name that becomes part of a path or a URL on the other side.
std::string read_name(JsonReader& in, std::string_view key, std::string_view what);

/// One of `values`, by its to_wire().
template <class Value, std::size_t size>
Value read_word(JsonReader& in, std::string_view key, const std::array<Value, size>& values) {
    const std::string word = in.required_text(key);
    for (const Value value : values) {
        if (to_wire(value) == word) {
            return value;
        }
    }
    if (!word.empty()) {
        in.fault(key, fmt::format("'{}' is not known", word));
    }
    return values.front();
}

/// Each element is read like a whole document.
template <class Read>
auto read_list(JsonReader& in, std::string_view key, Read read) {
    std::vector<decltype(read(in))> out;
    in.objects(key, [&](JsonReader& element) {
        out.push_back(read(element));
        element.refuse_others();
    });
    return out;
}

template <class Values>
Json print_list(const Values& values) {
    Json out = Json::array();
    for (const auto& value : values) {
        out.push_back(print(value));
    }
    return out;
}

Json print(const NodeResources& resources);
NodeResources read_resources(JsonReader in);
Ending read_ending(JsonReader& in);
Json print(const DaemonRequest& daemon);
Json print(const RankEnd& end);
std::optional<NodeNetwork> read_network(JsonReader& of);
Json print(const RunReport& report);
RunReport read_report(JsonReader& in);
Json print(const GangMember& member);
Json print(const DesiredData& data);
Json print(const DesiredRun& run);
DesiredRun read_desired(JsonReader& in);

} // namespace linarite::proto
