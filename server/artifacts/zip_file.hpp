// server/artifacts/zip_file.hpp: a zip archive of files that lie elsewhere.
#pragma once

#include "common/error.hpp"
#include "common/files.hpp"

#include <memory>
#include <string>

struct archive;

namespace linarite::artifacts {

/// One archive being written; not compressed, so that making one costs no more than copying. Blocking: call it on a
/// file thread.
class ZipFile {
public:
    /// Makes the file, or empties it.
    static Result<ZipFile> create(const fs::path& path);
    /// Adds all of `source` as `name` (UTF-8).
    Result<void> add(const std::string& name, const fs::path& source, bool executable);
    /// The archive is whole when this returns. Without it the file is good for nothing.
    Result<void> finish();

private:
    struct Free {
        void operator()(archive* writer) const;
    };
    explicit ZipFile(archive* writer) : writer_(writer) {}
    std::unique_ptr<archive, Free> writer_;
};

} // namespace linarite::artifacts
