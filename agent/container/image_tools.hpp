// agent/container/image_tools.hpp: the installer's programs, run in containers of the image that they install for.
#pragma once

#include "agent/container/images.hpp"
#include "agent/environment/provider.hpp"

#include <map>
#include <string>

namespace linarite::agent {

/// Runs ProcessOrders in containers of the image. Its working folder is seen there (and may be written to), as are the
/// program and the files that its variables name. One build of a folder at a time: a container that a killed agent left
/// at the same one is removed first.
ToolRunner make_image_tools(std::shared_ptr<Engine> engine, const Image& image, std::string user,
                            std::map<std::string, std::string> labels);

} // namespace linarite::agent
