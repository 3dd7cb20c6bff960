// proto/container_arguments.hpp: the extra arguments for `docker run` of v1's docker section, as far as they are let
// in.
#pragma once

#include "common/error.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace linarite::proto {

struct ContainerArguments {
    struct Limit {
        std::string name;
        std::int64_t soft = 0;
        std::int64_t hard = 0;
        bool operator==(const Limit&) const = default;
    };
    std::string shm_size;           // "2g"; "" is not given
    bool host_ipc = false;          // --ipc=host
    std::uint64_t memory_bytes = 0; // 0 is not given
    double cpus = 0;                // 0 is not given
    std::vector<Limit> limits;
    std::map<std::string, std::string> variables;
    bool operator==(const ContainerArguments&) const = default;
};

/// Takes --shm-size, --ipc, --memory (-m), --cpus, --ulimit and --env (-e), with their value in the same word or in the
/// next. Everything else is invalid_argument: it could reach out of the run's container.
Result<ContainerArguments> parse_container_arguments(const std::vector<std::string>& words);

/// "512m", "2g", "1048576": bytes. Nothing if it is no size.
std::optional<std::uint64_t> parse_byte_size(std::string_view text);

} // namespace linarite::proto
