// `env list` and `env prune`: the environments that this machine keeps. No coordinator is asked.
#include "cli/environments.hpp"

#include "cli/fields.hpp"
#include "cli/table.hpp"
#include "common/data_dir.hpp"
#include "common/files.hpp"
#include "environments/eviction.hpp"
#include "environments/usage.hpp"
#include "proto/container_arguments.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>

namespace linarite::cli {

namespace fs = std::filesystem;

namespace {

using environments::EvictionReport;
using environments::Picture;
using environments::Removal;
using environments::User;
using environments::Wish;

constexpr std::size_t short_key = 12;
constexpr std::size_t few = 3;
constexpr const char* default_age = "30d";
const std::atomic<bool> never{false};

constexpr const char* list_footer =
    R"(Shows what is kept on the machine that this is run on: by default the environments of the agents that have
this data directory. For an agent with --env-dir DIR give the same here. BYTES counts a file once within an environment;
those that several have by hard links are counted in each of them, but once in the total.

Examples:
  linarite env list
  linarite env list -o json | jq '.folders[].environments[] | {key, bytes}')";
constexpr const char* prune_footer =
    R"(Without --older-than, --max-size or --all: what was not used for 30 days. What is left half-built goes in any case, and
what a run uses never does. Agents remove by themselves what is over their --env-cache-size.

Examples:
  linarite env prune --dry-run
  linarite env prune --older-than 7d
  linarite env prune --max-size 20g)";

struct EnvironmentOptions {
    std::string folder; // --env-dir
    bool wide = false;
    bool dry_run = false;
    bool all = false;
    std::string older_than;
    std::string max_size;
};

// The caches of a data directory: the one of the agents of `up`, and those of agents that keep their own.
std::vector<fs::path> caches_of(const GlobalOptions& options, const EnvironmentOptions& given) {
    if (!given.folder.empty()) {
        return {fs::absolute(given.folder).lexically_normal()};
    }
    const DataDir data = DataDir::find(options.data_dir);
    std::vector<fs::path> found{data.environments()};
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(data.root(), ec)) {
        if (entry.path().filename().string().starts_with("agent-")) {
            found.push_back(entry.path() / "envs");
        }
    }
    std::erase_if(found, [](const fs::path& folder) {
        std::error_code failed;
        return !fs::is_directory(folder, failed);
    });
    std::sort(found.begin(), found.end());
    return found;
}

Json users_json(const std::vector<User>& users) {
    Json list = Json::array();
    for (const User& user : users) {
        list.push_back(Json{{"run", user.run}, {"folder", user.folder.string()}, {"visible", user.visible}});
    }
    return list;
}

std::string user_names(const std::vector<User>& users) {
    std::vector<std::string> names;
    names.reserve(users.size());
    for (const User& user : users) {
        names.push_back(user.run + (user.visible ? "" : " (elsewhere)"));
    }
    return join(names, ", ");
}

// ---- list -----------------------------------------------------------------------------------------------------------

std::string state_of(const Picture::Entry& entry) {
    if (entry.busy) {
        return entry.stored.whole ? "busy" : "being built";
    }
    return entry.stored.whole ? "ready" : "half-built";
}

Json environment_json(const Picture::Entry& entry) {
    const auto& stored = entry.stored;
    return Json{{"key", stored.key},
                {"folder", stored.folder.string()},
                {"state", state_of(entry)},
                {"provider", stored.provider},
                {"python", stored.python},
                {"interpreter", stored.interpreter},
                {"bytes", stored.bytes.value_or(0)},
                {"created", format_time(stored.created)},
                {"last_used", format_time(stored.last_used)},
                {"in_use_by", users_json(entry.users)},
                {"requirements", stored.requirements}};
}

Json folder_json(const fs::path& folder, const Picture& picture) {
    Json environments = Json::array();
    for (const Picture::Entry& entry : picture.environments) {
        environments.push_back(environment_json(entry));
    }
    Json packages = Json::array();
    for (const auto& each : picture.packages) {
        packages.push_back(Json{{"name", each.name}, {"bytes", each.bytes}});
    }
    const auto space = environments::space_of(folder);
    return Json{{"folder", folder.string()},
                {"bytes", picture.total},
                {"free_bytes", space ? space->free : 0},
                {"environments", std::move(environments)},
                {"package_caches", std::move(packages)}};
}

