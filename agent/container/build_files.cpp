#include "agent/container/build_files.hpp"

#include "agent/container/archive_handles.hpp"
#include "common/hash.hpp"
#include "common/tree_walk.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <fcntl.h>
#include <functional>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace linarite::agent {

namespace {

constexpr std::size_t piece_size = std::size_t{256} << 10U;
constexpr std::size_t shown_names = 8;
constexpr std::uint64_t most_dockerfile = std::uint64_t{1} << 20U;

class TarWriter {
public:
    explicit TarWriter(fs::path tar) : tar_(std::move(tar)) {
        ::archive_write_set_format_pax_restricted(out_.get());
        good_ = ::archive_write_open_filename(out_.get(), tar_.c_str()) == ARCHIVE_OK;
    }

    void begin(const std::string& name, std::uint64_t size) {
        const Entry entry(::archive_entry_new());
        ::archive_entry_set_pathname(entry.get(), name.c_str());
        ::archive_entry_set_filetype(entry.get(), AE_IFREG);
        // which of them may be executed is forgotten on their way; Docker's client does the same where it can't be
        // known
        ::archive_entry_set_perm(entry.get(), 0755);
        ::archive_entry_set_size(entry.get(), static_cast<la_int64_t>(size));
        good_ = good_ && ::archive_write_header(out_.get(), entry.get()) == ARCHIVE_OK;
    }
    void add(std::string_view bytes) {
        good_ = good_ &&
                ::archive_write_data(out_.get(), bytes.data(), bytes.size()) == static_cast<la_ssize_t>(bytes.size());
    }
    Result<void> finish() {
        good_ = good_ && ::archive_write_close(out_.get()) == ARCHIVE_OK;
        if (good_) {
            return {};
        }
        const char* words = ::archive_error_string(out_.get());
        return Error(Errc::internal, fmt::format("pack what an image is built from into '{}': {}", tar_.string(),
                                                 words == nullptr ? "unknown error" : words));
    }

private:
    fs::path tar_;
    Archive out_{::archive_write_new()};
    bool good_ = false;
};

Result<UniqueFd> open_folder(const fs::path& folder) {
    UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return fd ? Result<UniqueFd>(std::move(fd)) : errno_error("open build context '" + folder.string() + "'", errno);
}

/// The names of all files, sorted.
Result<std::vector<std::string>> names_in(int folder) {
    std::vector<std::string> names;
    std::string odd;
    TreeVisitor visitor;
    visitor.file = [&](const std::string& name, const FileStamp&) {
        names.push_back(name);
        return odd.empty();
    };
    visitor.odd = [&](const std::string& name, const char* why) {
        odd = fmt::format("'{}' in the build context can't be used: {}", name, why);
    };
    if (auto walked = walk_tree(folder, "", visitor); !walked) {
        return walked.error();
    }
    std::ranges::sort(names);
    return odd.empty() ? Result<std::vector<std::string>>(std::move(names)) : Error(Errc::invalid_argument, odd);
}

struct OpenedFile {
    UniqueFd fd;
    std::uint64_t size = 0;
};

Result<OpenedFile> open_file(int folder, const std::string& name) {
    auto fd = open_beneath(folder, name, O_RDONLY);
    struct stat facts {};
    if (!fd || ::fstat(fd->get(), &facts) != 0) {
        return fd ? errno_error("look at '" + name + "'", errno) : fd.error();
    }
    return OpenedFile{std::move(*fd), static_cast<std::uint64_t>(facts.st_size)};
}

/// Hands on just as many bytes as it had when it was opened.
Result<void> read_through(const OpenedFile& file, const std::string& name,
                          const std::function<void(std::string_view)>& take) {
    std::string piece(piece_size, '\0');
    for (std::uint64_t left = file.size; left > 0;) {
        const ssize_t got = ::read(file.fd.get(), piece.data(), std::min<std::uint64_t>(left, piece.size()));
        if (got <= 0) {
            return got < 0 ? errno_error("read '" + name + "'", errno)
                           : Error(Errc::unavailable, "'" + name + "' became shorter while it was read");
        }
        take({piece.data(), static_cast<std::size_t>(got)});
        left -= static_cast<std::uint64_t>(got);
    }
    return {};
}

Error no_dockerfile(const std::string& dockerfile, const std::vector<std::string>& names) {
    std::string some;
    for (std::size_t i = 0; i < std::min(names.size(), shown_names); ++i) {
        some += (some.empty() ? "" : ", ") + names[i];
    }
    return {Errc::not_found, fmt::format("the build context has no '{}'; it has {}{}", dockerfile,
                                         some.empty() ? "no files" : some, names.size() > shown_names ? ", ..." : "")};
}

} // namespace

Result<BuildFiles> read_build_files(const fs::path& folder, const std::string& dockerfile) {
    const auto fd = open_folder(folder);
    if (!fd) {
        return fd.error();
    }
    const auto names = names_in(fd->get());
    if (!names) {
        return names.error();
    }
    if (!std::ranges::binary_search(*names, dockerfile)) {
        return no_dockerfile(dockerfile, *names);
    }
    BuildFiles files{folder, dockerfile, "", ""};
    Sha256 all;
    for (const std::string& name : *names) {
        const auto file = open_file(fd->get(), name);
        if (!file) {
            return file.error();
        }
        if (name == dockerfile && file->size > most_dockerfile) {
            return Error(Errc::invalid_argument, "'" + dockerfile + "' in the build context is larger than 1 MiB");
        }
        Sha256 hash;
        const auto read = read_through(*file, name, [&](std::string_view bytes) {
            hash.update(bytes);
            if (name == dockerfile) {
                files.text += bytes;
            }
        });
        if (!read) {
            return read.error();
        }
        all.update(hash.hex() + " " + name + "\n");
    }
    if (files.text.find_first_not_of(" \t\r\n") == std::string::npos) {
        return Error(Errc::invalid_argument, "'" + dockerfile + "' in the build context is empty");
    }
    files.sha256 = all.hex();
    return files;
}

Result<void> pack_dockerfile(const std::string& text, const fs::path& tar) {
    TarWriter out(tar);
    out.begin("Dockerfile", text.size());
    out.add(text);
    return out.finish();
}

Result<void> pack_build_files(const BuildFiles& files, const std::string& text, const fs::path& tar) {
    const auto fd = open_folder(files.folder);
    if (!fd) {
        return fd.error();
    }
    const auto names = names_in(fd->get());
    if (!names) {
        return names.error();
    }
    TarWriter out(tar);
    for (const std::string& name : *names) {
        if (name == files.dockerfile) {
            out.begin(name, text.size());
            out.add(text);
            continue;
        }
        const auto file = open_file(fd->get(), name);
        if (!file) {
            return file.error();
        }
        out.begin(name, file->size);
        if (auto read = read_through(*file, name, [&](std::string_view bytes) { out.add(bytes); }); !read) {
            return read;
        }
    }
    return out.finish();
}

} // namespace linarite::agent
