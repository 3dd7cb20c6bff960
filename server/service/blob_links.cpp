#include "server/service/blob_links.hpp"

#include "common/files.hpp"
#include "common/hash.hpp"

#include <algorithm>

namespace linarite::service {
namespace {

constexpr std::string_view zip_prefix = "zip-";

std::string base64url(std::string_view bytes) {
    std::string out = base64_encode(bytes);
    out.erase(std::find(out.begin(), out.end(), '='), out.end());
    std::replace(out.begin(), out.end(), '+', '-');
    std::replace(out.begin(), out.end(), '/', '_');
    return out;
}

Result<std::string> from_base64url(std::string_view text) {
    std::string padded(text);
    std::replace(padded.begin(), padded.end(), '-', '+');
    std::replace(padded.begin(), padded.end(), '_', '/');
    padded.append((4 - padded.size() % 4) % 4, '=');
    return base64_decode(padded);
}

// no blob's path begins so, hence no link to a file is a signature for a container
std::string sas_text(const BlobNames& names, const std::string& rights) {
    return "container\n" + names.account + "\n" + names.container + "\n" + rights;
}

} // namespace

std::string artifact_blob_path(const ArtifactBlob& blob, std::string_view nonce) {
    const std::string name = blob.run.str() + '\0' + blob.path;
    return std::string("/").append(artifact_container).append("/").append(base64url(name)).append("/").append(nonce);
}

Result<ArtifactBlob> parse_artifact_blob(std::string_view name) {
    const auto text = from_base64url(name.substr(0, name.find('/')));
    const std::size_t end = text ? text->find('\0') : std::string::npos;
    if (end == std::string::npos) {
        return Error(Errc::invalid_argument, "no file of a run has this name");
    }
    const auto run = parse_name(text->substr(0, end), "run id");
    const auto path = parse_relative_path(text->substr(end + 1), "file");
    if (!run || !path) {
        return run ? path.error() : run.error();
    }
    return ArtifactBlob{RunId(*run), *path};
}

std::string upload_blob_path(const std::string& id) {
    return std::string("/").append(snapshot_container).append("/").append(id);
}

std::string zip_blob_path(const SnapshotId& id) {
    return upload_blob_path(std::string(zip_prefix) + id.str());
}

SnapshotId parse_zip_blob(std::string_view name) {
    if (!name.starts_with(zip_prefix) || !is_sha256_hex(name.substr(zip_prefix.size()))) {
        return {};
    }
    return SnapshotId(std::string(name.substr(zip_prefix.size())));
}

std::string container_sas(const Tokens& tokens, const BlobNames& names, Time expires, const std::string& rights) {
    return "sv=linarite-1&sr=c&sp=" + rights + "&se=" + std::to_string(to_ms(expires) / 1000) +
           "&sig=" + tokens.sign_link(LinkRight::write, sas_text(names, rights), expires);
}

bool check_container_sas(const Tokens& tokens, const BlobNames& names, const std::string& rights, Time expires,
                         std::string_view signature, Time now) {
    return tokens.check_link(LinkRight::write, sas_text(names, rights), expires, signature, now);
}

} // namespace linarite::service
