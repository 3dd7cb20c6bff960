// common/log.hpp: our own log, on stderr. One line per event, key=value; secrets and users' output never enter it.
#pragma once

#include <string>

namespace linarite {

/// "debug", "info", "warn" or "error". Colours only if stderr is a terminal. Call once, first thing.
void init_log(const std::string& level);

} // namespace linarite
