// agent/capture/run_tree.hpp: the files of a run as capture sees them: listed, named and read, with nobody trusted.
#pragma once

#include "agent/capture/uploader.hpp"
#include "common/error.hpp"
#include "common/files.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace linarite::agent {

/// How the files of a folder are sent.
enum class Manner {
    growing, // appended to: what is new is sent
    whole,   // sent as they are each time they were written
};

/// A captured folder.
struct RunTree {
    fs::path base;      // what its names are relative to; a script can't replace it
    std::string folder; // below base; "" is base itself
    std::string prefix; // of the artifact names
    Manner manner = Manner::growing;
    bool skip_hidden = false; // files whose name begins with a dot
};

/// What tells whether a file has changed.
struct Stamp {
    std::uint64_t size = 0;
    std::int64_t modified = 0; // nanoseconds
    std::uint64_t inode = 0;
    bool operator==(const Stamp&) const = default;
};

struct FoundFile {
    std::string name; // relative to the tree's folder, bytes as they are
    Stamp stamp;
};
struct Listing {
    std::vector<FoundFile> files;
    std::vector<std::string> left_out; // sentences for people
    bool over_limit = false;
};
/// Every regular file, without following links. Blocking.
Listing list_tree(const RunTree& tree, std::uint64_t most_files);

/// The artifact name: names that are not UTF-8, or have control characters or backslashes in them, are percent-encoded.
/// invalid_argument if it is too long or too deep.
Result<std::string> artifact_name(const std::string& prefix, const std::string& name);

/// What to read of one file.
struct ReadOrder {
    const RunTree* tree = nullptr;
    std::string name;
    std::string artifact;
    std::uint64_t sent = 0;    // growing: bytes that the coordinator has
    bool known = false;        // growing: `sent` comes from the coordinator
    bool rewritten = false;    // growing: only the whole file will do
    bool final = false;        // the last frame, with the SHA-256 of the whole
    bool open = false;         // whole: somebody still writes it
    std::optional<Stamp> last; // whole: as it was sent last; growing: as it was read last
};

struct ReadResult {
    enum class Kind {
        nothing, // nothing new
        frame,
        gone,
        left_out, // with a problem in words
    };
    Kind kind = Kind::nothing;
    OutgoingFrame frame;
    Stamp stamp;
    std::uint64_t after = 0; // growing: what the coordinator has when it took the frame
    bool last = false;       // the file is complete with this frame
    bool rewritten = false;  // growing: shorter than what was sent, or another file
    std::string problem;
};

/// At most this much of one growing file goes into one request, and files up to this size are sent from memory.
inline constexpr std::uint64_t small_read = std::uint64_t{1} << 20U;

/// Reads what the order asks for. Blocking.
ReadResult read_file_for(const ReadOrder& order, std::uint64_t largest_log);

} // namespace linarite::agent
