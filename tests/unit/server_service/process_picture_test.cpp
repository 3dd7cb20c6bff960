#include "server/service/process_picture.hpp"
#include "server/service/run_rows.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace linarite::service {
namespace {

using testing::ElementsAre;

const proto::ProcessPlace third{3, proto::ProcessRole::rank, 3, 1, 1};

proto::RunReport report(proto::Phase phase, std::vector<proto::RankEnd> ended = {}) {
    proto::RunReport out;
    out.phase = phase;
    out.ended = std::move(ended);
    return out;
}

std::string status(const proto::RunReport* report, bool over = false) {
    return process_state(third, 4, NodeName("n2"), report, over).status;
}

TEST(ProcessPicture, AProcessIsWhatItsNodeHasToldOfIt) {
    const auto preparing = report(proto::Phase::preparing);
    const auto launched = report(proto::Phase::launched, {{.rank = 2}});
    const auto well = report(proto::Phase::launched, {{.rank = 3}});
    const auto badly = report(proto::Phase::exited, {{.rank = 3, .exit_code = 5}});
    const auto told = report(proto::Phase::exited, {{.rank = 3, .signal = 15, .told = true}});
    const auto lost = report(proto::Phase::exited);

    EXPECT_EQ(status(nullptr), "NotStarted");
    EXPECT_EQ(status(&preparing), "NotStarted");
    EXPECT_EQ(status(&launched), "Running");
    EXPECT_EQ(status(&well), "Completed");
    EXPECT_EQ(status(&badly), "Failed");
    EXPECT_EQ(status(&told), "Canceled");
    EXPECT_EQ(status(&lost), "Canceled");
    EXPECT_EQ(status(&launched, true), "Canceled"); // the run is over, and nobody saw it end
    EXPECT_EQ(status(&well, true), "Completed");
}

TEST(ProcessPicture, TheFilesSayWhichProcessIsWhereAndHowItEnded) {
    const auto failed = report(proto::Phase::exited, {{.rank = 3, .exit_code = 5}});
    ProcessPicture picture{RunId("r"), 2, Time{}, false, {process_state(third, 4, NodeName("n2"), &failed, false)}};

    EXPECT_EQ(print_info(picture),
              proto::Json::parse(R"({"runId":"r","attempt":2,"processes":[{"rank":3,"role":"rank","index":3,"node":"n2",
                  "nodeIndex":1,"localRank":1,"log":"azureml-logs/70_driver_log_3.txt"}]})"));
    EXPECT_EQ(print_status(picture).at("processes"),
              proto::Json::parse(R"([{"rank":3,"status":"Failed","exitCode":5,"signal":0}])"));
}

std::set<int> deciders(const std::string& definition, int nodes) {
    store::RunRow row;
    row.node_count = nodes;
    row.definition = definition;
    return run_spec(row).deciders;
}

TEST(Deciders, AreTheNodesThatDoSomeOfTheWork) {
    EXPECT_THAT(deciders(R"({"script":"a.py"})", 1), ElementsAre(0));
    EXPECT_THAT(deciders(R"({"script":"a.py","nodeCount":3,"communicator":"Mpi"})", 3), ElementsAre(0));
    EXPECT_THAT(deciders(R"({"script":"a.py","nodeCount":3,"communicator":"Gloo"})", 3), ElementsAre(0, 1, 2));
    EXPECT_THAT(deciders(R"({"script":"a.py","nodeCount":2,"communicator":"ParameterServer",
                             "tensorflow":{"workerCount":1,"parameterServerCount":1}})",
                         2),
                ElementsAre(1)); // node 0 has the parameter server alone
    EXPECT_THAT(deciders("", 2), ElementsAre(0));
}

} // namespace
} // namespace linarite::service
