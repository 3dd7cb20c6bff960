#include "agent/environment/cache.hpp"

#include "agent/environment/bytecode.hpp"
#include "agent/environment/choice.hpp"
#include "agent/environment/conda.hpp"
#include "agent/environment/file_lock.hpp"
#include "agent/environment/process.hpp"
#include "agent/environment/published.hpp"
#include "agent/environment/requirements.hpp"
#include "agent/environment/room.hpp"
#include "async/async.hpp"
#include "async/shared_work.hpp"
#include "common/clock.hpp"
#include "common/files.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <deque>
#include <fcntl.h>
#include <set>
#include <sys/file.h>
#include <unistd.h>

namespace linarite::agent {

namespace {

// Keeps others from compiling the environment, too; nothing if it was done before, or somebody does it now. Nobody is
// kept from removing it: then there is nothing more to compile.
UniqueFd hold_for_compiling(const fs::path& folder) {
    const std::string lock = folder.string() + ".bytecode.lock";
    UniqueFd fd(lacks_bytecode(folder) ? ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644) : -1);
    if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        return {};
    }
    return fd;
}

// Builds and publishes under the lock. What an attempt that failed leaves behind is cleared away: half an environment
// is of no use to anybody.
asio::awaitable<Result<Built>> build_once(Node& node, Provider& provider, BuildOrder order) {
    const fs::path folder = order.folder;
    const Plan plan = order.plan;
    const auto held = co_await on_pool(node.pool(), [cache = folder.parent_path()] { return hold_packages(cache); });
    if (!held) {
        co_return held.error();
    }
    const auto cleared = co_await on_pool(node.pool(), [folder] { return clear_away(folder); });
    if (!cleared) {
        co_return cleared.error();
    }
    auto installed = co_await provider.build(std::move(order));
    if (installed) {
        const auto published =
            co_await on_pool(node.pool(), [folder, plan, built = *installed] { return publish(folder, plan, built); });
        if (published) {
            co_return installed;
        }
        installed = published.error();
    }
    co_await on_pool(node.pool(),
                     [folder] { return clear_away(folder); }); // if this fails the next build tries it again
    co_return installed;
}

// Builds under the lock, unless somebody else has done it meanwhile.
asio::awaitable<Result<PreparedEnvironment>> build(Node& node, Room& room, Provider& provider, BuildOrder order) {
    const Plan plan = order.plan;
    const fs::path folder = order.folder;
    const LogSink log = order.log;
    const auto made = make_folders(folder.parent_path());
    if (!made) {
        co_return made.error();
    }
    const auto lock = co_await lock_file(
        environments::lock_of(folder.parent_path(), plan.key),
        [log] { log("waiting for another build of the same environment"); }, order.cancel);
    if (!lock) {
        co_return lock.error();
    }
    auto there = co_await on_pool(node.pool(), [folder, plan] { return look_again(folder, plan); });
    if (there) {
        co_return *there;
    }
    const auto begun = std::chrono::steady_clock::now();
    co_await room.make_before_build(log);
    order.lock_fd = lock->get();
    const auto installed = co_await room.build([&] { return build_once(node, provider, order); }, log, order.cancel);
    if (!installed) {
        log("the environment was not built: " + installed.error().detail());
        co_return installed.error();
    }
    room.tidy();
    const auto took = std::chrono::duration_cast<Millis>(std::chrono::steady_clock::now() - begun);
    spdlog::info("environment built: key={} provider={} ms={}", plan.key.substr(0, 12), plan.provider, took.count());
    log("the environment was built in " + format_duration(took) + ": " + plan.key.substr(0, 12));
    co_return describe(folder, plan, *installed);
}

// True if it was asked for.
bool leave_out_defaults(proto::PythonEnvironment& python) {
    return std::erase_if(python.pip_packages,
                         [](const std::string& line) { return names_package(line, "azureml-defaults"); }) > 0;
}

} // namespace

struct EnvironmentCache::State {
    State(asio::any_io_executor on, asio::thread_pool& pool, EnvironmentSettings settings)
        : executor(std::move(on)),
          node(pool, std::move(settings)),
          room(pool, node.settings().environments, node.settings().limits),
          user_managed(make_user_managed_provider(node)),
          plain(make_plain_provider(node)),
          pip(make_pip_provider(node)),
          conda(make_conda_provider(node)) {}

    asio::any_io_executor executor;
    Node node;
    Room room;
    std::unique_ptr<Provider> user_managed;
    std::unique_ptr<Provider> plain;
    std::unique_ptr<Provider> pip;
    std::unique_ptr<Provider> conda;
    SharedWork<PreparedEnvironment> builds;
    std::set<std::string> seen;      // keys of what was found built, for the first time
    std::deque<fs::path> to_compile; // what is built but not compiled; the first one is being worked on
    CancelToken stopping;

    asio::awaitable<Result<ProviderChoice>> choose(const proto::PythonEnvironment& python, const ImageBase* image) {
        NodeFacts facts;
        facts.policy = node.settings().policy;
        if (!python.user_managed) {
            const Interpreters on_image =
                image != nullptr && image->python ? Interpreters{{*image->python}, image->python} : Interpreters{};
            const auto nearest =
                choose_interpreter(python.python_version, image != nullptr ? on_image : *co_await node.interpreters());
            facts.python_fits = nearest && nearest->as_asked;
            facts.nearest_python = nearest ? nearest->interpreter.version.str() : "none";
            const auto tool =
                co_await on_pool(node.pool(), [name = node.settings().conda] { return find_conda_tool(name); });
            if (!tool) {
                co_return tool.error();
            }
            facts.conda = *tool ? (*tool)->name : "";
        }
        co_return choose_provider(python, facts);
    }

