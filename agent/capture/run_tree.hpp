// agent/capture/run_tree.hpp: the files of a run as capture sees them: listed, named and read, with nobody trusted.
#pragma once

#include "agent/capture/uploader.hpp"
#include "common/error.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

struct stat;

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

/// Whether to tell that nobody has the file open for writing any more, and how far that is known.
enum class Closed {
    untold,  // not to be told
    unknown, // only if the kernel says so
    likely,  // a writer has closed it: unless the kernel says that there is another one
};

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

    // Where the run's nodes have working directories of their own, files are declared when they are closed.
    Closed closed = Closed::untold;
    std::optional<Stamp> foreign;       // as another node's file, which we put there and do not send
    bool tracked = false;               // growing: keep the hash of what was sent
    std::shared_ptr<const Sha256> hash; // growing: of the first `sent` bytes, if known
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
    std::uint64_t after = 0;            // growing: what the coordinator has when it took the frame
    std::uint64_t wanted = 0;           // growing: what the coordinator is to have of the file as it is now
    bool last = false;                  // the file is complete with this frame
    bool rewritten = false;             // growing: shorter than what was sent, or other bytes, or another file
    bool tell_again = false;            // it is closed, but this frame is not all of it
    std::shared_ptr<const Sha256> hash; // growing, if tracked: of the first `after` bytes
    std::string problem;
};

/// At most this much of one growing file goes into one request, and files up to this size are sent from memory.
inline constexpr std::uint64_t small_read = std::uint64_t{1} << 20U;

/// Whether somebody has it open for writing; nothing where the kernel cannot tell (another user's file, some network
/// file systems). `fd` must be open for reading only.
std::optional<bool> has_writer(int fd);

Stamp stamp_of(const struct stat& info);

/// Reads what the order asks for. Of a log that is longer than `largest_log` its last frame leaves out the middle and
/// says so. Blocking.
ReadResult read_file_for(const ReadOrder& order, std::uint64_t largest_log);

} // namespace linarite::agent
