#include "proto/agent_protocol.hpp"
#include "proto/json_reader.hpp"
#include "proto_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace linarite::proto {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::HasSubstr;

const std::string sha(64, 'c');

Ending sample_ending() {
    return {.started = true,
            .exit_code = 3,
            .signal = 9,
            .out_of_memory = true,
            .timed_out = true,
            .stopped = true,
            .rank = 2,
            .rank_ended_us = 1'795'435'200'000'123,
            .code = "UserError",
            .message = "rank 2 was killed:\n\xc3\xa9"};
}

SyncRequest sample_request() {
    SyncRequest message;
    message.node = NodeName("node-1");
    message.incarnation = 18446744073709551615U;
    message.boot_id = "boot";
    message.host_id = "host";
    message.shared_dir = "0123abcd";
    message.address = "10.0.0.1";
    message.version = "0.1.0";
    message.resources = {.cores = 8, .memory_bytes = 1U << 30U, .gpus = 1, .slots = 2, .labels = {"big", "gpu"}};
    message.runs = {{.run = RunId("r1"), .fence = 7, .phase = Phase::preparing, .detail = "fetching"},
                    {.run = RunId("r2"),
                     .fence = 8,
                     .phase = Phase::exited,
                     .ending = sample_ending(),
                     .daemons = {{.node_index = 1, .command = "orted -mca x 'y'"}},
                     .work_dir = "/tmp/work",
                     .port = 21'000,
                     .ended = {{.rank = 1}, {.rank = 3, .exit_code = 5, .signal = 9, .told = true}},
                     .work_done = true,
                     .network = NodeNetwork{"eth0", "10.0.0.2", 4711, "Open MPI 4.1.4", true},
                     .environment = RunEnvironment{sha, "pip", "3.11.2", "/envs/python", "team/base:1", "sha256:d"}}};
    message.seen = 12;
    message.wait = 25s;
    return message;
}

SyncAnswer sample_answer() {
    DesiredRun run;
    run.run = RunId("r1");
    run.fence = 7;
    run.attempt = 2;
    run.want = Want::launch;
    run.grace = 1500ms;
    run.give_up_after = 48s;
    run.stop_reason = "canceled";
    run.experiment = "digits";
    run.snapshot = SnapshotId(sha);
    run.definition = print_run_definition(definition("{}"));
    run.node_index = 1;
    run.gang = {{.node = NodeName("node-1"), .host_id = "h", .address = "10.0.0.1", .work_dir = "/w"},
                {.node = NodeName("node-2"),
                 .host_id = "h",
                 .address = "10.0.0.2",
                 .shared_dir = "s",
                 .network = NodeNetwork{"eth0", "10.0.0.2", 0, "", false}}};
    run.data.references = {{.reference = {.name = "d",
                                          .datastore = "ws",
                                          .mode = DataMode::upload,
                                          .overwrite = true,
                                          .path_on_datastore = "x/y",
                                          .path_on_compute = "/data"},
                            .datastore_path = "/store",
                            .shared = true}};
    run.data.build_context = run.data.references.front();
    run.host_id = "coordinator";
    run.variables = {{"AZUREML_RUN_ID", "r1"}, {"EMPTY", ""}};
    run.daemon_command = "orted";
    run.daemon_ends = {{1, sample_ending()}, {3, Ending{}}};
    run.files_version = 17;
    SyncAnswer message;
    message.version = 13;
    message.lease = 45s;
    message.unchanged = true;
    message.runs = {run};
    return message;
}

/// As it goes over the wire.
Json over_the_wire(const Json& document) {
    return json(print_json(document));
}

TEST(AgentProtocol, MessagesAreTheSameOnTheOtherSide) {
    EXPECT_EQ(parse_sync_request(over_the_wire(print(sample_request()))).value(), sample_request());
    EXPECT_EQ(parse_sync_answer(over_the_wire(print(sample_answer()))).value(), sample_answer());
    EXPECT_EQ(parse_ending(over_the_wire(print(sample_ending()))).value(), sample_ending());
    const JoinRequest join{.node = "node-1", .token = "t"};
    EXPECT_EQ(parse_join_request(over_the_wire(print(join))).value(), join);
    const JoinAnswer answer{.node = "node-1", .secret = "s"};
    EXPECT_EQ(parse_join_answer(over_the_wire(print(answer))).value(), answer);
}

TEST(AgentProtocol, EmptyMessagesAreTheSameOnTheOtherSide) {
    SyncRequest request;
    request.node = NodeName("n");

    EXPECT_EQ(parse_sync_request(print(request)).value(), request);
    EXPECT_EQ(parse_sync_answer(print(SyncAnswer{})).value(), SyncAnswer{});
    EXPECT_EQ(parse_ending(print(Ending{})).value(), Ending{});
}

