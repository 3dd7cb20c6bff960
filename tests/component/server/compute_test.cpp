// Compute targets as a client of Azure makes, reads and deletes them.
#include "component/server/app_fixture.hpp"

#include <gmock/gmock.h>

namespace linarite::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class ComputeTest : public AppTest {
protected:
    static std::string one(const std::string& name) { return scope + "/computes/" + name; }
    static Json cluster(const std::string& size = "STANDARD_D2_V2", const std::string& type = "AmlCompute") {
        return Json{{"location", "local"},
                    {"properties",
                     Json{{"computeType", type},
                          {"properties", Json{{"vmSize", size},
                                              {"vmPriority", "dedicated"},
                                              {"scaleSettings", Json{{"minNodeCount", 0}, {"maxNodeCount", 7}}}}}}}};
    }
    asio::awaitable<Json> read(std::string name) {
        const Json body = co_await must(200, "GET", "/rp/workspaces" + one(name) + "?api-version=2020-02-02");
        co_return body.contains("properties") ? body.at("properties").at("properties") : Json();
    }
    asio::awaitable<Json> submit(std::string id, std::string target) {
        const std::string snapshot = co_await make_snapshot("print('hello')\n");
        const Response answer = co_await ask("POST", "/api/v1/runs",
                                             Json{{"run_id", id},
                                                  {"experiment", "e"},
                                                  {"snapshot", snapshot},
                                                  {"definition", Json{{"script", "train.py"}, {"target", target}}}});
        co_return Json::parse(answer.body);
    }
};

TEST_F(ComputeTest, TheBuiltInOnesHaveTheRealNumbersOfTheNodes) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto first = co_await ready_node("n1");
        const auto second = co_await ready_node("n2");
        co_await must(200, "POST", "/api/v1/nodes/n2/drain", Json::object());
        co_await submit("r1", "cpu-cluster");
        const Json body = co_await must(200, "GET", one("CPU-Cluster"));
        EXPECT_EQ(body.at("name"), "cpu-cluster");
        EXPECT_FALSE(body.contains("identity")) << "a null would crash the SDK";
        const Json inner = co_await read("cpu-cluster");
        EXPECT_EQ(inner.at("vmSize"), "LOCAL_2CORES_8GB");
        EXPECT_EQ(inner.at("currentNodeCount"), 2);
        EXPECT_EQ(inner.at("scaleSettings").at("maxNodeCount"), 2);
        EXPECT_EQ(inner.at("nodeStateCounts").at("runningNodeCount"), 1);
        EXPECT_EQ(inner.at("nodeStateCounts").at("idleNodeCount"), 0);
        EXPECT_EQ(inner.at("nodeStateCounts").at("leavingNodeCount"), 1);
        EXPECT_TRUE(inner.at("userAccountCredentials").is_object());
        const Json nodes = co_await must(200, "POST", one("local") + "/listNodes");
        EXPECT_EQ(nodes.at("nodes").size(), 2U);
        EXPECT_EQ(nodes.at("nodes").at(0).at("runId"), "r1");
        const Json all = co_await must(200, "GET", "/rp/workspaces" + scope + "/computes");
        EXPECT_EQ(all.at("value").size(), 2U);
        EXPECT_FALSE(all.contains("nextLink")) << "the SDK follows it even if it is null";
        co_await must(404, "GET", one("gpu-cluster"));
    });
}

TEST_F(ComputeTest, ACreatedPoolServesAtOnceAndIsGoneAfterDelete) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await ready_node("n1");
        const Response made = co_await ask("PUT", one("my-pool"), cluster());
        EXPECT_EQ(made.status, 201) << made.body;
        const std::string operation = made.headers.at("azure-asyncoperation");
        EXPECT_TRUE(operation.starts_with(https_url_)) << operation;
        const Json status = co_await must(200, "GET", operation.substr(https_url_.size()));
        EXPECT_EQ(status.at("status"), "Succeeded");
        const Json run = co_await submit("r1", "my-pool");
        EXPECT_EQ(run.value("status", ""), "Provisioning") << "before the node's next word: " << run.dump();

        const Json busy = co_await must(409, "DELETE", one("my-pool"));
        EXPECT_THAT(words(busy), HasSubstr("'r1'"));
        co_await must(200, "POST", "/api/v1/runs/r1/cancel", Json::object());
        // the node does not have it: it is told so twice
        co_await sync(*agent, picture("n1"));
        co_await sync(*agent, picture("n1"));
        co_await sync(*agent, picture("n1"));
        const Response removed = co_await ask("DELETE", one("my-pool"));
        EXPECT_EQ(removed.status, 202) << removed.body;
        co_await must(404, "GET", one("my-pool"));
        const Json refused = co_await submit("r2", "my-pool");
        EXPECT_TRUE(refused.contains("error")) << refused.dump();
    });
}

