#include "agent/container/pull_progress.hpp"

#include "proto/json_reader.hpp"

namespace linarite::agent {

namespace {

constexpr std::chrono::seconds between_sums{5};
constexpr std::size_t longest_line = std::size_t{1} << 20U;

std::string megabytes(std::uint64_t bytes) {
    return std::to_string((bytes + 500'000) / 1'000'000);
}

} // namespace

void PullProgress::feed(std::string_view piece) {
    rest_ += piece;
    for (auto end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n')) {
        take(rest_.substr(0, end));
        rest_.erase(0, end + 1);
    }
    if (rest_.size() > longest_line) {
        rest_.clear(); // no engine says so much at once
    }
}

void PullProgress::take(const std::string& line) {
    const auto document = proto::parse_json(line);
    if (!document || !document->is_object()) {
        return;
    }
    std::vector<Fault> ignored;
    proto::JsonReader reader(*document, "", ignored);
    if (reader.has("error")) {
        error_ = reader.text("error");
        return;
    }
    if (reader.has("stream")) {
        take_output(reader.text("stream"));
        return;
    }
    if (reader.has("aux")) {
        return; // the id, for programs
    }
    const std::string id = reader.text("id");
    const std::string status = reader.text("status");
    proto::JsonReader detail = reader.object("progressDetail");
    if (!detail.has("current")) {
        log_(id.empty() ? status : id + ": " + status);
    } else if (status == "Downloading") {
        layers_[id] = {detail.unsigned_integer("current", 0), detail.unsigned_integer("total", 0)};
        say_sum();
    }
}

void PullProgress::take_output(std::string_view text) {
    output_ += text;
    for (auto end = output_.find_first_of("\r\n"); end != std::string::npos; end = output_.find_first_of("\r\n")) {
        std::string line = output_.substr(0, end);
        output_.erase(0, end + 1);
        for (const std::string_view colour : {"\x1b[91m", "\x1b[0m"}) { // Docker's, for what goes to stderr
            for (auto at = line.find(colour); at != std::string::npos; at = line.find(colour)) {
                line.erase(at, colour.size());
            }
        }
        if (!line.empty()) {
            log_(std::move(line));
        }
    }
    if (output_.size() > longest_line) {
        output_.clear();
    }
}

void PullProgress::say_sum() {
    const auto now = clock_();
    if (said_ && now - *said_ < between_sums) {
        return;
    }
    said_ = now;
    Layer sum;
    for (const auto& [id, layer] : layers_) {
        sum.have += layer.have;
        sum.of += layer.of;
    }
    log_("downloading: " + megabytes(sum.have) + " of " + megabytes(sum.of) + " MB so far");
}

} // namespace linarite::agent
