// `backup` and `version`.
#include "cli/families.hpp"
#include "cli/fields.hpp"

#include <filesystem>

namespace linarite::cli {
namespace {

struct BackupOptions {
    std::string directory;
};

Result<int> backup(CommandContext& context, const BackupOptions& options) {
    const auto directory = std::filesystem::absolute(options.directory).lexically_normal().string();
    const auto answer = context.connection.call("POST", "/api/v1/backup", Json{{"directory", directory}});
    if (!answer) {
        return answer.error();
    }
    if (context.options.json()) {
        CommandContext::print_json(*answer);
        return exit_ok;
    }
    write_out(text(*answer, "directory") + "\n");
    context.notice(format_bytes(static_cast<std::uint64_t>(number(*answer, "bytes"))));
    for (const Json& datastore : answer->value("not_copied", Json::array())) {
        context.notice("not copied: datastore '" + text(datastore, "name") + "', registered from " +
                       text(datastore, "path"));
    }
    return exit_ok;
}

// The coordinator's version and address; null if none runs, which is no error here.
Result<Json> coordinator(const GlobalOptions& options) {
    const auto connection = connect(options);
    if (!connection) {
        return connection.error().code() == Errc::unavailable ? Result<Json>(Json()) : connection.error();
    }
    const auto health = (*connection)->get("/healthz");
    if (!health) {
        return health.error().code() == Errc::unavailable ? Result<Json>(Json()) : health.error();
    }
    return Json{{"version", text(*health, "version")}, {"url", (*connection)->url()}};
}

int version(const GlobalOptions& options) {
    const auto found = coordinator(options);
    const Json running = found ? *found : Json();
    if (options.json()) {
        CommandContext::print_json(Json{{"version", options.version}, {"coordinator", running}});
    } else {
        write_out("linarite " + options.version + "\n");
        write_out(running.is_null() ? "no coordinator is reached\n"
                                    : "coordinator " + text(running, "version") + " at " + text(running, "url") + "\n");
    }
    return found ? exit_ok : report(options, found.error());
}

} // namespace

void add_system_commands(CLI::App& app, GlobalOptions& options, Chosen& chosen) {
    CLI::App& command = add_command(
        app, "backup", "Copy the history and all files while the coordinator runs\n  linarite backup DIR",
        "DIR is on the coordinator's host and must not exist yet. Datastores registered from elsewhere (datastore "
        "create --path)\nare not copied, but named, here and in DIR/not-copied.txt.\n\nExample:\n"
        "  linarite backup /srv/backup/linarite-2026-11-23");
    const auto given = std::make_shared<BackupOptions>();
    command.add_option("DIR", given->directory, "new directory")->required()->type_name("");
    command.callback([&options, &chosen, given] {
        chosen = [&options, given] {
            return run_command(options, [given](CommandContext& context) { return backup(context, *given); });
        };
    });
    CLI::App& versions =
        add_command(app, "version", "Versions of this program and of the coordinator\n  linarite version",
                    "Example:\n  linarite version -o json");
    versions.callback([&options, &chosen] { chosen = [&options] { return version(options); }; });
}

} // namespace linarite::cli
