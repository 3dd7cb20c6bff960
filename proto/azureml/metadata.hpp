// proto/azureml/metadata.hpp: the document from which clients of Azure learn where a cloud's services are.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace linarite::proto::azureml {

using Json = nlohmann::json;

/// The directory ("tenant") that a client must name when it logs in. With any other one its login library first asks
/// the public cloud what that directory is.
inline constexpr const char* tenant = "adfs";

/// How blobs' addresses end: they are of the form https://ACCOUNT.blob.<suffix>/CONTAINER/NAME. What stands before the
/// '@' is user-info to an HTTP client, so that all accounts lead to the one authority.
std::string storage_suffix(const std::string& authority);

/// An array with one cloud, named as the public one, so that scripts which name it find ours. `base_url` is
/// "https://host:port" without a slash at its end, `authority` its "host:port".
Json cloud_metadata(const std::string& base_url, const std::string& authority);

} // namespace linarite::proto::azureml
