// common/file_tree.hpp: folders of our own as they are, whatever others have put into them.
#pragma once

#include "common/error.hpp"

#include <atomic>
#include <filesystem>
#include <fts.h>
#include <functional>

namespace linarite {

/// Calls `each` for everything below and including `folder`: folders before and after what is in them. Follows no
/// links. Ends early when `stop` is set.
void for_each_entry(const std::filesystem::path& folder, const std::atomic<bool>& stop,
                    const std::function<void(FTSENT&)>& each);

/// Deletes a folder, whatever its permissions; ends early when `stop` is set. Others may delete in it at the same time.
/// Gives the first error; there being nothing is none.
Result<void> delete_tree(const std::filesystem::path& folder, const std::atomic<bool>& stop);

} // namespace linarite