std::string first_of(const std::vector<std::string>& requirements, bool all) {
    const std::size_t shown = all ? requirements.size() : std::min(few, requirements.size());
    const auto last = requirements.begin() + static_cast<std::ptrdiff_t>(shown);
    std::string text = join({requirements.begin(), last}, ", ");
    return shown == requirements.size() ? text : text + fmt::format(", +{}", requirements.size() - shown);
}

std::string render(const fs::path& folder, const Picture& picture, const EnvironmentOptions& given,
                   const Terminal& terminal) {
    const Time now = SystemClock().now();
    Table table({{"KEY"},
                 {"MADE BY"},
                 {"PYTHON"},
                 {"BYTES", Table::Align::right},
                 {"CREATED"},
                 {"LAST USED"},
                 {"STATE"},
                 {"IN USE BY"},
                 {"REQUIREMENTS"}});
    for (const Picture::Entry& entry : picture.environments) {
        const auto& stored = entry.stored;
        table.add({{given.wide ? stored.key : stored.key.substr(0, short_key)},
                   {stored.provider},
                   {stored.python},
                   {format_bytes(stored.bytes.value_or(0))},
                   {given.wide ? format_time(stored.created) : format_ago(stored.created, now)},
                   {given.wide ? format_time(stored.last_used) : format_ago(stored.last_used, now)},
                   {state_of(entry)},
                   {user_names(entry.users)},
                   {first_of(stored.requirements, given.wide)}});
    }
    std::string text = terminal.out(Style::bold, printable(folder.string())) + "  " + format_bytes(picture.total);
    const auto space = environments::space_of(folder);
    text += space ? ", " + format_bytes(space->free) + " free on the disk" : "";
    for (const auto& each : picture.packages) {
        text += ", kept packages in " + each.name + ": " + format_bytes(each.bytes);
    }
    return text + "\n" + (picture.environments.empty() ? "  no environments\n" : table.render(terminal));
}

int list(const GlobalOptions& options, const EnvironmentOptions& given) {
    const Terminal terminal = Terminal::detect(options.no_color);
    Json folders = Json::array();
    std::string text;
    for (const fs::path& folder : caches_of(options, given)) {
        const Picture picture = environments::look_at(folder);
        folders.push_back(folder_json(folder, picture));
        text += (text.empty() ? "" : "\n") + render(folder, picture, given, terminal);
    }
    if (options.json()) {
        CommandContext::print_json(Json{{"folders", std::move(folders)}});
    } else {
        write_out(text);
        write_err(text.empty() ? "no environments are kept here\n" : "");
    }
    return exit_ok;
}

// ---- prune ----------------------------------------------------------------------------------------------------------

std::string fate_of(const Removal& removal, bool dry_run) {
    switch (removal.fate) {
    case Removal::Fate::removed: return dry_run ? "would remove" : "removed";
    case Removal::Fate::in_use: return "kept: in use";
    case Removal::Fate::busy: return "kept: busy";
    case Removal::Fate::failed: return "failed";
    }
    return "";
}

Json removal_json(const Removal& removal, bool dry_run) {
    return Json{{"name", removal.name},     {"fate", fate_of(removal, dry_run)},
                {"bytes", removal.bytes},   {"last_used", format_time(removal.last_used)},
                {"reason", removal.reason}, {"in_use_by", users_json(removal.users)},
                {"error", removal.error}};
}

std::string render(const fs::path& folder, const EvictionReport& report, bool dry_run, const Terminal& terminal) {
    std::string text = terminal.out(Style::bold, printable(folder.string())) + "  " +
                       (dry_run ? "would free " : "freed ") + format_bytes(report.freed) + "\n";
    Table table({{"KEY"}, {"WHAT"}, {"BYTES", Table::Align::right}, {"WHY"}, {"IN USE BY"}});
    for (const Removal& removal : report.removals) {
        const std::string name = environments::is_key(removal.name) ? removal.name.substr(0, short_key) : removal.name;
        const bool failed = removal.fate == Removal::Fate::failed;
        table.add({{name},
                   {fate_of(removal, dry_run), failed ? Style::red : Style::plain},
                   {format_bytes(removal.bytes)},
                   {removal.reason + (failed ? ": " + removal.error : "")},
                   {user_names(removal.users)}});
    }
    return text + (report.removals.empty() ? "  nothing is to be removed\n" : table.render(terminal));
}

