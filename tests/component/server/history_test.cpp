// Runs and experiments in Azure's dialect, over HTTP.
#include "component/server/app_fixture.hpp"

#include <gmock/gmock.h>

namespace linarite::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::StartsWith;

const std::string history = "/history/v1.0" + scope;
const std::string runs = history + "/experiments/e/runs/";

class AzureHistoryTest : public AppTest {
protected:
    /// The error's message; a failure if the status is another.
    asio::awaitable<std::string> refused(int status, std::string method, std::string target, Json body = nullptr,
                                         HttpClient* as = nullptr) {
        const auto answer = co_await ask(method, target, body, as);
        EXPECT_EQ(answer.status, status) << method << " " << target << ": " << answer.body;
        const Json document = Json::parse(answer.body, nullptr, false);
        co_return document.is_object() ? document.at("error").at("message").get<std::string>() : "";
    }
    static Json configuration() {
        return Json{
            {"script", "train.py"},
            {"arguments", Json::array({"--lr", 0.8})},
            {"environment", {{"docker", {{"baseImageRegistry", {{"username", "u"}, {"password", "secret"}}}}}}}};
    }
    asio::awaitable<Json> start(std::string id, Json definition = configuration()) {
        const std::string snapshot = co_await make_snapshot("print('hello')\n");
        Json body{{"SnapshotId", snapshot}, {"Configuration", std::move(definition)}};
        co_return co_await post("/execution/v1.0" + scope + "/experiments/e/snapshotrun?runId=" + id, std::move(body));
    }
    asio::awaitable<std::vector<std::string>> query(std::string filter) {
        const Json page = co_await post(history + "/experiments/e/runs:query", Json{{"filter", filter}});
        std::vector<std::string> ids;
        for (const Json& run : page.at("value")) {
            ids.push_back(run.at("runId").get<std::string>());
        }
        co_return ids;
    }
    /// What a run on a node has: its token.
    asio::awaitable<std::unique_ptr<HttpClient>> client_of_run(HttpClient& agent, std::string node) {
        proto::SyncRequest request = picture(node);
        request.wait = 5s;
        const auto answer = co_await sync(agent, request);
        EXPECT_EQ(answer.runs.size(), 1U);
        co_return std::make_unique<HttpClient>(
            executor_, client::Address{url_, answer.runs.front().variables.at("AZUREML_RUN_TOKEN"), ""});
    }
};

TEST_F(AzureHistoryTest, AnExperimentIsMadeOnceAndFoundByNameAndId) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await refused(404, "GET", history + "/experiments/e");
        const Json made = co_await post(history + "/experiments/e", nullptr);
        const Json again = co_await post(history + "/experiments/e", nullptr);
        const std::string id = made.at("experimentId").get<std::string>();

        EXPECT_EQ(again.at("experimentId"), made.at("experimentId"));
        EXPECT_EQ((co_await get(history + "/experimentids/" + id)).at("name"), "e");
        EXPECT_EQ((co_await post(history + "/experiments:query", Json::object())).at("value").size(), 1U);
    });
}

TEST_F(AzureHistoryTest, AWorkspaceThatIsNotThereSaysWhichAre) {
    with_coordinator([this]() -> asio::awaitable<void> {
        std::string other = history;
        other.replace(other.find("/workspaces/linarite"), std::string::npos, "/workspaces/mine");

        const std::string words = co_await refused(404, "GET", other + "/experiments/e");

        EXPECT_NE(words.find("'mine'"), std::string::npos);
        EXPECT_NE(words.find("local/linarite"), std::string::npos);
    });
}

TEST_F(AzureHistoryTest, ASubmittedRunIsShownAsItWasSubmittedWithoutItsSecrets) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await join("n1");
        co_await sync(*agent, picture("n1"));

        const Json started = co_await start("e_1_aa");
        const Json again = co_await start("e_1_aa");
        const Json run = co_await get(runs + "e_1_aa");

        EXPECT_EQ(started.at("runId"), "e_1_aa");
        EXPECT_EQ(again, started);
        EXPECT_EQ(run.at("runNumber"), 1);
        EXPECT_EQ(run.at("dataContainerId"), "dcid.e_1_aa");
        EXPECT_EQ(run.at("runDefinition").at("arguments"), Json::array({"--lr", "0.8"}));
        EXPECT_EQ(run.dump().find("secret"), std::string::npos);
        EXPECT_EQ((co_await get(runs + "e_1_aa/details")).at("logFiles").type(), Json::value_t::object);
    });
}

