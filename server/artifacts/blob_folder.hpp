// server/artifacts/blob_folder.hpp: content-addressed store for snapshots: sha256/ab/<hash>.
#pragma once

#include "server/artifacts/run_files.hpp"

namespace linarite::artifacts {

/// Blobs named by the SHA-256 of their bytes. Blocking: call it on a file thread.
class BlobFolder {
public:
    explicit BlobFolder(fs::path root);
    [[nodiscard]] bool has(const std::string& sha256) const;
    Result<IncomingFile> create(const std::string& sha256); // commit() is conflict if the bytes have another hash
    Result<IncomingFile> create();                          // whose name its bytes will decide
    [[nodiscard]] Result<fs::path> locate(const std::string& sha256) const;
    /// Deletes temporary files that a crash left.
    Result<void> clean_up();

private:
    [[nodiscard]] Result<std::unique_ptr<IncomingFile::State>> start() const;
    fs::path root_;
};

} // namespace linarite::artifacts
