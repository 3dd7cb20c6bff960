#include "agent/environment/requirements.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <string_view>

namespace linarite::agent {

namespace {

// conda-forge's and anaconda's names of packages that the index has under another one.
const std::map<std::string, std::string, std::less<>>& index_names() {
    static const std::map<std::string, std::string, std::less<>> names{
        {"pytorch", "torch"},
        {"pytorch-cpu", "torch"},
        {"pytorch-gpu", "torch"},
        {"opencv", "opencv-python"},
        {"py-opencv", "opencv-python"},
        {"libopencv", "opencv-python"},
        {"tensorflow-gpu", "tensorflow"},
        {"tensorflow-base", "tensorflow"},
        {"tensorflow-mkl", "tensorflow"},
        {"keras-gpu", "keras"},
        {"pytables", "tables"},
        {"msgpack-python", "msgpack"},
        {"matplotlib-base", "matplotlib"},
        {"seaborn-base", "seaborn"},
        {"py-xgboost", "xgboost"},
        {"py-xgboost-cpu", "xgboost"},
        {"py-lightgbm", "lightgbm"},
        {"python-graphviz", "graphviz"},
        {"ruamel_yaml", "ruamel.yaml"},
        {"dask-core", "dask"},
        {"ipython_genutils", "ipython-genutils"},
        {"pyarrow-core", "pyarrow"},
        {"numpy-base", "numpy"},
        {"protobuf-python", "protobuf"},
        {"faiss", "faiss-cpu"},
        {"ray-core", "ray"},
        {"ray-default", "ray"},
        {"horovod-gpu", "horovod"},
        {"pyqt", "PyQt5"},
        {"spacy-base", "spacy"},
    };
    return names;
}

// Compilers, libraries and drivers: wheels bring what they need of them, the rest is the node's.
bool is_left_out(std::string_view name) {
    static constexpr std::array<std::string_view, 33> names{
        "mkl",          "mkl-service",  "mkl_fft",       "mkl_random",    "blas",        "openblas", "libopenblas",
        "libblas",      "liblapack",    "nomkl",         "intel-openmp",  "libgcc-ng",   "libgcc",   "libstdcxx-ng",
        "libgomp",      "gcc_linux-64", "gxx_linux-64",  "cudatoolkit",   "cuda",        "cudnn",    "nccl",
        "pytorch-cuda", "cpuonly",      "pytorch-mutex", "openmpi",       "mpich",       "mpi",      "ca-certificates",
        "openssl",      "libffi",       "_libgcc_mutex", "_openmp_mutex", "cuda-toolkit"};
    return std::find(names.begin(), names.end(), name) != names.end();
}

std::string trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) {
        return "";
    }
    return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

std::string lower(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return out;
}

std::string without_blanks(std::string_view text) {
    std::string out;
    std::copy_if(text.begin(), text.end(), std::back_inserter(out), [](char c) { return c != ' ' && c != '\t'; });
    return out;
}

bool is_name_char(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
}

struct CondaSpec {
    std::string name;
    std::string version; // with its operators, blanks gone; "" is any
};

CondaSpec split_spec(const std::string& text) {
    std::string_view rest = text;
    if (const auto channel = rest.rfind("::"); channel != std::string_view::npos) {
        rest.remove_prefix(channel + 2);
    }
    std::string bracket;
    if (const auto open = rest.find('['); open != std::string_view::npos) {
        std::string_view inside = rest.substr(open);
        rest = rest.substr(0, open);
        if (const auto at = inside.find("version="); at != std::string_view::npos) {
            inside.remove_prefix(at + 8);
            inside = inside.substr(0, inside.find(']'));
            std::copy_if(inside.begin(), inside.end(), std::back_inserter(bracket),
                         [](char c) { return c != '\'' && c != '"' && c != ' '; });
        }
    }
    const auto end = static_cast<std::size_t>(std::find_if_not(rest.begin(), rest.end(), is_name_char) - rest.begin());
    CondaSpec out{lower(rest.substr(0, end)), trimmed(rest.substr(end))};
    if (!bracket.empty()) {
        out.version = bracket;
    } else if (!out.version.empty() && std::isdigit(static_cast<unsigned char>(out.version.front())) != 0) {
        // "numpy 1.21 py38_0": a version of its own word is exact, and a build string may follow
        out.version = "==" + out.version.substr(0, out.version.find_first_of(" \t"));
    }
    out.version = without_blanks(out.version);
    return out;
}

// "=1.21" is 1.21.*; "=1.21=py38_0" names a build, which only conda has.
std::string index_version(std::string version, std::string& ignored) {
    if (version.find('|') != std::string::npos) {
        ignored = version;
        return "";
    }
    const bool fuzzy = version.size() > 1 && version[0] == '=' && version[1] != '=';
    const bool exact = version.starts_with("==");
    if (!fuzzy && !exact) {
        return version == "*" ? "" : version;
    }
    std::string number = version.substr(fuzzy ? 1 : 2);
    if (number.find(',') == std::string::npos) {
        number = number.substr(0, number.find('='));
    }
    if (number == "*") {
        return "";
    }
    return "==" + number + (fuzzy && !number.ends_with("*") && number.find(',') == std::string::npos ? ".*" : "");
}

void add_conda(const std::string& line, Requirements& out) {
    const CondaSpec spec = split_spec(trimmed(line));
    if (spec.name.empty() || spec.name == "python" || spec.name == "pip") {
        return;
    }
    if (is_left_out(spec.name)) {
        out.warnings.push_back("warning: conda package '" + spec.name +
                               "' is left out: it is not a Python package, wheels bring what they need of it");
        return;
    }
    const auto mapped = index_names().find(spec.name);
    const std::string name = mapped == index_names().end() ? spec.name : mapped->second;
    std::string ignored;
    out.lines.push_back(name + index_version(spec.version, ignored));
    if (!ignored.empty()) {
        out.warnings.push_back("warning: the alternatives in '" + line + "' are not understood: any version is taken");
    }
}

bool reads_files(std::string_view line) {
    static constexpr std::array<std::string_view, 6> options{"-r", "--requirement", "-c", "--constraint",
                                                             "-e", "--editable"};
    return std::any_of(options.begin(), options.end(),
                       [&](std::string_view option) { return line.starts_with(option); });
}

// The SDK writes the public index, by an old address, into every environment: as a page of wheels, which an index's
// first page is not, and as another index. A node that has been given an index of its own may not reach it. This pair
// is how it is told from what a user wrote; "" if it is not there.
std::string sdk_index(const std::vector<std::string>& lines) {
    static constexpr std::string_view links = "--find-links ";
    static constexpr std::string_view page = "/index.html";
    for (const std::string& line : lines) {
        if (!line.starts_with(links) || !line.ends_with(page)) {
            continue;
        }
        std::string index = line.substr(links.size(), line.size() - links.size() - page.size());
        if (std::ranges::find(lines, "--extra-index-url " + index) != lines.end()) {
            return index;
        }
    }
    return "";
}

std::string normalise_line(const std::string& line) {
    if (line.starts_with("-") || line.find("://") != std::string::npos || line.find('@') != std::string::npos) {
        return trimmed(line); // addresses and options: every letter counts
    }
    const auto marker = std::min(line.find(';'), line.size());
    const std::string spec = lower(without_blanks(std::string_view(line).substr(0, marker)));
    const auto end = static_cast<std::size_t>(std::find_if_not(spec.begin(), spec.end(), is_name_char) - spec.begin());
    return normalised_name(std::string_view(spec).substr(0, end)) + spec.substr(end) +
           without_blanks(std::string_view(line).substr(marker));
}

} // namespace