TEST_F(AzureHistoryTest, EverythingThatIsWrongWithASubmissionComesInOneAnswer) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const std::string snapshot = co_await make_snapshot("print('hello')\n");
        const std::string target = "/execution/v1.0" + scope + "/experiments/e/snapshotrun?runId=e_1_aa";
        const Json configured{
            {"script", "gone.py"}, {"target", "mars"}, {"dataReferences", {{"d", {{"dataStoreName", "nowhere"}}}}}};

        const std::string words =
            co_await refused(400, "POST", target, Json{{"SnapshotId", snapshot}, {"Configuration", configured}});
        const std::string lost = co_await refused(400, "POST", target,
                                                  Json{{"SnapshotId", "11111111-0000-0000-0000-000000000000"},
                                                       {"Configuration", Json{{"script", "train.py"}}}});

        for (const char* part : {"gone.py", "mars", "nowhere"}) {
            EXPECT_NE(words.find(part), std::string::npos) << words;
        }
        EXPECT_NE(lost.find("projectcontent"), std::string::npos) << lost;
        co_await refused(404, "GET", runs + "e_1_aa");
    });
}

TEST_F(AzureHistoryTest, AnUnknownIdBecomesAnInteractiveRunThatItsClientMoves) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const Json body{{"runId", "i1"}, {"name", "run_i1"}, {"target", "local"}, {"tags", {{"stage", "a b"}}}};
        const Json made = co_await must("PATCH", runs + "i1", body);
        EXPECT_EQ(made.at("status"), "NotStarted");
        EXPECT_EQ(made.at("name"), "run_i1");
        const auto say = [&](std::string name, Json data) {
            return ask("POST", runs + "i1/events",
                       Json{{"name", "Microsoft.MachineLearning.Run." + name}, {"data", std::move(data)}});
        };

        co_await say("Start", Json::object());
        EXPECT_EQ((co_await get(runs + "i1")).at("status"), "Running");
        const Json bad{{"ErrorResponse", {{"error", {{"code", "UserError"}, {"message", "bad"}}}}}};
        EXPECT_EQ((co_await say("Error", bad)).status, 200);
        co_await say("Failed", Json::object());
        co_await say("Completed", Json::object());

        const Json ended = co_await get(runs + "i1");
        EXPECT_EQ(ended.at("status"), "Failed");
        EXPECT_EQ(ended.at("error").at("error").at("message"), "bad");
        EXPECT_FALSE(ended.at("endTimeUtc").is_null());
    });
}

TEST_F(AzureHistoryTest, AnInteractiveRunThatItsClientLeftCanBeCanceled) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await must("PATCH", runs + "i1", Json{{"runId", "i1"}, {"status", "Running"}});

        EXPECT_EQ((co_await post("/api/v1/runs/i1/cancel", Json::object())).at("status"), "Canceled");
        EXPECT_EQ((co_await get(runs + "i1")).at("status"), "Canceled");
    });
}

TEST_F(AzureHistoryTest, TagsGoInAndOutAndChildrenAreFound) {
    with_coordinator([this]() -> asio::awaitable<void> {
        co_await must("PATCH", runs + "p", Json{{"runId", "p"}});
        co_await must("PATCH", runs + "c", Json{{"runId", "c"}, {"parentRunId", "p"}});
        co_await must("PATCH", runs + "p", Json{{"tags", {{"stage", "training"}, {"bare", nullptr}}}});
        EXPECT_EQ((co_await must("DELETE", runs + "p/tags", Json::array({"bare"}))).at("tags"),
                  (Json{{"stage", "training"}}));

        const Json children = co_await get(runs + "p/children?$orderby=StartTimeUtc%20desc&$top=500");
        EXPECT_EQ(children.at("value").size(), 1U);
        EXPECT_EQ(children.at("value")[0].at("rootRunId"), "p");
        EXPECT_EQ((co_await query("((Tags/stage eq \"training\") and (ParentRunId eq null))")),
                  std::vector<std::string>{"p"});
        EXPECT_EQ((co_await query("(RootRunId eq p and RunId ne p)")), std::vector<std::string>{"c"});
        co_await refused(400, "POST", history + "/experiments/e/runs:query", Json{{"filter", "Colour eq red"}});
    });
}

TEST_F(AzureHistoryTest, QueriesComeInPages) {
    with_coordinator([this]() -> asio::awaitable<void> {
        for (const char* id : {"a", "b", "c"}) {
            co_await must("PATCH", runs + id, Json{{"runId", id}});
        }
        const std::string target = history + "/experiments/e/runs:query";

        const Json first = co_await post(target, Json{{"top", 2}, {"orderby", "CreatedUtc asc"}});
        const Json second = co_await post(
            target, Json{{"top", 2}, {"orderby", "CreatedUtc asc"}, {"continuationToken", first["continuationToken"]}});

        EXPECT_EQ(first.at("value").size(), 2U);
        EXPECT_EQ(second.at("value").size(), 1U);
        EXPECT_TRUE(second.at("continuationToken").is_null());
    });
}

