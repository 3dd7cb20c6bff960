// agent/capture/copying.hpp: copies of trees that share nothing with what they were copied from.
#pragma once

#include "common/error.hpp"
#include "common/files.hpp"

#include <string>

namespace linarite::agent {

/// What becomes of a file that is there already.
enum class Existing { impossible, kept, replaced };

/// Copies one regular file, by reflink where the file system can, else inside the kernel. A link is an error. Unless it
/// is `impossible` that there is one, the copy appears whole or not at all, so that two may copy to one place at once.
Result<void> copy_file(const fs::path& from, const fs::path& to, Existing existing);

/// The same of a file that is open for reading; `name` is for errors.
Result<void> copy_open_file(int from, const std::string& name, const fs::path& to, Existing existing);

/// Copies regular files and folders below `from` into `to`, which may be there already. A link is an error
/// (invalid_argument).
Result<void> copy_tree(const fs::path& from, const fs::path& to, Existing existing);

/// Moves a finished file into place. It is gone from `from` afterwards, also where the other one was kept.
Result<void> move_into_place(const fs::path& from, const fs::path& to, Existing existing);

} // namespace linarite::agent
