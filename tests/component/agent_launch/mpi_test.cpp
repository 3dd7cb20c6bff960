#include "agent/launch/daemon_socket.hpp"
#include "agent/launch/ending.hpp"
#include "launch_fixture.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <csignal>
#include <map>

namespace linarite::agent {
namespace {

using test::eventually;
using test::processes_with;

/// One or two nodes on this machine, each with its own supervisor, and what stands between them: the lead's daemon
/// socket and a coordinator that carries its requests.
class MpiTest : public LaunchTest {
public:
    ~MpiTest() override {
        for (auto& [index, supervisor] : supervisors_) {
            static_cast<void>(supervisor->stop(Millis(0)));
            static_cast<void>(await(supervisor->wait()));
        }
    }

protected:
    static void SetUpTestSuite() {
        std::string name = "/tmp/linarite-probe-XXXXXX";
        probe_folder() = ::mkdtemp(name.data());
        fs::permissions(probe_folder(), fs::perms::all);
        const std::string command =
            "mpicc -O1 -o " + probe().string() + " " LINARITE_SOURCE_DIR "/tests/support/mpi_probe.c";
        ASSERT_EQ(std::system(command.c_str()), 0) << command; // NOLINT
    }
    static void TearDownTestSuite() { fs::remove_all(probe_folder()); }
    static fs::path& probe_folder() {
        static fs::path folder;
        return folder;
    }
    static fs::path probe() { return probe_folder() / "mpi_probe"; }

    [[nodiscard]] fs::path node_folder(int node) const { return folder_ / ("node" + std::to_string(node)); }

    LaunchOrder order(int nodes, int processes, std::vector<std::string> arguments) const {
        LaunchOrder out;
        out.run = RunId(run_);
        out.fence = fence();
        out.definition.command = {probe().string()};
        out.definition.arguments = std::move(arguments);
        out.definition.node_count = nodes;
        out.definition.processes_per_node = processes;
        out.definition.launch = proto::LaunchKind::mpi;
        for (int node = 0; node < nodes; ++node) {
            out.gang.push_back(
                {.node = NodeName("node-" + std::to_string(node)), .host_id = "this-host", .address = "127.0.0.1"});
        }
        out.inherited = inherited_variables();
        out.definition.environment_variables["PROBE"] = "it's \"quoted\"; $here";
        out.work_dir = folder_ / "wd";
        out.shim = shim();
        out.cores = 2;
        out.launch_socket = socket_ ? socket_->path() : "";
        out.launch_token = token_;
        return out;
    }

    void start_node(LaunchOrder order, int node) {
        order.node_index = node;
        order.run_dir = node_folder(node);
        order.facts_dir = node_folder(node) / "state";
        const auto plan = plan_launch(order);
        ASSERT_TRUE(plan) << plan.error().detail();
        outputs_[node] = plan->job.out;
        ASSERT_TRUE(write_plan(*plan, order.run_dir / "job.json"));
        if (wrapper_.empty()) {
            wrapper_ = shim();
        } else {
            const std::string command = "chown -R 65534:65534 " + folder_.string();
            ASSERT_EQ(std::system(command.c_str()), 0); // NOLINT
        }
        auto started = Supervisor::start(io_.get_executor(), wrapper_, order.run_dir / "job.json", order.facts_dir);
        ASSERT_TRUE(started) << started.error().detail();
        supervisors_[node] = std::move(*started);
    }

    /// Starts the lead; the other nodes follow when mpirun asks for their daemons.
    void launch(int nodes, int processes, std::vector<std::string> arguments) {
        open_socket();
        base_ = order(nodes, processes, std::move(arguments));
        start_node(base_, 0);
    }

    void open_socket() {
        socket_.reset();
        auto opened = DaemonSocket::open(io_.get_executor(), folder_,
                                         [this](LaunchRequest request) { on_request(std::move(request)); });
        ASSERT_TRUE(opened) << opened.error().detail();
        socket_ = std::move(*opened);
        token_ = socket_->expect(RunId(run_), fence(), token_);
        for (const auto& [node, supervisor] : supervisors_) {
            socket_->started(RunId(run_), alias_of_node(node));
        }
    }

