// proto/definition_parts.hpp: the parts that a run definition is read in. For the files of this room alone.
#pragma once

#include "proto/json_reader.hpp"
#include "proto/run_definition.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace linarite::proto {

/// A scalar as Python's str() writes it, since that is what a script's arguments looked like on the genuine service:
/// True, 0.8, 1e-05. Nothing for null, lists and objects.
std::optional<std::string> python_text(const Json& value);

/// ASCII letters in lower case: names on the wire come in every case.
std::string lower(std::string_view text);

/// A path below the working directory, without "./" before it or "/" after it. A bad one is a fault at `key`.
std::string clean_path(JsonReader& in, std::string_view key, std::string path);

/// nodeCount, framework, communicator and the counts that go with them.
void read_distribution(JsonReader& in, RunDefinition& definition);
/// environment, docker and environmentVariables.
void read_environment(JsonReader& in, RunDefinition& definition);

} // namespace linarite::proto
