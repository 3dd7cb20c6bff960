// `init`: a project that finds its workspace by itself.
#include "cli/init.hpp"

#include "cli/families.hpp"
#include "cli/fields.hpp"
#include "common/files.hpp"
#include "proto/json_reader.hpp"

#include <boost/algorithm/string/predicate.hpp>

namespace linarite::cli {
namespace {

constexpr std::size_t config_limit = std::size_t{1} << 20U;

bool same(const std::string& a, const std::string& b) {
    return boost::algorithm::iequals(a, b, std::locale::classic());
}

std::string described(const Json& row) {
    return text(row, "subscription") + "/" + text(row, "resource_group") + "/" + text(row, "name");
}

// The one workspace that is meant. The list has the one first that is there from the start.
Result<Json> choose(const Json& rows, const InitOptions& options) {
    const auto fits = [](const std::string& given, const Json& row, const char* key) {
        return given.empty() || same(given, text(row, key));
    };
    std::vector<Json> found;
    std::string names;
    for (const Json& row : rows) {
        if (fits(options.workspace, row, "name") && fits(options.group, row, "resource_group") &&
            fits(options.subscription, row, "subscription")) {
            names += (found.empty() ? "" : ", ") + described(row);
            found.push_back(row);
        }
    }
    if (found.empty()) {
        return Error(Errc::not_found, "there is no such workspace: 'linarite workspace list' shows them, 'linarite "
                                      "workspace create' makes one");
    }
    const bool anything = options.workspace.empty() && options.group.empty() && options.subscription.empty();
    if (found.size() > 1 && !anything) {
        return Error(Errc::invalid_argument, "several workspaces fit: " + names +
                                                 "; say which by --workspace, --resource-group and --subscription");
    }
    return found.front();
}

Json config_of(const Json& row) {
    return Json{{"subscription_id", text(row, "subscription")},
                {"resource_group", text(row, "resource_group")},
                {"workspace_name", text(row, "name")}};
}

// Whether it says the same already; an error if it says something else that is to be kept.
Result<bool> is_there(const fs::path& file, const Json& config, bool force) {
    const auto known = read_file(file, config_limit);
    if (!known) {
        return known.error().code() == Errc::not_found ? Result<bool>(false) : known.error();
    }
    const auto document = proto::parse_json(*known);
    bool equal = document && document->is_object();
    for (const auto& [key, value] : config.items()) {
        equal = equal && same(text(*document, key.c_str()), value.get<std::string>());
    }
    if (!equal && !force) {
        return Error(Errc::conflict, "'" + file.string() +
                                         "' is there already, for another workspace: --force replaces "
                                         "it; or make a workspace of its names with 'linarite "
                                         "workspace create'");
    }
    return equal;
}

Result<void> write_config(const fs::path& file, const Json& config, bool force) {
    const auto there = is_there(file, config, force);
    if (!there) {
        return there.error();
    }
    if (*there) {
        return {};
    }
    if (auto made = make_folders(file.parent_path()); !made) {
        return made;
    }
    return replace_file(file, proto::print_json_pretty(config) + "\n");
}

} // namespace

Result<int> init(CommandContext& context, const InitOptions& options) {
    const auto answer = context.connection.get("/api/v1/workspaces");
    if (!answer) {
        return answer.error();
    }
    const auto row = choose(member(*answer, "workspaces"), options);
    if (!row) {
        return row.error();
    }
    const Json config = config_of(*row);
    const fs::path file = fs::path(options.folder) / ".azureml" / "config.json";
    if (auto written = write_config(file, config, options.force); !written) {
        return written.error();
    }
    if (context.options.json()) {
        CommandContext::print_json(Json{{"file", file.string()}, {"config", config}});
    } else {
        write_out(file.lexically_normal().string() + "\n");
        context.notice("workspace " + described(*row));
    }
    return exit_ok;
}

void add_init_command(CLI::App& app, GlobalOptions& options, Chosen& chosen) {
    CLI::App& command =
        add_command(app, "init", "Write .azureml/config.json, for Workspace.from_config()\n  linarite init [DIR]",
                    "Examples:\n  linarite init\n  linarite init ./proj --workspace mlws --resource-group research");
    const auto given = std::make_shared<InitOptions>();
    command.add_option("DIR", given->folder, "the project's folder; default: this one")->type_name("");
    command.add_option("--workspace", given->workspace, "default: the one that is there from the start")
        ->type_name("NAME");
    command.add_option("--subscription", given->subscription, "of the workspace")->type_name("ID");
    command.add_option("--resource-group", given->group, "of the workspace")->type_name("NAME");
    command.add_flag("--force", given->force, "replace a config.json of another workspace");
    command.callback([&options, &chosen, given] {
        chosen = [&options, given] {
            return run_command(options, [given](CommandContext& context) { return init(context, *given); });
        };
    });
}

} // namespace linarite::cli
