#include "agent/launch/mpi_plan.hpp"
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

LaunchOrder single() {
    LaunchOrder order;
    order.run = RunId("run_1");
    order.fence = 42;
    order.definition.script = "train.py";
    order.definition.arguments = {"--data-folder", "$AZUREML_DATAREFERENCE_digits", "--regularization", "0.8"};
    order.gang = {{.node = NodeName("node-1"), .host_id = "host-a", .address = "10.0.0.1"}};
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
        order.gang.push_back(
            {.node = NodeName("node-" + std::to_string(node)), .host_id = "host-a", .address = "127.0.0.1"});
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

TEST(LaunchPlan, RanksAreBoundOnlyWhereTheyHaveCoresAndTheNodeToThemselves) {
    auto order = mpi(1, 2);
    order.owns_cores = true;
    EXPECT_TRUE(plan_launch(order)->ranks->bind);

    order.owns_cores = false;
    EXPECT_FALSE(plan_launch(order)->ranks->bind);
    order.owns_cores = true;
    order.cores = 1;
    EXPECT_FALSE(plan_launch(order)->ranks->bind); // oversubscribed
    auto neighbours = mpi(2, 1);
    neighbours.owns_cores = true;
    EXPECT_FALSE(plan_launch(neighbours)->ranks->bind);
}

TEST(LaunchPlan, TheUsersBindingWins) {
    for (const char* name : {"OMPI_MCA_hwloc_base_binding_policy", "PRTE_MCA_hwloc_default_binding_policy"}) {
        auto order = mpi(1, 2);
        order.owns_cores = true;
        order.definition.environment_variables = {{name, "core"}};

        const auto plan = plan_launch(order);

        EXPECT_FALSE(plan->ranks->bind) << name;
        EXPECT_THAT(plan->job.argv, testing::Not(Contains("--bind-to"))) << name;
    }
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

LaunchOrder group(int nodes, int processes) {
    LaunchOrder order = mpi(nodes, processes);
    order.definition.launch = proto::LaunchKind::process_group;
    int port = 21'000;
    for (auto& member : order.gang) {
        member.port = port;
        port += 100;
    }
    return order;
}

LaunchOrder servers(int nodes, int workers, int parameter_servers) {
    LaunchOrder order = group(nodes, 1);
    order.definition.launch = proto::LaunchKind::parameter_server;
    order.definition.worker_count = workers;
    order.definition.parameter_server_count = parameter_servers;
    return order;
}

TEST(LaunchPlan, ANodeOfAProcessGroupStartsItsOwnRanks) {
    auto order = group(2, 2);
    order.node_index = 1;

    const auto plan = plan_launch(order);

    ASSERT_TRUE(plan) << plan.error().detail();
    EXPECT_THAT(plan->job.argv, ElementsAre("/opt/linarite/linarite-shim", "ranks"));
    EXPECT_FALSE(plan->job.signal_group);
    EXPECT_THAT(plan->job.env, IsSupersetOf({Pair("MASTER_ADDR", "127.0.0.1"), Pair("MASTER_PORT", "21000"),
                                             Pair("NODE_RANK", "1"), Pair("AZ_BATCH_MASTER_NODE", "127.0.0.1:21000"),
                                             Pair("GLOO_SOCKET_IFNAME", "lo"), Pair("NCCL_SOCKET_IFNAME", "lo"),
                                             Pair("LINARITE_RANK_FILE", "/work/run_1/state/ranks.json")}));
    ASSERT_TRUE(plan->ranks);
    ASSERT_EQ(plan->ranks->processes.size(), 2U);
    const RankProcess& last = plan->ranks->processes[1];
    EXPECT_EQ(last.word, "3");
    EXPECT_THAT(last.env, IsSupersetOf({Pair("RANK", "3"), Pair("LOCAL_RANK", "1"), Pair("WORLD_SIZE", "4"),
                                        Pair("LOCAL_WORLD_SIZE", "2")}));
    EXPECT_EQ(plan->ranks->argv.front(), "/envs/e1/bin/python");
    EXPECT_EQ(plan->ranks->log.success, success_line);
    EXPECT_TRUE(plan->job.log.before.empty());
}

TEST(LaunchPlan, TheLeadUsesThePortThatItKeepsAndTheUsersInterfaceWins) {
    auto order = group(1, 1);
    order.gang[0].port = 0;
    order.own_port = 22'222;
    order.definition.environment_variables = {{"GLOO_SOCKET_IFNAME", "eth7"}};

    const auto plan = plan_launch(order);

    EXPECT_THAT(plan->job.env, IsSupersetOf({Pair("MASTER_PORT", "22222"), Pair("GLOO_SOCKET_IFNAME", "eth7"),
                                             Pair("NCCL_SOCKET_IFNAME", "lo")}));
    EXPECT_EQ(plan->ranks->processes[0].word, ""); // the only one: its log has no number
}

TEST(LaunchPlan, EachTaskOfAParameterServerRunGetsTheSameClusterAndItsOwnPlace) {
    auto order = servers(2, 2, 1);
    order.gang[1].host_id = "host-b";
    order.gang[1].address = "10.0.0.2";
    order.gang[0].address = "10.0.0.1";

    const auto lead = plan_launch(order);
    order.node_index = 1;
    const auto other = plan_launch(order);

    ASSERT_TRUE(lead) << lead.error().detail();
    const std::string cluster =
        R"({"cluster":{"ps":["10.0.0.1:21001"],"worker":["10.0.0.2:21101","10.0.0.1:21002"]},"environment":"cloud",)";
    ASSERT_EQ(lead->ranks->processes.size(), 2U);
    const auto& worker = lead->ranks->processes[0].env;
    const auto& server = lead->ranks->processes[1].env;
    EXPECT_EQ(worker.at("TF_CONFIG"), cluster + R"("task":{"index":1,"type":"worker"}})");
    EXPECT_THAT(worker, IsSupersetOf({Pair("AZ_BATCHAI_PS_HOSTS", "10.0.0.1:21001"),
                                      Pair("AZ_BATCHAI_WORKER_HOSTS", "10.0.0.2:21101,10.0.0.1:21002"),
                                      Pair("AZ_BATCHAI_TASK_TYPE", "worker"), Pair("AZ_BATCHAI_TASK_INDEX", "1")}));
    EXPECT_THAT(server, IsSupersetOf({Pair("AZ_BATCHAI_TASK_TYPE", "ps"), Pair("AZ_BATCHAI_TASK_INDEX", "0")}));
    EXPECT_TRUE(lead->ranks->processes[1].service);
    EXPECT_EQ(lead->ranks->processes[1].word, "ps_0");
    EXPECT_TRUE(lead->ranks->linger);
    ASSERT_EQ(other->ranks->processes.size(), 1U);
    EXPECT_EQ(other->ranks->processes[0].env.at("TF_CONFIG"), cluster + R"("task":{"index":0,"type":"worker"}})");
}

TEST(LaunchPlan, WithoutParameterServersTheClusterHasNoneAndNothingLingers) {
    const auto plan = plan_launch(servers(1, 2, 0));

    EXPECT_THAT(plan->ranks->processes[0].env,
                Contains(Pair("TF_CONFIG", R"({"cluster":{"worker":["127.0.0.1:21001","127.0.0.1:21002"]},)"
                                           R"("environment":"cloud","task":{"index":0,"type":"worker"}})")));
    EXPECT_FALSE(plan->ranks->linger);
}

TEST(LaunchPlan, PortsAreKeptForTheRendezvousAndForTasks) {
    EXPECT_EQ(ports_of(single().definition, 0), 0);
    EXPECT_EQ(ports_of(mpi(2, 2).definition, 0), 1);
    EXPECT_EQ(ports_of(group(2, 4).definition, 1), 0);
    EXPECT_EQ(ports_of(servers(2, 3, 2).definition, 0), 4);
    EXPECT_EQ(ports_of(servers(2, 3, 2).definition, 1), 3);
}

TEST(LaunchPlan, ARunSeesTheGpusOfItsSlot) {
    auto order = single();
    order.gpus = {"2", "3"};
    EXPECT_THAT(plan_launch(order)->job.env,
                IsSupersetOf({Pair("CUDA_VISIBLE_DEVICES", "2,3"), Pair("AZ_BATCHAI_GPU_COUNT", "2")}));

    order.definition.environment_variables = {{"CUDA_VISIBLE_DEVICES", "3"}};
    EXPECT_THAT(plan_launch(order)->job.env, Contains(Pair("CUDA_VISIBLE_DEVICES", "3")));
    order.gpus_are_shared = true; // the others of the node are other runs'
    EXPECT_THAT(plan_launch(order)->job.env, Contains(Pair("CUDA_VISIBLE_DEVICES", "2,3")));

    order.gpus = std::vector<std::string>();
    EXPECT_THAT(plan_launch(order)->job.env, Contains(Pair("CUDA_VISIBLE_DEVICES", "")));
    order.gpus.reset();
    order.definition.environment_variables.clear();
    EXPECT_EQ(plan_launch(order)->job.env.count("CUDA_VISIBLE_DEVICES"), 0U);
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

TEST(SharedThings, ARunHasItsOwnViewOfItsEnvironmentAndOnlyReadsItsMounts) {
    auto order = single();
    order.environment_folder = "/envs/e1";
    proto::DataReference digits{.name = "digits", .datastore = "d"};
    order.definition.data = {digits};

    const auto plan = plan_launch(order);

    ASSERT_TRUE(plan) << plan.error().detail();
    EXPECT_THAT(plan->job.views, ElementsAre(View{"/envs/e1", "/work/run_1/changes"}));
    EXPECT_THAT(plan->job.read_only, ElementsAre("/data/digits"));
}

TEST(SharedThings, AMountThatSaysOverwriteMayBeWrittenToUnlessItWasFetched) {
    auto order = single();
    order.definition.data = {proto::DataReference{.name = "digits", .datastore = "d", .overwrite = true}};
    EXPECT_TRUE(plan_launch(order)->job.read_only.empty());

    order.data_paths["digits"] = "/work/run_1/data/digits";
    EXPECT_THAT(plan_launch(order)->job.read_only, ElementsAre("/work/run_1/data/digits"));
}

TEST(SharedThings, WhatHoldsTheRunStaysAsItIsAndSoDoesAContainer) {
    auto order = single();
    order.definition.data = {proto::DataReference{.name = "digits", .datastore = "d"}};
    order.data_paths["digits"] = "/work";
    EXPECT_TRUE(plan_launch(order)->job.read_only.empty());

    order.data_paths["digits"] = "/data/digits";
    order.environment_folder = "/envs/e1";
    order.contained = true; // the engine's mounts
    EXPECT_TRUE(plan_launch(order)->job.read_only.empty());
    EXPECT_TRUE(plan_launch(order)->job.views.empty());
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

TEST(DaemonCommand, TheProfileOfTheUserIsNotRead) {
    // as Open MPI 4.1.4 and 5.0 give it if the login shell is sh
    EXPECT_EQ(bare_daemon_command("( test ! -r ./.profile || . ./.profile;  orted -mca ess \"env\" )"),
              " orted -mca ess \"env\"");
    for (const char* other :
         {"orted -mca ess \"env\"", "( id;  orted )", "( test ! -r ./.profile || . ./.profile; orted"}) {
        EXPECT_EQ(bare_daemon_command(other), other);
    }
}

TEST(DaemonCommand, IsRunWhereOpenMpiIsOnThisNode) {
    const std::string lead = "PRTE_PREFIX=/a/envs/1/lib/openmpi;export PRTE_PREFIX;LD_LIBRARY_PATH=/a/envs/1/lib:"
                             "$LD_LIBRARY_PATH;export LD_LIBRARY_PATH;/a/envs/1/bin/prted --prtemca x \"/a/envs/12/y\"";

    EXPECT_EQ(localized_daemon_command(lead, "/b/envs/1/bin/mpirun"),
              "PRTE_PREFIX=/b/envs/1/lib/openmpi;export PRTE_PREFIX;LD_LIBRARY_PATH=/b/envs/1/lib:"
              "$LD_LIBRARY_PATH;export LD_LIBRARY_PATH;/b/envs/1/bin/prted --prtemca x \"/a/envs/12/y\"");
    EXPECT_EQ(localized_daemon_command(lead, "/a/envs/1/bin/mpirun"), lead);
    EXPECT_EQ(localized_daemon_command(lead, ""), lead);
    EXPECT_EQ(localized_daemon_command("orted -mca ess \"env\"", "/b/bin/mpirun"), "orted -mca ess \"env\"");
}

} // namespace
} // namespace linarite::agent
