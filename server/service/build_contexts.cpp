#include "server/service/build_contexts.hpp"

#include "common/ids.hpp"
#include "server/service/datastores.hpp"

#include <boost/url/parse.hpp>

#include <algorithm>

namespace linarite::service {

namespace {

Error no_such_place(const std::string& url) {
    return {Errc::invalid_argument,
            "'" + url + "' is in none of this coordinator's containers: send the folder here " +
                "(DockerBuildContext.from_local_directory(ws, ...), or linarite submit --build-context DIR)"};
}

struct BlobFolder {
    BlobNames names;
    std::string path;
};

Result<BlobFolder> parse_folder(const std::string& text) {
    const auto url = boost::urls::parse_uri(text);
    if (!url || url->segments().empty()) {
        return no_such_place(text);
    }
    // the SDK makes the address of what we tell it to write behind the account (proto::azureml::storage_suffix)
    const std::string host = url->has_userinfo() ? url->userinfo() : url->host();
    BlobFolder folder;
    folder.names.account = host.substr(0, host.find('.'));
    for (const std::string& segment : url->segments()) {
        if (folder.names.container.empty()) {
            folder.names.container = segment;
        } else if (!segment.empty()) { // the address of a folder ends in '/'
            folder.path += (folder.path.empty() ? "" : "/") + segment;
        }
    }
    if (folder.path.empty()) {
        return folder;
    }
    const auto checked = parse_relative_path(folder.path, "folder");
    return checked ? Result<BlobFolder>(std::move(folder)) : checked.error();
}

} // namespace

Result<proto::BuildContext> find_build_context(proto::BuildContext context,
                                               const std::map<std::string, store::DatastoreRow>& datastores) {
    if (!context.datastore.empty()) {
        return datastores.contains(context.datastore)
                   ? Result<proto::BuildContext>(std::move(context))
                   : Error(Errc::invalid_argument, "datastore '" + context.datastore + "' does not exist");
    }
    auto folder = parse_folder(context.url);
    if (!folder) {
        return folder.error();
    }
    const auto found = std::ranges::find_if(datastores, [&](const auto& entry) {
        const BlobNames names = blob_names(entry.second);
        return names.account == folder->names.account && names.container == folder->names.container;
    });
    if (found == datastores.end()) {
        return no_such_place(context.url);
    }
    context.url.clear();
    context.datastore = found->first;
    context.path = std::move(folder->path);
    return context;
}

} // namespace linarite::service