    void on_request(LaunchRequest request) {
        const int node = node_of_alias(request.host);
        ++requests_[node];
        if (supervisors_.contains(node)) {
            return; // asked again
        }
        auto daemon = base_;
        daemon.daemon_command = request.command;
        daemon.launch_socket.clear();
        start_node(daemon, node);
        socket_->started(request.run, request.host);
        asio::co_spawn(io_, follow(node, request), asio::detached);
    }

    asio::awaitable<void> follow(int node, LaunchRequest request) {
        const auto fact = co_await supervisors_.at(node)->wait();
        facts_.insert_or_assign(node, fact ? *fact : ExitFact());
        socket_->ended(request.run, request.host, fact ? fact->exit_code : 1);
    }

    ExitFact finish(int nodes) {
        const auto lead = await(supervisors_.at(0)->wait());
        EXPECT_TRUE(lead) << lead.error().detail();
        EXPECT_TRUE(eventually([&] {
            io_.restart();
            io_.run_for(std::chrono::milliseconds(1));
            return facts_.size() + 1 == static_cast<std::size_t>(nodes);
        }));
        supervisors_.clear();
        return lead ? *lead : ExitFact();
    }

    proto::Ending ending_of(int node, const ExitFact& fact, int processes) const {
        EndingContext context;
        context.node = "node-" + std::to_string(node);
        context.program = "mpi_probe";
        context.log_dir = node_folder(node) / "azureml-logs";
        context.output = outputs_.at(node);
        proto::RunDefinition definition;
        definition.launch = proto::LaunchKind::mpi;
        definition.processes_per_node = processes;
        context.processes = proto::process_layout(definition);
        context.launch = definition.launch;
        context.lead = node == 0;
        return make_ending(context, fact, read_rank_facts(node_folder(node) / "state"));
    }

    [[nodiscard]] std::string rank_log(int node, int rank) const {
        const auto text = read_file(node_folder(node) / "azureml-logs" /
                                    proto::driver_log_name(rank < 0 ? "" : std::to_string(rank)));
        return text ? *text : "no log of rank " + std::to_string(rank);
    }
    [[nodiscard]] std::string mpi_log() const {
        const auto text = read_file(node_folder(0) / "azureml-logs/70_mpi_log.txt");
        return text ? *text : "";
    }

    std::unique_ptr<DaemonSocket> socket_;
    std::string token_;
    fs::path wrapper_;
    LaunchOrder base_;
    std::map<int, std::unique_ptr<Supervisor>> supervisors_;
    std::map<int, ExitFact> facts_;
    std::map<int, fs::path> outputs_;
    std::map<int, int> requests_;
};

TEST_F(MpiTest, FourRanksOnOneNode) {
    launch(1, 4, {"sum"});

    const auto fact = finish(1);

    EXPECT_EQ(fact.exit_code, 0) << mpi_log();
    for (int rank = 0; rank < 4; ++rank) {
        EXPECT_NE(rank_log(0, rank).find("of 4 sum 10 right cwd " + (folder_ / "wd").string()), std::string::npos)
            << rank_log(0, rank);
    }
    EXPECT_TRUE(ending_of(0, fact, 4).ok());
    EXPECT_TRUE(requests_.empty());
}

TEST_F(MpiTest, TheOnlyRankHasThePlainLog) {
    launch(1, 1, {"sum"});

    finish(1);

    EXPECT_NE(rank_log(0, -1).find("rank 0 of 1 sum 1 right"), std::string::npos) << rank_log(0, -1);
    EXPECT_NE(rank_log(0, -1).find(success_line), std::string::npos);
}

TEST_F(MpiTest, TwoNodesOnOneHost) {
    launch(2, 2, {"sum"});

    const auto fact = finish(2);

    EXPECT_EQ(fact.exit_code, 0) << mpi_log();
    for (int rank = 0; rank < 4; ++rank) {
        const std::string text = rank_log(rank / 2, rank);
        EXPECT_NE(text.find("sum 10 right"), std::string::npos) << text;
        EXPECT_NE(text.find("local " + std::to_string(rank % 2)), std::string::npos) << text;
        EXPECT_NE(text.find("probe it's \"quoted\"; $here"), std::string::npos) << text;
        EXPECT_NE(text.find("secret []"), std::string::npos) << text;
    }
    EXPECT_EQ(requests_, (std::map<int, int>{{1, 1}}));
    EXPECT_EQ(mpi_log(), "");
    EXPECT_TRUE(processes_with(tag()).empty());
    for (const int node : {0, 1}) {
        EXPECT_FALSE(fs::exists(node_folder(node) / "tmp"));
    }
    const std::string left_over = "linarite-" + std::to_string(fence()) + "-";
    for (const auto& entry : fs::directory_iterator("/dev/shm")) {
        EXPECT_EQ(entry.path().filename().string().find(left_over), std::string::npos) << entry.path();
    }
}

TEST_F(MpiTest, AnOrdinaryUserLaunchesLikewise) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "the other tests run as one already";
    }
    wrapper_ = folder_ / "as-nobody";
    ASSERT_TRUE(write_file_durably(
        wrapper_, "#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups " + shim().string() + " \"$@\"\n",
        0755));
    launch(2, 2, {"sum"});

