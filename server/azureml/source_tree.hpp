// server/azureml/source_tree.hpp: snapshots as the SDK describes them: a tree of nodes, and which files were sent.
#pragma once

#include "proto/snapshot.hpp"
#include "server/azureml/api.hpp"

#include <map>
#include <string>
#include <vector>

namespace linarite::azureml {

/// A snapshot that a client has put together.
struct SourceTree {
    struct Sent {
        std::string upload; // id of the file that came ahead
        std::optional<std::uint64_t> size;
    };
    std::string parent;             // id, "" for none: files that were not sent are as they are there
    std::vector<std::string> files; // all paths of the tree
    std::map<std::string, Sent> sent;
};

Result<SourceTree> parse_source_tree(const Json& body);

/// The root node. Hashes are not given: they are not those of our own, and the SDK asks for none.
Json print_tree(const proto::Manifest& manifest);

/// A root node without files.
Json empty_tree();

} // namespace linarite::azureml