    [[nodiscard]] Provider& provider(ProviderKind kind) const {
        switch (kind) {
        case ProviderKind::user_managed: return *user_managed;
        case ProviderKind::pip: return *pip;
        case ProviderKind::conda: return *conda;
        case ProviderKind::plain: break;
        }
        return *plain;
    }

    [[nodiscard]] fs::path folder(const std::string& key) const { return node.settings().environments / key; }

    // What is ready, in use by `user` from then on. Nothing of it is kept in memory: others may have removed it.
    static asio::awaitable<Result<std::optional<PreparedEnvironment>>> find(std::shared_ptr<State> self, Plan plan,
                                                                            fs::path user) {
        auto there = co_await on_pool(self->node.pool(),
                                      [at = self->folder(plan.key), plan, user] { return look_up(at, plan, user); });
        if (there && *there && self->seen.insert(plan.key).second) {
            compile_later(self, plan); // an agent that was killed may have left it undone
        }
        co_return there;
    }

    // One environment after the other. Those on images have it from the beginning (image_tools.cpp).
    static void compile_later(const std::shared_ptr<State>& self, const Plan& plan) {
        if (stands_on_image(plan)) {
            return;
        }
        self->to_compile.push_back(self->folder(plan.key));
        if (self->to_compile.size() == 1) {
            asio::co_spawn(self->executor, compile_all(self), asio::detached);
        }
    }

    static asio::awaitable<void> compile_all(std::shared_ptr<State> self) {
        while (!self->to_compile.empty() && !self->stopping.cancelled()) {
            const fs::path at = self->to_compile.front();
            const UniqueFd lock = co_await on_pool(self->node.pool(), [at] { return hold_for_compiling(at); });
            if (lock) {
                co_await compile_bytecode(self->node, at, lock.get(), self->stopping);
                self->room.tidy(); // it takes more now
            }
            self->to_compile.pop_front();
        }
    }

    static asio::awaitable<Result<PreparedEnvironment>>
    build_and_compile(std::shared_ptr<State> self, Provider& provider, Plan plan, LogSink log, CancelToken cancel) {
        spdlog::info("environment key={} provider={} building=true", plan.key.substr(0, 12), plan.provider);
        BuildOrder order{plan, self->folder(plan.key), -1, std::move(log), std::move(cancel)};
        auto built = co_await build(self->node, self->room, provider, std::move(order));
        if (built) {
            compile_later(self, plan);
        }
        co_return built;
    }
};

EnvironmentCache::EnvironmentCache(asio::any_io_executor executor, asio::thread_pool& pool,
                                   EnvironmentSettings settings)
    : state_(std::make_shared<State>(std::move(executor), pool, std::move(settings))) {}

EnvironmentCache::~EnvironmentCache() {
    state_->stopping.cancel();
    state_->builds.end();
}

void EnvironmentCache::tidy() {
    state_->room.tidy();
}

asio::awaitable<Result<PreparedEnvironment>> EnvironmentCache::prepare(proto::PythonEnvironment python,
                                                                       EnvironmentBase base, LogSink log,
                                                                       CancelToken cancel, fs::path user) {
    const auto state = state_;
    log = [to = std::move(log)](const std::string& line) { to(without_credentials(line)); };
    if (!base.reason.empty()) {
        log(base.reason);
    }
    const bool stands_in = state->node.settings().azureml_dropin && leave_out_defaults(python);
    const auto choice = co_await state->choose(python, base.image.get());
    if (!choice) {
        co_return choice.error();
    }
    Provider& provider = state->provider(choice->kind);
    auto plan = co_await provider.plan(std::move(python), std::move(base.image));
    if (!plan) {
        co_return plan.error();
    }
    if (stands_in && !plan->key.empty()) {
        plan->notices.emplace_back("azureml-defaults is not installed: azureml.core.Run comes with Linarite (policy "
                                   "drop-in; agents that were started with --azureml install do install it)");
    }
    const auto say = [&log](const std::vector<std::string>& lines) {
        for (const std::string& line : lines) {
            log(line);
        }
    };
    if (plan->key.empty()) {
        say(plan->notices);
        co_return describe_bare(*plan);
    }
    auto there = co_await State::find(state, *plan, user);
    if (!there && is_out_of_space(there.error())) { // not even for a mark
        co_await state->room.make_before_build(log);
        there = co_await State::find(state, *plan, user);
    }
    if (!there) {
        co_return there.error();
    }
    if (*there) {
        if (!plan->notices.empty()) {
            say(plan->notices);
            log("the environment is on this node already: " + plan->key.substr(0, 12));
        }
        spdlog::info("environment key={} reused=true", plan->key.substr(0, 12));
        co_return **there;
    }
    if (!choice->reason.empty()) {
        log("environment: " + choice->reason);
    }
    log(plan->reason);
    say(plan->notices);
    const std::string key = plan->key;
    auto built = co_await state->builds.wait(
        key, {std::move(log), std::move(cancel), "waiting for another build of the same environment"},
        [state, &provider, plan = std::move(*plan)](LogSink to, CancelToken stop) {
            return State::build_and_compile(state, provider, plan, std::move(to), std::move(stop));
        });
    co_return built ? std::move(*built)
                    : Result<PreparedEnvironment>(Error(Errc::conflict, "preparing the environment was cancelled"));
}

} // namespace linarite::agent