TEST(AgentProtocol, ABriefRunLeavesOutWhatNeverChanges) {
    SyncAnswer answer = sample_answer();
    DesiredRun& run = answer.runs.front();
    run.brief = true;

    const Json printed = print(answer).at("runs")[0];
    const DesiredRun read = parse_sync_answer(over_the_wire(print(answer))).value().runs.front();

    for (const char* constant :
         {"experiment", "snapshot", "definition", "data", "build_context", "host_id", "variables"}) {
        EXPECT_FALSE(printed.contains(constant)) << constant;
    }
    run.experiment = run.host_id = "";
    run.snapshot = SnapshotId();
    run.definition = Json();
    run.data = {};
    run.variables.clear();
    EXPECT_EQ(read, run);
}

TEST(AgentProtocol, TheKeeperOfADirectoryIsTheFirstNodeThatHasIt) {
    const auto gang = [](std::vector<std::pair<std::string, std::string>> places) {
        std::vector<GangMember> out;
        out.reserve(places.size());
        for (const auto& [host, shared] : places) {
            out.push_back({.node = NodeName("n"), .host_id = host, .shared_dir = shared});
        }
        return out;
    };
    const auto keepers = [](const std::vector<GangMember>& members) {
        std::vector<int> out;
        out.reserve(members.size());
        for (int i = 0; i < static_cast<int>(members.size()); ++i) {
            out.push_back(keeper_of(members, i));
        }
        return out;
    };
    const auto four = gang({{"a", ""}, {"b", ""}, {"a", ""}, {"b", ""}});
    EXPECT_EQ(keepers(four), (std::vector{0, 1, 0, 1}));
    EXPECT_TRUE(has_several_directories(four));
    const auto shared = gang({{"a", "s"}, {"b", "s"}, {"c", "s"}});
    EXPECT_EQ(keepers(shared), (std::vector{0, 0, 0}));
    EXPECT_FALSE(has_several_directories(shared));
    // node 1 works in node 0's directory, which is not in the shared one
    EXPECT_EQ(keepers(gang({{"a", ""}, {"a", "s"}, {"b", "s"}})), (std::vector{0, 0, 2}));
    EXPECT_EQ(keepers(gang({{"", ""}, {"", ""}})), (std::vector{0, 1})) << "unknown hosts are not the same";
    EXPECT_FALSE(has_several_directories(gang({{"a", ""}})));
}

