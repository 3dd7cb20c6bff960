#include "agent/container/images.hpp"

#include "agent/container/alarm.hpp"
#include "agent/container/container_tool.hpp"
#include "agent/container/dockerfile.hpp"
#include "agent/container/registry_login.hpp"
#include "agent/container/rootfs.hpp"
#include "async/async.hpp"
#include "common/clock.hpp"
#include "common/files.hpp"
#include "common/ids.hpp"

#include <boost/asio/co_spawn.hpp>

namespace linarite::agent {

namespace {

constexpr std::chrono::seconds look_limit{60};
constexpr std::chrono::milliseconds between_looks{250}; // at an engine that is away
constexpr int most_tries = 3;
constexpr std::size_t most_kept_lines = 1'000;
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

// One image that is made ready, and those who wait for it.
struct Flight {
    std::vector<std::string> lines; // so far, for those who come later
    std::map<int, LineOut> sinks;
    int next_sink = 0;
    CancelToken cancel;
    Signal changed;
    std::optional<Result<Image>> outcome;

    void log(const std::string& line) {
        if (lines.size() < most_kept_lines) {
            lines.push_back(line);
        }
        const auto now = sinks; // a sink may leave meanwhile
        for (const auto& [id, sink] : now) {
            sink(line);
        }
    }
};

// A waiter's place in a flight. The last one that leaves it before its end ends it.
class Seat {
public:
    Seat(std::shared_ptr<Flight> flight, const LineOut& log) : flight_(std::move(flight)), id_(flight_->next_sink++) {
        if (!flight_->sinks.empty()) {
            log("another run is making the same image ready already");
        }
        for (const std::string& line : flight_->lines) {
            log(line);
        }
        flight_->sinks[id_] = log;
    }
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;
    ~Seat() {
        flight_->sinks.erase(id_);
        if (flight_->sinks.empty() && !flight_->outcome) {
            flight_->cancel.cancel();
        }
    }

private:
    std::shared_ptr<Flight> flight_;
    int id_;
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
    std::map<std::string, std::shared_ptr<Flight>> flights;

