#include "server/artifacts/block_folder.hpp"

#include <spdlog/spdlog.h>

#include <sys/stat.h>

namespace linarite::artifacts {
namespace {

constexpr std::size_t piece_bytes = std::size_t{256} << 10U;

Time changed_at(const fs::path& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 ? from_ms(std::int64_t{info.st_mtim.tv_sec} * 1000) : Time::max();
}

} // namespace

// names of any kind and length become names of one kind and length
fs::path BlockFolder::folder_of(const std::string& file) const {
    return root_ / sha256_hex(file);
}

Result<IncomingFile> BlockFolder::create(const std::string& file, const std::string& block) const {
    return RunFiles(folder_of(file)).create(sha256_hex(block));
}

Result<void> BlockFolder::append_to(IncomingFile& whole, const std::string& file, const std::string& block) const {
    const RunFiles blocks(folder_of(file));
    const std::string name = sha256_hex(block);
    for (std::uint64_t at = 0;;) {
        const auto piece = blocks.read(name, at, piece_bytes);
        if (!piece) {
            return piece.error();
        }
        if (auto appended = whole.append(*piece); !appended) {
            return appended;
        }
        at += piece->size();
        if (piece->size() < piece_bytes) {
            return {};
        }
    }
}

void BlockFolder::drop(const std::string& file) const {
    std::error_code ec;
    fs::remove_all(folder_of(file), ec);
    if (ec) {
        spdlog::warn("blocks cannot be deleted: folder=\"{}\" cause=\"{}\"", folder_of(file).string(), ec.message());
    }
}

void BlockFolder::drop_older(Time before) const {
    std::error_code ec;
    std::vector<fs::path> old;
    for (fs::directory_iterator at(root_, ec); !ec && at != fs::directory_iterator(); at.increment(ec)) {
        if (changed_at(at->path()) < before) { // each block that comes changes its folder
            old.push_back(at->path());
        }
    }
    for (const fs::path& folder : old) {
        fs::remove_all(folder, ec);
    }
}

} // namespace linarite::artifacts
