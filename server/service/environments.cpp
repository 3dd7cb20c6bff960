#include "server/service/environments.hpp"

#include <charconv>

namespace linarite::service {
namespace {

// What is read back holds no password; a registry's is given with each run that is submitted.
proto::Json without_secrets(proto::Json definition) {
    const proto::Json::json_pointer password("/docker/baseImageRegistry/password");
    if (definition.contains(password)) {
        definition[password] = nullptr;
    }
    return definition;
}

int number_of(const std::string& version) {
    int number = 0;
    const char* end = version.data() + version.size();
    const auto [stop, failure] = std::from_chars(version.data(), end, number);
    return failure == std::errc() && stop == end && number > 0 ? number : 0;
}

// The newest row if it says the same, else the row with its version filled in.
Result<store::EnvironmentRow> next_version(store::Tables& tables, store::EnvironmentRow row) {
    const auto newest = tables.find_environment(row.workspace, row.name, "");
    if (!newest && newest.error().code() != Errc::not_found) {
        return newest.error();
    }
    if (newest && newest->document == row.document) {
        return *newest;
    }
    int number = newest ? number_of(newest->version) + 1 : 1;
    while (tables.find_environment(row.workspace, row.name, std::to_string(number))) {
        ++number; // a client chose that one by itself
    }
    row.version = std::to_string(number);
    return row;
}

Result<store::EnvironmentRow> put_row(store::Tables& tables, const store::EnvironmentRow& given) {
    auto row = given.version.empty() ? next_version(tables, given) : Result<store::EnvironmentRow>(given);
    if (!row) {
        return row;
    }
    const auto stored = tables.put_environment(*row);
    return stored ? row : Result<store::EnvironmentRow>(stored.error());
}

Environment environment_of(const store::EnvironmentRow& row) {
    return {row.name, row.version, proto::Json::parse(row.document, nullptr, false), row.created};
}

} // namespace

asio::awaitable<Result<Environment>> Environments::put(std::string workspace, std::string name, std::string version,
                                                       proto::Json definition) {
    std::vector<Fault> faults;
    if (const auto checked = parse_name(name, "environment"); !checked) {
        faults.push_back({"/name", checked.error().detail()});
    }
    if (const auto checked = parse_name(version, "version"); !version.empty() && !checked) {
        faults.push_back({"/version", checked.error().detail()});
    }
    if (!faults.empty()) {
        co_return Error(std::move(faults));
    }
    const std::string document = proto::print_json(without_secrets(std::move(definition)));
    const store::EnvironmentRow row{workspace, name, version, document, clock_.now()};
    const auto stored = co_await store_.write([row](store::Tables& tables) { return put_row(tables, row); });
    if (!stored) {
        co_return stored.error();
    }
    co_return environment_of(*stored);
}

asio::awaitable<Result<Environment>> Environments::find(std::string workspace, std::string name, std::string version) {
    auto read = [workspace, name, version](store::Tables& tables) {
        return tables.find_environment(workspace, name, version);
    };
    const auto row = co_await store_.read(std::move(read));
    if (!row) {
        co_return row.error();
    }
    co_return environment_of(*row);
}

asio::awaitable<Result<std::vector<Environment>>> Environments::list(std::string workspace) {
    auto read = [workspace](store::Tables& tables) { return tables.list_environments(workspace); };
    const auto rows = co_await store_.read(std::move(read));
    if (!rows) {
        co_return rows.error();
    }
    std::vector<Environment> out;
    for (const store::EnvironmentRow& row : *rows) {
        out.push_back(environment_of(row));
    }
    co_return out;
}

} // namespace linarite::service
