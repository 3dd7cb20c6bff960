// tests/unit/agent_container/list_tar.hpp: what is in a tar, read by libarchive.
#pragma once

#include <gtest/gtest.h>

#include <archive.h>
#include <archive_entry.h>
#include <filesystem>
#include <map>
#include <string>

namespace linarite::agent {

/// Names in a tar with their contents, or the targets of their links.
inline std::map<std::string, std::string> list_tar(const std::filesystem::path& tar) {
    std::map<std::string, std::string> out;
    archive* reader = ::archive_read_new();
    ::archive_read_support_format_all(reader);
    EXPECT_EQ(::archive_read_open_filename(reader, tar.c_str(), 10240), ARCHIVE_OK);
    archive_entry* entry = nullptr;
    while (::archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
        std::string& content = out[::archive_entry_pathname(entry)];
        if (const char* link = ::archive_entry_symlink(entry)) {
            content = std::string("-> ") + link;
        } else if (const char* hard = ::archive_entry_hardlink(entry)) {
            content = std::string("= ") + hard;
        } else {
            content.resize(static_cast<std::size_t>(::archive_entry_size(entry)));
            ::archive_read_data(reader, content.data(), content.size());
        }
    }
    ::archive_read_free(reader);
    return out;
}

} // namespace linarite::agent