    const auto fact = finish(2);

    EXPECT_EQ(fact.exit_code, 0) << mpi_log();
    EXPECT_NE(rank_log(1, 3).find("sum 10 right"), std::string::npos) << rank_log(1, 3);
}

TEST_F(MpiTest, TheRankThatFailedIsNamedWithItsCode) {
    launch(2, 2, {"exit", "3", "11"});

    const auto fact = finish(2);

    const auto lead = ending_of(0, fact, 4);
    const auto other = ending_of(1, facts_[1], 4);
    const auto merged = merge_endings(lead, {{1, other}});
    EXPECT_EQ(lead.rank, 3) << mpi_log();
    EXPECT_EQ(merged.rank, 3);
    EXPECT_EQ(merged.exit_code, 11);
    EXPECT_EQ(merged.signal, 0);
    EXPECT_EQ(merged.code, "UserError");
    EXPECT_NE(merged.message.find("'mpi_probe' exited with status code 11 (rank 3, node node-1)"), std::string::npos)
        << merged.message;
    EXPECT_NE(merged.message.find("rank 3 is about to go"), std::string::npos) << merged.message;
    EXPECT_TRUE(processes_with(tag()).empty());
}

TEST_F(MpiTest, TheRankThatDiedBySignalIsNamedWithIt) {
    launch(1, 3, {"kill", "1", std::to_string(SIGSEGV)});

    const auto fact = finish(1);

    const auto ending = ending_of(0, fact, 3);
    EXPECT_EQ(ending.rank, 1);
    EXPECT_EQ(ending.signal, SIGSEGV);
    EXPECT_NE(ending.message.find("SIGSEGV (rank 1, node node-0)"), std::string::npos) << ending.message;
}

TEST_F(MpiTest, AStopEndsRanksThatAreDeafAndTheirChildren) {
    launch(2, 2, {"spin"});
    ASSERT_TRUE(eventually([&] {
        io_.restart();
        io_.run_for(std::chrono::milliseconds(5));
        return rank_log(1, 3).find("spinning") != std::string::npos &&
               rank_log(0, 0).find("spinning") != std::string::npos;
    })) << mpi_log();

    ASSERT_TRUE(supervisors_.at(0)->stop(Millis(300)));
    ASSERT_TRUE(supervisors_.at(1)->stop(Millis(300)));
    const auto fact = finish(2);

    EXPECT_TRUE(fact.stopped);
    EXPECT_TRUE(processes_with(tag()).empty());
    EXPECT_TRUE(processes_with(probe().string()).empty());
}

