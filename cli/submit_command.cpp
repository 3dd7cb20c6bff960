#include "cli/families.hpp"
#include "cli/report.hpp"
#include "cli/submit.hpp"

#include <fmt/core.h>

namespace linarite::cli {
namespace {

constexpr const char* footer =
    R"(The files of DIR are sent without what its .amlignore (or else .gitignore) names, without outputs/,
.git, .azureml and the like. SCRIPT is relative to DIR. Flags win over the job file; packages are added
to those of the job file.

Stdout has the run id in its first line, and with --follow the script's output after it (with several processes
each line begins with the rank). -o json: the run as one JSON document instead, once it has ended if you wait.
Ctrl-C while you wait or follow leaves the run alone.

Exit code with --wait or --follow: the job's own; 128 + n if signal n ended it; 1 if it failed without one of
these; 130 if the run was canceled, or at Ctrl-C. Before that, as for all commands: 2 wrong input, 3 coordinator
unreachable, 4 not found.

Examples:
  linarite submit ./proj -- train.py --lr 0.1
  linarite submit ./proj --job sklearn.runconfig --follow
  linarite submit ./proj --nodes 2 --processes-per-node 2 --backend mpi --pip mpi4py --wait -- train.py
  linarite submit ./proj --data digits=workspaceblobstore/digits -- train.py --data '$AZUREML_DATAREFERENCE_digits')";

void add_definition_options(CLI::App& command, DefinitionFlags& flags) {
    const auto repeated = [&](const char* name, std::vector<std::string>& into, const char* help, const char* shown) {
        command.add_option(name, into, help)->type_name(shown)->allow_extra_args(false);
    };
    command.add_option("--target", flags.target, "compute target; the coordinator has a default")->type_name("T");
    command.add_option("--nodes", flags.nodes, "number of nodes")->type_name("N");
    command.add_option("--processes-per-node", flags.processes_per_node, "ranks on each node (mpi, gloo, nccl)")
        ->type_name("P");
    command
        .add_option("--backend", flags.backend,
                    "how the processes are started: mpi (Open MPI), gloo or nccl (as torch.distributed finds itself), "
                    "ps (TF_CONFIG), or none for a single process")
        ->type_name("B");
    command.add_option("--workers", flags.workers, "workers, over all nodes (ps; default: one on each)")
        ->type_name("N");
    command.add_option("--parameter-servers", flags.parameter_servers, "over all nodes (ps; default: 1)")
        ->type_name("N");
    repeated("--conda", flags.conda, "conda package, as in 'scikit-learn=1.3'; may be repeated", "PKG");
    repeated("--pip", flags.pip, "pip requirement; may be repeated", "PKG");
    command.add_option("--image", flags.image, "container image to run in")->type_name("IMAGE");
    command
        .add_option("--dockerfile", flags.dockerfile,
                    "dockerfile of an image to run in, which each node builds once; no other files go with it unless "
                    "there is a --build-context")
        ->type_name("FILE");
    command.add_flag("--user-managed", flags.user_managed,
                     "build no environment: the node's own Python runs the script");
    repeated("--data", flags.data, "the script sees it as $AZUREML_DATAREFERENCE_<name>; may be repeated",
             "NAME=DATASTORE/PATH");
    repeated("--env", flags.environment, "environment variable of the script; may be repeated", "K=V");
    command.add_option("--max-duration", flags.max_duration, "the run is canceled after so many seconds")
        ->type_name("S");
    command.add_option("--priority", flags.priority, "higher goes first")->type_name("N");
}

// What stands behind DIR without "--" in front: the script, and all that follows is the script's.
std::vector<std::string> script_words(const CLI::App& command, GlobalOptions& options) {
    std::vector<std::string> words = command.remaining();
    words.insert(words.end(), options.after_dashes.begin(), options.after_dashes.end());
    options.after_dashes.clear();
    return words;
}

} // namespace

void add_submit_command(CLI::App& app, GlobalOptions& options, Chosen& chosen) {
    CLI::App& command = add_command(app, "submit",
                                    "Send a source folder and run a script of it\n"
                                    "  linarite submit DIR [OPTIONS] [--] SCRIPT [ARGS...]",
                                    footer);
    const auto given = std::make_shared<SubmitOptions>();
    command.prefix_command();
    command.add_option("DIR", given->folder, "source folder")->required()->type_name("");
    command
        .add_option("--job", given->job_file, "run configuration (.runconfig); also looked for in DIR and DIR/.azureml")
        ->type_name("FILE");
    command.add_option("--experiment", given->experiment, "default: the name of DIR")->type_name("E");
    command.add_option("--run-id", given->run_id, "the same id and content again gives the same run")->type_name("ID");
    add_definition_options(command, given->flags);
    command
        .add_option("--build-context", given->build_context,
                    "folder with a Dockerfile (or what --dockerfile names in it) and the files that it copies into the "
                    "image to run in")
        ->type_name("DIR");
    command.add_flag("--follow", given->follow, "print the logs until the run has ended");
    command.add_flag("--wait", given->wait, "wait until the run has ended");
    command.add_flag("--dry-run", given->dry_run, "check everything, send and run nothing");
    command.callback([&command, &options, &chosen, given] {
        const std::size_t without_dashes = command.remaining_size();
        given->flags.script = script_words(command, options);
        if (without_dashes > 0 && given->flags.script.front().starts_with('-')) {
            throw CLI::ExtrasError("submit", {given->flags.script.front()});
        }
        if (given->dry_run && (given->follow || given->wait)) {
            throw CLI::ValidationError("--dry-run", "there is no run to follow or to wait for");
        }
        chosen = [&options, given] {
            return run_command(options, [given](CommandContext& context) { return submit(context, *given); });
        };
    });
}

} // namespace linarite::cli
