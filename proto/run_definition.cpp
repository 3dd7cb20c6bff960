#include "proto/run_definition.hpp"

#include "common/files.hpp"
#include "common/ids.hpp"
#include "fmt/core.h"
#include "proto/definition_parts.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <utility>

namespace linarite::proto {

namespace {

constexpr std::int64_t most_seconds = std::int64_t{10} * 365 * 24 * 3600;
constexpr std::int64_t most_priority = 1'000'000;

std::string python_float(double value) {
    if (std::isnan(value)) {
        return "nan";
    }
    if (std::isinf(value)) {
        return value < 0 ? "-inf" : "inf";
    }
    std::string text = fmt::format("{}", value); // the shortest that reads back, exponents from 1e16: as repr() does
    if (text.find_first_of(".e") == std::string::npos) {
        text += ".0";
    }
    return text;
}

/// A list of scalars as texts. Null and "" vanish, as the service lets them: a flag is {"--flag": ""} in the v1 SDK.
std::vector<std::string> read_arguments(JsonReader& in, std::string_view key) {
    std::vector<std::string> out;
    const Json& list = in.raw(key);
    if (!list.is_array()) {
        if (!list.is_null()) {
            in.fault(key, "must be a list of strings, numbers and booleans");
        }
        return out;
    }
    for (std::size_t i = 0; i < list.size(); ++i) {
        const auto text = python_text(list[i]);
        if (!text && !list[i].is_null()) {
            in.fault(key, i, "must be a string, a number or a boolean");
        } else if (text && text->find('\0') != std::string::npos) {
            in.fault(key, i, "holds a NUL character, which no program can be given");
        } else if (text && !text->empty()) {
            out.push_back(*text);
        }
    }
    return out;
}

void read_what_to_run(JsonReader& in, RunDefinition& definition) {
    const Json& command = in.raw("command");
    if (!command.is_string()) {
        definition.command = read_arguments(in, "command");
    } else if (const auto& text = command.get_ref<const std::string&>(); text.find('\0') != std::string::npos) {
        in.fault("command", "holds a NUL character, which no program can be given");
    } else if (!text.empty()) { // the service gives the text to a shell
        definition.command = {"/bin/sh", "-c", text};
    }
    definition.arguments = read_arguments(in, "arguments");
    const std::string script = in.text("script");
    // The v1 SDK leaves its default script name in place when a command is given: the command is what was meant.
    if (!definition.command.empty()) {
        return;
    }
    if (script.empty()) {
        const bool is_absent = !in.has("script") || in.raw("script").is_string();
        if (is_absent && (command.is_null() || command.is_string() || command.empty())) {
            in.fault("script", "an entry script is needed: 'script' names it, relative to the source directory");
        }
        return;
    }
    definition.script = clean_path(in, "script", script);
}

DataMode read_mode(JsonReader& in) {
    const std::string word = in.text("mode", "mount");
    for (const DataMode mode : {DataMode::mount, DataMode::download, DataMode::upload}) {
        if (to_wire(mode) == lower(word)) {
            return mode;
        }
    }
    in.fault("mode", fmt::format("'{}' is not known: 'mount', 'download' or 'upload'", word));
    return DataMode::mount;
}

/// A name or path of a file in a datastore. "/a/b/" is taken as "a/b": users write both.
std::string read_path_on_datastore(JsonReader& in) {
    std::string path = in.text("pathOnDataStore");
    path.erase(0, path.find_first_not_of('/'));
    return path.empty() || path == "." ? std::string() : clean_path(in, "pathOnDataStore", path);
}

/// Relative to the working directory, or absolute: the node is the user's for the time of the run.
std::string read_path_on_compute(JsonReader& in) {
    const std::string path = in.text("pathOnCompute");
    if (path.empty() || path == "." || path == "./") {
        return {};
    }
    return path.starts_with('/') ? "/" + clean_path(in, "pathOnCompute", path.substr(1))
                                 : clean_path(in, "pathOnCompute", path);
}

void read_data_references(JsonReader& in, RunDefinition& definition) {
    in.members("dataReferences", [&](const std::string& name, const Json& value) {
        JsonReader references = in.object("dataReferences");
        if (value.is_null()) {
            return;
        }
        if (const auto parsed = parse_name(name, "data reference"); !parsed) {
            references.fault(name, parsed.error().detail());
            return;
        }
        if (!value.is_object()) {
            references.fault(name, "must be an object");
            return;
        }
        JsonReader entry = references.object(name);
        DataReference reference;
        reference.name = name;
        reference.datastore = entry.required_text("dataStoreName");
        if (const auto store = parse_name(reference.datastore, "datastore"); !store && !reference.datastore.empty()) {
            entry.fault("dataStoreName", store.error().detail());
        }
        reference.mode = read_mode(entry);
        reference.overwrite = entry.boolean("overwrite", false);
        reference.path_on_datastore = read_path_on_datastore(entry);
        reference.path_on_compute = read_path_on_compute(entry);
        definition.data.push_back(std::move(reference));
    });
}

/// What would make the script see a literal "DatasetConsumptionConfig:..." instead of a path is refused, not ignored.
void refuse_datasets(JsonReader& in) {
    for (const std::string_view key : {"data", "outputData"}) {
        if (const Json& datasets = in.raw(key); datasets.is_object() && !datasets.empty()) {
            in.fault(key, "datasets are not served here: give the data as a data reference "
                          "(datastore.path(...).as_mount(), or 'dataReferences')");
        }
    }
}

void read_history(JsonReader in, RunDefinition& definition) {
    definition.collect_outputs = in.boolean("outputCollection", true);
    if (!in.has("directoriesToWatch")) {
        return;
    }
    definition.watched_folders.clear();
    for (const std::string& folder : in.texts("directoriesToWatch")) {
        std::string clean = clean_path(in, "directoriesToWatch", folder);
        auto& folders = definition.watched_folders;
        if (!clean.empty() && std::find(folders.begin(), folders.end(), clean) == folders.end()) {
            folders.push_back(std::move(clean));
        }
    }
}

} // namespace

std::optional<std::string> python_text(const Json& value) {
    switch (value.type()) {
    case Json::value_t::string: return value.get<std::string>();
    case Json::value_t::boolean: return value.get<bool>() ? "True" : "False";
    case Json::value_t::number_integer: return std::to_string(value.get<std::int64_t>());
    case Json::value_t::number_unsigned: return std::to_string(value.get<std::uint64_t>());
    case Json::value_t::number_float: return python_float(value.get<double>());
    case Json::value_t::null:
    case Json::value_t::object:
    case Json::value_t::array:
    case Json::value_t::binary:
    case Json::value_t::discarded: break;
    }
    return std::nullopt;
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

std::string clean_path(JsonReader& in, std::string_view key, std::string path) {
    while (path.starts_with("./")) {
        path.erase(0, 2);
    }
    while (path.ends_with('/')) {
        path.pop_back();
    }
    auto parsed = parse_relative_path(path, key);
    if (!parsed) {
        in.fault(key, parsed.error().detail());
        return {};
    }
    return std::move(*parsed);
}

Result<RunDefinition> parse_run_definition(const Json& document) {
    std::vector<Fault> faults;
    JsonReader in(document, "", faults);
    if (!document.is_object()) {
        return Error(std::move(faults));
    }
    RunDefinition definition;
    read_what_to_run(in, definition);
    definition.target = in.text("target");
    read_distribution(in, definition);
    read_environment(in, definition);
    read_data_references(in, definition);
    refuse_datasets(in);
    if (in.has("maxRunDurationSeconds")) {
        definition.max_duration = std::chrono::seconds(in.integer("maxRunDurationSeconds", 1, most_seconds, 1));
    }
    definition.priority = static_cast<int>(in.integer("priority", -most_priority, most_priority, 0));
    definition.max_attempts = static_cast<int>(in.integer("maxAttempts", 1, 10, 1));
    read_history(in.object("history"), definition);
    if (!faults.empty()) {
        return Error(std::move(faults));
    }
    return definition;
}

} // namespace linarite::proto
