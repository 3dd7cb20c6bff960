// agent/environment/provider.hpp: the ways to give a run its Python, one per file, behind one interface.
#pragma once

#include "agent/environment/interpreters.hpp"
#include "agent/environment/process.hpp"
#include "async/cancel.hpp"
#include "common/error.hpp"
#include "environments/eviction.hpp"
#include "proto/run_definition.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace linarite::agent {

namespace asio = boost::asio;
namespace fs = std::filesystem;

/// Takes a line for the run's build log (azureml-logs/20_image_build_log.txt), as soon as it is known.
using LogSink = std::function<void(std::string line)>;

/// Runs a tool to its end; as run_process(), or in a container.
using ToolRunner =
    std::function<asio::awaitable<Result<ProcessEnd>>(ProcessOrder order, LineSink on_line, CancelToken cancel)>;

/// An image that environments stand on. Paths are those in its containers, where the node's cache folder of
/// environments is at its own path.
struct ImageBase {
    std::string name;
    std::string digest;
    std::optional<Interpreter> python;
    std::map<std::string, std::string> variables;
    ToolRunner run;
};

/// What an environment stands on.
struct EnvironmentBase {
    std::string reason;                     // why, for the first line of the build log; "" for nothing
    std::shared_ptr<const ImageBase> image; // null: the node itself
};

/// What a run starts its script with.
struct PreparedEnvironment {
    fs::path python;
    fs::path folder; // "" if nothing was built
    std::map<std::string, std::string>
        variables;              // to be set for the script: PATH with its folder in front, VIRTUAL_ENV or CONDA_PREFIX
    std::string key;            // of its content; "" if nothing was built for it
    std::string lock;           // what is really installed, one line each; "" if nothing was built
    std::string bare;           // which interpreter of the node's own it is, in words; "" if something was built
    bool reused = false;        // it was there already
    std::string provider;       // Plan::provider
    std::string python_version; // "" if it was not asked
};

/// Who makes environments: see choose_provider().
enum class PackagePolicy { automatic, pip, conda };

struct EnvironmentSettings {
    fs::path environments; // cache folder
    fs::path tools;        // where uv and rattler are put if this node has none
    fs::path uv;           // "" looks on PATH, then in `tools`
    PackagePolicy policy = PackagePolicy::automatic;
    std::string conda;                      // micromamba, mamba or conda; "" looks on PATH; "rattler" is our own
    std::vector<std::string> find_links;    // folders and pages with wheels, besides the index
    bool offline = false;                   // nothing is asked for over the network
    std::chrono::seconds build_limit{1800}; // for one environment
    bool azureml_dropin = false;            // azureml-defaults is not installed: a module of ours stands in for it
    bool strict_python = false;             // refuse instead of taking the nearest interpreter
    environments::Limits limits = {};       // of the cache folder
};

/// What a provider means to do for one request.
struct Plan {
    std::string provider;
    std::string reason;                    // why this provider, for the first line of the build log
    std::vector<std::string> notices;      // warnings for the user
    Interpreter interpreter;               // conda brings its own: its version is what was asked for, "" is any
    std::vector<std::string> requirements; // for pip; nothing if the interpreter does as it is
    std::vector<std::string> conda_specs;  // without python
    std::vector<std::string> pythons;      // for conda: specs of python in the order in which they are tried
    std::vector<std::string> channels;     // for conda
    /// SHA-256 over everything that decides the content; "" if nothing is to be built.
    std::string key;
    std::shared_ptr<const ImageBase> image; // null: the node itself
};

/// What a build needs of its surroundings.
struct BuildOrder {
    Plan plan;
    fs::path folder;  // where the environment is to be, for ever; it is not there yet
    int lock_fd = -1; // held while it is built; a tool keeps it, so that nobody builds beside a tool that survived us
    LogSink log;
    CancelToken cancel;
};

/// What a build made.
struct Built {
    std::string lock;                             // what is installed (PreparedEnvironment::lock)
    std::string python;                           // its version
    std::map<std::string, std::string> variables; // that programs in it need to be given, besides PATH
};

class Provider {
public:
    Provider() = default;
    Provider(const Provider&) = delete;
    Provider& operator=(const Provider&) = delete;
    virtual ~Provider() = default;

    /// Decides what to do, on the node itself or on an image. Looks at the node, changes nothing.
    virtual asio::awaitable<Result<Plan>> plan(proto::PythonEnvironment python,
                                               std::shared_ptr<const ImageBase> image) = 0;
    /// Makes what the plan says. Called for plans with a key only.
    virtual asio::awaitable<Result<Built>> build(BuildOrder order) = 0;
};

/// What the providers of one node share: its settings, the pool for blocking work and the list of interpreters, looked
/// for once.
class Node {
public:
    Node(asio::thread_pool& pool, EnvironmentSettings settings) : pool_(pool), settings_(std::move(settings)) {}
    [[nodiscard]] const EnvironmentSettings& settings() const { return settings_; }
    [[nodiscard]] asio::thread_pool& pool() const { return pool_; }
    asio::awaitable<const Interpreters*> interpreters();
    /// Lines of `pip config list`: what this node's files say of package indexes, asked again when one of them changed.
    /// Nothing if there are no such files, or no pip.
    asio::awaitable<std::vector<std::string>> pip_configuration();

private:
    asio::thread_pool& pool_;
    EnvironmentSettings settings_;
    std::unique_ptr<Interpreters> interpreters_;
    std::string pip_files_; // what pip_lines_ come from
    std::vector<std::string> pip_lines_;
};

/// The interpreter that the request names; nothing is built.
std::unique_ptr<Provider> make_user_managed_provider(Node& node);
/// An installed interpreter as it is, for requests without packages.
std::unique_ptr<Provider> make_plain_provider(Node& node);
/// An environment with packages from an index, made by uv.
std::unique_ptr<Provider> make_pip_provider(Node& node);
/// An environment with a Python and packages from conda channels, and packages from an index by uv on top.
std::unique_ptr<Provider> make_conda_provider(Node& node);

/// "Linux-x86_64": what environments of one content still differ by.
std::string platform_name();

/// Chooses the interpreter for plans that do not name one, with a notice if it isn't what was asked for.
asio::awaitable<Result<Plan>> plan_interpreter(Node& node, std::string provider, std::string version,
                                               std::shared_ptr<const ImageBase> image);

} // namespace linarite::agent
