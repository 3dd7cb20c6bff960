#include "common/data_dir.hpp"

#include <cstdlib>

namespace linarite {
namespace {

// Read at start-up only, before any thread exists.
std::string variable(const char* name) {
    const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe)
    return value == nullptr ? "" : value;
}

} // namespace

DataDir DataDir::find(const std::string& given) {
    if (!given.empty()) {
        return DataDir(fs::absolute(given));
    }
    if (const std::string named = variable("LINARITE_DATA_DIR"); !named.empty()) {
        return DataDir(fs::absolute(named));
    }
    if (const std::string xdg = variable("XDG_DATA_HOME"); !xdg.empty()) {
        return DataDir(fs::absolute(xdg) / "linarite");
    }
    const std::string home = variable("HOME");
    return DataDir(fs::path(home.empty() ? "/tmp" : home) / ".local" / "share" / "linarite");
}

} // namespace linarite
