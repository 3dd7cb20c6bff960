// server/service/blob_links.hpp: where artifacts and snapshots lie for clients that fetch and send them by link, and
// what opens a datastore's container.
#pragma once

#include "server/service/datastores.hpp"
#include "server/service/tokens.hpp"

#include <string>
#include <string_view>

namespace linarite::service {

/// Containers that are reached by links alone.
inline constexpr const char* artifact_container = "azureml-artifacts";
inline constexpr const char* snapshot_container = "azureml-snapshots";

/// A file of a run, as a blob's path names it. Clients encode a path once more than they should, so paths consist of
/// [A-Za-z0-9_-/] alone.
struct ArtifactBlob {
    RunId run;
    std::string path;
    bool operator==(const ArtifactBlob&) const = default;
};
/// "/azureml-artifacts/<run and path>/<nonce>"; a nonce of its own makes the link to the same file another one.
std::string artifact_blob_path(const ArtifactBlob& blob, std::string_view nonce = "0");
/// From what follows the container. invalid_argument if it is none of ours.
Result<ArtifactBlob> parse_artifact_blob(std::string_view name);

/// "/azureml-snapshots/<id>", for a file ahead of its snapshot.
std::string upload_blob_path(const std::string& id);
/// For the archive of a snapshot; the name in it is not the id of any upload.
std::string zip_blob_path(const SnapshotId& id);
/// The snapshot whose archive the name (without the container) is; empty if it is none.
SnapshotId parse_zip_blob(std::string_view name);

/// A shared access signature: who has it may do with the container what the letters of `rights` say (r, a, c, w, d, l)
/// until then.
std::string container_sas(const Tokens& tokens, const BlobNames& names, Time expires,
                          const std::string& rights = "racwdl");
bool check_container_sas(const Tokens& tokens, const BlobNames& names, const std::string& rights, Time expires,
                         std::string_view signature, Time now);

} // namespace linarite::service
