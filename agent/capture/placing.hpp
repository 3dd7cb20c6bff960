// agent/capture/placing.hpp: files of other nodes on their way into a working directory that a script writes in, too.
#pragma once

#include "agent/capture/foreign_files.hpp"
#include "agent/capture/gang_source.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"
#include "proto/frames.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace linarite::agent {

/// A file that has arrived whole and waits beside the working directory, in the same file system.
struct Arrived {
    ForeignFiles::File file; // with the stamp that it will have in its place, too
    std::string temporary;   // its name in the folder of arrivals
};

/// Files arriving as frames. Nothing is believed: each has the bytes of its hash, or is left out. Blocking.
class Arrivals {
public:
    /// The folder is emptied: what is in it was left by an agent that was killed.
    static Result<void> prepare(const fs::path& folder);
    Arrivals(fs::path folder, const std::vector<GangFile>& wanted);
    Result<void> feed(std::string_view bytes);
    /// Those that are whole, in the order in which they were wanted.
    std::vector<Arrived> take();

private:
    Result<void> begin(const proto::FrameHeader& header);
    Result<void> end();
    fs::path folder_;
    std::vector<GangFile> wanted_;
    std::map<std::string, std::size_t> by_path_;
    std::map<std::size_t, Arrived> arrived_; // by place in wanted_
    proto::FrameReader reader_;
    std::optional<std::size_t> at_; // the file at hand
    UniqueFd file_;
    Sha256 hash_;
    std::string temporary_;
    int count_ = 0;
};

/// What is in the place of a file.
enum class Place {
    free,
    foreign, // as we put it there
    own,     // somebody else's, or nothing that could be replaced
};

/// Looks at the file of that name below the working directory, without following links; `known` is what we put there.
/// Blocking.
Place look_at_place(const fs::path& work_dir, const std::string& name, const std::optional<Stamp>& known);

/// Puts it into its place at once and whole, unless something is there but the file that `known` describes, or that
/// one is open for writing: then it is false, and nothing has changed. Blocking.
Result<bool> put_in_place(const fs::path& arrivals, const Arrived& arrived, const fs::path& work_dir,
                          const std::optional<Stamp>& known);

} // namespace linarite::agent
