#include "client/http_client.hpp"

#include <algorithm>

namespace linarite::client {
namespace {

/// One line of an event into the event that is being put together.
void take_line(std::string_view line, Event& event, bool& has_data) {
    const std::size_t colon = std::min(line.find(':'), line.size());
    const std::string_view name = line.substr(0, colon);
    std::string_view value = line.substr(std::min(colon + 1, line.size()));
    if (value.starts_with(' ')) {
        value.remove_prefix(1);
    }
    if (name == "event") {
        event.name = value;
    } else if (name == "data") {
        event.data.append(has_data ? "\n" : "").append(value);
        has_data = true;
    }
}

/// An event's lines; they end with LF, an optional CR before it is not part of the line.
bool read_event(std::string_view block, Event& event) {
    bool has_data = false;
    while (!block.empty()) {
        const std::size_t end = std::min(block.find('\n'), block.size());
        std::string_view line = block.substr(0, end);
        block.remove_prefix(std::min(end + 1, block.size()));
        if (line.ends_with('\r')) {
            line.remove_suffix(1);
        }
        if (!line.empty() && line.front() != ':') {
            take_line(line, event, has_data);
        }
    }
    return has_data;
}

} // namespace

std::vector<Event> EventReader::feed(std::string_view bytes) {
    // a blank line can only have been completed by the new bytes, so the search begins just before them
    std::size_t search = buffer_.size() < 3 ? 0 : buffer_.size() - 3;
    buffer_.append(bytes);
    std::vector<Event> events;
    std::size_t start = 0;
    for (;;) {
        const std::size_t newline = buffer_.find('\n', search);
        if (newline == std::string::npos) {
            break;
        }
        search = newline + 1;
        const bool crlf = buffer_.compare(search, 2, "\r\n") == 0;
        if (!crlf && buffer_.compare(search, 1, "\n") != 0) {
            continue;
        }
        Event event{"message", ""};
        if (read_event(std::string_view(buffer_).substr(start, search - start), event)) {
            events.push_back(std::move(event));
        }
        search += crlf ? 2 : 1;
        start = search;
    }
    buffer_.erase(0, start);
    return events;
}

} // namespace linarite::client