    using Self = std::shared_ptr<State>;
    using FlightPtr = std::shared_ptr<Flight>;
    static asio::awaitable<Result<Image>> fly(Self self, ImageOrder order, FlightPtr flight);
    static asio::awaitable<Result<Image>> make_ready(Self self, ImageOrder order, FlightPtr flight);
    static asio::awaitable<Result<ImageFacts>> fetch(Self self, ImageOrder order, FlightPtr flight);
    static asio::awaitable<Result<void>> pull(Self self, ImageOrder order, FlightPtr flight);
    static asio::awaitable<Result<void>> build(Self self, ImageOrder order, FlightPtr flight);
    static asio::awaitable<Result<ImageFacts>> import(Self self, fs::path path, FlightPtr flight);
    static asio::awaitable<Result<ImageFacts>> import_packed(Self self, PackedRootfs packed, FlightPtr flight);
    static asio::awaitable<Result<Image>> look_into(Self self, std::string name, ImageFacts facts, CancelToken cancel);
    asio::awaitable<bool> wait_for_engine(FlightPtr flight) const;
    static FlightPtr board(const Self& self, const asio::any_io_executor& executor, const ImageOrder& order);
};

// The flight of those who ask for this; begins one if there is none.
std::shared_ptr<Flight> Images::State::board(const Self& self, const asio::any_io_executor& executor,
                                             const ImageOrder& order) {
    const std::string key = key_of(order);
    if (const auto known = self->flights.find(key);
        known != self->flights.end() && !known->second->cancel.cancelled()) {
        return known->second;
    }
    auto flight = std::make_shared<Flight>();
    self->flights[key] = flight;
    asio::co_spawn(
        executor, fly(self, order, flight), [self, flight, key](const std::exception_ptr& bug, Result<Image> outcome) {
            if (const auto mine = self->flights.find(key); mine != self->flights.end() && mine->second == flight) {
                self->flights.erase(mine);
            }
            flight->outcome =
                bug ? Error(Errc::internal, "making an image ready failed unexpectedly") : std::move(outcome);
            flight->changed.notify();
        });
    return flight;
}

// What the engine was at when it died is asked of it again when it is back.
asio::awaitable<Result<Image>> Images::State::fly(Self self, ImageOrder order, FlightPtr flight) {
    for (int tries = 1;; ++tries) {
        auto image = co_await make_ready(self, order, flight);
        if (image || image.error().code() != Errc::unavailable || flight->cancel.cancelled() || tries == most_tries) {
            co_return image;
        }
        flight->log(image.error().detail() + "; waiting for it");
        if (!co_await self->wait_for_engine(flight)) {
            co_return image;
        }
    }
}

// False if it does not come back.
asio::awaitable<bool> Images::State::wait_for_engine(FlightPtr flight) const {
    const auto until = std::chrono::steady_clock::now() + settings.patience;
    const auto of = engine;
    while (!co_await of->answers()) {
        if (flight->cancel.cancelled() || std::chrono::steady_clock::now() > until) {
            co_return false;
        }
        asio::steady_timer pause(co_await asio::this_coro::executor, between_looks);
        co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    co_return !flight->cancel.cancelled();
}

asio::awaitable<Result<Image>> Images::State::make_ready(Self self, ImageOrder order, FlightPtr flight) {
    auto facts = is_rootfs(order.name) ? co_await import(self, rootfs_path(order.name), flight)
                                       : co_await fetch(self, order, flight);
    if (!facts) {
        co_return cannot_be_had(order, facts.error());
    }
    if (const auto found = self->known.find(facts->id); found != self->known.end()) {
        Image image = found->second;
        image.name = order.name;
        co_return image;
    }
    const std::string id = facts->id;
    auto image = co_await look_into(self, order.name, std::move(*facts), flight->cancel);
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

} // namespace

asio::awaitable<Result<ImageFacts>> Images::State::fetch(Self self, ImageOrder order, FlightPtr flight) {
    auto here = co_await self->engine->find_image(order.name);
    if (here || here.error().code() != Errc::not_found) {
        co_return here;
    }
    const auto made =
        order.dockerfile.empty() ? co_await pull(self, order, flight) : co_await build(self, order, flight);
    co_return made ? co_await self->engine->find_image(order.name) : Result<ImageFacts>(made.error());
}

asio::awaitable<Result<void>> Images::State::pull(Self self, ImageOrder order, FlightPtr flight) {
    const LineOut log = [flight](const std::string& line) { flight->log(line); };
    RegistryLogin login = choose_login(order, log);
    const bool anonymous = login.username.empty();
    log("image '" + order.name + "' is not on this node: fetching it" +
        (anonymous ? "" : " as user '" + login.username + "' of " + login.server));
    const auto pulled = co_await self->engine->pull(order.name, std::move(login), log, flight->cancel);
    if (!pulled && anonymous && !order.no_password.empty()) {
        co_return Error(pulled.error().code(), pulled.error().detail() + "; " + order.no_password);
    }
    co_return pulled;
}

asio::awaitable<Result<void>> Images::State::build(Self self, ImageOrder order, FlightPtr flight) {
    const fs::path tar = self->settings.scratch / ("dockerfile-" + random_hex(8) + ".tar");
    const auto packed = co_await on_pool(self->pool, [tar, text = order.dockerfile] {
        auto made = make_folders(tar.parent_path(), 0700);
        return made ? pack_dockerfile(text, tar) : made;
    });
    if (!packed) {
        co_return packed.error();
    }
    flight->log("image '" + order.name + "' is not on this node: building it");
    const auto begun = std::chrono::steady_clock::now();
    CancelToken stop;
    const auto hook = flight->cancel.on_cancel([stop] { stop.cancel(); });
    const Alarm alarm(co_await asio::this_coro::executor, self->settings.build_limit, stop);
    auto built = co_await self->engine->build(
        order.name, tar, logins_for_build(order), [flight](const std::string& line) { flight->log(line); }, stop);
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
        flight->log("the image was built in " + format_duration(took));
    }
    co_return built;
}

asio::awaitable<Result<ImageFacts>> Images::State::import(Self self, fs::path path, FlightPtr flight) {
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
    flight->log("root filesystem '" + path.string() + "' is read");
    auto packed =
        co_await on_pool(self->pool, [path, scratch = self->settings.scratch] { return pack_rootfs(path, scratch); });
    if (!packed) {
        co_return packed.error();
    }
    auto facts = co_await import_packed(self, *packed, flight);
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

asio::awaitable<Result<ImageFacts>> Images::State::import_packed(Self self, PackedRootfs packed, FlightPtr flight) {
    const std::string name = rootfs_name + packed.hash.substr(0, 16);
    auto here = co_await self->engine->find_image(name);
    if (here || here.error().code() != Errc::not_found) {
        co_return here;
    }
    std::error_code ec;
    flight->log("it becomes image '" + name + "': " + std::to_string(fs::file_size(packed.tar, ec) / 1'000'000) +
                " MB are given to the engine");
    const auto imported = co_await self->engine->import(name, packed.tar, flight->cancel);
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
    for (const auto& [key, flight] : state_->flights) {
        flight->cancel.cancel();
    }
}

asio::awaitable<Result<Image>> Images::provide(ImageOrder order, LineOut log, CancelToken cancel) {
    const auto flight = State::board(state_, co_await asio::this_coro::executor, order);
    const Seat seat(flight, log);
    const auto hook = cancel.on_cancel([flight] { flight->changed.notify(); });
    while (!flight->outcome && !cancel.cancelled()) {
        co_await flight->changed.wait();
    }
    co_return flight->outcome
        ? *flight->outcome
        : Result<Image>(Error(Errc::conflict, "making image '" + order.name + "' ready was cancelled"));
}

} // namespace linarite::agent
