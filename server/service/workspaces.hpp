// server/service/workspaces.hpp: use cases on workspaces: namespaces of experiments, runs and environments.
#pragma once

#include "async/async.hpp"
#include "server/store/store.hpp"

#include <string>
#include <vector>

namespace linarite::service {

/// The one that is there from the start.
inline constexpr const char* default_workspace = "linarite";

class Workspaces {
public:
    Workspaces(store::Store& store, const Clock& clock);
    /// Reads them; call once.
    asio::awaitable<Result<void>> restore();

    [[nodiscard]] const std::vector<store::WorkspaceRow>& list() const { return rows_; }
    /// By subscription, resource group and name, whatever their case.
    [[nodiscard]] Result<store::WorkspaceRow> find(const std::string& subscription, const std::string& group,
                                                   const std::string& name) const;
    [[nodiscard]] Result<store::WorkspaceRow> find(const std::string& id) const;
    [[nodiscard]] const store::WorkspaceRow& default_row() const { return rows_.front(); }
    /// The same again is no error.
    asio::awaitable<Result<store::WorkspaceRow>> create(std::string subscription, std::string group, std::string name);

private:
    store::Store& store_;
    const Clock& clock_;
    std::vector<store::WorkspaceRow> rows_; // oldest first
};

/// "/subscriptions/S/resourceGroups/G/providers/Microsoft.MachineLearningServices/workspaces/W": how Azure names it.
std::string scope_of(const store::WorkspaceRow& row);

} // namespace linarite::service
