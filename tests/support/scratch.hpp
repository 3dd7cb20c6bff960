// tests/support/scratch.hpp: a folder that is gone after the test.
#pragma once

#include "common/files.hpp"
#include "common/ids.hpp"

#include <fstream>
#include <string>
#include <string_view>

namespace linarite::test {

/// A file system in memory, for tests that make thousands of files; the usual place where there is none.
inline fs::path memory_folder() {
    std::error_code ec;
    return fs::is_directory("/dev/shm", ec) ? fs::path("/dev/shm") : fs::temp_directory_path();
}

class Scratch {
public:
    explicit Scratch(const fs::path& parent = fs::temp_directory_path())
        : root_(parent / ("linarite-test-" + random_hex(6))) {
        fs::create_directories(root_);
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    ~Scratch() {
        std::error_code ec;
        fs::remove_all(root_, ec);
    }
    [[nodiscard]] const fs::path& root() const { return root_; }
    fs::path operator/(std::string_view name) const { return root_ / name; }

    /// Writes a file and the folders above it.
    fs::path write(std::string_view name, std::string_view text) const {
        fs::path path = root_ / name;
        fs::create_directories(path.parent_path());
        std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
        return path;
    }
    void append(std::string_view name, std::string_view text) const {
        std::ofstream(root_ / name, std::ios::binary | std::ios::app) << text;
    }

private:
    fs::path root_;
};

} // namespace linarite::test
