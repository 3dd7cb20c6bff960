#include "common/log.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace linarite {

void init_log(const std::string& level) {
    spdlog::set_default_logger(spdlog::stderr_color_mt("linarite"));
    spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
    spdlog::set_level(spdlog::level::from_str(level));
}

} // namespace linarite