TEST(AgentProtocol, DurationsAreWholeMilliseconds) {
    EXPECT_EQ(print(sample_request()).at("wait_ms"), 25'000);
    EXPECT_EQ(print(sample_answer()).at("lease_ms"), 45'000);
    EXPECT_EQ(print(sample_answer()).at("runs")[0].at("grace_ms"), 1500);
}

TEST(AgentProtocol, AnotherVersionIsRefusedWhateverElseTheMessageHolds) {
    for (const int version : {0, 2, 99}) {
        const Json message = {{"protocol", version}, {"novelty", 1}};
        const std::string expected = "agent protocol " + std::to_string(version) +
                                     " is not spoken here; this is version 1: update the older program";

        for (const auto& error : {parse_sync_request(message).error(), parse_sync_answer(message).error(),
                                  parse_join_request(message).error()}) {
            EXPECT_EQ(error.code(), Errc::invalid_argument);
            EXPECT_EQ(error.detail(), expected);
        }
    }
}

TEST(AgentProtocol, AMessageWithoutVersionIsRefused) {
    for (const char* text : {"{}", "[]", "null", R"({"protocol":"1"})"}) {
        const auto request = parse_sync_request(json(text));
        ASSERT_FALSE(request);
        EXPECT_THAT(request.error().detail(), HasSubstr("no version"));
    }
}

TEST(AgentProtocol, UnknownMembersAreRefusedAtEveryDepth) {
    const auto request_with = [](const char* where) {
        Json message = print(sample_request());
        message[Json::json_pointer(where)] = 1;
        return faults_of(parse_sync_request(message));
    };
    for (const char* where : {"/x", "/resources/x", "/runs/0/x", "/runs/1/ending/x", "/runs/1/daemons/0/x"}) {
        EXPECT_THAT(request_with(where), Contains(Fault{where, "is not known"}));
    }
    const auto answer_with = [](const char* where) {
        Json message = print(sample_answer());
        message[Json::json_pointer(where)] = 1;
        return faults_of(parse_sync_answer(message));
    };
    for (const char* where : {"/x", "/runs/0/x", "/runs/0/gang/1/x", "/runs/0/data/0/x", "/runs/0/daemon_ends/0/x",
                              "/runs/0/daemon_ends/1/ending/x"}) {
        EXPECT_THAT(answer_with(where), Contains(Fault{where, "is not known"}));
    }
    EXPECT_FALSE(parse_join_answer(json(R"({"node":"n","secret":"s","x":1})")));
    EXPECT_FALSE(parse_ending(json(R"({"x":1})")));
}

struct Change {
    const char* pointer;
    Json value;
};

TEST(AgentProtocol, HostileValuesInARequestAreRefused) {
    for (const Change& change : std::vector<Change>{{"/node", "../up"},
                                                    {"/node", nullptr},
                                                    {"/incarnation", -1},
                                                    {"/wait_ms", -1},
                                                    {"/wait_ms", 1e30},
                                                    {"/resources/slots", 0},
                                                    {"/resources/cores", 4294967296},
                                                    {"/resources/labels", "x"},
                                                    {"/runs", 3},
                                                    {"/runs/0/run", "a/b"},
                                                    {"/runs/0/phase", "dreaming"},
                                                    {"/runs/1/ending/signal", 70000},
                                                    {"/runs/1/ending", nullptr},
                                                    {"/runs/1/daemons/0/node_index", 512},
                                                    {"/runs/1/daemons/0/command", ""}}) {
        Json message = print(sample_request());
        message[Json::json_pointer(change.pointer)] = change.value;

        const auto faults = faults_of(parse_sync_request(message));

        EXPECT_THAT(faults, Contains(testing::Field(&Fault::pointer, change.pointer))) << change.value;
    }
}

TEST(AgentProtocol, HostileValuesInAnAnswerAreRefused) {
    for (const Change& change : std::vector<Change>{{"/runs/0/run", "."},
                                                    {"/runs/0/want", "dance"},
                                                    {"/runs/0/snapshot", "../../etc"},
                                                    {"/runs/0/node_index", -1},
                                                    {"/runs/0/gang/0/node", ""},
                                                    {"/runs/0/data/0/mode", "peek"},
                                                    {"/runs/0/data/0/datastore", "a/b"},
                                                    {"/runs/0/variables/EMPTY", 5},
                                                    {"/lease_ms", "soon"}}) {
        Json message = print(sample_answer());
        message[Json::json_pointer(change.pointer)] = change.value;

        const auto faults = faults_of(parse_sync_answer(message));

        EXPECT_THAT(faults, Contains(testing::Field(&Fault::pointer, change.pointer))) << change.value;
    }
}

TEST(JoinStringText, IsOneWordThatAnyShellAndUrlTakesAsItIs) {
    JoinString join{.url = "https://10.0.0.1:8443", .token = "t?>~\xc3\xbf", .ca_pem = ""};
    for (int i = 0; i < 100; ++i) { // every length modulo 3, and bytes that use the whole alphabet
        join.ca_pem += "-----\n?>?>~~";
        join.token += "\xc3\xbf";

        const std::string text = print(join);

        ASSERT_TRUE(text.starts_with("linarite-join-1."));
        ASSERT_EQ(text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."),
                  std::string::npos);
        ASSERT_EQ(parse_join_string(text).value(), join);
        ASSERT_EQ(parse_join_string("  " + text + "\n").value(), join);
    }
}

TEST(JoinStringText, SaysWhatIsWrongWithIt) {
    const std::string good = print(JoinString{.url = "http://h:1", .token = "t"});
    const auto error = [](const std::string& text) { return parse_join_string(text).error().detail(); };

    EXPECT_THAT(error(""), HasSubstr("no join string"));
    EXPECT_THAT(error("https://h:1"), HasSubstr("`linarite nodes join` prints one"));
    EXPECT_THAT(error("linarite-join-2." + good.substr(16)), HasSubstr("another version"));
    EXPECT_THAT(error(good.substr(0, good.size() - 3)), HasSubstr("copy it whole"));
    EXPECT_THAT(error(good + "="), HasSubstr("copy it whole"));
    EXPECT_THAT(error(good.substr(0, 20) + " " + good.substr(20)), HasSubstr("copy it whole"));
    EXPECT_THAT(error(print(JoinString{.url = "ftp://h", .token = "t"})), HasSubstr("/url: must start with"));
    EXPECT_THAT(error(print(JoinString{.url = "http://h"})), HasSubstr("/token: is needed"));
}

TEST(EndpointFile, IsTheSameAfterPrintAndParse) {
    const Endpoint endpoint{.pid = 4711,
                            .https_url = "https://127.0.0.1:8443",
                            .http_url = "http://127.0.0.1:8080",
                            .ca_file = "/d/tls/ca.pem",
                            .version = "0.1.0"};

    const auto parsed = parse_endpoint(over_the_wire(print(endpoint)));

    ASSERT_TRUE(parsed);
    EXPECT_EQ(print(*parsed), print(endpoint));
}

TEST(EndpointFile, MayHoldMoreThanIsKnown) {
    EXPECT_TRUE(parse_endpoint(json(R"({"pid":1,"later":true})")));
    EXPECT_FALSE(parse_endpoint(json(R"({"pid":"1"})")));
}

} // namespace
} // namespace linarite::proto
