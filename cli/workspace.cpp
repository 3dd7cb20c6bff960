// `workspace`: the names under which scripts look for their experiments.
#include "cli/families.hpp"
#include "cli/fields.hpp"
#include "cli/table.hpp"

namespace linarite::cli {
namespace {

constexpr const char* footer =
    R"(A script names the subscription, resource group and workspace that it was written for. Make a workspace
of these names, and it runs unchanged.

Examples:
  linarite workspace list
  linarite workspace create mlws --resource-group research --subscription 11111111-2222-3333-4444-555555555555)";

struct CreateOptions {
    std::string name;
    std::string subscription;
    std::string group;
};

Result<int> list(CommandContext& context) {
    const auto answer = context.connection.get("/api/v1/workspaces");
    if (!answer) {
        return answer.error();
    }
    if (context.options.json()) {
        CommandContext::print_json(*answer);
        return exit_ok;
    }
    Table table({{"WORKSPACE"}, {"RESOURCE GROUP"}, {"SUBSCRIPTION"}, {"CREATED"}});
    for (const Json& row : member(*answer, "workspaces")) {
        table.add(
            {{text(row, "name")}, {text(row, "resource_group")}, {text(row, "subscription")}, {text(row, "created")}});
    }
    write_out(table.render(context.terminal));
    return exit_ok;
}

Result<int> create(CommandContext& context, const CreateOptions& options) {
    Json body{{"name", options.name}};
    if (!options.subscription.empty()) {
        body["subscription"] = options.subscription;
    }
    if (!options.group.empty()) {
        body["resource_group"] = options.group;
    }
    const auto answer = context.connection.call("POST", "/api/v1/workspaces", body);
    if (!answer) {
        return answer.error();
    }
    if (context.options.json()) {
        CommandContext::print_json(*answer);
    } else {
        context.notice("workspace " + text(*answer, "name") + " of resource group " + text(*answer, "resource_group") +
                       " in subscription " + text(*answer, "subscription"));
    }
    return exit_ok;
}

} // namespace

void add_workspace_command(CLI::App& app, GlobalOptions& options, Chosen& chosen) {
    CLI::App& family = add_command(
        app, "workspace", "Names under which scripts find us: list, create\n  linarite workspace list", footer);
    family.require_subcommand(1);
    CLI::App& listing = add_command(family, "list", "List the workspaces", "Example:\n  linarite workspace list");
    listing.callback([&options, &chosen] { chosen = [&options] { return run_command(options, list); }; });
    CLI::App& creating = add_command(family, "create", "Make a workspace; the same again is no error",
                                     "Example:\n  linarite workspace create mlws --resource-group research");
    const auto given = std::make_shared<CreateOptions>();
    creating.add_option("NAME", given->name, "its name")->required()->type_name("");
    creating.add_option("--subscription", given->subscription, "default: that of the first workspace")->type_name("ID");
    creating.add_option("--resource-group", given->group, "default: that of the first workspace")->type_name("NAME");
    creating.callback([&options, &chosen, given] {
        chosen = [&options, given] {
            return run_command(options, [given](CommandContext& context) { return create(context, *given); });
        };
    });
}

} // namespace linarite::cli
