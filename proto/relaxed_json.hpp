// proto/relaxed_json.hpp: JSON as Python's json module writes it: with NaN, Infinity and -Infinity as bare words.
#pragma once

#include "proto/json_reader.hpp"

namespace linarite::proto {

/// As parse_json, with its limits; the three words become doubles. Every number that fits keeps its bits: integers of
/// 64 bits stay integers, doubles are the nearest to their text.
Result<Json> parse_relaxed_json(std::string_view text);

/// One line; doubles that are no numbers as the three words, all others so that they are read back as they were.
std::string print_relaxed_json(const Json& document);

/// A double as JSON without the words has it: "NaN", "Infinity" and "-Infinity" as strings, in the whole document.
Json without_bare_words(Json document);

} // namespace linarite::proto
