#include "agent/trash.hpp"

#include "common/file_tree.hpp"
#include "common/files.hpp"
#include "common/ids.hpp"

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstdio>
#include <sys/resource.h>
#include <unistd.h>
#include <vector>

namespace linarite::agent {

namespace {

constexpr int most_waiting = 500;
constexpr int humble = 10; // niceness: a tenth of a core where others want them all

} // namespace

Trash::Trash(fs::path folder) : folder_(std::move(folder)) {
    boost::asio::post(remover_, [] { ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), humble); });
    if (auto made = make_folders(folder_, 0700); !made) {
        spdlog::warn("folders of ended runs will be removed at once: {}", made.error().detail());
        return;
    }
    std::error_code ec;
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder_, ec)) {
        found.push_back(entry.path());
    }
    for (fs::path& entry : found) {
        remove_later(std::move(entry));
    }
}

Trash::~Trash() {
    *ending_ = true;
    remover_.stop();
    remover_.join();
}

void Trash::remove_later(fs::path entry) {
    ++*waiting_;
    boost::asio::post(remover_, [entry = std::move(entry), waiting = waiting_, ending = ending_] {
        // whatever a run did to its permissions; and ten thousand files take many seconds
        const auto deleted = delete_tree(entry, *ending);
        --*waiting;
        if (!deleted) {
            spdlog::warn("a run's folder cannot be removed: cause=\"{}\"", deleted.error().detail());
        }
    });
}

Result<void> Trash::put(const fs::path& folder) {
    if (*waiting_ >= most_waiting) {
        return Error(Errc::resource_exhausted, "too many folders wait to be removed");
    }
    fs::path entry = folder_ / (folder.filename().string() + "." + random_hex(4));
    if (::rename(folder.c_str(), entry.c_str()) != 0) {
        return errno_error("rename '" + folder.string() + "'", errno);
    }
    remove_later(std::move(entry));
    return {};
}

} // namespace linarite::agent
