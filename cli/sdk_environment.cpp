#include "cli/sdk_environment.hpp"

#include "client/connection.hpp"
#include "common/files.hpp"
#include "proto/azureml/metadata.hpp"
#include "proto/json_reader.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

namespace linarite::cli {
namespace {

// The SDK prints it as the one who submitted; any name logs in.
constexpr const char* client_id = "linarite";
constexpr std::size_t bundle_limit = std::size_t{16} << 20U;

// Where distributions keep the public roots in one file.
constexpr std::array system_bundles{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                    "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"};

// The one file replaces the public roots for the whole process, whose script may talk to others too.
Result<std::string> certificates(const std::string& ours) {
    std::string bundle;
    for (const char* path : system_bundles) {
        if (const auto roots = read_file(path, bundle_limit)) {
            bundle = *roots;
            break;
        }
    }
    if (!bundle.empty() && !bundle.ends_with('\n')) {
        bundle += '\n';
    }
    bundle += ours;
    if (bundle.empty()) {
        return Error(Errc::not_found, "there is no certificate by which the coordinator could be checked: neither its "
                                      "own CA (tls/ca.pem in the data directory) nor the system's");
    }
    return bundle;
}

// A proxy would be asked for the coordinator too; only what is set is added to.
void pass_by_proxies(SdkEnvironment& environment, const std::string& host,
                     const std::function<std::string(const char*)>& inherited) {
    constexpr std::array proxies{"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"};
    if (std::ranges::all_of(proxies, [&](const char* name) { return inherited(name).empty(); })) {
        return;
    }
    std::string list = inherited("no_proxy");
    list = list.empty() ? inherited("NO_PROXY") : list;
    if (("," + list + ",").find("," + host + ",") == std::string::npos) {
        list += (list.empty() ? "" : ",") + host;
    }
    environment.set["NO_PROXY"] = list;
    environment.set["no_proxy"] = list;
}

} // namespace

Result<fs::path> sdk_folder(const client::SecureAddress& coordinator, const fs::path& data_dir) {
    std::error_code error;
    if (coordinator.is_local) {
        return fs::absolute(data_dir, error) / "sdk";
    }
    const auto url = client::parse_url(coordinator.address.url);
    if (!url) {
        return url.error();
    }
    const char* given = std::getenv("XDG_CACHE_HOME"); // NOLINT(concurrency-mt-unsafe): one thread
    const char* home = std::getenv("HOME");            // NOLINT(concurrency-mt-unsafe): one thread
    fs::path cache = given == nullptr ? "" : given;
    if (!cache.is_absolute() && home != nullptr) {
        cache = fs::path(home) / ".cache";
    }
    if (!cache.is_absolute()) {
        return Error(Errc::invalid_argument, "files must be kept somewhere: set HOME or XDG_CACHE_HOME");
    }
    return cache / "linarite" / (url->host + "_" + url->port);
}

Result<SdkEnvironment> prepare_sdk(const client::SecureAddress& coordinator, const fs::path& folder,
                                   const std::function<std::string(const char*)>& inherited) {
    const auto url = client::parse_url(coordinator.address.url);
    if (!url) {
        return url.error();
    }
    const auto bundle = certificates(coordinator.address.ca_pem);
    if (!bundle) {
        return bundle.error();
    }
    const std::string authority = url->authority();
    const auto cloud = proto::azureml::cloud_metadata("https://" + authority, authority);
    if (auto made = make_folders(folder, 0700); !made) {
        return made.error();
    }
    if (auto written = replace_file(folder / "cloud.json", proto::print_json_pretty(cloud) + "\n"); !written) {
        return written.error();
    }
    if (auto written = replace_file(folder / "ca-bundle.pem", *bundle); !written) {
        return written.error();
    }
    const std::string bundle_file = (folder / "ca-bundle.pem").string();
    SdkEnvironment environment;
    environment.set = {
        {"ARM_CLOUD_METADATA_URL", "file://" + client::encode_path((folder / "cloud.json").string())},
        {"AZUREML_CURRENT_CLOUD", "AzureCloud"},
        {"REQUESTS_CA_BUNDLE", bundle_file},
        {"SSL_CERT_FILE", bundle_file},
        // never made: a folder that is there would keep the first cloud.json for ever
        {"AZURE_CONFIG_DIR", (folder / "azure-config").string()},
        {"AZUREML_SERVICE_PRINCIPAL_TENANT_ID", proto::azureml::tenant},
        {"AZUREML_SERVICE_PRINCIPAL_ID", client_id},
        {"AZUREML_SERVICE_PRINCIPAL_PASSWORD", coordinator.address.token},
    };
    environment.unset = {"MSI_ENDPOINT"}; // it would be asked first
    pass_by_proxies(environment, url->host, inherited);
    return environment;
}

std::string shell_word(const std::string& text) {
    std::string word = "'";
    for (const char c : text) {
        word += c == '\'' ? std::string("'\\''") : std::string(1, c);
    }
    return word + "'";
}

std::string shell_lines(const SdkEnvironment& environment) {
    std::string lines;
    for (const auto& [name, value] : environment.set) {
        lines.append("export ").append(name).append("=").append(shell_word(value)).append("\n");
    }
    for (const std::string& name : environment.unset) {
        lines.append("unset ").append(name).append("\n");
    }
    return lines;
}

} // namespace linarite::cli
