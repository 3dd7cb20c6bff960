#include "agent/container/images.hpp"

#include "agent/container/alarm.hpp"
#include "agent/container/container_tool.hpp"
#include "agent/container/dockerfile.hpp"
#include "agent/container/registry_login.hpp"
#include "agent/container/rootfs.hpp"
#include "async/async.hpp"
#include "async/shared_work.hpp"
#include "common/clock.hpp"
#include "common/files.hpp"
#include "common/ids.hpp"

namespace linarite::agent {

namespace {

constexpr std::chrono::seconds look_limit{60};
constexpr std::chrono::milliseconds between_looks{250}; // at an engine that is away
constexpr int most_tries = 3;
constexpr const char* rootfs_name = "linarite/rootfs:";

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

Error cannot_be_had(const ImageOrder& order, const Error& error) {
    const bool engine_away = error.code() == Errc::unavailable || error.code() == Errc::conflict;
    const std::string what = order.dockerfile.empty()
                                 ? "ImagePullError: image '" + order.name + "' can't be had: "
                                 : "ImageBuildError: no image can be built of the run's dockerfile: ";
    return {engine_away ? error.code() : Errc::invalid_argument, what + error.detail()};
}

/// What one image is made ready by, for all who wait for it.
struct Making {
    LineOut log;
    CancelToken cancel;
};

// With other credentials it is another question.
std::string key_of(const ImageOrder& order) {
    return order.name + '\n' + order.login.server + '\n' + order.login.username + '\n' + order.login.password;
}

} // namespace

struct Images::State {
    State(std::shared_ptr<Engine> of, asio::thread_pool& files, ImageSettings given)
        : engine(std::move(of)), pool(files), settings(std::move(given)) {}

    struct Imported {
        std::string fingerprint;
        std::string image;
    };
    std::shared_ptr<Engine> engine;
    asio::thread_pool& pool;
    ImageSettings settings;
    std::map<std::string, Image> known;       // by id
    std::map<fs::path, Imported> filesystems; // as they were when they were packed
    SharedWork<Image> work;

