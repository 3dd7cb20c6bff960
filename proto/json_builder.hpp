// proto/json_builder.hpp: a document within limits, built from a parser's events. For the parsers of this room.
#pragma once

#include "proto/json_reader.hpp"

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace linarite::proto {

/// Builds the document from the parser's events and stops the parser at the first thing that is over a limit: what is
/// refused is never held in memory.
class JsonBuilder final : public nlohmann::json_sax<Json> {
public:
    bool null() override { return add(nullptr) != nullptr; }
    bool boolean(bool value) override { return add(value) != nullptr; }
    bool number_integer(number_integer_t value) override { return add(value) != nullptr; }
    bool number_unsigned(number_unsigned_t value) override { return add(value) != nullptr; }
    bool number_float(number_float_t value, const string_t& /*text*/) override { return add(value) != nullptr; }
    bool string(string_t& value) override { return add(std::move(value)) != nullptr; }
    bool binary(binary_t& /*value*/) override { return refuse("binary values are no JSON"); }
    bool start_object(std::size_t /*elements*/) override { return open(Json::object()); }
    bool start_array(std::size_t /*elements*/) override { return open(Json::array()); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }

    bool key(string_t& name) override {
        if (open_.back()->contains(name)) {
            return refuse("the member '" + name + "' is there twice");
        }
        key_ = std::move(name);
        return true;
    }

    bool parse_error(std::size_t /*at*/, const std::string& /*token*/, const nlohmann::detail::exception& e) override {
        const std::string_view text = e.what(); // "[json.exception.parse_error.101] parse error at line 1, ..."
        const auto end = text.find("] ");
        return refuse(std::string(end == std::string_view::npos ? text : text.substr(end + 2)));
    }

    [[nodiscard]] const std::string& error() const { return error_; }
    Json take() { return std::move(root_); }

private:
    static constexpr std::size_t depth_limit = 64;
    static constexpr std::size_t value_limit = 100'000;

    Json* add(Json value) {
        if (++values_ > value_limit) {
            refuse(fmt::format("more than {} values", value_limit));
            return nullptr;
        }
        if (open_.empty()) {
            root_ = std::move(value);
            return &root_;
        }
        Json& parent = *open_.back();
        if (parent.is_array()) {
            return &parent.emplace_back(std::move(value));
        }
        return &(parent[key_] = std::move(value));
    }

    bool open(Json container) {
        if (open_.size() >= depth_limit) {
            return refuse(fmt::format("nested more than {} deep", depth_limit));
        }
        Json* added = add(std::move(container));
        if (added == nullptr) {
            return false;
        }
        open_.push_back(added); // stays valid: only the innermost open container grows
        return true;
    }

    bool close() {
        open_.pop_back();
        return true;
    }

    bool refuse(std::string why) {
        error_ = std::move(why);
        return false;
    }

    Json root_;
    std::vector<Json*> open_;
    std::string key_;
    std::size_t values_ = 0;
    std::string error_;
};

} // namespace linarite::proto
