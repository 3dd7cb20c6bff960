#include "server/app.hpp"

#include "common/files.hpp"
#include "common/hash.hpp"
#include "common/host.hpp"
#include "proto/json_reader.hpp"
#include "server/azureml/api.hpp"
#include "server/blob/api.hpp"
#include "server/native/api.hpp"
#include "server/service/computes.hpp"
#include "server/service/environments.hpp"
#include "server/service/metrics.hpp"
#include "server/service/process_files.hpp"
#include "server/service/run_rows.hpp"

#include <spdlog/spdlog.h>

#include <unistd.h>

namespace linarite::server {

using namespace std::chrono_literals;

struct App::Parts {
    Parts(asio::io_context& io, Options given, FileLock taken)
        : options(std::move(given)), lock(std::move(taken)), loop(io) {}

    Options options;
    FileLock lock;
    asio::io_context& loop;
    SteadyWallClock clock;
    std::string admin_token;
    std::string https_url;
    std::string http_url;
    unsigned short https_port = 0;
    asio::thread_pool files{1};
    std::unique_ptr<store::Store> store;
    std::unique_ptr<store::MetricStore> metric_store;
    std::unique_ptr<service::Tokens> tokens;
    std::unique_ptr<service::Sealer> sealer;
    std::unique_ptr<service::Workspaces> workspaces;
    std::unique_ptr<service::Experiments> experiments;
    std::unique_ptr<service::Scheduler> scheduler;
    std::unique_ptr<service::Runs> runs;
    std::unique_ptr<service::RunHistory> history;
    std::unique_ptr<service::Metrics> metrics;
    std::unique_ptr<service::RunStorage> storage;
    std::unique_ptr<service::ProcessFiles> process_files;
    std::unique_ptr<service::Snapshots> snapshots;
    std::unique_ptr<service::BlobUploads> uploads;
    std::unique_ptr<service::Datastores> datastores;
    std::unique_ptr<service::Computes> computes;
    std::unique_ptr<service::Environments> environments;
    std::unique_ptr<service::Nodes> nodes;
    std::unique_ptr<http::Server> server;