Result<Requirements> to_requirements(const std::vector<std::string>& conda, const std::vector<std::string>& pip) {
    Requirements out;
    for (const std::string& line : conda) {
        add_conda(line, out);
    }
    const std::string of_the_sdk = sdk_index(pip);
    for (const std::string& raw : pip) {
        const std::string line = trimmed(raw);
        if (line.empty() || line.front() == '#') {
            continue;
        }
        if (!of_the_sdk.empty() &&
            (line == "--find-links " + of_the_sdk + "/index.html" || line == "--extra-index-url " + of_the_sdk)) {
            continue;
        }
        if (line.find('\n') != std::string::npos || reads_files(line)) {
            return Error(Errc::invalid_argument,
                         "pip package '" + line.substr(0, 200) +
                             "' can't be installed on a node: it names another file; list the packages themselves");
        }
        out.lines.push_back(line);
    }
    return out;
}

bool names_package(const std::string& line, std::string_view package) {
    const std::string normal = normalise_line(line);
    return normal.starts_with(package) && (normal.size() == package.size() || !is_name_char(normal[package.size()]));
}

std::string normalised_name(std::string_view name) {
    std::string out;
    for (const char c : lower(name)) {
        const bool separator = c == '-' || c == '_' || c == '.';
        if (!separator) {
            out += c;
        } else if (out.empty() || out.back() != '-') { // runs of separators are one
            out += '-';
        }
    }
    return out;
}

std::string without_credentials(std::string text) {
    static constexpr std::string_view ends = "/ \t\"'<>";
    for (auto at = text.find("://"); at != std::string::npos; at = text.find("://", at)) {
        at += 3;
        const auto end = std::min(text.find_first_of(ends, at), text.size());
        const auto host = text.rfind('@', end == 0 ? 0 : end - 1);
        if (host != std::string::npos && host >= at && host < end) {
            text.replace(at, host - at, "****");
        }
    }
    return text;
}

std::vector<std::string> without_credentials(std::vector<std::string> lines) {
    for (std::string& line : lines) {
        line = without_credentials(std::move(line));
    }
    return lines;
}

namespace {

// Blanks at an operator say nothing, others separate name, version and build.
std::string normalise_spec(const std::string& spec) {
    static constexpr std::string_view operators = "=<>!~,|[]'\"";
    const std::string text = trimmed(spec);
    const auto end = std::min(text.find_first_of(" \t=<>!~["), text.size());
    std::string out = lower(std::string_view(text).substr(0, end));
    for (std::size_t at = end; at < text.size(); ++at) {
        const bool blank = text[at] == ' ' || text[at] == '\t';
        const auto next = text.find_first_not_of(" \t", at); // there is one: the text ends with none
        const bool idle = blank && (next != at + 1 || operators.find(text[next]) != std::string_view::npos ||
                                    operators.find(out.back()) != std::string_view::npos);
        if (!idle) {
            out += blank ? ' ' : text[at];
        }
    }
    return out;
}

std::string sorted_lines(const std::vector<std::string>& lines, std::string (*normal)(const std::string&)) {
    std::vector<std::string> sorted;
    sorted.reserve(lines.size());
    std::transform(lines.begin(), lines.end(), std::back_inserter(sorted), normal);
    std::sort(sorted.begin(), sorted.end());
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    std::string out;
    for (const std::string& line : sorted) {
        out += line + "\n";
    }
    return out;
}

} // namespace

std::string normalise(const std::vector<std::string>& lines) {
    return sorted_lines(lines, normalise_line);
}

std::string normalise_conda(const std::vector<std::string>& specs) {
    return sorted_lines(specs, normalise_spec);
}

} // namespace linarite::agent
