// `env` and `run`: the Azure ML SDK finds our coordinator in the place of Azure.
#include "cli/environments.hpp"
#include "cli/families.hpp"
#include "cli/sdk_environment.hpp"
#include "common/data_dir.hpp"

#include <cerrno>
#include <cstdlib>
#include <unistd.h>

namespace linarite::cli {
namespace {

// As a shell says that a command is not there, or cannot be run.
constexpr int exit_no_command = 127;
constexpr int exit_not_executable = 126;

std::string inherited(const char* name) {
    const char* value = std::getenv(name); // NOLINT(concurrency-mt-unsafe): one thread
    return value == nullptr ? "" : value;
}

// With a coordinator that answers and knows our token: what is wrong is said here, not from within the SDK.
Result<SdkEnvironment> prepare(CommandContext& context) {
    if (const auto health = context.connection.get("/healthz"); !health) {
        return health.error();
    }
    const auto coordinator = find_secure_address(context.options);
    if (!coordinator) {
        return coordinator.error();
    }
    const auto folder = sdk_folder(*coordinator, DataDir::find(context.options.data_dir).root());
    if (!folder) {
        return folder.error();
    }
    return prepare_sdk(*coordinator, *folder, inherited);
}

Result<int> print_environment(CommandContext& context) {
    const auto environment = prepare(context);
    if (!environment) {
        return environment.error();
    }
    if (context.options.json()) {
        CommandContext::print_json(Json{{"set", environment->set}, {"unset", environment->unset}});
    } else {
        write_out(shell_lines(*environment));
    }
    return exit_ok;
}

// The command takes our place: its signals and its exit code are its own.
int become(const std::vector<std::string>& words, const SdkEnvironment& environment) {
    for (const auto& [name, value] : environment.set) {
        ::setenv(name.c_str(), value.c_str(), 1); // NOLINT(concurrency-mt-unsafe): one thread
    }
    for (const std::string& name : environment.unset) {
        ::unsetenv(name.c_str()); // NOLINT(concurrency-mt-unsafe): one thread
    }
    std::vector<std::string> copies = words;
    std::vector<char*> arguments;
    arguments.reserve(copies.size() + 1);
    for (std::string& word : copies) {
        arguments.push_back(word.data());
    }
    arguments.push_back(nullptr);
    ::execvp(arguments.front(), arguments.data());
    const Error error = errno_error("run '" + words.front() + "'", errno);
    write_err("linarite: " + printable(error.detail()) + "\n");
    return error.code() == Errc::not_found ? exit_no_command : exit_not_executable;
}

int run(const GlobalOptions& options, const std::vector<std::string>& words) {
    std::optional<SdkEnvironment> environment;
    // the connection ends with this: its sockets are no business of the command
    const int code = run_command(options, [&environment](CommandContext& context) -> Result<int> {
        auto prepared = prepare(context);
        if (!prepared) {
            return prepared.error();
        }
        environment = std::move(*prepared);
        return exit_ok;
    });
    return environment ? become(words, *environment) : code;
}

// All that follows the options is the command's, a "--" within it too.
std::vector<std::string> command_words(const CLI::App& command, GlobalOptions& options) {
    std::vector<std::string> words = command.remaining();
    if (!words.empty() && !options.after_dashes.empty()) {
        words.emplace_back("--");
    }
    words.insert(words.end(), options.after_dashes.begin(), options.after_dashes.end());
    options.after_dashes.clear();
    return words;
}

} // namespace

void add_sdk_commands(CLI::App& app, GlobalOptions& options, Chosen& chosen) {
    CLI::App& run_it = add_command(app, "run",
                                   "Run a command whose Azure ML SDK finds this coordinator\n"
                                   "  linarite run [--] CMD [ARGS...]",
                                   "The command gets the variables of 'linarite env', and takes linarite's place: its "
                                   "signals and\nits exit code are its own (127: there is no such command).\n\n"
                                   "Examples:\n  linarite run python submit.py\n  linarite run jupyter lab");
    run_it.prefix_command();
    run_it.callback([&run_it, &options, &chosen] {
        const bool without_dashes = run_it.remaining_size() > 0;
        const std::vector<std::string> words = command_words(run_it, options);
        if (words.empty()) {
            throw CLI::RequiredError("CMD");
        }
        if (without_dashes && words.front().starts_with('-')) {
            throw CLI::ExtrasError("run", {words.front()});
        }
        chosen = [&options, words] { return run(options, words); };
    });
    CLI::App& print_it =
        add_command(app, "env",
                    "Print what makes the Azure ML SDK find this coordinator\n  linarite env\n"
                    "with list or prune: Python environments that this machine keeps",
                    "The coordinator's token is among it. Nothing of the SDK is changed, and your own Azure login is\n"
                    "neither read nor written.\n\nExample:\n  eval \"$(linarite env)\"");
    add_environment_commands(print_it, options, chosen);
    print_it.callback([&print_it, &options, &chosen] {
        if (print_it.get_subcommands().empty()) {
            chosen = [&options] { return run_command(options, print_environment); };
        }
    });
}

} // namespace linarite::cli
