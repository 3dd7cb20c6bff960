// Which command lines of mpirun are let through to another node.
#include "agent/launch/mpi_plan.hpp"

#include <cctype>

namespace linarite::agent {

namespace {

bool is_name(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// Walks over a command line as a shell would cut it.
class Words {
public:
    explicit Words(std::string_view text) : text_(text) {}

    /// The next word with its quotes taken off. Empty at the end, at a ';', or at anything that would make the shell do
    /// more than start one program: then ok() is false.
    std::string next() {
        skip_blanks();
        std::string word;
        while (at_ < text_.size() && ok_ && !is_blank(text_[at_]) && text_[at_] != ';') {
            take(word);
        }
        return word;
    }
    bool skip_semicolon() {
        skip_blanks();
        const bool there = at_ < text_.size() && text_[at_] == ';';
        at_ += there ? 1 : 0;
        return there;
    }
    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] bool at_end() const { return at_ >= text_.size(); }

private:
    static bool is_blank(char c) { return c == ' ' || c == '\t'; }
    void skip_blanks() {
        while (at_ < text_.size() && is_blank(text_[at_])) {
            ++at_;
        }
    }
    void take(std::string& word) {
        const char c = text_[at_];
        if (c == '"' || c == '\'') {
            take_quoted(word, c);
        } else if (c == '$') {
            take_dollar(word);
        } else if (std::string_view("&|<>()`\n\\*?[]{}!#~^").find(c) != std::string_view::npos) {
            ok_ = false;
        } else {
            word += c;
            ++at_;
        }
    }
    /// Variables are harmless: what they hold was set by us. Commands are not.
    void take_dollar(std::string& word) {
        std::size_t from = at_ + 1;
        const bool braced = from < text_.size() && text_[from] == '{';
        from += braced ? 1 : 0;
        std::size_t end = from;
        while (end < text_.size() && is_name(text_[end])) {
            ++end;
        }
        ok_ = end > from && (!braced || (end < text_.size() && text_[end] == '}'));
        end += braced ? 1 : 0;
        word += text_.substr(at_, end - at_);
        at_ = end;
    }
    void take_quoted(std::string& word, char quote) {
        ++at_;
        while (at_ < text_.size() && text_[at_] != quote && ok_) {
            const char c = text_[at_];
            if (quote == '"' && c == '$') {
                take_dollar(word);
                continue;
            }
            ok_ = quote == '\'' || (c != '`' && c != '\\');
            word += c;
            ++at_;
        }
        ok_ = ok_ && at_ < text_.size(); // the quote must end
        ++at_;
    }
    std::string_view text_;
    std::size_t at_ = 0;
    bool ok_ = true;
};

/// "NAME=value" or "export NAME": what Open MPI puts in front when it knows where it is installed.
bool is_assignment(const std::string& word) {
    const auto equals = word.find('=');
    if (equals == std::string::npos || equals == 0) {
        return false;
    }
    for (const char c : word.substr(0, equals)) {
        if (!is_name(c)) {
            return false;
        }
    }
    return true;
}

Error refused(const std::string& why) {
    return Error(Errc::invalid_argument, "refused to run what mpirun asked for: " + why);
}

/// The daemon's program in a checked command line, after what is set for it.
std::string daemon_program(const std::string& command) {
    Words words(command);
    std::string word = words.next();
    while (words.ok() && !words.at_end() && (is_assignment(word) || word == "export")) {
        if (word == "export") {
            words.next();
        }
        words.skip_semicolon();
        word = words.next();
    }
    return word;
}

/// "/opt/openmpi" of "/opt/openmpi/bin/prted"; "" if the file is not in such a folder.
std::string prefix_of(const std::string& file) {
    const auto bin = file.rfind("/bin/");
    return file.starts_with('/') && bin != std::string::npos && file.find('/', bin + 5) == std::string::npos
               ? file.substr(0, bin)
               : "";
}

} // namespace

std::string bare_daemon_command(const std::string& command) {
    static constexpr std::string_view before = "( test ! -r ./.profile || . ./.profile; ";
    static constexpr std::string_view after = " )";
    const bool wrapped = command.starts_with(before) && command.ends_with(after);
    return wrapped ? command.substr(before.size(), command.size() - before.size() - after.size()) : command;
}

std::string localized_daemon_command(const std::string& command, const std::string& mpirun) {
    const std::string there = prefix_of(daemon_program(command));
    const std::string here = prefix_of(mpirun);
    if (there.empty() || here.empty() || there == here) {
        return command;
    }
    std::string out;
    for (std::size_t at = 0; at < command.size();) {
        const std::size_t end = at + there.size();
        const bool begins = at == 0 || std::string_view("=:; \"'").find(command[at - 1]) != std::string_view::npos;
        const bool whole = begins && (end >= command.size() ||
                                      std::string_view("/:; \"'").find(command[end]) != std::string_view::npos);
        if (command.compare(at, there.size(), there) == 0 && whole) {
            out += here;
            at = end;
        } else {
            out += command[at++];
        }
    }
    return out;
}

Result<void> check_daemon_command(const std::string& command) {
    Words words(command);
    std::string word = words.next();
    while (words.ok() && (is_assignment(word) || word == "export")) {
        if (word == "export") {
            words.next();
        }
        if (!words.skip_semicolon()) {
            return refused("a variable that is not followed by ';'");
        }
        word = words.next();
    }
    const std::string program = word.substr(word.rfind('/') + 1);
    if (!words.ok() || (program != "orted" && program != "prted")) {
        return refused("it does not start with orted or prted");
    }
    while (words.ok() && !words.at_end()) {
        if (words.next().empty() && !words.at_end()) {
            return refused("it holds more than one command");
        }
    }
    return words.ok() ? Result<void>() : refused("it holds characters that a shell would act on");
}

} // namespace linarite::agent
