#include "cli/run_filter.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <strings.h>

namespace linarite::cli {
namespace {

constexpr std::array<std::string_view, 12> statuses{
    "NotStarted",    "Queued",          "Provisioning", "Preparing", "Starting", "Running",
    "NotResponding", "CancelRequested", "Finalizing",   "Completed", "Failed",   "Canceled",
};
constexpr std::array<std::string_view, 5> keys{"status", "target", "text", "experiment", "environment"};

template <std::size_t N>
std::string listed(const std::array<std::string_view, N>& words) {
    std::string text;
    for (const std::string_view word : words) {
        text += (text.empty() ? "" : ", ") + std::string(word);
    }
    return text;
}

std::optional<std::string> status_of(const std::string& word) {
    const auto* const found = std::find_if(statuses.begin(), statuses.end(), [&](std::string_view status) {
        return strcasecmp(std::string(status).c_str(), word.c_str()) == 0;
    });
    return found == statuses.end() ? std::nullopt : std::optional<std::string>(*found);
}

Result<void> read_entry(const std::string& entry, RunQuery& query) {
    const std::size_t equals = entry.find('=');
    const std::string key = entry.substr(0, equals);
    if (equals == std::string::npos || std::find(keys.begin(), keys.end(), key) == keys.end()) {
        return Error(Errc::invalid_argument,
                     "--filter: '" + entry + "' is not KEY=VALUE with one of the keys " + listed(keys));
    }
    const std::string value = entry.substr(equals + 1);
    if (value.empty()) {
        return Error(Errc::invalid_argument, "--filter: '" + entry + "' has no value");
    }
    if (key != "status") {
        query[key] = value;
        return {};
    }
    const auto status = status_of(value);
    if (!status) {
        return Error(Errc::invalid_argument,
                     "--filter: '" + value + "' is not a status; there are " + listed(statuses));
    }
    std::string& list = query["status"];
    list += (list.empty() ? "" : ",") + *status;
    return {};
}

} // namespace

Result<void> read_filter(const std::string& filter, RunQuery& query) {
    for (std::size_t at = 0; at < filter.size();) {
        const std::size_t end = std::min(filter.find(',', at), filter.size());
        if (auto read = read_entry(filter.substr(at, end - at), query); !read) {
            return read;
        }
        at = end + 1;
    }
    return {};
}

} // namespace linarite::cli
