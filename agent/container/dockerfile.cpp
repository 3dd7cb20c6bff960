#include "agent/container/dockerfile.hpp"

#include "common/hash.hpp"

#include <regex>
#include <set>
#include <sstream>

namespace linarite::agent {

namespace {

constexpr std::size_t shown_digits = 16;
constexpr std::size_t longest_from = 4'096; // std::regex takes stack for every sign

// "FROM [--platform=...] IMAGE [AS STAGE]": before, the image, behind, the stage.
const std::regex& from_line() {
    static const std::regex pattern(R"(^(\s*FROM\s+(?:--\S+\s+)*)(\S+)((?:\s+AS\s+(\S+))?\s*)$)", std::regex::icase);
    return pattern;
}

/// Calls `each` with every line, and how it matches: not at all if it is another instruction.
template <class F>
void for_each_line(const std::string& text, F each) {
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        std::smatch from;
        if (line.size() <= longest_from) {
            std::regex_match(line, from, from_line());
        }
        each(line, from);
    }
}

} // namespace

std::string image_of_dockerfile(const std::string& text, const std::string& files) {
    return "linarite/dockerfile:" + sha256_hex(text + files).substr(0, shown_digits);
}

std::vector<std::string> bases_of_dockerfile(const std::string& text) {
    std::vector<std::string> bases;
    std::set<std::string> known{"scratch"};
    for_each_line(text, [&](const std::string&, const std::smatch& from) {
        if (from.empty()) {
            return;
        }
        const std::string image = from[2];
        if (image.find('$') == std::string::npos && known.insert(image).second) {
            bases.push_back(image);
        }
        if (from[4].matched) {
            known.insert(from[4]);
        }
    });
    return bases;
}

std::string with_bases(const std::string& text, const std::map<std::string, std::string>& instead) {
    if (instead.empty()) {
        return text;
    }
    std::string out;
    for_each_line(text, [&](const std::string& line, const std::smatch& from) {
        const auto other = from.empty() ? instead.end() : instead.find(from[2]);
        out += (other == instead.end() ? line : from[1].str() + other->second + from[3].str()) + "\n";
    });
    return out;
}

} // namespace linarite::agent
