// `datastore`: data for runs.
#include "cli/families.hpp"
#include "cli/fields.hpp"
#include "cli/table.hpp"
#include "cli/transfer.hpp"
#include "client/http_client.hpp"

#include <fmt/core.h>

namespace linarite::cli {
namespace {

constexpr const char* footer = R"(Examples:
  linarite datastore list
  linarite datastore create images --path /srv/images --shared
  linarite datastore upload workspaceblobstore ./digits --to digits
  linarite datastore download workspaceblobstore digits --to /tmp)";

struct CreateOptions {
    std::string name;
    std::string path;
    bool shared = false;
};
struct UploadOptions {
    std::string name;
    std::string local;
    std::string to;
};
struct DownloadOptions {
    std::string name;
    std::string path;
    std::string folder = ".";
};

std::string files_of(const std::string& name) {
    return "/api/v1/datastores/" + client::encode_part(name) + "/files";
}

Result<int> list(CommandContext& context) {
    const auto answer = context.connection.get("/api/v1/datastores");
    if (!answer) {
        return answer.error();
    }
    if (context.options.json()) {
        CommandContext::print_json(*answer);
        return exit_ok;
    }
    Table table({{"DATASTORE"}, {"DEFAULT"}, {"SHARED"}, {"PATH"}});
    for (const Json& store : member(*answer, "datastores")) {
        table.add({{text(store, "name")},
                   {flag(store, "default") ? "yes" : ""},
                   {flag(store, "shared") ? "yes" : ""},
                   {text(store, "path")}});
    }
    write_out(table.render(context.terminal));
    return exit_ok;
}

Result<int> create(CommandContext& context, const CreateOptions& options) {
    Json body{{"name", options.name}};
    if (!options.path.empty()) {
        body["path"] = fs::absolute(options.path).lexically_normal().string();
    }
    if (options.shared) {
        body["shared"] = true;
    }
    const auto answer = context.connection.call("POST", "/api/v1/datastores", body);
    if (!answer) {
        return answer.error();
    }
    if (context.options.json()) {
        CommandContext::print_json(*answer);
    } else {
        context.notice("datastore " + text(*answer, "name") + " at " + text(*answer, "path"));
    }
    return exit_ok;
}

Result<int> upload(CommandContext& context, const UploadOptions& options) {
    std::string to = options.to;
    std::error_code error;
    if (to.empty() && fs::is_directory(options.local, error)) {
        // a folder keeps its name unless another is given
        to = fs::weakly_canonical(options.local, error).filename().string();
    }
    const auto files = list_local(options.local, to);
    if (!files) {
        return files.error();
    }
    if (auto sent = upload_files(context.connection, *files, files_of(options.name) + "/", context.terminal); !sent) {
        return sent.error();
    }
    Json list = Json::array();
    std::uint64_t bytes = 0;
    for (const LocalFile& file : *files) {
        list.push_back({{"path", file.name}, {"size", file.size}});
        bytes += file.size;
    }
    if (context.options.json()) {
        CommandContext::print_json(Json{{"datastore", options.name}, {"files", std::move(list)}});
    } else {
        context.notice(fmt::format("{}, {}, to datastore {}", format_count(files->size(), "file"), format_bytes(bytes),
                                   options.name));
    }
    return exit_ok;
}

// As cp -r does it: "a/b" comes as "b" with what is in it.
std::vector<RemoteFile> select_files(const Json& list, const DownloadOptions& options) {
    const std::size_t slash = options.path.rfind('/');
    const std::size_t cut = slash == std::string::npos ? 0 : slash + 1;
    std::vector<RemoteFile> selected;
    for (const Json& file : list) {
        const std::string path = text(file, "path");
        if (is_or_is_below(path, options.path)) {
            selected.push_back({files_of(options.name) + "/" + client::encode_path(path), path.substr(cut),
                                static_cast<std::uint64_t>(number(file, "size")), "", ""});
        }
    }
    return selected;
}

Result<int> download(CommandContext& context, const DownloadOptions& options) {
    const auto list = context.connection.get(files_of(options.name) + client::encode_query({{"prefix", options.path}}));
    if (!list) {
        return list.error();
    }
    const std::vector<RemoteFile> selected = select_files(member(*list, "files"), options);
    if (selected.empty() && !options.path.empty()) {
        return Error(Errc::not_found, "datastore '" + options.name + "' has no file or folder '" + options.path + "'");
    }
    const auto places = download_files(context.connection, selected, options.folder, context.terminal);
    if (!places) {
        return places.error();
    }
    if (context.options.json()) {
        Json files = Json::array();
        for (std::size_t i = 0; i < places->size(); ++i) {
            files.push_back({{"path", selected[i].name}, {"size", selected[i].size}, {"local", (*places)[i].string()}});
        }
        CommandContext::print_json(Json{{"datastore", options.name}, {"files", std::move(files)}});
        return exit_ok;
    }
    for (const fs::path& place : *places) {
        write_out(place.lexically_normal().string() + "\n");
    }
    context.notice(format_count(places->size(), "file"));
    return exit_ok;
}

template <class Options>
void choose(CLI::App& command, GlobalOptions& options, Chosen& chosen, const std::shared_ptr<Options>& given,
            Result<int> (*body)(CommandContext&, const Options&)) {
    command.callback([&options, &chosen, given, body] {
        chosen = [&options, given, body] {
            return run_command(options, [given, body](CommandContext& context) { return body(context, *given); });
        };
    });
}

void add_create(CLI::App& family, GlobalOptions& options, Chosen& chosen) {
    CLI::App& command = add_command(family, "create", "Make a datastore, or name a directory as one",
                                    "Example:\n  linarite datastore create images --path /srv/images --shared");
    const auto given = std::make_shared<CreateOptions>();
    command.add_option("NAME", given->name, "its name")->required()->type_name("");
    command
        .add_option("--path", given->path, "directory on the coordinator's host; default: one in the data directory")
        ->type_name("DIR");
    command.add_flag("--shared", given->shared, "all nodes see that directory under the same path (NFS, say)");
    choose(command, options, chosen, given, create);
}

void add_upload(CLI::App& family, GlobalOptions& options, Chosen& chosen) {
    CLI::App& command =
        add_command(family, "upload", "Put a file, or what is in a folder, into a datastore",
                    "Examples:\n  linarite datastore upload workspaceblobstore digits.csv --to digits/\n"
                    "  linarite datastore upload workspaceblobstore ./digits --to digits");
    const auto given = std::make_shared<UploadOptions>();
    command.add_option("NAME", given->name, "datastore")->required()->type_name("");
    command.add_option("LOCAL", given->local, "file or folder")->required()->type_name("");
    command
        .add_option("--to", given->to,
                    "path in the datastore (for a file: ending in '/' a folder); default: its own name")
        ->type_name("PATH");
    choose(command, options, chosen, given, upload);
}

void add_download(CLI::App& family, GlobalOptions& options, Chosen& chosen) {
    CLI::App& command = add_command(family, "download", "Get a file or a folder from a datastore",
                                    "Example:\n  linarite datastore download workspaceblobstore digits --to /tmp");
    const auto given = std::make_shared<DownloadOptions>();
    command.add_option("NAME", given->name, "datastore")->required()->type_name("");
    command.add_option("PATH", given->path, "file or folder in it")->required()->type_name("");
    command.add_option("--to", given->folder, "folder that it goes to; default: this one")->type_name("DIR");
    choose(command, options, chosen, given, download);
    command.parse_complete_callback([given] {
        given->path.erase(given->path.find_last_not_of('/') + 1);
        given->path = given->path == "." ? "" : given->path;
    });
}

} // namespace

void add_datastore_command(CLI::App& app, GlobalOptions& options, Chosen& chosen) {
    CLI::App& family = add_command(
        app, "datastore", "Data that runs read: list, create, upload, download\n  linarite datastore list", footer);
    family.require_subcommand(1);
    CLI::App& listing = add_command(family, "list", "List the datastores", "Example:\n  linarite datastore list");
    listing.callback([&options, &chosen] { chosen = [&options] { return run_command(options, list); }; });
    add_create(family, options, chosen);
    add_upload(family, options, chosen);
    add_download(family, options, chosen);
}

} // namespace linarite::cli
