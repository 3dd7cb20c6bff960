// agent/container/images.hpp: images that runs ask for: fetched or built if they are not here, and looked into once.
#pragma once

#include "agent/container/build_files.hpp"
#include "agent/container/engine.hpp"
#include "agent/environment/interpreters.hpp"

#include <boost/asio/thread_pool.hpp>

#include <map>
#include <memory>
#include <optional>
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

/// What a run asks for.
struct ImageOrder {
    std::string name;                  // "rootfs:/path" is a root filesystem of the operator's
    RegistryLogin login{};             // that the run came with; it is for its own registry alone
    std::string no_password{};         // why it came with a user name alone, for who is refused; "" if it did not
    std::string dockerfile{};          // what it is built of if it is not here; "": it is in a registry
    std::optional<BuildFiles> files{}; // that the dockerfile comes with
};

/// How the images of one node are made ready.
struct ImageSettings {
    std::string user;                            // of containers that look into an image
    Labels labels;                               // of those
    fs::path scratch;                            // where root filesystems are packed
    std::chrono::seconds build_limit{1800};      // for one image that is built of a dockerfile
    std::chrono::milliseconds patience{120'000}; // with an engine that went away while it was asked
};

/// The images of one node. Those who ask for the same at the same time share one fetch and its log; it is ended when
/// the last of them cancels.
class Images {
public:
    Images(std::shared_ptr<Engine> engine, asio::thread_pool& pool, ImageSettings settings);
    /// Ends what is under way.
    ~Images();
    Images(const Images&) = delete;
    Images& operator=(const Images&) = delete;

    /// Looks here first, and asks the registry, or has it built, only for what is not here. An engine that goes away
    /// meanwhile is waited for. invalid_argument: it can't be had, with the registry's own words; unavailable: the
    /// engine is away; conflict: cancelled.
    asio::awaitable<Result<Image>> provide(ImageOrder order, LineOut log, CancelToken cancel);

private:
    struct State;
    std::shared_ptr<State> state_;
};

} // namespace linarite::agent
