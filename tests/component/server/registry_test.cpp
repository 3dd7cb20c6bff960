// Datastores and environments as a client of Azure registers them.
#include "component/server/app_fixture.hpp"

#include <gmock/gmock.h>

namespace linarite::test {
namespace {

using testing::HasSubstr;

class BlobDatastoreTest : public AppTest {
protected:
    static std::string base() { return "/datastore/v1.0" + scope; }
    static std::string one(const std::string& name) { return base() + "/datastores/" + name; }
    static Json blob(const std::string& name, const std::string& account, const std::string& container) {
        return Json{{"name", name},
                    {"dataStoreType", "AzureBlob"},
                    {"azureStorageSection", Json{{"accountName", account},
                                                 {"containerName", container},
                                                 {"credentialType", "AccountKey"},
                                                 {"credential", "cHJvdG90eXBl"}}}};
    }
    asio::awaitable<Json> create(int status, Json body, std::string query = "?createIfNotExists=false") {
        co_return co_await must(status, "POST", base() + "/datastores" + query, std::move(body));
    }
    asio::awaitable<std::string> path_of(std::string name) {
        const Json all = co_await must(200, "GET", "/api/v1/datastores");
        for (const Json& row : all.at("datastores")) {
            if (row.at("name") == name) {
                co_return row.at("path").get<std::string>();
            }
        }
        co_return "";
    }
};

TEST_F(BlobDatastoreTest, TheDefaultOneHasWhatTheSdkNeedsForABlobClient) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Json row = co_await must(200, "GET", base() + "/default");
        EXPECT_EQ(row.at("name"), "workspaceblobstore");
        const Json& section = row.at("azureStorageSection");
        EXPECT_EQ(section.at("accountName"), "linarite");
        EXPECT_EQ(section.at("containerName"), "azureml-blobstore-workspaceblobstore");
        EXPECT_EQ(section.at("endpoint"), "local@" + https_url_.substr(8));
        EXPECT_EQ(section.at("accountKey").get<std::string>().size(), 44U);
        const Json missing = co_await must(404, "GET", one("nope"));
        EXPECT_THAT(words(missing), HasSubstr("'nope'"));
    });
}

TEST_F(BlobDatastoreTest, ARegisteredContainerKeepsItsNamesAndNotTheKeyThatWasSent) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Json none = co_await create(200, blob("mystore", "oldaccount", "mycontainer"));
        EXPECT_TRUE(none.is_null());
        const Json row = co_await must(200, "GET", one("mystore"));
        EXPECT_EQ(row.at("azureStorageSection").at("accountName"), "oldaccount");
        EXPECT_EQ(row.at("azureStorageSection").at("containerName"), "mycontainer");
        EXPECT_NE(row.at("azureStorageSection").at("accountKey"), "cHJvdG90eXBl");
        co_await create(200, blob("mystore", "oldaccount", "mycontainer")); // as a retry would
        const Json taken = co_await create(400, blob("mystore", "oldaccount", "another"));
        EXPECT_THAT(words(taken), HasSubstr("Another datastore with the same name already exists"));
        co_await create(200, blob("mystore", "oldaccount", "another"), "?createIfNotExists=true");
        const Json same = co_await must(200, "GET", one("mystore"));
        EXPECT_EQ(same.at("azureStorageSection").at("containerName"), "mycontainer");
    });
}

TEST_F(BlobDatastoreTest, TheSameContainerTwiceIsTheSameDirectory) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await create(200, blob("a", "acc", "data"));
        co_await create(200, blob("b", "acc", "data"));
        co_await create(200, blob("c", "linarite", "azureml-blobstore-workspaceblobstore"));
        const std::string a = co_await path_of("a");
        const std::string b = co_await path_of("b");
        EXPECT_EQ(a, b);
        EXPECT_TRUE(fs::is_directory(a));
        const std::string c = co_await path_of("c");
        const std::string first = co_await path_of("workspaceblobstore");
        EXPECT_EQ(c, first);
        const Json other = co_await create(400, blob("d", "acc2", "data"));
        EXPECT_THAT(words(other), HasSubstr("account 'acc'"));
    });
}

TEST_F(BlobDatastoreTest, OverwritingGivesItAnotherDirectory) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await create(200, blob("a", "acc", "data"));
        const std::string before = co_await path_of("a");
        co_await must(400, "PUT", one("other"), blob("a", "acc", "newdata"));
        co_await must(200, "PUT", one("a"), blob("a", "acc", "newdata"));
        const std::string after = co_await path_of("a");
        EXPECT_NE(after, before);
        const Json row = co_await must(200, "GET", one("a"));
        EXPECT_EQ(row.at("azureStorageSection").at("containerName"), "newdata");
    });
}

TEST_F(BlobDatastoreTest, AnotherDefaultStaysSoAfterARestart) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await create(200, blob("a", "acc", "data"));
        co_await must(200, "PUT", base() + "/default/a");
        co_await must(404, "PUT", base() + "/default/nope");
        const Json kept = co_await must(400, "DELETE", one("a"));
        EXPECT_THAT(words(kept), HasSubstr("default"));
    });
    with_coordinator([this]() -> asio::awaitable<void> {
        const Json row = co_await must(200, "GET", base() + "/default");
        EXPECT_EQ(row.at("name"), "a");
        co_await must(400, "DELETE", one("workspaceblobstore"));
        co_await must(200, "PUT", base() + "/default/workspaceblobstore");
        const std::string path = co_await path_of("a");
        co_await must(200, "DELETE", one("a"));
        co_await must(404, "GET", one("a"));
        EXPECT_TRUE(fs::is_directory(path)) << "files are nobody's to delete by the way";
    });
}

