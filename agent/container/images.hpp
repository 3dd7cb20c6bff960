// agent/container/images.hpp: images that runs ask for: fetched if they are not here, and looked into once.
#pragma once

#include "agent/container/engine.hpp"
#include "agent/environment/interpreters.hpp"

#include <map>
#include <memory>
#include <string>

namespace linarite::agent {

/// An image with what is in it that a run may need.
struct Image {
    std::string name; // as the run or the map says it
    ImageFacts facts;
    std::string python; // path of the Python in it; "" if it has none
    PythonVersion python_version;
    std::string mpirun;   // path; "" if it has none
    std::string open_mpi; // its version, "4.1.4"

    /// "sha256:..." of a registry, or of the image itself if it was never in one.
    [[nodiscard]] std::string digest() const;
};

/// The images of one node.
class Images {
public:
    /// Containers that look into an image have the labels.
    Images(std::shared_ptr<Engine> engine, std::string user, Labels labels)
        : engine_(std::move(engine)), user_(std::move(user)), labels_(std::move(labels)) {}

    /// Looks here first, and asks the registry only for what is not here. invalid_argument: it can't be had, with
    /// the registry's own words; unavailable: the engine is away; conflict: cancelled.
    asio::awaitable<Result<Image>> provide(std::string name, LineOut log, CancelToken cancel);

private:
    asio::awaitable<Result<ImageFacts>> fetch(std::string name, LineOut log, CancelToken cancel);
    asio::awaitable<Result<Image>> look_into(std::string name, ImageFacts facts, CancelToken cancel);

    std::shared_ptr<Engine> engine_;
    std::string user_;
    Labels labels_;
    std::map<std::string, Image> known_; // by id
};

} // namespace linarite::agent