    [[nodiscard]] service::SchedulerSettings scheduler_settings();
    [[nodiscard]] asio::awaitable<Result<void>> open();
    [[nodiscard]] Result<void> load_admin_token();
    [[nodiscard]] Result<void> listen();
    [[nodiscard]] Result<void> write_endpoint();
    [[nodiscard]] proto::JoinString join_template() const;
    asio::awaitable<Result<http::Principal>> authenticate(std::string token);
};

namespace {

// The SDK fetches a new one shortly before the end; what counts is that the run is alive.
constexpr Millis run_token_life = 24h;
// What a client began to send and then forgot.
constexpr Millis block_life = 24h;

Result<void> make_data_folders(const DataDir& data) {
    if (auto made = make_folders(data.root(), 0700); !made) {
        return made;
    }
    for (const fs::path& folder : {data.tls(), data.runs(), data.snapshots(), data.datastores()}) {
        if (auto made = make_folders(folder, 0700); !made) {
            return made;
        }
    }
    return {};
}

bool is_loopback(const std::string& host) {
    return host == "::1" || host.starts_with("127.");
}

// "0.0.0.0" is where we listen, not where others find us.
std::string reachable_host(const std::string& listen_host) {
    if (listen_host == "0.0.0.0" || listen_host == "::") {
        return host_name();
    }
    return listen_host.find(':') == std::string::npos ? listen_host : "[" + listen_host + "]";
}

} // namespace

Result<void> App::Parts::load_admin_token() {
    const fs::path path = options.data.token();
    const auto known = read_file(path, 4096);
    if (known && known->size() >= 64) {
        admin_token = known->substr(0, 64);
        return {};
    }
    admin_token = random_hex(32);
    return write_file_durably(path, admin_token + "\n", 0600);
}

asio::awaitable<Result<http::Principal>> App::Parts::authenticate(std::string token) {
    if (equal_in_constant_time(token, admin_token)) {
        co_return http::Principal{http::Principal::Role::admin, "admin"};
    }
    const NodeName node = nodes->authenticate(token);
    if (!node.empty()) {
        co_return http::Principal{http::Principal::Role::agent, node.str()};
    }
    const auto claims = tokens->check(token, clock.now());
    if (!claims) {
        co_return claims.error();
    }
    if (claims->role == service::Claims::Role::client) {
        co_return http::Principal{http::Principal::Role::admin, claims->subject};
    }
    const RunId run(claims->subject);
    if (!co_await runs->may_speak(run, claims->attempt)) {
        co_return Error(Errc::unauthorized, "the token of run '" + run.str() +
                                                "' is no longer good: the run or this "
                                                "attempt of it has ended");
    }
    co_return http::Principal{http::Principal::Role::run, run.str()};
}

service::SchedulerSettings App::Parts::scheduler_settings() {
    service::SchedulerSettings settings{options.limits, options.stop_grace, host_id()};
    settings.variables = [this](const store::RunRow& row) {
        const auto workspace = workspaces->find(row.workspace);
        return service::run_variables(row, workspace ? *workspace : workspaces->default_row());
    };
    settings.run_token = [this](const RunId& run, int attempt) {
        const auto token =
            tokens->issue({service::Claims::Role::run, run.str(), attempt, clock.now() + run_token_life});
        return token ? *token : "";
    };
    settings.unseal = [this](const RunId& run, const std::string& sealed) {
        const auto password = sealer->unseal(sealed, run.str());
        return password ? *password : "";
    };
    settings.on_processes = [this](service::ProcessPicture picture) { process_files->show(std::move(picture)); };
    settings.targets = [this](const std::vector<std::string>& labels, int gpus) {
        return computes->targets_of(labels, gpus);
    };
    return settings;
}

asio::awaitable<Result<void>> App::Parts::open() {
    auto opened = store::Store::open(options.data.history().string());
    if (!opened) {
        co_return opened.error();
    }
    store = std::move(*opened);
    auto opened_metrics = store::MetricStore::open(options.data.metrics().string());
    if (!opened_metrics) {
        co_return opened_metrics.error();
    }
    metric_store = std::move(*opened_metrics);
    auto signing = service::Tokens::open(options.data.signing_key());
    if (!signing) {
        co_return signing.error();
    }
    tokens = std::make_unique<service::Tokens>(std::move(*signing));
    auto sealing = service::Sealer::open(options.data.sealing_key());
    if (!sealing) {
        co_return sealing.error();
    }
    sealer = std::make_unique<service::Sealer>(std::move(*sealing));
    workspaces = std::make_unique<service::Workspaces>(*store, clock);
    if (auto done = co_await workspaces->restore(); !done) {
        co_return done;
    }
    experiments = std::make_unique<service::Experiments>(*store, clock);
    scheduler = std::make_unique<service::Scheduler>(loop, *store, clock, scheduler_settings());
    runs = std::make_unique<service::Runs>(*store, *scheduler, *workspaces, *sealer, clock);
    history = std::make_unique<service::RunHistory>(*store, *runs, *scheduler, clock);
    metrics = std::make_unique<service::Metrics>(*metric_store, *runs, clock);
    storage = std::make_unique<service::RunStorage>(*store, *scheduler, clock, files, options.data);
    process_files = std::make_unique<service::ProcessFiles>(loop, *storage);
    snapshots = std::make_unique<service::Snapshots>(*store, clock, files, options.data);
    uploads = std::make_unique<service::BlobUploads>(*store, clock, files, options.data);
    datastores = std::make_unique<service::Datastores>(*store, clock, files, options.data);
    computes = std::make_unique<service::Computes>(*store, *scheduler, clock);
    environments = std::make_unique<service::Environments>(*store, clock);
    nodes = std::make_unique<service::Nodes>(*store, *scheduler, *computes, clock);
    if (auto done = co_await datastores->follow_data_dir(); !done) {
        co_return done;
    }
    if (auto done = co_await computes->restore(); !done) {
        co_return done;
    }
    if (auto done = co_await scheduler->restore(); !done) {
        co_return done;
    }
    if (auto done = co_await nodes->restore(); !done) {
        co_return done;
    }
    auto clean = [this]() -> Result<void> {
        artifacts::BlockFolder(options.data.blocks()).drop_older(clock.now() - block_life);
        snapshots->clean_up_zips();
        return {};
    };
    co_await on_pool(files, std::move(clean));
    co_return co_await datastores->ensure_default();
}

proto::JoinString App::Parts::join_template() const {
    const auto ca = read_file(options.data.tls() / "ca.pem");
    return proto::JoinString{https_url, "", ca ? *ca : ""};
}

Result<void> App::Parts::listen() {
    std::vector<std::string> names = options.names;
    if (!is_loopback(options.listen_host)) {
        names.push_back(reachable_host(options.listen_host));
    }
    if (auto made = http::ensure_certificates(options.data.tls(), names); !made) {
        return made;
    }
    const auto tls = http::load_certificates(options.data.tls());
    if (!tls) {
        return tls.error();
    }
    auto api = std::make_shared<native::Api>(
        native::Api{*store, *metric_store, *metrics, *scheduler, *workspaces, *runs, *storage, *snapshots, *datastores,
                    *nodes, files, options.data, options.version, [this] { return join_template(); },
                    [this] { return server->counters(); }});
    http::Router router;
    native::add_routes(router, api);
    azureml::add_routes(router, std::make_shared<azureml::Api>(azureml::Api{*workspaces,
                                                                            *experiments,
                                                                            *runs,
                                                                            *history,
                                                                            *storage,
                                                                            *snapshots,
                                                                            *datastores,
                                                                            *nodes,
                                                                            *uploads,
                                                                            *computes,
                                                                            *environments,
                                                                            *tokens,
                                                                            *metrics,
                                                                            files,
                                                                            clock,
                                                                            admin_token,
                                                                            [this] { return https_port; },
                                                                            {}}));
    blob::add_routes(router,
                     std::make_shared<blob::Api>(blob::Api{*storage, *snapshots, *uploads, *datastores, *tokens, files,
                                                           clock, artifacts::BlockFolder(options.data.blocks())}));
    names.push_back(host_name());
    server = std::make_unique<http::Server>(
        loop, std::move(router), [this](std::string token) { return authenticate(std::move(token)); },
        options.http_limits, names);
    const auto https = server->listen({options.listen_host, options.https_port}, *tls);
    if (!https) {
        return https.error().within("listen on " + options.listen_host + " port " + std::to_string(options.https_port) +
                                    " (choose another with --https-port; 0 takes any free one)");
    }
    const auto http = server->listen({"127.0.0.1", options.http_port}, nullptr);
    if (!http) {
        return http.error().within("listen on 127.0.0.1 port " + std::to_string(options.http_port) +
                                   " (choose another with --http-port; 0 takes any free one)");
    }
    https_port = *https;
    https_url = "https://" + reachable_host(options.listen_host) + ":" + std::to_string(*https);
    http_url = "http://127.0.0.1:" + std::to_string(*http);
    return {};
}

Result<void> App::Parts::write_endpoint() {
    proto::Endpoint endpoint;
    endpoint.pid = ::getpid();
    endpoint.https_url = https_url;
    endpoint.http_url = http_url;
    endpoint.ca_file = (options.data.tls() / "ca.pem").string();
    endpoint.version = options.version;
    return write_file_durably(options.data.endpoint(), proto::print_json_pretty(proto::print(endpoint)) + "\n", 0644);
}

App::App(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
App::~App() = default;

asio::awaitable<Result<std::unique_ptr<App>>> App::start(asio::io_context& io, Options options) {
    if (auto made = make_data_folders(options.data); !made) {
        co_return made.error();
    }
    auto lock = FileLock::take(options.data.root() / "coordinator.lock");
    if (!lock) {
        if (lock.error().code() == Errc::conflict) {
            co_return Error(Errc::conflict, "a coordinator already runs on data directory '" +
                                                options.data.root().string() + "': " + lock.error().detail());
        }
        co_return lock.error();
    }
    auto parts = std::make_unique<Parts>(io, std::move(options), std::move(*lock));
    if (auto done = parts->load_admin_token(); !done) {
        co_return done.error();
    }
    if (auto done = co_await parts->open(); !done) {
        co_return done.error();
    }
    if (auto done = parts->listen(); !done) {
        co_return done.error();
    }
    if (auto done = parts->write_endpoint(); !done) {
        co_return done.error();
    }
    spdlog::info("coordinator ready: data={} https={} http={}", parts->options.data.root().string(), parts->https_url,
                 parts->http_url);
    co_return std::unique_ptr<App>(new App(std::move(parts)));
}

const std::string& App::https_url() const {
    return parts_->https_url;
}
const std::string& App::http_url() const {
    return parts_->http_url;
}

asio::awaitable<Result<std::string>> App::make_join_string() {
    const auto token = co_await parts_->nodes->make_join_token();
    if (!token) {
        co_return token.error();
    }
    proto::JoinString join = parts_->join_template();
    join.token = *token;
    co_return proto::print(join);
}

asio::awaitable<bool> App::knows_node(std::string name) {
    const auto rows = co_await parts_->nodes->list();
    co_return rows&& std::any_of(rows->begin(), rows->end(),
                                 [&](const store::NodeRow& row) { return row.name.str() == name; });
}

asio::awaitable<void> App::stop() {
    std::error_code ec;
    fs::remove(parts_->options.data.endpoint(), ec);
    parts_->scheduler->stop();
    co_await parts_->server->stop(5s);
    co_await parts_->process_files->finish();
    co_await parts_->datastores->stop();
    co_await parts_->metric_store->flushed();
    co_await parts_->store->flushed();
    parts_->files.join();
    spdlog::info("coordinator stopped");
}

} // namespace linarite::server
