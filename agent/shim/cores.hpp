// agent/shim/cores.hpp: the share of a node's cores that one of its ranks runs on.
#pragma once

namespace linarite::shim {

/// Binds this process to the `index`th of `count` shares of the cores that it may run on: whole cores with all their
/// threads, neighbours in one package. Does nothing where there are fewer cores than shares.
void bind_to_share(int index, int count);

} // namespace linarite::shim
