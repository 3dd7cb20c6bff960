// What the tests of this room share.
#pragma once

#include "common/error.hpp"
#include "proto/json_reader.hpp"
#include "proto/run_definition.hpp"

#include <fstream>
#include <sstream>
#include <string>

namespace linarite {

/// How a failed test shows a fault.
inline void PrintTo(const Fault& fault, std::ostream* out) { // NOLINT(readability-identifier-naming): gtest's name
    *out << fault.pointer << ": " << fault.message;
}

} // namespace linarite

namespace linarite::proto {

/// The text of a file in tests/unit/proto/data.
inline std::string data_file(const std::string& name) {
    const std::ifstream in(std::string(LINARITE_SOURCE_DIR) + "/tests/unit/proto/data/" + name);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

/// A literal document. A wrong one ends the test: value() throws.
inline Json json(const std::string& text) {
    return parse_json(text).value();
}

template <class T>
std::vector<Fault> faults_of(const Result<T>& result) {
    return result ? std::vector<Fault>() : result.error().faults();
}

/// What a run definition is refused for: `script` is given, and the rest as in `members`.
inline std::vector<Fault> definition_faults(const std::string& members) {
    Json document = {{"script", "train.py"}};
    document.update(json(members));
    return faults_of(parse_run_definition(document));
}

/// A definition that must be good.
inline RunDefinition definition(const std::string& members) {
    Json document = {{"script", "train.py"}};
    document.update(json(members));
    return parse_run_definition(document).value();
}

} // namespace linarite::proto
