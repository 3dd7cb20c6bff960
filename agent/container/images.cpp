#include "agent/container/images.hpp"

#include "agent/container/container_tool.hpp"
#include "agent/container/registry_login.hpp"
#include "common/ids.hpp"

namespace linarite::agent {

namespace {

constexpr std::chrono::seconds look_limit{60};

// Says what is there, one "key=value" each.
constexpr const char* look_script = R"(
python=$(command -v python || command -v python3)
echo "python=$python"
[ -z "$python" ] || "$python" -c 'import sys; print("version=%d.%d.%d" % sys.version_info[:3])'
mpirun=$(command -v mpirun)
echo "mpirun=$mpirun"
[ -z "$mpirun" ] || mpirun --version | sed -n 's/^mpirun (Open MPI) /openmpi=/p'
)";

void take_line(const std::string& line, Image& image) {
    const auto equals = line.find('=');
    const std::string key = line.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : line.substr(equals + 1);
    if (key == "python") {
        image.python = value;
    } else if (key == "version") {
        image.python_version = parse_python_version(value).value_or(PythonVersion());
    } else if (key == "mpirun") {
        image.mpirun = value;
    } else if (key == "openmpi") {
        image.open_mpi = value;
    }
}

Error cannot_be_had(const std::string& name, const Error& error) {
    const bool engine_away = error.code() == Errc::unavailable || error.code() == Errc::conflict;
    return {engine_away ? error.code() : Errc::invalid_argument,
            "ImagePullError: image '" + name + "' can't be had: " + error.detail()};
}

} // namespace

std::string Image::digest() const {
    if (facts.digests.empty()) {
        return facts.id;
    }
    const std::string& whole = facts.digests.front();
    const auto at = whole.find('@');
    return at == std::string::npos ? whole : whole.substr(at + 1);
}

asio::awaitable<Result<ImageFacts>> Images::fetch(std::string name, LineOut log, CancelToken cancel) {
    auto here = co_await engine_->find_image(name);
    if (here || here.error().code() != Errc::not_found) {
        co_return here;
    }
    RegistryLogin login = find_login(name);
    log("image '" + name + "' is not on this node: fetching it" +
        (login.username.empty() ? "" : " as user '" + login.username + "' of " + login.server));
    const auto pulled = co_await engine_->pull(name, std::move(login), log, cancel);
    if (!pulled) {
        co_return pulled.error();
    }
    co_return co_await engine_->find_image(name);
}

asio::awaitable<Result<Image>> Images::provide(std::string name, LineOut log, CancelToken cancel) {
    auto facts = co_await fetch(name, log, cancel);
    if (!facts) {
        co_return cannot_be_had(name, facts.error());
    }
    if (const auto known = known_.find(facts->id); known != known_.end()) {
        Image image = known->second;
        image.name = name;
        co_return image;
    }
    const std::string id = facts->id;
    auto image = co_await look_into(std::move(name), std::move(*facts), std::move(cancel));
    if (image) {
        known_[id] = *image;
    }
    co_return image;
}

asio::awaitable<Result<Image>> Images::look_into(std::string name, ImageFacts facts, CancelToken cancel) {
    Image image;
    image.name = std::move(name);
    ContainerSpec spec;
    spec.image = facts.id;
    spec.argv = {"/bin/sh", "-c", look_script};
    spec.user = user_;
    spec.labels = labels_;
    image.facts = std::move(facts);
    auto* const found = &image; // awaited below
    auto end = co_await run_in_container(
        engine_, "linarite-look-" + random_hex(6), std::move(spec), look_limit,
        [found](const std::string& line) { take_line(line, *found); }, std::move(cancel));
    if (!end) {
        co_return end.error().code() == Errc::not_found
            ? Error(Errc::invalid_argument,
                    "image '" + image.name + "' has no /bin/sh: base it on one that has a shell, as Debian's have")
            : end.error().within("look into image '" + image.name + "'");
    }
    if (end->cancelled || end->timed_out) {
        co_return Error(end->cancelled ? Errc::conflict : Errc::unavailable,
                        "looking into image '" + image.name + "' " +
                            (end->cancelled ? "was cancelled" : "took longer than a minute"));
    }
    co_return image;
}

} // namespace linarite::agent
