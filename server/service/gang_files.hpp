// server/service/gang_files.hpp: which node of a run wrote which file, where its nodes have working directories of
// their own, and under which name each node's copy is kept.
#pragma once

#include "server/store/tables.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace linarite::service {

/// A name belongs to the first node that writes it. Nodes that write the same bytes share it; if the bytes differ, the
/// lowest node has the name, and the copy of another one gets ".node<k>" before its suffix. Knows nothing of bytes
/// itself.
class GangFiles {
public:
    /// What is known of one node's file.
    struct Entry {
        std::string stored;
        std::string sha256; // of the bytes as they were closed last; "" while they never were
        std::uint64_t size = 0;
        bool executable = false;
    };
    /// What makes a node's name its own again: the others' copy goes from one artifact to another one (both "" if it
    /// stays and the node itself has got a new name).
    struct Parting {
        std::string from;
        std::string to;
        std::vector<int> moved; // the nodes whose copy that is
        std::string kept;       // for people: the name of the copy that has lost its name
        int loser = 0;
    };

    GangFiles() = default;
    explicit GangFiles(const std::vector<store::GangFileRow>& rows);

    /// The artifact that the node's file is, or will be.
    [[nodiscard]] std::string artifact_of(const std::string& path, int node) const;
    /// Whether other nodes' bytes are there.
    [[nodiscard]] bool is_contested(const std::string& path, int node) const;
    /// Whether all of those have closed just these bytes.
    [[nodiscard]] bool others_have(const std::string& path, int node, const std::string& sha256) const;
    /// Gives a contested file two names.
    Parting part(const std::string& path, int node);
    /// The node's file has these bytes now; its artifact stays as it is.
    void put(const std::string& path, int node, const std::string& sha256, std::uint64_t size, bool executable);
    [[nodiscard]] const Entry* find(const std::string& path, int node) const;

private:
    [[nodiscard]] std::vector<int> others(const std::string& path, int node) const;
    [[nodiscard]] std::string free_name(const std::string& path, int node) const;
    std::map<std::string, std::map<int, Entry>> files_; // by path, by node
    std::set<std::string> given_;                       // artifacts that are not called as their node calls them
};

/// "outputs/model.node2.pkl" for "outputs/model.pkl" and 2.
std::string name_for_node(const std::string& path, int node);

} // namespace linarite::service
