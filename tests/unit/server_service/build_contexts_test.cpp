#include "server/service/build_contexts.hpp"

#include <gmock/gmock.h>

namespace linarite::service {
namespace {

using proto::BuildContext;
using testing::HasSubstr;

std::map<std::string, store::DatastoreRow> datastores() {
    std::map<std::string, store::DatastoreRow> rows;
    for (const auto& [name, account, container] :
         {std::array{"workspaceblobstore", "", ""}, std::array{"artifacts", "linarite", "azureml"},
          std::array{"theirs", "other", "images"}}) {
        store::DatastoreRow row;
        row.name = name;
        row.account = account;
        row.container = container;
        rows.emplace(name, row);
    }
    return rows;
}

Result<BuildContext> find(const std::string& url) {
    return find_build_context(BuildContext{url, "", "", "a/Dockerfile"}, datastores());
}

TEST(BuildContexts, AnAddressIsThatOfADatastore) {
    EXPECT_EQ(*find("https://linarite.blob.local@127.0.0.1:8443/azureml/DockerBuildContext/5d41/"),
              (BuildContext{"", "artifacts", "DockerBuildContext/5d41", "a/Dockerfile"}));
    EXPECT_EQ(*find("https://other.blob.10.0.0.1.nip.io/images/a%20b?sv=2020&sig=x"),
              (BuildContext{"", "theirs", "a b", "a/Dockerfile"}));
    EXPECT_EQ(*find("https://linarite.blob.host/azureml-blobstore-workspaceblobstore"),
              (BuildContext{"", "workspaceblobstore", "", "a/Dockerfile"}));
}

TEST(BuildContexts, AnAddressOfNoneIsRefusedWithTheWayOut) {
    for (const char* url : {"https://azure.blob.core.windows.net/azureml/x", "https://linarite.blob.host/images/x",
                            "https://linarite.blob.host", "nonsense", ""}) {
        const auto found = find(url);
        ASSERT_FALSE(found) << url;
        EXPECT_EQ(found.error().code(), Errc::invalid_argument);
        EXPECT_THAT(found.error().detail(), HasSubstr("from_local_directory")) << url;
    }
    EXPECT_FALSE(find("https://linarite.blob.host/azureml/a/%2e%2e/b"));
}

TEST(BuildContexts, ADatastoreThatIsNamedMustExist) {
    const BuildContext context{"", "theirs", "x", "Dockerfile"};
    EXPECT_EQ(*find_build_context(context, datastores()), context);
    EXPECT_THAT(find_build_context({"", "none", "x", "Dockerfile"}, datastores()).error().detail(),
                HasSubstr("datastore 'none' does not exist"));
}

} // namespace
} // namespace linarite::service
