// server/blob/handlers.hpp: the operations on blobs and containers. Each answers its call.
#pragma once

#include "server/blob/access.hpp"

namespace linarite::blob {

// read_handlers.cpp; HEAD too
asio::awaitable<void> get_blob(Call call, Opened& opened);

// write_handlers.cpp
asio::awaitable<void> put_blob(Call call, Opened& opened);
asio::awaitable<void> put_block(Call call, Opened& opened);
asio::awaitable<void> put_block_list(Call call, Opened& opened);
asio::awaitable<void> delete_blob(Call call, Opened& opened);

// container_handlers.cpp
asio::awaitable<void> show_container(Call call);
asio::awaitable<void> list_blobs(Call call, Opened& opened);

} // namespace linarite::blob
