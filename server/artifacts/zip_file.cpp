#include "server/artifacts/zip_file.hpp"

#include "server/artifacts/beneath.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h> // NOLINT(modernize-deprecated-headers): newlocale is POSIX
#include <sys/stat.h>

namespace linarite::artifacts {
namespace {

constexpr std::size_t piece_bytes = std::size_t{256} << 10U;

/// libarchive takes names to be in the thread's locale; for the time of a call that one knows UTF-8.
class Utf8Names {
public:
    Utf8Names() : utf8_(::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr)) {
        if (utf8_ != nullptr) {
            before_ = ::uselocale(utf8_);
        }
    }
    Utf8Names(const Utf8Names&) = delete;
    Utf8Names& operator=(const Utf8Names&) = delete;
    ~Utf8Names() {
        if (utf8_ != nullptr) {
            ::uselocale(before_);
            ::freelocale(utf8_);
        }
    }

private:
    locale_t utf8_;
    locale_t before_ = nullptr;
};

struct FreeEntry {
    void operator()(archive_entry* entry) const { ::archive_entry_free(entry); }
};

Error failure(archive* writer, const std::string& doing) {
    const char* text = ::archive_error_string(writer);
    const int number = ::archive_errno(writer);
    if (number == ENOSPC || number == EDQUOT) {
        return errno_error(doing, number);
    }
    return Error(Errc::internal, doing + ": " + (text == nullptr ? "unknown error" : text));
}

Result<void> copy(archive* writer, int from, const std::string& name) {
    for (std::uint64_t at = 0;;) {
        const auto piece = read_at(from, at, piece_bytes);
        if (!piece) {
            return piece.error();
        }
        if (piece->empty()) {
            return {};
        }
        if (::archive_write_data(writer, piece->data(), piece->size()) != static_cast<la_ssize_t>(piece->size())) {
            return failure(writer, "pack '" + name + "'");
        }
        at += piece->size();
    }
}

} // namespace

void ZipFile::Free::operator()(archive* writer) const {
    ::archive_write_free(writer);
}

Result<ZipFile> ZipFile::create(const fs::path& path) {
    ZipFile zip(::archive_write_new());
    archive* writer = zip.writer_.get();
    if (::archive_write_set_format_zip(writer) != ARCHIVE_OK ||
        ::archive_write_zip_set_compression_store(writer) != ARCHIVE_OK ||
        ::archive_write_open_filename(writer, path.c_str()) != ARCHIVE_OK) {
        return failure(writer, "create '" + path.string() + "'");
    }
    return zip;
}

Result<void> ZipFile::add(const std::string& name, const fs::path& source, bool executable) {
    const UniqueFd fd(::open(source.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    struct stat info {};
    if (!fd || ::fstat(fd.get(), &info) != 0) {
        return errno_error("open '" + source.string() + "'", errno);
    }
    const std::unique_ptr<archive_entry, FreeEntry> entry(::archive_entry_new());
    ::archive_entry_set_pathname(entry.get(), name.c_str());
    ::archive_entry_set_size(entry.get(), info.st_size);
    ::archive_entry_set_mtime(entry.get(), info.st_mtim.tv_sec, 0);
    ::archive_entry_set_filetype(entry.get(), AE_IFREG);
    ::archive_entry_set_perm(entry.get(), executable ? 0755 : 0644);
    const Utf8Names names;
    if (::archive_write_header(writer_.get(), entry.get()) != ARCHIVE_OK) {
        return failure(writer_.get(), "pack '" + name + "'");
    }
    return copy(writer_.get(), fd.get(), name);
}

Result<void> ZipFile::finish() {
    const Utf8Names names;
    if (::archive_write_close(writer_.get()) != ARCHIVE_OK) {
        return failure(writer_.get(), "finish the archive");
    }
    return {};
}

} // namespace linarite::artifacts
