#include "proto/relaxed_json.hpp"

#include "common/files.hpp"
#include "proto/json_builder.hpp"

#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cmath>

namespace linarite::proto {
namespace {

/// Hands RapidJSON's events to the builder that nlohmann's parser feeds otherwise.
class Events {
public:
    // the names are RapidJSON's
    // NOLINTBEGIN(readability-identifier-naming)
    bool Null() { return builder_.null(); }
    bool Bool(bool value) { return builder_.boolean(value); }
    // as nlohmann's parser has it: unsigned unless negative
    bool Int(int value) { return builder_.number_integer(value); }
    bool Uint(unsigned value) { return builder_.number_unsigned(value); }
    bool Int64(std::int64_t value) { return builder_.number_integer(value); }
    bool Uint64(std::uint64_t value) { return builder_.number_unsigned(value); }
    bool Double(double value) { return builder_.number_float(value, ""); }
    static bool RawNumber(const char* /*text*/, rapidjson::SizeType /*size*/, bool /*copy*/) { return false; }
    bool String(const char* text, rapidjson::SizeType size, bool /*copy*/) {
        std::string value(text, size);
        return builder_.string(value);
    }
    bool Key(const char* text, rapidjson::SizeType size, bool /*copy*/) {
        std::string name(text, size);
        return builder_.key(name);
    }
    bool StartObject() { return builder_.start_object(0); }
    bool StartArray() { return builder_.start_array(0); }
    bool EndObject(rapidjson::SizeType /*members*/) { return builder_.end_object(); }
    bool EndArray(rapidjson::SizeType /*elements*/) { return builder_.end_array(); }
    // NOLINTEND(readability-identifier-naming)

    JsonBuilder& builder() { return builder_; }

private:
    JsonBuilder builder_;
};

using Writer = rapidjson::Writer<rapidjson::StringBuffer, rapidjson::UTF8<>, rapidjson::UTF8<>, rapidjson::CrtAllocator,
                                 rapidjson::kWriteNanAndInfFlag>;

rapidjson::SizeType size_of(const std::string& text) {
    return static_cast<rapidjson::SizeType>(text.size());
}

// Also a member's name. What is no UTF-8 is repaired as print_json does it.
void write_text(Writer& writer, const std::string& text) {
    if (is_utf8(text)) {
        writer.String(text.data(), size_of(text));
        return;
    }
    const std::string repaired = print_json(text);
    writer.RawValue(repaired.data(), repaired.size(), rapidjson::kStringType);
}

void write(Writer& writer, const Json& value);

void write_members(Writer& writer, const Json& object) {
    writer.StartObject();
    for (const auto& [name, value] : object.items()) {
        write_text(writer, name);
        write(writer, value);
    }
    writer.EndObject();
}

void write_elements(Writer& writer, const Json& array) {
    writer.StartArray();
    for (const Json& value : array) {
        write(writer, value);
    }
    writer.EndArray();
}

// As deep as the document, which has a limit.
void write(Writer& writer, const Json& value) { // NOLINT(misc-no-recursion)
    switch (value.type()) {
    case Json::value_t::object: return write_members(writer, value);
    case Json::value_t::array: return write_elements(writer, value);
    case Json::value_t::string: return write_text(writer, value.get_ref<const std::string&>());
    case Json::value_t::boolean: writer.Bool(value.get<bool>()); return;
    case Json::value_t::number_integer: writer.Int64(value.get<std::int64_t>()); return;
    case Json::value_t::number_unsigned: writer.Uint64(value.get<std::uint64_t>()); return;
    case Json::value_t::number_float: writer.Double(value.get<double>()); return;
    case Json::value_t::null:
    case Json::value_t::binary:
    case Json::value_t::discarded: writer.Null(); return;
    }
}

} // namespace

Result<Json> parse_relaxed_json(std::string_view text) {
    constexpr unsigned flags =
        rapidjson::kParseFullPrecisionFlag | rapidjson::kParseNanAndInfFlag | rapidjson::kParseValidateEncodingFlag;
    rapidjson::MemoryStream stream(text.data(), text.size());
    rapidjson::Reader reader;
    Events events;
    const rapidjson::ParseResult parsed = reader.Parse<flags>(stream, events);
    if (parsed) {
        return events.builder().take();
    }
    const std::string why = parsed.Code() == rapidjson::kParseErrorTermination
                                ? events.builder().error()
                                : rapidjson::GetParseError_En(parsed.Code());
    return Error(Errc::invalid_argument, fmt::format("malformed JSON at byte {}: {}", parsed.Offset(), why));
}

std::string print_relaxed_json(const Json& document) {
    rapidjson::StringBuffer buffer;
    Writer writer(buffer);
    write(writer, document);
    return {buffer.GetString(), buffer.GetSize()};
}

Json without_bare_words(Json document) { // NOLINT(misc-no-recursion)
    if (document.is_structured()) {
        for (Json& value : document) {
            value = without_bare_words(std::move(value));
        }
    }
    if (!document.is_number_float() || std::isfinite(document.get<double>())) {
        return document;
    }
    const double value = document.get<double>();
    return std::isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";
}

} // namespace linarite::proto
