// Job files: YAML as JSON. yaml-cpp keeps scalars as text, so their types are resolved here, by YAML 1.2's core schema.
#include "fmt/core.h"
#include "proto/json_reader.hpp"
#include "proto/run_definition.hpp"
#include "yaml-cpp/yaml.h"

#include <charconv>
#include <utility>

namespace linarite::proto {

namespace {

constexpr std::size_t text_limit = std::size_t{4} << 20U;
constexpr std::size_t value_limit = 100'000; // aliases count as often as they are used
constexpr std::size_t depth_limit = 64;

Error error_at(const YAML::Mark& mark, const std::string& message) {
    if (mark.is_null()) {
        return Error(Errc::invalid_argument, message);
    }
    return Error(Errc::invalid_argument,
                 fmt::format("line {}, column {}: {}", mark.line + 1, mark.column + 1, message));
}

template <class Number>
std::optional<Number> parse_number(std::string_view digits, int base) {
    Number value{};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    const bool whole = error == std::errc() && end == digits.data() + digits.size();
    return whole ? std::optional(value) : std::nullopt;
}

bool all_of(std::string_view text, std::string_view alphabet) {
    return !text.empty() && text.find_first_not_of(alphabet) == std::string_view::npos;
}

/// [-+]?[0-9]+, 0o[0-7]+ or 0x[0-9a-fA-F]+. What does not fit into 64 bits stays a text, so that no digit is lost.
std::optional<Json> parse_integer(std::string_view text) {
    if (text.starts_with("0x") || text.starts_with("0o")) {
        const auto value = parse_number<std::uint64_t>(text.substr(2), text[1] == 'x' ? 16 : 8);
        return value ? std::optional<Json>(*value) : std::nullopt;
    }
    const bool negative = text.starts_with('-');
    const std::string_view digits = negative || text.starts_with('+') ? text.substr(1) : text;
    if (!all_of(digits, "0123456789")) {
        return std::nullopt;
    }
    if (negative) {
        const auto value = parse_number<std::int64_t>(text, 10);
        return value ? Json(*value) : Json(text);
    }
    const auto value = parse_number<std::uint64_t>(digits, 10);
    return value ? Json(*value) : Json(text);
}

/// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
std::optional<Json> parse_float(std::string_view text) {
    std::string_view unsigned_text = text;
    if (text.starts_with('-') || text.starts_with('+')) {
        unsigned_text.remove_prefix(1);
    }
    const auto exponent = unsigned_text.find_first_of("eE");
    const std::string_view mantissa = unsigned_text.substr(0, exponent);
    const bool has_digits = mantissa.find_first_of("0123456789") != std::string_view::npos;
    if (!has_digits || !all_of(mantissa, "0123456789.")) { // from_chars would take "inf" and "nan" too
        return std::nullopt;
    }
    std::string plain(text.starts_with('+') ? text.substr(1) : text);
    if (exponent != std::string_view::npos && exponent + 1 == unsigned_text.size()) {
        return std::nullopt;
    }
    double value = 0;
    const auto [end, error] = std::from_chars(plain.data(), plain.data() + plain.size(), value);
    if (error != std::errc() || end != plain.data() + plain.size()) {
        return std::nullopt;
    }
    return Json(value);
}

Json resolve_plain(const std::string& text) {
    if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
        return nullptr;
    }
    if (text == "true" || text == "True" || text == "TRUE") {
        return true;
    }
    if (text == "false" || text == "False" || text == "FALSE") {
        return false;
    }
    if (auto number = parse_integer(text)) {
        return std::move(*number);
    }
    if (auto number = parse_float(text)) {
        return std::move(*number);
    }
    return text;
}

/// Walks a YAML document and makes JSON of it, within limits.
class Converter {
public:
    Result<Json> convert(const YAML::Node& node, std::size_t depth = 0) {
        if (++values_ > value_limit || depth > depth_limit) {
            return error_at(node.Mark(),
                            fmt::format("more than {} values, or nested more than {} deep", value_limit, depth_limit));
        }
        switch (node.Type()) {
        case YAML::NodeType::Undefined:
        case YAML::NodeType::Null: return Json();
        case YAML::NodeType::Scalar: return convert_scalar(node);
        case YAML::NodeType::Sequence: return convert_sequence(node, depth);
        case YAML::NodeType::Map: return convert_map(node, depth);
        }
        return Json();
    }

private:
    /// yaml-cpp's tag is "?" for a plain scalar and "!" for a quoted one.
    static Result<Json> convert_scalar(const YAML::Node& node) {
        const std::string& tag = node.Tag();
        if (tag == "?" || tag.empty()) {
            return resolve_plain(node.Scalar());
        }
        if (tag == "!" || tag == "tag:yaml.org,2002:str") {
            return Json(node.Scalar());
        }
        return error_at(node.Mark(), fmt::format("the tag '{}' is not known here", tag));
    }

