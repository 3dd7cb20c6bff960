// agent/environment/hard_links.hpp: whether environments may share their files with the cache of packages.
#pragma once

namespace linarite::agent {

/// A script that writes into a package's file would change the cache, and with it every later environment, if the
/// environment's files were links to it. Files without write permission keep a user from that, but not root: root's
/// runs see their environment through a file system of their own (agent/shim/mounts.hpp), where the kernel lets us
/// mount one. Tried once.
bool hard_links_are_safe();

} // namespace linarite::agent
