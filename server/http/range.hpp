// server/http/range.hpp: which part of a file a request wants, and whether the client has it already.
#pragma once

#include <cstdint>
#include <string_view>

namespace linarite::http {

/// What a Range header asks for of `size` bytes.
struct Range {
    enum class Kind { whole, part, unsatisfiable };
    Kind kind = Kind::whole;
    std::uint64_t first = 0;
    std::uint64_t length = 0;
    bool operator==(const Range&) const = default;
};
/// One range of bytes; several ranges, other units and malformed ones mean the whole file, as RFC 9110 allows.
Range parse_range(std::string_view header, std::uint64_t size);

/// If-None-Match (a list of quoted tags, weak ones too, or "*") names `etag`.
bool names_etag(std::string_view header, std::string_view etag);

/// text/plain, JSON and raster images may be shown by a browser; everything else is to be saved.
bool shown_inline(std::string_view content_type);

} // namespace linarite::http