TEST_F(MpiTest, KillingMpirunLeavesNothing) {
    launch(2, 2, {"spin"});
    ASSERT_TRUE(eventually([&] {
        io_.restart();
        io_.run_for(std::chrono::milliseconds(5));
        return rank_log(1, 3).find("spinning") != std::string::npos &&
               rank_log(0, 0).find("spinning") != std::string::npos;
    })) << mpi_log();
    const auto started = read_file(node_folder(0) / "state/started.json");
    const int mpirun = std::stoi(started->substr(started->find("\"pid\":") + 6));

    ASSERT_EQ(::kill(mpirun, SIGKILL), 0);
    const auto fact = finish(2); // the daemon over there notices by itself

    EXPECT_EQ(fact.signal, SIGKILL);
    EXPECT_TRUE(processes_with(tag()).empty());
    EXPECT_TRUE(processes_with(probe().string()).empty());
}

TEST_F(MpiTest, TheLaunchOutlivesTheSocketOfTheAgent) {
    launch(2, 1, {"spin"});
    ASSERT_TRUE(eventually([&] {
        io_.restart();
        io_.run_for(std::chrono::milliseconds(5));
        return rank_log(1, 1).find("spinning") != std::string::npos;
    })) << mpi_log();

    EXPECT_EQ(read_launch_token(node_folder(0) / "job.json"), token_);
    open_socket(); // as a new agent process would
    ASSERT_TRUE(eventually([&] {
        io_.restart();
        io_.run_for(std::chrono::milliseconds(5));
        return requests_[1] == 2;
    }));

    EXPECT_FALSE(fs::exists(node_folder(0) / "state/exit.json"));
    ASSERT_TRUE(supervisors_.at(0)->stop(Millis(100)));
    ASSERT_TRUE(supervisors_.at(1)->stop(Millis(100)));
    finish(2);
    EXPECT_TRUE(processes_with(tag()).empty());
}

TEST_F(MpiTest, ADaemonThatCannotBeStartedEndsTheLaunchWithItsWords) {
    open_socket();
    base_ = order(2, 1, {"sum"});
    socket_->ended(RunId(run_), alias_of_node(1), 1, "node-1 has no mpirun");
    start_node(base_, 0);

    const auto lead = await(supervisors_.at(0)->wait());

    EXPECT_NE(lead->exit_code, 0);
    EXPECT_NE(mpi_log().find("node-1 has no mpirun"), std::string::npos) << mpi_log();
    supervisors_.clear();
}

TEST_F(MpiTest, ALaunchAgentWithoutAnAgentGivesUp) {
    auto lonely = job(shim().string() + " rsh linarite-w1 orted -mca x y");
    lonely.env["LINARITE_LAUNCH_SOCKET"] = (folder_ / "nobody.sock").string();
    lonely.env["LINARITE_LAUNCH_TIMEOUT_MS"] = "200";

    const auto fact = run(lonely);

    EXPECT_EQ(fact.exit_code, 1);
    EXPECT_NE(log().find("no agent at"), std::string::npos) << log();
}

TEST_F(MpiTest, AStrangersRequestIsRefused) {
    open_socket();
    auto stranger = job(shim().string() + " rsh linarite-w1 orted -mca x y");
    stranger.env["LINARITE_LAUNCH_SOCKET"] = socket_->path();
    stranger.env["LINARITE_LAUNCH_RUN"] = run_;
    stranger.env["LINARITE_LAUNCH_FENCE"] = std::to_string(fence());
    stranger.env["LINARITE_LAUNCH_TOKEN"] = "guessed";

    const auto fact = run(stranger);

    EXPECT_EQ(fact.exit_code, 1);
    EXPECT_TRUE(requests_.empty());
}

TEST_F(MpiTest, ALongFolderGetsItsSocketElsewhereAndKeepsIt) {
    const fs::path deep = folder_ / std::string(100, 'd');
    fs::create_directories(deep);

    auto opened = DaemonSocket::open(io_.get_executor(), deep, [](LaunchRequest) {});
    ASSERT_TRUE(opened) << opened.error().detail();
    const std::string first = (*opened)->path();
    opened->reset();
    const auto again = DaemonSocket::open(io_.get_executor(), deep, [](LaunchRequest) {});

    EXPECT_TRUE(first.starts_with("/tmp/linarite-"));
    EXPECT_EQ((*again)->path(), first);
    fs::remove_all(fs::path(first).parent_path());
}

} // namespace
} // namespace linarite::agent
