#include "server/service/gang_files.hpp"

#include <algorithm>
#include <filesystem>

namespace linarite::service {

GangFiles::GangFiles(const std::vector<store::GangFileRow>& rows) {
    for (const store::GangFileRow& row : rows) {
        files_[row.path][row.node] = Entry{row.stored, row.sha256, row.size, row.executable};
        if (row.stored != row.path) {
            given_.insert(row.stored);
        }
    }
}

const GangFiles::Entry* GangFiles::find(const std::string& path, int node) const {
    const auto file = files_.find(path);
    if (file == files_.end()) {
        return nullptr;
    }
    const auto entry = file->second.find(node);
    return entry == file->second.end() ? nullptr : &entry->second;
}

std::string GangFiles::artifact_of(const std::string& path, int node) const {
    const Entry* own = find(path, node);
    if (own != nullptr) {
        return own->stored;
    }
    // a copy that lost its name may have got the one that this file is called by
    return given_.contains(path) ? free_name(path, node) : path;
}

std::vector<int> GangFiles::others(const std::string& path, int node) const {
    std::vector<int> out;
    const auto file = files_.find(path);
    if (file != files_.end()) {
        const std::string artifact = artifact_of(path, node);
        for (const auto& [other, entry] : file->second) {
            if (other != node && entry.stored == artifact) {
                out.push_back(other);
            }
        }
    }
    return out;
}

bool GangFiles::is_contested(const std::string& path, int node) const {
    return !others(path, node).empty();
}

bool GangFiles::others_have(const std::string& path, int node, const std::string& sha256) const {
    return !sha256.empty() &&
           std::ranges::all_of(others(path, node), [&](int other) { return find(path, other)->sha256 == sha256; });
}

std::string GangFiles::free_name(const std::string& path, int node) const {
    std::string name = name_for_node(path, node);
    while (files_.contains(name) || given_.contains(name)) {
        name = name_for_node(name, node);
    }
    return name;
}

GangFiles::Parting GangFiles::part(const std::string& path, int node) {
    Parting out;
    const std::vector<int> rivals = others(path, node);
    const std::string artifact = artifact_of(path, node);
    std::map<int, Entry>& file = files_[path];
    if (node < rivals.front() && artifact == path) {
        out.from = artifact;
        out.to = free_name(path, rivals.front());
        out.moved = rivals;
        out.loser = rivals.front();
        out.kept = out.to;
        for (const int rival : rivals) {
            file[rival].stored = out.to;
        }
        file[node] = Entry{path, "", 0, false};
    } else {
        out.loser = node;
        out.kept = free_name(path, node);
        file[node] = Entry{out.kept, "", 0, false};
    }
    given_.insert(out.kept);
    return out;
}

void GangFiles::put(const std::string& path, int node, const std::string& sha256, std::uint64_t size, bool executable) {
    const std::string artifact = artifact_of(path, node);
    files_[path][node] = Entry{artifact, sha256, size, executable};
    if (artifact != path) {
        given_.insert(artifact);
    }
}

std::string name_for_node(const std::string& path, int node) {
    const std::filesystem::path name(path);
    const std::string extension = name.extension().string();
    return path.substr(0, path.size() - extension.size()) + ".node" + std::to_string(node) + extension;
}

} // namespace linarite::service