TEST_F(BlobDatastoreTest, TheListComesInPages) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await create(200, blob("a", "acc", "data1"));
        co_await create(200, blob("b", "acc", "data2"));
        std::string names;
        std::string next = "?count=2";
        for (int pages = 0; !next.empty() && pages < 5; ++pages) {
            const Json page = co_await must(200, "GET", base() + "/datastores" + next);
            for (const Json& row : page.at("value")) {
                names += row.at("name").get<std::string>() + " ";
            }
            const Json& token = page.at("continuationToken");
            next = token.is_null() ? "" : "?count=2&continuationToken=" + token.get<std::string>();
        }
        EXPECT_EQ(names, "a b workspaceartifactstore workspaceblobstore ");
    });
}

TEST_F(BlobDatastoreTest, WhatIsNotEmulatedOrWouldHideTheApiIsRefusedInWords) {
    with_coordinator([this]() -> asio::awaitable<void> {
        Json share = blob("f", "acc", "data");
        share["dataStoreType"] = "AzureFile";
        const Json other_kind = co_await create(400, share);
        EXPECT_THAT(words(other_kind), HasSubstr("'AzureFile' is not emulated"));
        const Json hiding = co_await create(400, blob("f", "acc", "history"));
        EXPECT_THAT(words(hiding), HasSubstr("'history'"));
        co_await create(400, blob("f", "acc", "../x"));
        co_await create(400, blob("f", "ac.c", "data"));
        co_await create(400, blob("a/b", "acc", "data"));
        co_await create(400, Json::object());
    });
}

class EnvironmentTest : public AppTest {
protected:
    static std::string one(const std::string& name) { return "/environment/v1.0" + scope + "/environments/" + name; }
    static Json definition(const std::string& package) {
        return Json{{"Name", "myenv"},
                    {"python", Json{{"condaDependencies", Json{{"dependencies", Json::array({package})}}}}},
                    {"EnvironmentVariables", Json{{"UPPER_case", "V"}}},
                    {"Docker", Json{{"BaseImage", "i"}, {"baseImageRegistry", Json{{"password", "secret"}}}}}};
    }
    /// Registers it and gives the version.
    asio::awaitable<std::string> put(std::string path, std::string package) {
        const Json body = co_await must(200, "PUT", one(path), definition(package));
        co_return body.value("version", "");
    }
};

TEST_F(EnvironmentTest, VersionsCountUpWhenTheDefinitionDiffersFromTheNewest) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const std::vector<std::pair<std::string, std::string>> registered{
            {"a", "1"}, {"a", "1"}, {"b", "2"}, {"a", "3"}};
        for (const auto& [package, expected] : registered) {
            const std::string version = co_await put("myenv", package);
            EXPECT_EQ(version, expected) << package;
        }
        const Json newest = co_await must(200, "GET", one("myenv"));
        EXPECT_EQ(newest.at("version"), "3");
        const Json second = co_await must(200, "GET", one("myenv/versions/2"));
        EXPECT_EQ(second.at("python").at("condaDependencies").at("dependencies"), Json::array({"b"}));
        co_await must(404, "GET", one("myenv/versions/9"));

        const std::string chosen = co_await put("myenv/versions/4", "c");
        EXPECT_EQ(chosen, "4");
        co_await must(409, "PUT", one("myenv/versions/4"), definition("d"));
        const std::string next = co_await put("myenv", "e");
        EXPECT_EQ(next, "5");
        const Json all = co_await must(200, "GET", one(""));
        EXPECT_EQ(all.at("value").size(), 1U);
        EXPECT_EQ(all.at("value").at(0).at("version"), "5");
    });
}

TEST_F(EnvironmentTest, AnswersAreInOneSpellingWithTheUsersOwnNamesAndNoSecrets) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await must(200, "PUT", one("myenv"), definition("a"));
        const Json body = co_await must(200, "GET", one("myenv"));
        EXPECT_EQ(body.at("name"), "myenv");
        EXPECT_EQ(body.at("environmentVariables"), (Json{{"UPPER_case", "V"}}));
        EXPECT_EQ(body.at("docker").at("baseImage"), "i");
        EXPECT_TRUE(body.at("docker").at("baseImageRegistry").at("password").is_null());
        EXPECT_FALSE(body.contains("Name"));
    });
}

TEST_F(EnvironmentTest, CuratedAndBadNamesAreRefusedInWords) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Json curated = co_await must(404, "GET", one("AzureML-Minimal"));
        EXPECT_THAT(words(curated), HasSubstr("curated"));
        co_await must(400, "PUT", one("AzureML-Mine"), definition("a"));
        co_await must(400, "PUT", one("a%20b"), definition("a"));
        co_await must(400, "PUT", one("a"), Json::array());
        const Json missing = co_await must(404, "GET", one("nope"));
        EXPECT_THAT(words(missing), HasSubstr("'nope'"));
    });
}

} // namespace
} // namespace linarite::test
