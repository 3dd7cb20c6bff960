#include "agent/service_access.hpp"

#include "agent/dropin_files.hpp"
#include "common/files.hpp"
#include "common/hash.hpp"
#include "proto/json_reader.hpp"

#include <array>

namespace linarite::agent {
namespace {

/// Where the distributions keep the roots that they trust.
constexpr std::array system_roots{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                  "/etc/ssl/ca-bundle.pem"};

} // namespace

Result<Service> coordinator_service(const Identity& identity, const DataDir& data) {
    if (!identity.local) {
        return Service{identity.url, identity.ca_pem};
    }
    const auto text = read_file(data.endpoint());
    if (!text) {
        return Error(Errc::unavailable, "no coordinator is running for data directory '" + data.root().string() + "'");
    }
    const auto document = proto::parse_json(*text);
    const auto endpoint = document ? proto::parse_endpoint(*document) : Result<proto::Endpoint>(document.error());
    if (!endpoint) {
        return Error(Errc::unavailable, "endpoint.json is not readable: " + endpoint.error().detail());
    }
    const auto ca = read_file(endpoint->ca_file);
    return ca ? Result<Service>(Service{endpoint->https_url, *ca}) : Result<Service>(ca.error());
}

namespace {

std::string bundle_text(const std::string& ca_pem) {
    for (const char* path : system_roots) {
        if (const auto roots = read_file(path)) {
            return *roots + "\n" + ca_pem;
        }
    }
    return ca_pem;
}

Result<void> write_once(const fs::path& path, const std::string& text) {
    std::error_code ec;
    return fs::exists(path, ec) ? Result<void>() : replace_file(path, text, 0644);
}

Result<void> write_module(const fs::path& folder) {
    for (const DropinFile& file : dropin_files()) {
        const fs::path path = folder / file.path;
        if (auto made = make_folders(path.parent_path()); !made) {
            return made;
        }
        if (auto written = replace_file(path, file.text, 0444); !written) {
            return written;
        }
    }
    return {};
}

} // namespace

Result<std::map<std::string, std::string>> service_variables(const Identity& identity, const DataDir& data,
                                                             const fs::path& agent_folder) {
    const auto service = coordinator_service(identity, data);
    if (!service) {
        return service.error();
    }
    const std::string version = sha256_hex(service->ca_pem).substr(0, 12);
    const fs::path bundle = agent_folder / ("ca-" + version + ".pem");
    const fs::path own = agent_folder / ("ca-own-" + version + ".pem");
    if (auto written = write_once(bundle, bundle_text(service->ca_pem)); !written) {
        return written.error();
    }
    std::map<std::string, std::string> variables{
        {"AZUREML_SERVICE_ENDPOINT", service->url}, {"AZUREML_RUN_HISTORY_SERVICE_ENDPOINT", service->url},
        {"AZUREML_CURRENT_CLOUD", "AzureCloud"}, // else the SDK asks the real cloud which clouds there are
        {"REQUESTS_CA_BUNDLE", bundle.string()},    {"SSL_CERT_FILE", bundle.string()},
    };
    // all the public roots take every rank some 30 ms of processor time to read; our module talks to the service alone
    if (!service->ca_pem.empty()) {
        if (auto written = write_once(own, service->ca_pem); !written) {
            return written.error();
        }
        variables["LINARITE_CA_FILE"] = own.string();
    }
    return variables;
}

Result<fs::path> install_dropin(const fs::path& folder) {
    Sha256 hash;
    for (const DropinFile& file : dropin_files()) {
        hash.update(file.path);
        hash.update(file.text);
    }
    const fs::path there = folder / ("dropin-" + hash.hex().substr(0, 12));
    std::error_code ec;
    if (fs::exists(there, ec)) {
        return there;
    }
    const fs::path fresh = folder / ("dropin-new-" + random_hex(4));
    if (auto written = write_module(fresh); !written) {
        return written.error();
    }
    fs::rename(fresh, there, ec);
    if (ec && !fs::exists(there)) {
        return Error(Errc::internal, "install the azureml module in '" + there.string() + "': " + ec.message());
    }
    return there;
}

} // namespace linarite::agent
