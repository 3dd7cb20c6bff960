#include "agent/shared_dir.hpp"

#include "common/ids.hpp"

#include <cerrno>
#include <unistd.h>

namespace linarite::agent {

namespace {

constexpr const char* mark_name = ".linarite-shared-dir";

std::string line_of(const std::string& text) {
    return text.substr(0, text.find('\n'));
}

} // namespace

Result<std::string> identify_shared_dir(const fs::path& folder) {
    if (folder.empty()) {
        return std::string();
    }
    std::error_code ec;
    if (!folder.is_absolute() || !fs::is_directory(folder, ec)) {
        return Error(Errc::invalid_argument, "'" + folder.string() + "' is not an absolute path to a folder");
    }
    const fs::path mark = folder / mark_name;
    if (const auto known = read_file(mark, 1024)) {
        return line_of(*known);
    }
    // whoever is first wins, and the mark is whole when it is there: agents may look at the same time
    const std::string word = random_hex(16);
    const fs::path temporary = folder / (mark_name + ("-" + word));
    if (auto written = write_file_durably(temporary, word + "\n"); !written) {
        return Error(Errc::invalid_argument, written.error().detail());
    }
    const int linked = ::link(temporary.c_str(), mark.c_str());
    const int error = errno;
    ::unlink(temporary.c_str());
    if (linked != 0 && error != EEXIST) {
        return errno_error("mark '" + folder.string() + "'", error);
    }
    const auto known = read_file(mark, 1024);
    return known ? Result<std::string>(line_of(*known)) : known.error();
}

} // namespace linarite::agent
