#include "proto/frames.hpp"

#include "common/files.hpp"
#include "common/hash.hpp"
#include "fmt/core.h"
#include "proto/json_reader.hpp"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

namespace linarite::proto {

namespace {

/// No file reaches further: off_t is signed.
constexpr std::uint64_t file_limit = std::numeric_limits<std::int64_t>::max();

Result<FrameHeader> parse_frame_header(std::string_view line) {
    const auto document = parse_json(line);
    if (!document) {
        return document.error().within("frame header");
    }
    std::vector<Fault> faults;
    JsonReader in(*document, "", faults);
    FrameHeader header;
    header.path = in.required_text("path");
    header.offset = in.unsigned_integer("offset", 0);
    header.size = in.unsigned_integer("size", 0);
    header.executable = in.boolean("executable", false);
    header.sha256 = in.text("sha256");
    header.closed = in.text("closed");
    in.refuse_others();
    if (const auto path = parse_relative_path(header.path, "path"); !path && !header.path.empty()) {
        in.fault("path", path.error().detail());
    }
    if (!in.has("size")) {
        in.fault("size", "is needed");
    }
    if (header.offset > file_limit || header.size > file_limit - header.offset) {
        in.fault("size", "goes beyond what a file can hold");
    }
    if (!header.sha256.empty() && !is_sha256_hex(header.sha256)) {
        in.fault("sha256", "must be 64 lower-case hex digits");
    }
    if (!header.closed.empty() && !is_sha256_hex(header.closed)) {
        in.fault("closed", "must be 64 lower-case hex digits");
    }
    if (!faults.empty()) {
        return Error(std::move(faults)).within("frame header");
    }
    return header;
}

} // namespace

std::string print_frame_header(const FrameHeader& header) {
    Json line = {{"path", header.path}, {"offset", header.offset}, {"size", header.size}};
    if (header.executable) {
        line["executable"] = true;
    }
    if (!header.sha256.empty()) {
        line["sha256"] = header.sha256;
    }
    if (!header.closed.empty()) {
        line["closed"] = header.closed;
    }
    return print_json(line) + "\n";
}

void FrameReader::feed(std::string_view bytes) {
    // What was given out is dropped when it is at least half of the buffer, so that each byte is moved once on average.
    if (at_ > 0 && at_ >= buffer_.size() / 2) {
        buffer_.erase(0, at_);
        scanned_ -= std::min(scanned_, at_);
        at_ = 0;
    }
    buffer_.append(bytes);
}

Result<std::optional<FrameReader::Piece>> FrameReader::next() {
    const std::string_view unread = std::string_view(buffer_).substr(at_);
    if (left_ > 0) {
        if (unread.empty()) {
            return std::optional<Piece>();
        }
        const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, unread.size()));
        at_ += size;
        left_ -= size;
        return std::optional<Piece>(Piece{.is_header = false, .bytes = unread.substr(0, size)});
    }
    const auto end = buffer_.find('\n', std::max(at_, scanned_));
    if ((end == std::string::npos ? unread.size() : end - at_) > frame_header_limit) {
        return Error(Errc::invalid_argument, fmt::format("a frame header is longer than {} bytes", frame_header_limit));
    }
    if (end == std::string::npos) {
        scanned_ = buffer_.size();
        return std::optional<Piece>();
    }
    auto header = parse_frame_header(unread.substr(0, end - at_));
    if (!header) {
        return header.error();
    }
    header_ = std::move(*header);
    left_ = header_.size;
    at_ = end + 1;
    return std::optional<Piece>(Piece{.is_header = true, .bytes = {}});
}

} // namespace linarite::proto
