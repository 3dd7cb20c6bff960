// Not pip's --hash=sha256:...: what installed it does not say which file of a release it took, and the package index'
// list has every file of it (uv pip compile --generate-hashes, 0.2 s and thirty hashes for a package). The RECORD is on
// the disk, says what is there, and costs nothing.
#include "agent/environment/records.hpp"

#include "common/files.hpp"
#include "common/hash.hpp"

#include <algorithm>
#include <map>

namespace linarite::agent {

namespace {

// As PEP 503 compares names; folders of distributions have "_" for "-".
std::string normal_name(std::string_view name) {
    std::string out;
    for (const char c : name) {
        const bool separator = c == '-' || c == '_' || c == '.';
        if (!separator) {
            out += c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
        } else if (!out.ends_with('-')) {
            out += '-';
        }
    }
    return out;
}

// "name==version", "name @ url", "-e ...": the name; "" if there is none.
std::string name_of(const std::string& line) {
    return line.starts_with("-") ? "" : normal_name(line.substr(0, line.find_first_of("=@ ")));
}

void add_records(const fs::path& packages, std::map<std::string, std::string>& records) {
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(packages, ec)) {
        const std::string folder = entry.path().filename().string();
        if (!folder.ends_with(".dist-info")) {
            continue;
        }
        if (const auto record = read_file(entry.path() / "RECORD")) {
            records[normal_name(folder.substr(0, folder.find('-')))] = sha256_hex(*record);
        }
    }
}

} // namespace

std::string lock_of_installed(const fs::path& environment, const std::vector<std::string>& frozen) {
    std::map<std::string, std::string> records; // by normal name
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(environment / "lib", ec)) {
        add_records(entry.path() / "site-packages", records);
    }
    std::string text;
    for (const std::string& line : frozen) {
        const auto record = records.find(name_of(line));
        text += line + (record == records.end() ? "" : "  # record sha256:" + record->second) + "\n";
    }
    return text;
}

} // namespace linarite::agent
