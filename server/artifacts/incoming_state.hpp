// server/artifacts/incoming_state.hpp: what an IncomingFile knows until it is committed.
#pragma once

#include "server/artifacts/run_files.hpp"

namespace linarite::artifacts {

struct IncomingFile::State {
    UniqueFd root;           // everything else is below it
    std::string temporary;   // relative to the root
    std::string target;      // relative to the root
    std::string expected;    // the SHA-256 that it must have, "" if any will do
    bool by_content = false; // the target is decided by the SHA-256 that it turns out to have
    bool must_be_new = false;
    UniqueFd file;
    Sha256 hash;
    std::uint64_t size = 0;
    bool committed = false;

    /// Where a blob lies in the store of blobs.
    static std::string place_of(const std::string& sha256);

    State() = default;
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State(); // deletes the temporary file, unless it is committed

    /// Opens a new temporary file in the folder `in` ("" is the root).
    Result<void> start(const std::string& in, mode_t mode);
    /// conflict if the target is there and must_be_new is set.
    Result<void> rename_into_place();
};

} // namespace linarite::artifacts
