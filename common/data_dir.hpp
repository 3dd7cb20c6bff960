// common/data_dir.hpp: where everything is kept. The one place that knows the layout of a data directory.
#pragma once

#include "common/ids.hpp"

#include <filesystem>
#include <string>

namespace linarite {

namespace fs = std::filesystem;

/// The layout of one data directory; makes nothing by itself.
class DataDir {
public:
    explicit DataDir(fs::path root) : root_(std::move(root)) {}

    /// `given` if not empty, else $LINARITE_DATA_DIR, else $XDG_DATA_HOME/linarite, else ~/.local/share/linarite.
    static DataDir find(const std::string& given);

    [[nodiscard]] const fs::path& root() const { return root_; }
    [[nodiscard]] fs::path history() const { return root_ / "history.db"; }
    [[nodiscard]] fs::path endpoint() const { return root_ / "endpoint.json"; }
    [[nodiscard]] fs::path token() const { return root_ / "token"; }
    [[nodiscard]] fs::path signing_key() const { return root_ / "signing_key"; }
    [[nodiscard]] fs::path sealing_key() const { return root_ / "sealing_key"; } // of run_secrets; in no backup
    [[nodiscard]] fs::path metrics() const { return root_ / "metrics.db"; }
    [[nodiscard]] fs::path tls() const { return root_ / "tls"; }
    [[nodiscard]] fs::path snapshots() const { return root_ / "snapshots"; }
    [[nodiscard]] fs::path zips() const { return root_ / "zips"; }     // of snapshots, made when asked for
    [[nodiscard]] fs::path blocks() const { return root_ / "blocks"; } // of files that are sent in pieces
    [[nodiscard]] fs::path runs() const { return root_ / "runs"; }
    [[nodiscard]] fs::path run(const RunId& id) const { return runs() / id.str(); }
    [[nodiscard]] fs::path datastores() const { return root_ / "datastores"; }
    [[nodiscard]] fs::path environments() const { return root_ / "envs"; }
    [[nodiscard]] fs::path agent(const std::string& name) const { return root_ / ("agent-" + name); }

private:
    fs::path root_;
};

} // namespace linarite
