// agent/capture/foreign_files.hpp: which files of a run's working directory other nodes wrote, and this one only got.
#pragma once

#include "agent/capture/run_tree.hpp"
#include "common/error.hpp"
#include "common/files.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace linarite::agent {

/// A file that stands where we put it, as we put it there: anything else of that name is this node's own. Written down,
/// so that an agent that was started again does not take others' files for its own. Lives on the event loop.
class ForeignFiles {
public:
    struct File {
        std::string name; // artifact name: its path below the working directory
        std::string sha256;
        Stamp stamp;
    };

    /// Reads what the file says, as far as it is sound; it need not be there yet.
    static Result<std::shared_ptr<ForeignFiles>> open(const fs::path& journal);

    [[nodiscard]] const File* find(const std::string& name) const;
    /// Before these files are put into their places.
    Result<void> add(const std::vector<File>& files);

private:
    explicit ForeignFiles(UniqueFd journal) : journal_(std::move(journal)) {}
    void read(const std::string& text);
    UniqueFd journal_; // appended to; not fsynced: after a power cut nothing runs any more
    std::map<std::string, File> files_;
};

/// All that is there before the run starts came with the source tree, and the lead node has it, too: it is as foreign
/// as what that one writes. Blocking.
std::vector<ForeignFiles::File> files_of_source_tree(const std::vector<RunTree>& trees);

} // namespace linarite::agent
