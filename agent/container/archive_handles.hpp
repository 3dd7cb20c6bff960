// agent/container/archive_handles.hpp: libarchive's objects, each with its end.
#pragma once

#include <archive.h>
#include <archive_entry.h>
#include <memory>

namespace linarite::agent {

struct FreeArchive {
    void operator()(archive* of) const { ::archive_free(of); }
    void operator()(archive_entry* of) const { ::archive_entry_free(of); }
    void operator()(archive_entry_linkresolver* of) const { ::archive_entry_linkresolver_free(of); }
};
using Archive = std::unique_ptr<archive, FreeArchive>;
using Entry = std::unique_ptr<archive_entry, FreeArchive>;
using Links = std::unique_ptr<archive_entry_linkresolver, FreeArchive>;

} // namespace linarite::agent