    Result<Json> convert_sequence(const YAML::Node& node, std::size_t depth) {
        Json out = Json::array();
        for (const YAML::Node& element : node) {
            auto value = convert(element, depth + 1);
            if (!value) {
                return value;
            }
            out.push_back(std::move(*value));
        }
        return out;
    }

    Result<Json> convert_map(const YAML::Node& node, std::size_t depth) {
        Json out = Json::object();
        for (const auto& entry : node) {
            if (!entry.first.IsScalar()) {
                return error_at(entry.first.Mark(), "a key must be a plain word");
            }
            const std::string& key = entry.first.Scalar();
            if (key == "<<") {
                return error_at(entry.first.Mark(), "merge keys ('<<') are not supported");
            }
            if (out.contains(key)) {
                return error_at(entry.first.Mark(), fmt::format("the key '{}' is there twice", key));
            }
            auto value = convert(entry.second, depth + 1);
            if (!value) {
                return value;
            }
            out[key] = std::move(*value);
        }
        return out;
    }

    std::size_t values_ = 0;
};

Result<Json> parse_yaml_object(const std::string& text) {
    if (text.size() > text_limit) {
        return Error(Errc::too_large, fmt::format("over {} bytes", text_limit));
    }
    try {
        const std::vector<YAML::Node> documents = YAML::LoadAll(text);
        if (documents.size() > 1) {
            return error_at(documents[1].Mark(), "a second document begins here: one is enough");
        }
        auto converted = documents.empty() ? Result<Json>(Json()) : Converter().convert(documents.front());
        if (converted && !converted->is_object()) {
            return Error(Errc::invalid_argument, "this is no set of keys and values (\"script: train.py\")");
        }
        return converted;
    } catch (const YAML::Exception& e) {
        return error_at(e.mark, e.msg);
    }
}

/// JSON first, where it looks like JSON: YAML readers differ in the escapes of JSON's strings.
Result<Json> parse_object(const std::string& text) {
    const auto begin = text.find_first_not_of(" \t\r\n");
    if (begin != std::string::npos && text[begin] == '{' && text.size() <= text_limit) {
        if (auto document = parse_json(text)) {
            return document;
        }
    }
    return parse_yaml_object(text);
}

/// environment.python, or nullptr if it isn't there.
Json* python_section(Json& document) {
    Json* section = &document;
    for (const char* const key : {"environment", "python"}) {
        const auto found = section->is_object() ? section->find(key) : section->end();
        if (!section->is_object() || found == section->end()) {
            return nullptr;
        }
        section = &*found;
    }
    return section->is_object() ? section : nullptr;
}

} // namespace

Result<Json> read_job_file(const std::string& text,
                           const std::function<Result<std::string>(const std::string& path)>& conda_file) {
    auto document = parse_object(text);
    if (!document) {
        return document;
    }
    Json* python = python_section(*document);
    if (python == nullptr) {
        return document;
    }
    const auto file = python->find("condaDependenciesFile");
    if (file == python->end() || !file->is_string() || file->get_ref<const std::string&>().empty()) {
        return document;
    }
    if (const auto given = python->find("condaDependencies"); given != python->end() && !given->is_null()) {
        return Error({Fault{"/environment/python/condaDependenciesFile",
                            "If conda_dependencies_file parameter is specified, the following parameters cannot be "
                            "specified: pip_packages, pip_requirements_file, conda_packages"}});
    }
    const std::string path = file->get<std::string>();
    const auto content = conda_file(path);
    if (!content && content.error().code() == Errc::not_found &&
        python->value("userManagedDependencies", Json()) == true) {
        python->erase("condaDependenciesFile"); // the SDK names its default file even where nothing is built of it
        return document;
    }
    if (!content) {
        return content.error().within("conda file '" + path + "'");
    }
    auto conda = parse_object(*content);
    if (!conda) {
        return conda.error().within("conda file '" + path + "'");
    }
    python->erase("condaDependenciesFile");
    (*python)["condaDependencies"] = std::move(*conda);
    return document;
}

} // namespace linarite::proto