    using Self = std::shared_ptr<State>;
    static asio::awaitable<Result<Image>> try_until_ready(Self self, ImageOrder order, Making making);
    static asio::awaitable<Result<Image>> make_ready(Self self, ImageOrder order, Making making);
    static asio::awaitable<Result<ImageFacts>> fetch(Self self, ImageOrder order, Making making);
    static asio::awaitable<Result<void>> pull(Self self, ImageOrder order, Making making);
    static asio::awaitable<Result<void>> build(Self self, ImageOrder order, Making making);
    static asio::awaitable<Result<ImageFacts>> import(Self self, fs::path path, Making making);
    static asio::awaitable<Result<ImageFacts>> import_packed(Self self, PackedRootfs packed, Making making);
    static asio::awaitable<Result<Image>> look_into(Self self, std::string name, ImageFacts facts, CancelToken cancel);
    asio::awaitable<bool> wait_for_engine(Making making) const;
};

// What the engine was at when it died is asked of it again when it is back.
asio::awaitable<Result<Image>> Images::State::try_until_ready(Self self, ImageOrder order, Making making) {
    for (int tries = 1;; ++tries) {
        auto image = co_await make_ready(self, order, making);
        if (image || image.error().code() != Errc::unavailable || making.cancel.cancelled() || tries == most_tries) {
            co_return image;
        }
        making.log(image.error().detail() + "; waiting for it");
        if (!co_await self->wait_for_engine(making)) {
            co_return image;
        }
    }
}

// False if it does not come back.
asio::awaitable<bool> Images::State::wait_for_engine(Making making) const {
    const auto until = std::chrono::steady_clock::now() + settings.patience;
    const auto of = engine;
    while (!co_await of->answers()) {
        if (making.cancel.cancelled() || std::chrono::steady_clock::now() > until) {
            co_return false;
        }
        asio::steady_timer pause(co_await asio::this_coro::executor, between_looks);
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    co_return !making.cancel.cancelled();
}

asio::awaitable<Result<Image>> Images::State::make_ready(Self self, ImageOrder order, Making making) {
    auto facts = is_rootfs(order.name) ? co_await import(self, rootfs_path(order.name), making)
                                       : co_await fetch(self, order, making);
    if (!facts) {
        co_return cannot_be_had(order, facts.error());
    }
    if (const auto found = self->known.find(facts->id); found != self->known.end()) {
        Image image = found->second;
        image.name = order.name;
        co_return image;
    }
    const std::string id = facts->id;
    auto image = co_await look_into(self, order.name, std::move(*facts), making.cancel);
    if (image) {
        self->known[id] = *image;
    }
    co_return image;
}

namespace {

/// The run's own login where it is for the image's registry, else what this node has.
RegistryLogin choose_login(const ImageOrder& order, const LineOut& log) {
    if (order.login.username.empty()) {
        return find_login(order.name);
    }
    const std::string registry = proto::registry_of(order.name);
    if (order.login.server == registry) {
        return order.login;
    }
    log("the run's login is for registry '" + order.login.server + "', and is not shown to '" + registry + "'");
    return find_login(order.name);
}

/// Of each registry that the dockerfile builds on; of two for one the run's own is the last, which counts.
std::vector<RegistryLogin> logins_for_build(const ImageOrder& order) {
    std::vector<RegistryLogin> logins;
    for (const std::string& base : bases_of_dockerfile(order.dockerfile)) {
        logins.push_back(find_login(base));
    }
    logins.push_back(order.login);
    std::erase_if(logins, [](const RegistryLogin& login) { return login.username.empty(); });
    return logins;
}

/// For who was refused as nobody in particular.
Result<void> with_hint(const Result<void>& done, const ImageOrder& order) {
    return done || order.no_password.empty()
               ? done
               : Result<void>(Error(done.error().code(), done.error().detail() + "; " + order.no_password));
}

} // namespace

asio::awaitable<Result<ImageFacts>> Images::State::fetch(Self self, ImageOrder order, Making making) {
    auto here = co_await self->engine->find_image(order.name);
    if (here || here.error().code() != Errc::not_found) {
        co_return here;
    }
    const auto made =
        order.dockerfile.empty() ? co_await pull(self, order, making) : co_await build(self, order, making);
    co_return made ? co_await self->engine->find_image(order.name) : Result<ImageFacts>(made.error());
}

asio::awaitable<Result<void>> Images::State::pull(Self self, ImageOrder order, Making making) {
    RegistryLogin login = choose_login(order, making.log);
    const bool anonymous = login.username.empty();
    making.log("image '" + order.name + "' is not on this node: fetching it" +
               (anonymous ? "" : " as user '" + login.username + "' of " + login.server));
    const auto pulled = co_await self->engine->pull(order.name, std::move(login), making.log, making.cancel);
    co_return anonymous ? with_hint(pulled, order) : pulled;
}

asio::awaitable<Result<void>> Images::State::build(Self self, ImageOrder order, Making making) {
    const fs::path tar = self->settings.scratch / ("dockerfile-" + random_hex(8) + ".tar");
    const auto packed = co_await on_pool(self->pool, [tar, order] {
        auto made = make_folders(tar.parent_path(), 0700);
        return !made         ? made
               : order.files ? pack_build_files(*order.files, order.dockerfile, tar)
                             : pack_dockerfile(order.dockerfile, tar);
    });
    if (!packed) {
        co_return packed.error();
    }
    making.log("image '" + order.name + "' is not on this node: building it");
    const auto begun = std::chrono::steady_clock::now();
    CancelToken stop;
    const auto hook = making.cancel.on_cancel([stop] { stop.cancel(); });
    const Alarm alarm(co_await asio::this_coro::executor, self->settings.build_limit, stop);
    const auto logins = logins_for_build(order);
    ImageBuild build{order.name, tar, order.files ? order.files->dockerfile : "Dockerfile", logins};
    const auto built = co_await self->engine->build(std::move(build), making.log, stop);
    co_await on_pool(self->pool, [tar] {
        std::error_code ignored;
        return fs::remove(tar, ignored);
    });
    if (!built && alarm.rung()) {
        co_return Error(Errc::invalid_argument, "it took longer than " + format_duration(self->settings.build_limit) +
                                                    " and was ended; --env-build-limit sets how long it may take");
    }
    const auto took = std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - begun);
    if (built) {
        making.log("the image was built in " + format_duration(took));
    }
    co_return logins.empty() ? with_hint(built, order) : built;
}

asio::awaitable<Result<ImageFacts>> Images::State::import(Self self, fs::path path, Making making) {
    const auto print = co_await on_pool(self->pool, [path] { return fingerprint_rootfs(path); });
    if (!print) {
        co_return print.error();
    }
    if (const auto known = self->filesystems.find(path);
        known != self->filesystems.end() && known->second.fingerprint == *print) {
        auto here = co_await self->engine->find_image(known->second.image);
        if (here || here.error().code() != Errc::not_found) {
            co_return here;
        }
    }
    making.log("root filesystem '" + path.string() + "' is read");
    auto packed =
        co_await on_pool(self->pool, [path, scratch = self->settings.scratch] { return pack_rootfs(path, scratch); });
    if (!packed) {
        co_return packed.error();
    }
    auto facts = co_await import_packed(self, *packed, making);
    if (packed->temporary) {
        co_await on_pool(self->pool, [tar = packed->tar] {
            std::error_code ignored;
            return fs::remove(tar, ignored);
        });
    }
    if (facts) {
        self->filesystems[path] = {*print, rootfs_name + packed->hash.substr(0, 16)};
    }
    co_return facts;
}

asio::awaitable<Result<ImageFacts>> Images::State::import_packed(Self self, PackedRootfs packed, Making making) {
    const std::string name = rootfs_name + packed.hash.substr(0, 16);
    auto here = co_await self->engine->find_image(name);
    if (here || here.error().code() != Errc::not_found) {
        co_return here;
    }
    std::error_code ec;
    making.log("it becomes image '" + name + "': " + std::to_string(fs::file_size(packed.tar, ec) / 1'000'000) +
               " MB are given to the engine");
    const auto imported = co_await self->engine->import(name, packed.tar, making.cancel);
    if (!imported) {
        co_return imported.error();
    }
    co_return co_await self->engine->find_image(name);
}

asio::awaitable<Result<Image>> Images::State::look_into(Self self, std::string name, ImageFacts facts,
                                                        CancelToken cancel) {
    Image image;
    image.name = std::move(name);
    ContainerSpec spec;
    spec.image = facts.id;
    spec.argv = {"/bin/sh", "-c", look_script};
    spec.user = self->settings.user;
    spec.labels = self->settings.labels;
    image.facts = std::move(facts);
    auto* const found = &image; // awaited below
    auto end = co_await run_in_container(
        self->engine, "linarite-look-" + random_hex(6), std::move(spec), look_limit,
        [found](const std::string& line) { take_line(line, *found); }, std::move(cancel));
    if (!end) {
        co_return end.error().code() == Errc::not_found
            ? Error(Errc::invalid_argument,
                    "image '" + image.name + "' has no /bin/sh: base it on one that has a shell, as Debian's have (" +
                        end.error().detail() + ")")
            : end.error().within("look into image '" + image.name + "'");
    }
    if (end->cancelled || end->timed_out) {
        co_return Error(end->cancelled ? Errc::conflict : Errc::internal,
                        "looking into image '" + image.name + "' " +
                            (end->cancelled ? "was cancelled" : "took longer than a minute"));
    }
    co_return image;
}

std::string Image::digest() const {
    if (facts.digests.empty()) {
        return facts.id;
    }
    const std::string& whole = facts.digests.front();
    const auto at = whole.find('@');
    return at == std::string::npos ? whole : whole.substr(at + 1);
}

Images::Images(std::shared_ptr<Engine> engine, asio::thread_pool& pool, ImageSettings settings)
    : state_(std::make_shared<State>(std::move(engine), pool, std::move(settings))) {}

Images::~Images() {
    state_->work.end();
}

asio::awaitable<Result<Image>> Images::provide(ImageOrder order, LineOut log, CancelToken cancel) {
    const auto state = state_;
    const std::string name = order.name;
    const std::string key = key_of(order);
    auto made = co_await state->work.wait(
        key, {std::move(log), std::move(cancel), "another run is making the same image ready already"},
        [state, order](LineOut to, CancelToken stop) {
            return State::try_until_ready(state, order, {std::move(to), std::move(stop)});
        });
    co_return made ? std::move(*made)
                   : Result<Image>(Error(Errc::conflict, "making image '" + name + "' ready was cancelled"));
}

} // namespace linarite::agent
