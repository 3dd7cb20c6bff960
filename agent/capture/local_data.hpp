// agent/capture/local_data.hpp: data of a datastore whose folder this node sees.
#pragma once

#include "agent/capture/copying.hpp"
#include "common/error.hpp"
#include "common/files.hpp"

#include <cstddef>
#include <string>

namespace linarite::agent {

/// A path on a datastore: "" is all of it.
struct DataPlace {
    std::string datastore; // its name, for people
    fs::path folder;       // the datastore's
    std::string path;
};

/// Where a file or folder of a datastore lies. not_found; invalid_argument if a link is in the path, or it is neither a
/// file nor a folder. Blocking.
Result<fs::path> locate_data(const DataPlace& place);

/// Copies it to `to`; gives the number of files that were kept because they were there. What is opened lies below the
/// datastore's folder for sure, also if somebody puts links into it meanwhile. A link is an error. Blocking.
Result<std::size_t> copy_data(const DataPlace& place, const fs::path& to, Existing existing);

/// Whether a run may have `path` as the place of its data: not the system's own folders, nor "/". `what` names it.
/// Blocking.
Result<void> check_data_path(const fs::path& path, const std::string& what);

/// Gives data that lies at `target` the name `place`. A name that an earlier run below `work` left is replaced;
/// anything else that is there is a conflict. Blocking.
Result<void> link_data(const fs::path& place, const fs::path& target, const fs::path& work);

} // namespace linarite::agent
