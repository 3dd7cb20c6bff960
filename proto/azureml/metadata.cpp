#include "proto/azureml/metadata.hpp"

namespace linarite::proto::azureml {
namespace {

// Services of Azure that have no counterpart here. Their addresses lead nowhere (RFC 2606), on purpose.
std::string nowhere(const std::string& service) {
    return "https://" + service + ".invalid/";
}

} // namespace

std::string storage_suffix(const std::string& authority) {
    return "local@" + authority;
}

Json cloud_metadata(const std::string& base_url, const std::string& authority) {
    const Json authentication{{"loginEndpoint", base_url + "/"},
                              {"audiences", Json::array({base_url + "/"})},
                              {"tenant", tenant},
                              {"identityProvider", "ADFS"}};
    const Json suffixes{{"storage", storage_suffix(authority)},
                        {"keyVaultDns", "vault.invalid"},
                        {"sqlServerHostname", "sql.invalid"},
                        {"acrLoginServer", "registry.invalid"},
                        {"azureDataLakeStoreFileSystem", "datalake.invalid"},
                        {"azureDataLakeAnalyticsCatalogAndJob", "analytics.invalid"}};
    return Json::array({Json{{"name", "AzureCloud"},
                             {"portal", base_url},
                             {"authentication", authentication},
                             {"resourceManager", base_url},
                             {"suffixes", suffixes},
                             {"graph", nowhere("graph")},
                             {"graphAudience", nowhere("graph")},
                             {"media", nowhere("media")},
                             {"batch", nowhere("batch")},
                             {"gallery", nowhere("gallery")},
                             {"vmImageAliasDoc", nowhere("images")},
                             {"sqlManagement", nowhere("sql")},
                             {"activeDirectoryDataLake", nowhere("datalake")}}});
}

} // namespace linarite::proto::azureml
