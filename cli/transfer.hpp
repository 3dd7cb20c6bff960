// cli/transfer.hpp: files between the coordinator and a local folder.
#pragma once

#include "cli/connection.hpp"
#include "cli/fields.hpp"
#include "cli/terminal.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace linarite::cli {

namespace fs = std::filesystem;

struct RemoteFile {
    std::string target; // of the GET
    std::string name;   // below the folder that it goes to
    std::uint64_t size = 0;
    std::string sha256; // "" if it is not known (a file that still grows, or of a datastore)
    std::string list;   // target of a GET that lists it as it is by then; "" if it can't be replaced
};

/// The file as an entry of such a list tells it.
RemoteFile listed_file(const Json& entry);

/// Downloads each file to a temporary one beside its place, checks size and SHA-256, and renames it. One that is
/// replaced meanwhile is downloaded as it is by then. A name that would leave the folder, also by a symbolic link that
/// is there already, is refused. Gives the local paths.
Result<std::vector<fs::path>> download_files(Connection& connection, const std::vector<RemoteFile>& files,
                                             const fs::path& folder, const Terminal& terminal);

/// Where a file called `name` goes below `folder`; makes its folders.
Result<fs::path> place_below(const fs::path& folder, const std::string& name);

struct LocalFile {
    fs::path path;
    std::string name; // at the other side
    std::uint64_t size = 0;
};
/// The regular files of a folder, or the one file, as they are named below `prefix`; sorted. Links to files count as
/// files.
Result<std::vector<LocalFile>> list_local(const fs::path& path, const std::string& prefix);

/// PUT of each file to `target_prefix` and its encoded name.
Result<void> upload_files(Connection& connection, const std::vector<LocalFile>& files, const std::string& target_prefix,
                          const Terminal& terminal);

/// Of all these names the ones that are `wanted` itself or lie in the folder of that name; all of them for "".
bool is_or_is_below(const std::string& name, const std::string& wanted);

} // namespace linarite::cli
