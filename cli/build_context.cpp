#include "cli/build_context.hpp"

#include "cli/source_tree.hpp"
#include "client/http_client.hpp"
#include "common/hash.hpp"

#include <algorithm>
#include <map>

namespace linarite::cli {

namespace {

// The datastore and the folder on it are those that the Azure ML SDK uses.
constexpr const char* datastore = "workspaceartifactstore";
constexpr const char* folder_of_contexts = "DockerBuildContext/";

} // namespace

std::string LocalContext::location() const {
    return datastore + ("/" + path);
}

Result<LocalContext> read_context(const fs::path& folder, const std::string& dockerfile) {
    std::error_code ec;
    if (!fs::is_directory(folder, ec)) {
        return Error(Errc::invalid_argument, "'" + folder.string() + "' is not a folder");
    }
    auto files = list_local(folder, "");
    if (!files) {
        return files.error();
    }
    if (std::ranges::find(*files, dockerfile, &LocalFile::name) == files->end()) {
        return Error(Errc::invalid_argument, "'" + folder.string() + "' has no file '" + dockerfile +
                                                 "' (--dockerfile names another one in it)");
    }
    Sha256 all;
    for (const LocalFile& file : *files) {
        const auto hashed = hash_file(file.path, file.name);
        if (!hashed) {
            return hashed.error();
        }
        all.update(hashed->sha256 + " " + file.name + "\n");
    }
    LocalContext context{folder_of_contexts + all.hex(), std::move(*files)};
    for (LocalFile& file : context.files) {
        file.name = context.path + "/" + file.name;
    }
    return context;
}

Result<void> send_context(Connection& connection, const LocalContext& context, const Terminal& terminal) {
    const std::string target = "/api/v1/datastores/" + std::string(datastore) + "/files";
    const auto there = connection.get(target + client::encode_query({{"prefix", context.path + "/"}}));
    if (!there) {
        return there.error();
    }
    std::map<std::string, std::int64_t> sizes;
    for (const Json& file : member(*there, "files")) {
        sizes[text(file, "path")] = number(file, "size");
    }
    std::vector<LocalFile> missing = context.files;
    std::erase_if(missing, [&](const LocalFile& file) { // the path is of these very bytes
        const auto known = sizes.find(file.name);
        return known != sizes.end() && known->second == static_cast<std::int64_t>(file.size);
    });
    return upload_files(connection, missing, target + "/", terminal);
}

} // namespace linarite::cli