TEST_F(ComputeTest, APoolIsThereAgainAfterARestart) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await ready_node("n1");
        co_await must(201, "PUT", one("my-pool"), cluster());
        co_await must(200, "PUT", one("my-pool"), cluster("STANDARD_D4_V2"));
        co_await must(200, "PATCH", one("my-pool"), Json{{"tags", Json{{"team", "a"}}}});
    });
    with_coordinator([this]() -> asio::awaitable<void> {
        const Json body = co_await must(200, "GET", one("my-pool"));
        EXPECT_EQ(body.at("tags"), (Json{{"team", "a"}}));
        const Json inner = co_await read("my-pool");
        EXPECT_EQ(inner.at("vmSize"), "STANDARD_D4_V2");
        EXPECT_EQ(inner.at("nodeStateCounts").at("unusableNodeCount"), 1) << "its node has not spoken yet";
    });
}

TEST_F(ComputeTest, NodesThatSayTheirSizeServeThePoolsThatAskForIt) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto plain = co_await ready_node("n1");
        co_await must(201, "PUT", one("big"), cluster("Standard_NC6"));
        const Json before = co_await read("big");
        EXPECT_EQ(before.at("currentNodeCount"), 1) << "no node says a size: all of them serve";

        const auto sized = co_await ready_node("n2", {"vm_size=STANDARD_NC6"});
        const Json after = co_await read("big");
        EXPECT_EQ(after.at("currentNodeCount"), 1);
        const Json nodes = co_await must(200, "POST", one("big") + "/listNodes");
        EXPECT_EQ(nodes.at("nodes").at(0).at("nodeId"), "n2");
        const Json run = co_await submit("r1", "big");
        EXPECT_EQ(run.at("nodes"), Json::array({"n2"})) << run.dump();
        const Json sizes = co_await must(200, "GET",
                                         "/subscriptions/00000000-0000-0000-0000-000000000000/providers/"
                                         "Microsoft.MachineLearningServices/locations/local/vmSizes");
        EXPECT_EQ(sizes.at("amlCompute").size(), 2U) << sizes.dump();
    });
}

TEST_F(ComputeTest, WhatCannotBeMadeOrDeletedIsSaidInWords) {
    with_coordinator([this]() -> asio::awaitable<void> {
        const auto agent = co_await ready_node("n1", {"target=special"});
        const Json other = co_await must(400, "PUT", one("x"), cluster("STANDARD_D2_V2", "VirtualMachine"));
        EXPECT_THAT(words(other), HasSubstr("only AmlCompute"));
        const Json bare =
            co_await must(400, "PUT", one("x"), Json{{"properties", {{"computeType", "VirtualMachine"}}}});
        EXPECT_THAT(words(bare), Not(HasSubstr("vmSize"))) << "which the other kind does not have";
        co_await must(201, "PUT", one("plain"), cluster());
        const Json identity =
            co_await must(400, "PATCH", one("plain"), Json{{"identity", {{"type", "SystemAssigned"}}}});
        EXPECT_THAT(words(identity), HasSubstr("no identities of Azure"));
        co_await must(400, "PUT", one("x"), Json::object());
        for (const char* name : {"cpu-cluster", "local", "special"}) {
            co_await must(200, "GET", one(name));
            const Json kept = co_await must(400, "DELETE", one(name));
            EXPECT_THAT(words(kept), HasSubstr("cannot be deleted"));
            co_await must(200, "PUT", one(name), cluster());
        }
        co_await must(400, "PATCH", one("local"), Json::object());
        co_await must(404, "DELETE", one("nope"));
    });
}

} // namespace
} // namespace linarite::test
