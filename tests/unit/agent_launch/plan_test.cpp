#include "agent/launch/plan.hpp"
#include "common/files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/stat.h>

namespace linarite::agent {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Pair;
using testing::StartsWith;

LaunchOrder single() {
    LaunchOrder order;
    order.run = RunId("run_1");
    order.fence = 42;
    order.definition.script = "train.py";
    order.definition.arguments = {"--data-folder", "$AZUREML_DATAREFERENCE_digits", "--regularization", "0.8"};
    order.gang = {{NodeName("node-1"), "host-a", "10.0.0.1", ""}};
    order.data_paths = {{"digits", "/data/digits"}};
    order.python = "/envs/e1/bin/python";
    order.environment = {{"PATH", "/envs/e1/bin:/usr/bin"}, {"VIRTUAL_ENV", "/envs/e1"}};
    order.inherited = {{"PATH", "/usr/bin"}, {"HOME", "/home/u"}, {"LD_LIBRARY_PATH", "/opt/lib"}};
    order.work_dir = "/work/run_1/wd";
    order.run_dir = "/work/run_1";
    order.facts_dir = "/work/run_1/state";
    order.shim = "/opt/linarite/linarite-shim";
    order.cores = 2;
    return order;
}

LaunchOrder mpi(int nodes, int processes) {
    LaunchOrder order = single();
    order.definition.launch = proto::LaunchKind::mpi;
    order.definition.node_count = nodes;
    order.definition.processes_per_node = processes;
    order.environment["PATH"] = "/envs/e1/bin:/usr/bin:/bin";
    order.gang.clear();
    for (int node = 0; node < nodes; ++node) {
        order.gang.push_back({NodeName("node-" + std::to_string(node)), "host-a", "127.0.0.1", ""});
    }
    order.launch_socket = "/agent/launch.sock";
    order.launch_token = "secret";
    return order;
}

TEST(LaunchPlan, ASingleRunIsThePythonOfItsEnvironmentWithTheScript) {
    const auto plan = plan_launch(single());

    ASSERT_TRUE(plan) << plan.error().detail();
    EXPECT_THAT(plan->job.argv, ElementsAre("/envs/e1/bin/python", "train.py", "--data-folder", "/data/digits",
                                            "--regularization", "0.8"));
    EXPECT_EQ(plan->job.cwd, "/work/run_1/wd");
    EXPECT_EQ(plan->job.out, "/work/run_1/azureml-logs/70_driver_log.txt");
    EXPECT_FALSE(plan->ranks);
}

TEST(LaunchPlan, ACommandIsTakenAsItIs) {
    auto order = single();
    order.definition.script.clear();
    order.definition.command = {"echo", "${AZUREML_DATAREFERENCE_digits}/x"};
    order.definition.arguments.clear();

    EXPECT_THAT(plan_launch(order)->job.argv, ElementsAre("echo", "/data/digits/x"));
}

TEST(LaunchPlan, TheEnvironmentIsBuiltAndHasWhatScriptsRelyOn) {
    auto order = single();
    order.variables = {{"AZUREML_RUN_ID", "run_1"}};

    const auto env = plan_launch(order)->job.env;

    EXPECT_THAT(env, IsSupersetOf({Pair("AZUREML_RUN_ID", "run_1"), Pair("AZUREML_NODE_COUNT", "1"),
                                   Pair("AZUREML_DATAREFERENCE_digits", "/data/digits"),
                                   Pair("AZUREML_PARAMETER_DATA_FOLDER", "/data/digits"),
                                   Pair("AZUREML_PARAMETER_REGULARIZATION", "0.8"), Pair("LANG", "C.UTF-8"),
                                   Pair("TMPDIR", "/work/run_1/tmp"), Pair("HOME", "/home/u"),
                                   Pair("PATH", "/envs/e1/bin:/usr/bin"), Pair("VIRTUAL_ENV", "/envs/e1"),
                                   Pair("PYTHONPATH", "/work/run_1/wd"), Pair("LD_LIBRARY_PATH", "/opt/lib"),
                                   Pair("AZ_BATCH_MASTER_NODE", "127.0.0.1:20042"), Pair("MASTER_ADDR", "127.0.0.1"),
                                   Pair("AZ_BATCHAI_MPI_MASTER_NODE", "127.0.0.1"),
                                   Pair("AZ_BATCH_IS_CURRENT_NODE_MASTER", "true")}));
}

TEST(LaunchPlan, TheUsersVariablesWinOverOursAndTheCoordinatorsOverTheirs) {
    auto order = single();
    order.definition.environment_variables = {
        {"LANG", "de_DE"}, {"AZUREML_RUN_ID", "forged"}, {"PYTHONPATH", "/mine"}, {"PATH", "/mine/bin"}};
    order.variables = {{"AZUREML_RUN_ID", "run_1"}};

    const auto env = plan_launch(order)->job.env;

    EXPECT_THAT(env,
                IsSupersetOf({Pair("LANG", "de_DE"), Pair("AZUREML_RUN_ID", "run_1"),
                              Pair("PYTHONPATH", "/work/run_1/wd:/mine"), Pair("PATH", "/envs/e1/bin:/mine/bin")}));
}

TEST(LaunchPlan, TheTimeLimitIsTheLeads) {
    auto order = mpi(2, 1);
    order.definition.max_duration = std::chrono::seconds(5);
    EXPECT_EQ(plan_launch(order)->job.limit, Millis(5'000));

    order.node_index = 1;
    order.daemon_command = "orted -mca ess \"env\"";
    EXPECT_EQ(plan_launch(order)->job.limit, Millis(0));
}

TEST(LaunchPlan, TheGraceAtTheTimeLimitIsTheOneThatWasOrdered) {
    auto order = mpi(2, 1);
    order.grace = std::chrono::seconds(7);
    EXPECT_EQ(plan_launch(order)->job.grace, Millis(7'000));
}

TEST(LaunchPlan, MpirunPlacesRanksNodeByNode) {
    const auto plan = plan_launch(mpi(3, 4));

    ASSERT_TRUE(plan) << plan.error().detail();
    EXPECT_THAT(plan->job.argv, ElementsAre("mpirun", "--bind-to", "none", "--map-by", "slot", "--host",
                                            "localhost:4,linarite-w1:4,linarite-w2:4", "-np", "12", "--wdir", "/",
                                            "linarite-shim", "rank"));
    EXPECT_THAT(plan->job.env,
                IsSupersetOf({Pair("OMPI_MCA_plm_rsh_agent", "/opt/linarite/linarite-shim rsh"),
                              Pair("OMPI_MCA_btl", "self,vader,tcp"), Pair("OMPI_MCA_btl_tcp_if_include", "lo"),
                              Pair("OMPI_MCA_oob_tcp_if_include", "lo"), Pair("OMPI_MCA_mpi_yield_when_idle", "1"),
                              Pair("LINARITE_LAUNCH_SOCKET", "/agent/launch.sock"),
                              Pair("LINARITE_RANK_FILE", "/work/run_1/state/ranks.json")}));
    EXPECT_EQ(plan->job.out, "/work/run_1/azureml-logs/70_mpi_log.txt");
    EXPECT_FALSE(plan->job.signal_group);
    EXPECT_EQ(plan->host_file, "127.0.0.1 slots=4\n127.0.0.1 slots=4\n127.0.0.1 slots=4\n");
}

TEST(LaunchPlan, RanksGetTheScriptAndNoKeyToTheLaunch) {
    const auto plan = plan_launch(mpi(2, 2));

    ASSERT_TRUE(plan->ranks);
    EXPECT_EQ(plan->ranks->argv.front(), "/envs/e1/bin/python");
    EXPECT_EQ(plan->ranks->cwd, "/work/run_1/wd");
    EXPECT_EQ(plan->ranks->log.failure, failure_line);
    EXPECT_FALSE(plan->ranks->plain_name);
    EXPECT_EQ(plan->ranks->env.count("LINARITE_LAUNCH_TOKEN"), 0U);
    EXPECT_TRUE(plan->job.log.before.empty());
}

TEST(LaunchPlan, TheUsersTransportWins) {
    auto order = mpi(2, 1);
    order.definition.environment_variables = {{"OMPI_MCA_btl", "self,tcp"}, {"OMPI_MCA_mpi_yield_when_idle", "0"}};

    const auto plan = plan_launch(order);

    EXPECT_THAT(plan->job.env, Contains(Pair("OMPI_MCA_btl", "self,tcp")));
    EXPECT_THAT(plan->ranks->env, Contains(Pair("OMPI_MCA_mpi_yield_when_idle", "0")));
}

TEST(LaunchPlan, ANodeThatIsNotTheLeadRunsTheDaemonThatMpirunAskedFor) {
    auto order = mpi(2, 2);
    order.node_index = 1;
    order.daemon_command = "orted -mca ess \"env\"";

    const auto plan = plan_launch(order);

    ASSERT_TRUE(plan) << plan.error().detail();
    EXPECT_THAT(plan->job.argv, ElementsAre("/bin/sh", "-c", "orted -mca ess \"env\""));
    EXPECT_EQ(plan->job.env.count("LINARITE_LAUNCH_TOKEN"), 0U);
    EXPECT_THAT(plan->job.env, Contains(Pair("AZ_BATCH_IS_CURRENT_NODE_MASTER", "false")));
}

TEST(LaunchPlan, WithoutMpirunTheNodeIsNamed) {
    auto order = mpi(1, 2);
    order.environment["PATH"] = "/envs/e1/bin";
    order.inherited["PATH"] = "/nowhere";

    const auto plan = plan_launch(order);

    ASSERT_FALSE(plan);
    EXPECT_THAT(plan.error().detail(), HasSubstr("node 'node-0'"));
}

TEST(LaunchPlan, WhatIsNotSupportedIsSaidInWords) {
    auto order = single();
    order.definition.launch = proto::LaunchKind::process_group;
    EXPECT_THAT(plan_launch(order).error().detail(), StartsWith("not supported yet: "));
    order.definition.launch = proto::LaunchKind::parameter_server;
    EXPECT_THAT(plan_launch(order).error().detail(), StartsWith("not supported yet: "));
}

TEST(LaunchPlan, AGangOfTheWrongSizeIsRefused) {
    auto order = mpi(2, 1);
    order.gang.pop_back();

    EXPECT_EQ(plan_launch(order).error().code(), Errc::invalid_argument);
}

TEST(LaunchPlan, SecretsAreForTheOwnerAlone) {
    const fs::path folder = fs::temp_directory_path() / ("linarite-plan-" + random_hex(6));
    auto order = mpi(1, 2);
    order.run_dir = folder;
    order.facts_dir = folder / "state";

    ASSERT_TRUE(write_plan(*plan_launch(order), folder / "job.json"));

    for (const auto& file : {folder / "job.json", folder / "state/ranks.json"}) {
        EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
    }
    fs::remove_all(folder);
}

TEST(DataReferences, AreReplacedByTheWholeName) {
    const std::map<std::string, std::string> paths{{"a", "/A"}, {"ab", "/AB"}};

    EXPECT_EQ(replace_data_references("x=$AZUREML_DATAREFERENCE_ab/y", paths), "x=/AB/y");
    EXPECT_EQ(replace_data_references("$AZUREML_DATAREFERENCE_a:$AZUREML_DATAREFERENCE_ab", paths), "/A:/AB");
    EXPECT_EQ(replace_data_references("${AZUREML_DATAREFERENCE_a}b", paths), "/Ab");
    EXPECT_EQ(replace_data_references("$AZUREML_DATAREFERENCE_abc", paths), "$AZUREML_DATAREFERENCE_abc");
    EXPECT_EQ(replace_data_references("${AZUREML_DATAREFERENCE_a", paths), "${AZUREML_DATAREFERENCE_a");
    EXPECT_EQ(replace_data_references("$", paths), "$");
    EXPECT_EQ(replace_data_references("cost $5", paths), "cost $5");
}

TEST(HostAlias, GoesBothWays) {
    EXPECT_EQ(node_of_alias(alias_of_node(0)), 0);
    EXPECT_EQ(node_of_alias(alias_of_node(123)), 123);
    EXPECT_EQ(node_of_alias("w1"), -1);
    EXPECT_EQ(node_of_alias("linarite-w"), -1);
    EXPECT_EQ(node_of_alias("linarite-w1x"), -1);
    EXPECT_EQ(node_of_alias("linarite-w99999999999"), -1);
}

TEST(DaemonCommand, OpenMpisOwnIsLetThrough) {
    // as Open MPI 4.1.4 and 5.0 give it to their launch agents
    EXPECT_TRUE(check_daemon_command(
        R"~(orted -mca ess "env" -mca orte_node_regex "vm,w[1:1]@0(2)" -mca orte_hnp_uri "1.0;tcp://127.0.0.1:4" --tree-spawn -mca pmix "^s1,s2")~"));
    EXPECT_TRUE(check_daemon_command("PATH=/usr/bin:$PATH ; export PATH ; LD_LIBRARY_PATH=/usr/lib:$LD_LIBRARY_PATH ; "
                                     "export LD_LIBRARY_PATH ; /usr/bin/orted -mca ess \"env\""));
    EXPECT_TRUE(check_daemon_command("PRTE_PREFIX=/v/openmpi;export PRTE_PREFIX;/v/bin/prted --prtemca ess \"env\""));
}

TEST(DaemonCommand, NothingElseIs) {
    for (const char* command : {"",
                                "sh -c orted",
                                "rm -rf /",
                                "orted; rm -rf /",
                                "orted && id",
                                "orted | tee x",
                                "orted > /etc/passwd",
                                "orted $(id)",
                                "orted \"$(id)\"",
                                "orted `id`",
                                "orted \"`id`\"",
                                "orted 'unfinished",
                                "orted \n id",
                                "PATH=/evil:$PATH; id; orted",
                                "X=$(id); orted",
                                "X=1 orted",
                                "orted &",
                                "/bin/notorted",
                                "orted < x",
                                "orted \\$(id)",
                                "orted \"${x:-$(id)}\"",
                                "export",
                                "LD_PRELOAD=x"}) {
        EXPECT_FALSE(check_daemon_command(command)) << command;
    }
}

} // namespace
} // namespace linarite::agent