Result<Wish> read_wish(const EnvironmentOptions& given) {
    Wish wish;
    wish.dry_run = given.dry_run;
    wish.all_environments = given.all;
    wish.packages = given.all                ? Wish::Packages::all
                    : given.max_size.empty() ? Wish::Packages::keep
                                             : Wish::Packages::if_needed;
    if (!given.max_size.empty()) {
        const auto bytes = proto::parse_byte_size(given.max_size);
        if (!bytes || *bytes == 0) {
            return Error(Errc::invalid_argument,
                         "--max-size '" + given.max_size + "' is no size: a number with b, k, m or g after it");
        }
        wish.limits.most_bytes = *bytes;
    }
    if (!given.older_than.empty() || (!given.all && given.max_size.empty())) {
        const auto age = parse_age(given.older_than.empty() ? default_age : given.older_than);
        if (!age) {
            return age.error().within("--older-than");
        }
        wish.unused_since = SystemClock().now() - *age;
    }
    return wish;
}

int prune(const GlobalOptions& options, const EnvironmentOptions& given) {
    const auto wish = read_wish(given);
    if (!wish) {
        return report(options, wish.error());
    }
    const Terminal terminal = Terminal::detect(options.no_color);
    Json folders = Json::array();
    int code = exit_ok;
    for (const fs::path& folder : caches_of(options, given)) {
        const EvictionReport done = environments::make_room(folder, *wish, never);
        Json removals = Json::array();
        for (const Removal& removal : done.removals) {
            removals.push_back(removal_json(removal, given.dry_run));
            code = removal.fate == Removal::Fate::failed ? exit_failure : code;
        }
        folders.push_back(Json{{"folder", folder.string()},
                               {"freed_bytes", done.freed},
                               {"dry_run", given.dry_run},
                               {"removals", std::move(removals)}});
        if (!options.json()) {
            write_out(render(folder, done, given.dry_run, terminal));
        }
        if (!done.trouble.empty()) {
            code = report(options, Error(Errc::internal, done.trouble));
        }
    }
    if (options.json()) {
        CommandContext::print_json(Json{{"folders", std::move(folders)}});
    }
    return code;
}

void add_folder(CLI::App& command, EnvironmentOptions& given) {
    command.add_option("--env-dir", given.folder, "the cache of an agent that was started with this option")
        ->type_name("DIR");
}

} // namespace

Result<Millis> parse_age(const std::string& text) {
    constexpr std::array<std::pair<char, std::int64_t>, 4> units{
        {{'s', 1'000}, {'m', 60'000}, {'h', 3'600'000}, {'d', 86'400'000}}};
    std::int64_t number = -1;
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, number);
    if (error == std::errc() && number >= 0 && number <= 100'000 && end - at == 1) {
        for (const auto& [letter, factor] : units) {
            if (*at == letter) {
                return Millis(number * factor);
            }
        }
    }
    return Error(Errc::invalid_argument, "'" + text + "' is no age: a number with s, m, h or d after it, as in 30d");
}

void add_environment_commands(CLI::App& env, GlobalOptions& options, Chosen& chosen) {
    const auto given = std::make_shared<EnvironmentOptions>();
    CLI::App& list_it = add_command(env, "list", "List the environments that are kept on this machine", list_footer);
    add_folder(list_it, *given);
    list_it.add_flag("--wide", given->wide, "whole keys, exact times, all requirements");
    list_it.callback([&options, &chosen, given] { chosen = [&options, given] { return list(options, *given); }; });
    CLI::App& prune_it =
        add_command(env, "prune", "Remove environments that no run uses\n  linarite env prune --dry-run", prune_footer);
    add_folder(prune_it, *given);
    prune_it.add_flag("--dry-run", given->dry_run, "only say what would be removed");
    prune_it.add_option("--older-than", given->older_than, "what was not used for so long; default: 30d")
        ->type_name("AGE");
    prune_it
        .add_option("--max-size", given->max_size,
                    "until no more than this is kept, beginning with what was not used for the longest time; packages "
                    "that installers keep count, and go last")
        ->type_name("SIZE");
    prune_it.add_flag("--all", given->all, "everything that no run uses, kept packages too");
    prune_it.callback([&options, &chosen, given] { chosen = [&options, given] { return prune(options, *given); }; });
}

} // namespace linarite::cli
