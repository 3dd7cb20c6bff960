#include "agent/capture/foreign_files.hpp"

#include "common/hash.hpp"
#include "proto/json_reader.hpp"

#include <cerrno>
#include <fcntl.h>

namespace linarite::agent {

namespace {

proto::Json print(const ForeignFiles::File& file) {
    return {{"name", file.name},
            {"sha256", file.sha256},
            {"size", file.stamp.size},
            {"modified", file.stamp.modified},
            {"inode", file.stamp.inode}};
}

} // namespace

Result<std::shared_ptr<ForeignFiles>> ForeignFiles::open(const fs::path& journal) {
    const auto text = read_file(journal, std::size_t{1} << 30U);
    if (!text && text.error().code() != Errc::not_found) {
        return text.error();
    }
    UniqueFd fd(::open(journal.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!fd) {
        return errno_error("open '" + journal.string() + "'", errno);
    }
    auto out = std::shared_ptr<ForeignFiles>(new ForeignFiles(std::move(fd)));
    if (text && !text->empty()) {
        out->read(*text);
        if (!text->ends_with('\n')) { // we were killed in the middle of a line
            if (auto ended = write_all(out->journal_.get(), "\n"); !ended) {
                return ended.error();
            }
        }
    }
    return out;
}

void ForeignFiles::read(const std::string& text) {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        const auto line = proto::parse_json(std::string_view(text).substr(at, end - at));
        at = end + 1;
        if (!line) {
            continue;
        }
        std::vector<Fault> faults;
        proto::JsonReader in(*line, "", faults);
        File file;
        file.name = in.required_text("name");
        file.sha256 = in.required_text("sha256");
        file.stamp.size = in.unsigned_integer("size", 0);
        file.stamp.modified = in.integer("modified", 0, std::numeric_limits<std::int64_t>::max(), 0);
        file.stamp.inode = in.unsigned_integer("inode", 0);
        if (faults.empty()) {
            files_[file.name] = std::move(file);
        }
    }
}

const ForeignFiles::File* ForeignFiles::find(const std::string& name) const {
    const auto found = files_.find(name);
    return found == files_.end() ? nullptr : &found->second;
}

Result<void> ForeignFiles::add(const std::vector<File>& files) {
    std::string lines;
    for (const File& file : files) {
        lines += proto::print_json(print(file)) + "\n";
    }
    if (auto written = write_all(journal_.get(), lines); !written) {
        return written.error().within("note files of other nodes");
    }
    for (const File& file : files) {
        files_[file.name] = file;
    }
    return {};
}

std::vector<ForeignFiles::File> files_of_source_tree(const std::vector<RunTree>& trees) {
    std::vector<ForeignFiles::File> out;
    for (const RunTree& tree : trees) {
        for (const FoundFile& found : list_tree(tree, std::numeric_limits<std::uint64_t>::max()).files) {
            const auto name = artifact_name(tree.prefix, found.name);
            if (!name) {
                continue; // nor is it sent
            }
            if (const auto bytes = read_file(tree.base / tree.folder / found.name, found.stamp.size)) {
                out.push_back({*name, sha256_hex(*bytes), found.stamp});
            }
        }
    }
    return out;
}

} // namespace linarite::agent
