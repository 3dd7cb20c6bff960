#include "agent/capture/uploader.hpp"

#include "proto/json_reader.hpp"

#include <cerrno>
#include <unistd.h>

namespace linarite::agent {

namespace {

constexpr std::size_t piece_size = std::size_t{256} << 10U;

// Gives the frames' bytes piece by piece. Reading 256 KiB at a time takes less than handing them to the socket, so it
// is done on the event loop.
class FrameSource {
public:
    explicit FrameSource(std::shared_ptr<const Frames> frames) : frames_(std::move(frames)) {}

    Result<std::string> next() {
        std::string out;
        while (out.size() < piece_size && at_ < frames_->size()) {
            const OutgoingFrame& frame = (*frames_)[at_];
            if (!in_frame_) {
                out += proto::print_frame_header(frame.header);
                in_frame_ = true;
                sent_ = 0;
            }
            if (!frame.file) {
                out += frame.bytes;
                sent_ = frame.header.size;
            } else if (auto read = read_on(frame, out); !read) {
                return read.error();
            }
            if (sent_ >= frame.header.size) {
                in_frame_ = false;
                ++at_;
            }
        }
        return out;
    }

private:
    Result<void> read_on(const OutgoingFrame& frame, std::string& out) {
        const std::uint64_t wanted = std::min<std::uint64_t>(piece_size, frame.header.size - sent_);
        const std::size_t before = out.size();
        out.resize(before + static_cast<std::size_t>(wanted));
        const ssize_t got = ::pread(frame.file->get(), out.data() + before, static_cast<std::size_t>(wanted),
                                    static_cast<off_t>(sent_));
        if (got < 0 || (got == 0 && wanted > 0)) {
            // the header has promised these bytes: the request can't be completed
            return Error(Errc::unavailable, "'" + frame.header.path + "' became shorter while it was sent");
        }
        out.resize(before + static_cast<std::size_t>(got));
        sent_ += static_cast<std::uint64_t>(got);
        return {};
    }

    std::shared_ptr<const Frames> frames_;
    std::size_t at_ = 0;
    bool in_frame_ = false;
    std::uint64_t sent_ = 0;
};

Result<std::optional<LengthConflict>> understand(const client::Response& response) {
    if (response.status <= 299) {
        return std::optional<LengthConflict>();
    }
    if (response.status == 409) {
        const auto body = proto::parse_json(response.body);
        if (body && body->is_object() && body->contains("path") && (*body)["path"].is_string() &&
            body->contains("length") && (*body)["length"].is_number_unsigned()) {
            return std::optional(
                LengthConflict{(*body)["path"].get<std::string>(), (*body)["length"].get<std::uint64_t>()});
        }
    }
    return error_of(response);
}

class HttpUploader final : public Uploader {
public:
    HttpUploader(std::shared_ptr<Coordinator> coordinator, const RunId& run, Fence fence)
        : coordinator_(std::move(coordinator)),
          target_("/api/v1/agent/runs/" + client::encode_part(run.str()) + "/files?fence=" + std::to_string(fence)) {}

    asio::awaitable<Result<std::optional<LengthConflict>>> send(std::shared_ptr<const Frames> frames) override {
        client::HttpClient::Request request;
        request.method = "POST";
        request.target = target_;
        request.content_type = "application/octet-stream";
        std::uint64_t bytes = 0;
        bool from_files = false;
        for (const OutgoingFrame& frame : *frames) {
            bytes += proto::print_frame_header(frame.header).size() + frame.header.size;
            from_files = from_files || frame.file;
        }
        // the slowest line that is worth waiting for takes 1 MiB a second
        request.timeout = std::chrono::seconds(60 + (bytes >> 20U));
        FrameSource source(frames);
        Result<client::Response> response = Error(Errc::internal, "not sent");
        if (from_files) {
            response = co_await coordinator_->upload(
                std::move(request), [&source] { return source.next(); }, static_cast<std::int64_t>(bytes));
        } else {
            for (auto piece = source.next(); piece && !piece->empty(); piece = source.next()) {
                request.body += *piece;
            }
            response = co_await coordinator_->send(std::move(request));
        }
        if (!response) {
            co_return response.error();
        }
        co_return understand(*response);
    }

private:
    std::shared_ptr<Coordinator> coordinator_;
    std::string target_;
};

} // namespace

std::shared_ptr<Uploader> make_http_uploader(std::shared_ptr<Coordinator> coordinator, const RunId& run, Fence fence) {
    return std::make_shared<HttpUploader>(std::move(coordinator), run, fence);
}

} // namespace linarite::agent
