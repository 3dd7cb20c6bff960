// server/blob/xml.hpp: the XML documents of the blob dialect.
#pragma once

#include "common/error.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace linarite::blob {

std::string print_error(const std::string& code, const std::string& message);

/// One page of a container's blobs.
struct Listing {
    struct Item {
        std::string name;
        std::uint64_t size = 0;
        std::string etag;     // without quotes
        std::string modified; // as in HTTP
    };
    std::string endpoint;
    std::string container;
    std::string prefix;
    std::string marker;
    std::string delimiter;
    int max_results = 0; // 0: none was asked for
    std::vector<Item> items;
    std::vector<std::string> folders; // names up to the delimiter, with it
    std::string next_marker;          // "" at the end
};
std::string print(const Listing& listing);

/// The ids of a block list, in order. Blocks that were committed before are not kept, so such a list is refused.
Result<std::vector<std::string>> parse_block_list(const std::string& document);

} // namespace linarite::blob
