// How a client of Azure logs in and finds its workspace.
#include "component/server/app_fixture.hpp"

#include <gmock/gmock.h>

namespace linarite::test {
namespace {

using testing::HasSubstr;

class LoginTest : public AppTest {
protected:
    asio::awaitable<Response> log_in(std::string form) {
        HttpClient stranger(executor_, client::Address{url_, "", ""});
        HttpClient::Request request;
        request.method = "POST";
        request.target = "/adfs/oauth2/token";
        request.content_type = "application/x-www-form-urlencoded";
        request.body = std::move(form);
        co_return co_await send(stranger, std::move(request));
    }
    [[nodiscard]] std::string form(const std::string& client, const std::string& secret) const {
        return "grant_type=client_credentials&client_id=" + client + "&client_secret=" + secret +
               "&scope=https%3A%2F%2Fx%2F%2F.default";
    }
};

TEST_F(LoginTest, TheMetadataDocumentNeedsNoTokenAndLeadsToOurTlsListener) {
    with_coordinator([this]() -> asio::awaitable<void> {
        HttpClient stranger(executor_, client::Address{url_, "", ""});
        const auto clouds = co_await stranger.call("GET", "/metadata/endpoints");
        EXPECT_TRUE(clouds) << (clouds ? "" : clouds.error().detail());
        const Json& cloud = clouds->at(0);
        EXPECT_EQ(cloud.at("name"), "AzureCloud");
        EXPECT_EQ(cloud.at("resourceManager"), https_url_);
        EXPECT_EQ(cloud.at("authentication").at("loginEndpoint"), https_url_ + "/");
        EXPECT_EQ(cloud.at("suffixes").at("storage"), "local@" + https_url_.substr(8));
        const auto directory = co_await stranger.call("GET", "/adfs/.well-known/openid-configuration");
        EXPECT_EQ(directory->at("token_endpoint"), https_url_ + "/adfs/oauth2/token");
    });
}

TEST_F(LoginTest, AServicePrincipalGetsATokenThatOpensTheApi) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Response answer = co_await log_in(form("someone+else%20%C3%A4", token_));
        EXPECT_EQ(answer.status, 200) << answer.body;
        const Json body = Json::parse(answer.body);
        EXPECT_EQ(body.at("token_type"), "Bearer");
        EXPECT_EQ(body.at("expires_in"), 86399);
        HttpClient client(executor_, client::Address{url_, body.at("access_token").get<std::string>(), ""});
        const auto subscriptions = co_await client.call("GET", "/subscriptions?api-version=2022-12-01");
        EXPECT_TRUE(subscriptions) << (subscriptions ? "" : subscriptions.error().detail());
        EXPECT_EQ(subscriptions->at("value").size(), 1U);
    });
}

TEST_F(LoginTest, AWrongSecretIsSaidInWordsAndTooManyOfThemAreTurnedAway) {
    with_coordinator([this]() -> asio::awaitable<void> {
        for (int i = 0; i < 10; ++i) {
            const Response refused = co_await log_in(form("x", "wrong"));
            EXPECT_EQ(refused.status, 401);
            const Json body = Json::parse(refused.body);
            EXPECT_EQ(body.at("error"), "invalid_client");
            EXPECT_THAT(body.at("error_description").get<std::string>(), HasSubstr("linarite env"));
        }
        const Response turned_away = co_await log_in(form("x", "wrong"));
        EXPECT_EQ(turned_away.status, 429);
        EXPECT_EQ(turned_away.headers.at("retry-after"), "60");
        const Response right = co_await log_in(form("x", token_));
        EXPECT_EQ(right.status, 200) << "who knows the secret is let in all the same";
    });
}

TEST_F(LoginTest, WhatIsNoLoginOfAServicePrincipalIsRefused) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Response other = co_await log_in("grant_type=password&client_id=x&client_secret=" + token_);
        EXPECT_EQ(other.status, 400);
        EXPECT_THAT(other.body, HasSubstr("unsupported_grant_type"));
        const Response nobody = co_await log_in(form("", token_));
        EXPECT_EQ(nobody.status, 400);
        const Response long_name = co_await log_in(form(std::string(129, 'x'), token_));
        EXPECT_EQ(long_name.status, 400);
        const Response control = co_await log_in(form("a%0Ab", token_));
        EXPECT_EQ(control.status, 400);
        const Response broken = co_await log_in("grant_type=%zz");
        EXPECT_EQ(broken.status, 400);
        const Response large = co_await log_in(std::string(20'000, 'x'));
        EXPECT_EQ(large.status, 413);
        HttpClient stranger(executor_, client::Address{url_, "", ""});
        HttpClient::Request msi;
        msi.method = "POST";
        msi.target = "/msi/token";
        const Response no_secret = co_await send(stranger, std::move(msi));
        EXPECT_EQ(no_secret.status, 401) << "a login without a secret must not exist";
    });
}

