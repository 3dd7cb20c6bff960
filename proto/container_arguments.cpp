#include "proto/container_arguments.hpp"

#include <charconv>

namespace linarite::proto {

namespace {

Error refused(const std::string& what) {
    return {Errc::invalid_argument, what};
}

template <class Number>
bool parse_number(std::string_view text, Number& number) {
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, number);
    return error == std::errc() && at == end;
}

Result<void> take_limit(const std::string& value, ContainerArguments& out) {
    const auto equals = value.find('=');
    const auto colon = value.find(':', equals == std::string::npos ? 0 : equals);
    ContainerArguments::Limit limit;
    limit.name = value.substr(0, equals);
    const std::string soft = equals == std::string::npos ? "" : value.substr(equals + 1, colon - equals - 1);
    const std::string hard = colon == std::string::npos ? soft : value.substr(colon + 1);
    if (limit.name.empty() || !parse_number(soft, limit.soft) || !parse_number(hard, limit.hard)) {
        return refused("--ulimit '" + value + "' must be NAME=SOFT or NAME=SOFT:HARD");
    }
    out.limits.push_back(std::move(limit));
    return {};
}

Result<void> take(const std::string& name, const std::string& value, ContainerArguments& out) {
    if (name == "--shm-size") {
        out.shm_size = value;
        return parse_byte_size(value) ? Result<void>() : refused("--shm-size '" + value + "' is no size");
    }
    if (name == "--ipc") {
        out.host_ipc = value == "host";
        return value == "host" || value == "private" ? Result<void>()
                                                     : refused("--ipc must be host or private, not '" + value + "'");
    }
    if (name == "--memory" || name == "-m") {
        const auto bytes = parse_byte_size(value);
        out.memory_bytes = bytes.value_or(0);
        return bytes && *bytes > 0 ? Result<void>() : refused("--memory '" + value + "' is no size");
    }
    if (name == "--cpus") {
        return parse_number(value, out.cpus) && out.cpus > 0 && out.cpus < 100'000
                   ? Result<void>()
                   : refused("--cpus '" + value + "' is no number of processors");
    }
    if (name == "--ulimit") {
        return take_limit(value, out);
    }
    const auto equals = value.find('=');
    if (equals == std::string::npos || equals == 0) {
        return refused(name + " '" + value + "' must be NAME=VALUE");
    }
    out.variables[value.substr(0, equals)] = value.substr(equals + 1);
    return {};
}

bool is_known(const std::string& name) {
    return name == "--shm-size" || name == "--ipc" || name == "--memory" || name == "-m" || name == "--cpus" ||
           name == "--ulimit" || name == "--env" || name == "-e";
}

} // namespace

Result<ContainerArguments> parse_container_arguments(const std::vector<std::string>& words) {
    ContainerArguments out;
    for (std::size_t at = 0; at < words.size(); ++at) {
        const std::string& word = words[at];
        const auto equals = word.starts_with("--") ? word.find('=') : std::string::npos;
        const std::string name = word.substr(0, equals);
        if (!is_known(name)) {
            return refused("'" + name +
                           "' is not let through to the container engine: only --shm-size, --ipc, --memory, --cpus, "
                           "--ulimit and --env are");
        }
        if (equals == std::string::npos && at + 1 == words.size()) {
            return refused("'" + name + "' lacks its value");
        }
        const std::string value = equals == std::string::npos ? words[++at] : word.substr(equals + 1);
        if (auto taken = take(name, value, out); !taken) {
            return taken.error();
        }
    }
    return out;
}

std::optional<std::uint64_t> parse_byte_size(std::string_view text) {
    constexpr std::string_view units = "bkmg";
    std::uint64_t factor = 1;
    if (!text.empty() && (text.back() < '0' || text.back() > '9')) {
        const char unit =
            text.back() >= 'A' && text.back() <= 'Z' ? static_cast<char>(text.back() + ('a' - 'A')) : text.back();
        const auto power = units.find(unit);
        if (power == std::string_view::npos) {
            return std::nullopt;
        }
        factor = std::uint64_t{1} << (10 * power);
        text.remove_suffix(1);
    }
    std::uint64_t number = 0;
    if (text.empty() || !parse_number(text, number) || number > (std::uint64_t{1} << 50U) / factor) {
        return std::nullopt;
    }
    return number * factor;
}

} // namespace linarite::proto
