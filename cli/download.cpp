// `download`: what a run left behind.
#include "cli/families.hpp"
#include "cli/fields.hpp"
#include "cli/run_lookup.hpp"
#include "cli/transfer.hpp"
#include "client/http_client.hpp"

#include <algorithm>

namespace linarite::cli {
namespace {

constexpr const char* footer =
    R"(NAME is a file of the run or a folder; without one it is outputs. Files keep their names
below DIR, and replace what is there under the same name. Each is checked against its SHA-256.

Examples:
  linarite download 3f2a --to results
  linarite download 3f2a outputs/model.pkl logs)";

struct DownloadOptions {
    std::string run;
    std::vector<std::string> names;
    std::string folder = ".";
};

// What is wanted of the run's files; not_found for a name that no file has or is below of.
Result<std::vector<RemoteFile>> select_files(const Json& run, const Json& list, const DownloadOptions& options) {
    const std::vector<std::string> names = options.names.empty() ? std::vector<std::string>{"outputs"} : options.names;
    std::vector<RemoteFile> selected;
    std::vector<std::string> missing = options.names;
    for (const Json& file : list) {
        const std::string path = text(file, "path");
        const auto wants = [&](const std::string& name) { return is_or_is_below(path, name); };
        if (std::any_of(names.begin(), names.end(), wants)) {
            std::erase_if(missing, wants);
            RemoteFile wanted = listed_file(file);
            wanted.target = run_target(run, "/files/" + client::encode_path(path));
            wanted.list = run_target(run, "/files?" + client::encode_query({{"prefix", path}}));
            selected.push_back(std::move(wanted));
        }
    }
    if (!missing.empty()) {
        return Error(Errc::not_found,
                     "run '" + text(run, "run_id") + "' has no file or folder '" + missing.front() + "'");
    }
    return selected;
}

Result<int> download(CommandContext& context, const DownloadOptions& options) {
    const auto run = find_run(context.connection, options.run);
    if (!run) {
        return run.error();
    }
    const auto list = context.connection.get(run_target(*run, "/files"));
    if (!list) {
        return list.error();
    }
    const auto selected = select_files(*run, member(*list, "files"), options);
    if (!selected) {
        return selected.error();
    }
    const auto places = download_files(context.connection, *selected, options.folder, context.terminal);
    if (!places) {
        return places.error();
    }
    if (context.options.json()) {
        Json files = Json::array();
        for (std::size_t i = 0; i < places->size(); ++i) {
            std::error_code unknown; // it may have been replaced since it was listed
            files.push_back({{"path", (*selected)[i].name},
                             {"size", fs::file_size((*places)[i], unknown)},
                             {"local", (*places)[i].string()}});
        }
        CommandContext::print_json(Json{{"run_id", text(*run, "run_id")}, {"files", std::move(files)}});
        return exit_ok;
    }
    for (const fs::path& place : *places) {
        write_out(place.lexically_normal().string() + "\n");
    }
    context.notice(places->empty() ? "the run has no outputs" : format_count(places->size(), "file"));
    return exit_ok;
}

} // namespace

void add_download_command(CLI::App& app, GlobalOptions& options, Chosen& chosen) {
    CLI::App& command =
        add_command(app, "download", "Get a run's outputs\n  linarite download 3f2a --to results", footer);
    const auto given = std::make_shared<DownloadOptions>();
    command.add_option("RUN", given->run, "run id, or a part of one")->required()->type_name("");
    command.add_option("NAME", given->names, "files or folders; outputs if there is none")->type_name("");
    command.add_option("--to", given->folder, "folder that they go to; default: this one")->type_name("DIR");
    command.callback([&options, &chosen, given] {
        for (std::string& name : given->names) {
            name.erase(name.find_last_not_of('/') + 1);
        }
        chosen = [&options, given] {
            return run_command(options, [given](CommandContext& context) { return download(context, *given); });
        };
    });
}

} // namespace linarite::cli