TEST_F(AzureHistoryTest, ARunsTokenReachesThatRunAndWhatIsBelowIt) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await join("n1");
        co_await sync(*agent, picture("n1"));
        co_await must("PATCH", runs + "other", Json{{"runId", "other"}});
        co_await start("e_1_aa");
        const auto run = co_await client_of_run(*agent, "n1");

        EXPECT_EQ((co_await ask("GET", runs + "e_1_aa", nullptr, run.get())).status, 200);
        EXPECT_EQ((co_await ask("PATCH", runs + "kid", Json{{"parentRunId", "e_1_aa"}}, run.get())).status, 200);
        EXPECT_EQ((co_await ask("GET", runs + "kid", nullptr, run.get())).status, 200);
        co_await refused(404, "GET", runs + "other", nullptr, run.get());
        co_await refused(404, "PATCH", runs + "stray", Json::object(), run.get());
        co_await refused(404, "PATCH", runs + "stray", Json{{"parentRunId", "other"}}, run.get());
        EXPECT_EQ((co_await ask("GET", "/api/v1/runs", nullptr, run.get())).status, 403);
        const Json seen =
            Json::parse((co_await ask("POST", history + "/experiments/e/runs:query", Json::object(), run.get())).body);
        EXPECT_EQ(seen.at("value").size(), 2U);
        EXPECT_EQ((co_await ask("GET", runs + "e_1_aa/token", nullptr, run.get())).status, 200);
    });
}

TEST_F(AzureHistoryTest, CancelingIsTakenInEveryStatusAndShown) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await join("n1");
        co_await sync(*agent, picture("n1"));
        co_await start("e_1_aa");
        co_await start("e_2_bb"); // waits for the node
        const std::string cancel_uri = (co_await get(runs + "e_2_bb")).at("cancelUri").get<std::string>();

        const std::string path = cancel_uri.substr(cancel_uri.find("/execution"));
        EXPECT_EQ((co_await ask("POST", path)).status, 200);
        EXPECT_EQ((co_await ask("POST", path)).status, 200);

        EXPECT_EQ((co_await get(runs + "e_2_bb")).at("status"), "Canceled");
    });
}

TEST_F(AzureHistoryTest, WhatIsNotEmulatedSaysSoWhereverTheSdkLooksForWords) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto answer = co_await ask("GET", "/modelmanagement/v1.0" + scope + "/models/m:1");
        const Json body = Json::parse(answer.body);
        const std::string words = body.at("error").at("message");

        EXPECT_EQ(answer.status, 400); // the SDK would try a 501 again
        EXPECT_THAT(words, HasSubstr("Linarite keeps no registered models and deploys none"));
        EXPECT_THAT(words, HasSubstr("run.download_file(name)"));
        EXPECT_THAT(body.at("error").at("target").get<std::string>(), StartsWith("GET /modelmanagement/"));
        EXPECT_EQ(body.at("message"), words);
        EXPECT_EQ(body.at("code"), 400);
        EXPECT_EQ(body.at("statusCode"), 400);
        EXPECT_EQ(body.at("correlation").at("reason"), words);
    });
}

TEST_F(AzureHistoryTest, WhatIsNotEmulatedIsToldByThePartOfAzureThatItIs) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const std::string services = "/workspaces/models/services"; // a workspace of the name of a part
        const std::string other = scope.substr(0, scope.find("/workspaces/")) + services;
        const std::string image = co_await refused(400, "GET", "/modelmanagement/v1.0" + other);
        const std::string upload = co_await refused(
            400, "POST", "/artifact/v2.0" + scope + "/artifacts/batch/metadata/LocalUpload/x", Json::object());
        const std::string dataset = co_await refused(400, "GET", "/dataset/v1.0" + scope + "/datasets");
        const std::string hyperdrive = co_await refused(400, "GET", "/hyperdrive/v1.0" + scope + "/nothing");

        EXPECT_THAT(image, HasSubstr("Linarite deploys nothing"));
        EXPECT_THAT(upload, HasSubstr("Linarite keeps no registered models and deploys none"));
        EXPECT_THAT(dataset, HasSubstr("as_mount()"));
        EXPECT_THAT(hyperdrive, HasSubstr("does not emulate this part of Azure Machine Learning: GET /hyperdrive/"));
    });
}

TEST_F(AzureHistoryTest, ExperimentsAreNotDeletedAndThereIsNothingToClean) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const std::string id = (co_await post(history + "/experiments/e", nullptr)).at("experimentId");
        const std::string words = co_await refused(400, "DELETE", "/history/v1.0" + scope + "/experimentids/" + id);
        const auto cleaned = co_await ask("POST", "/execution/v1.0" + scope + "/experiments/e/clean", Json::object());

        EXPECT_THAT(words, HasSubstr("archive()"));
        EXPECT_EQ(cleaned.status, 200);
        EXPECT_EQ(Json::parse(cleaned.body), Json::array());
    });
}

} // namespace
} // namespace linarite::test
