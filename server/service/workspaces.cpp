#include "server/service/workspaces.hpp"

#include <algorithm>
#include <cctype>

namespace linarite::service {
namespace {

bool same(const std::string& a, const std::string& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

} // namespace

std::string scope_of(const store::WorkspaceRow& row) {
    return "/subscriptions/" + row.subscription + "/resourceGroups/" + row.resource_group +
           "/providers/Microsoft.MachineLearningServices/workspaces/" + row.name;
}

Workspaces::Workspaces(store::Store& store, const Clock& clock) : store_(store), clock_(clock) {}

asio::awaitable<Result<void>> Workspaces::restore() {
    auto rows = co_await store_.read([](store::Tables& tables) { return tables.list_workspaces(); });
    if (!rows) {
        co_return rows.error();
    }
    if (rows->empty()) {
        co_return Error(Errc::internal, "the history has no workspace");
    }
    rows_ = std::move(*rows);
    co_return Result<void>{};
}

Result<store::WorkspaceRow> Workspaces::find(const std::string& subscription, const std::string& group,
                                             const std::string& name) const {
    for (const store::WorkspaceRow& row : rows_) {
        if (same(row.name, name) && same(row.resource_group, group) && same(row.subscription, subscription)) {
            return row;
        }
    }
    std::string there;
    for (const store::WorkspaceRow& row : rows_) {
        there += (there.empty() ? "" : ", ") + row.subscription + "/" + row.resource_group + "/" + row.name;
    }
    return Error(Errc::not_found, "workspace '" + name + "' of resource group '" + group + "' in subscription '" +
                                      subscription + "' not found; there are: " + there +
                                      " (linarite workspace create makes more)");
}

Result<store::WorkspaceRow> Workspaces::find(const std::string& id) const {
    const auto found = std::ranges::find(rows_, id, &store::WorkspaceRow::id);
    if (found == rows_.end()) {
        return Error(Errc::not_found, "workspace '" + id + "' not found");
    }
    return *found;
}

asio::awaitable<Result<store::WorkspaceRow>> Workspaces::create(std::string subscription, std::string group,
                                                                std::string name) {
    std::vector<Fault> faults;
    const auto check = [&](const std::string& text, const char* pointer, const char* what) {
        if (const auto fits = parse_name(text, what); !fits) {
            faults.push_back({pointer, fits.error().detail()});
        }
    };
    check(subscription, "/subscription", "subscription");
    check(group, "/resource_group", "resource group");
    check(name, "/name", "workspace");
    if (!faults.empty()) {
        co_return Error(std::move(faults));
    }
    if (const auto known = find(subscription, group, name)) {
        co_return known;
    }
    store::WorkspaceRow row{random_guid(), std::move(subscription), std::move(group), std::move(name), clock_.now()};
    auto put = [row](store::Tables& tables) { return tables.put_workspace(row); };
    if (auto stored = co_await store_.write(std::move(put)); !stored) {
        co_return stored.error();
    }
    rows_.push_back(row);
    co_return row;
}

} // namespace linarite::service