class WorkspaceTest : public AppTest {};

TEST_F(WorkspaceTest, ItIsFoundWhateverTheCaseOfItsNamesAndByBothPaths) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Json row = co_await must(200, "GET", scope + "?api-version=2022-05-01");
        EXPECT_EQ(row.at("id"), scope);
        EXPECT_EQ(row.at("properties").at("workspaceId").get<std::string>().size(), 36U);
        std::string other = scope;
        other.replace(other.size() - 8, 8, "LINARITE");
        const Json again = co_await must(200, "GET", "/rp/workspaces" + other);
        EXPECT_EQ(again, row);
    });
}

TEST_F(WorkspaceTest, DiscoveryNeedsNoTokenAndEveryServiceIsUs) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Json row = co_await must(200, "GET", scope);
        const auto address = row.at("properties").at("discoveryUrl").get<std::string>();
        EXPECT_TRUE(address.starts_with(https_url_ + "/discovery/")) << address;
        HttpClient stranger(executor_, client::Address{url_, "", ""});
        const auto services = co_await stranger.call("GET", address.substr(https_url_.size()));
        EXPECT_TRUE(services);
        for (const char* name : {"api", "experimentation", "history", "hyperdrive", "modelmanagement", "studio"}) {
            EXPECT_EQ(services->at(name), https_url_) << name;
        }
    });
}

TEST_F(WorkspaceTest, WorkspacesOfOtherNamesAreMadeListedAndKeptApart) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Json made =
            co_await must(201, "POST", "/api/v1/workspaces",
                          Json{{"name", "mlws"}, {"subscription", "s-1"}, {"resource_group", "research"}});
        const Json again =
            co_await must(201, "POST", "/api/v1/workspaces",
                          Json{{"name", "MLWS"}, {"subscription", "S-1"}, {"resource_group", "research"}});
        EXPECT_EQ(made, again);
        co_await must(400, "POST", "/api/v1/workspaces", Json{{"name", "a/b"}});
        const Json all = co_await must(200, "GET", "/api/v1/workspaces");
        EXPECT_EQ(all.at("workspaces").size(), 2U);

        const Json subscriptions = co_await must(200, "GET", "/subscriptions");
        EXPECT_EQ(subscriptions.at("value").size(), 2U);
        const Json resources = co_await must(200, "GET",
                                             "/subscriptions/s-1/resources?$filter=resourceType%20eq%20%27Microsoft."
                                             "MachineLearningServices%2Fworkspaces%27");
        EXPECT_EQ(resources.at("value").size(), 1U);
        EXPECT_EQ(resources.at("value").at(0).at("name"), "mlws");
        const Json others = co_await must(200, "GET", "/subscriptions/s-1/resources?$filter=resourceType%20eq%20'x'");
        EXPECT_TRUE(others.at("value").empty());
        const Json group = co_await must(200, "GET", "/subscriptions/s-1/resourcegroups/research");
        EXPECT_EQ(group.at("name"), "research");
        const Json in_group = co_await must(200, "GET",
                                            "/subscriptions/s-1/resourceGroups/research/providers/"
                                            "Microsoft.MachineLearningServices/workspaces");
        EXPECT_EQ(in_group.at("value").size(), 1U);
    });
}

TEST_F(WorkspaceTest, OneThatIsNotThereSaysWhichAreAndHowOneIsMade) {
    with_coordinator([this]() -> asio::awaitable<void> {
        std::string other = scope;
        other.replace(other.size() - 8, 8, "nope");
        const Json missing = co_await must(404, "GET", other);
        EXPECT_EQ(missing.at("error").at("code"), "ResourceNotFound");
        EXPECT_THAT(words(missing), HasSubstr("linarite workspace create"));
        co_await must(404, "GET", "/subscriptions/unknown");
        co_await must(404, "GET", "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/unknown");
        const Json provider = co_await must(200, "GET", "/subscriptions/x/providers/Microsoft.MachineLearningServices");
        EXPECT_THAT(provider.at("resourceTypes").at(0).at("locations"), testing::Contains("eastus"))
            << "the SDK gives a workspace up whose region it does not find here";
        const Json refused = co_await must(400, "PUT", scope, Json::object());
        EXPECT_THAT(words(refused), HasSubstr("linarite workspace create"));
    });
}

} // namespace
} // namespace linarite::test
