// environments/use_marks.hpp: which runs use an environment, known to every process that may want to remove it.
#pragma once

#include "common/error.hpp"
#include "environments/layout.hpp"

#include <string>
#include <vector>

namespace linarite::environments {

/// A run that uses an environment.
struct User {
    std::string run;
    fs::path folder;     // the run's folder on its node: the mark counts for as long as it is there
    bool visible = true; // false: the folder is another machine's or another mount namespace's, so nobody here can tell
    bool operator==(const User&) const = default;
};

/// Marks the environment as used by the run whose folder is `user`, which must be there. A mark does not depend on the
/// life of any process: it counts until the folder is gone, and is made in one step. Made before the environment is
/// looked at, it keeps everybody from removing what is found. Marks that count no more are removed on the way.
Result<void> mark_use(const fs::path& cache, const std::string& key, const fs::path& user);

/// Whose marks count. A mark of a folder that cannot be seen from here counts. Marks that count no more are removed.
std::vector<User> users_of(const fs::path& cache, const std::string& key);

} // namespace linarite::environments
