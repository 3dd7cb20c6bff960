#include "agent/run_container.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

namespace linarite::agent {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;
using testing::Pair;

Image python_image() {
    Image image;
    image.name = "team/x:1";
    image.facts.id = "sha256:ab";
    image.facts.variables = {{"PATH", "/opt/bin:/bin"}, {"HOME", "/root"}, {"LD_LIBRARY_PATH", "/opt/lib"}};
    image.python = "/opt/bin/python";
    image.python_version = {3, 9, 1};
    image.mpirun = "/opt/bin/mpirun";
    image.open_mpi = "4.1.4";
    return image;
}

proto::DesiredData data(const std::string& name, proto::DataMode mode) {
    proto::DesiredData out;
    out.reference.name = name;
    out.reference.mode = mode;
    return out;
}

TEST(RunContainer, AnImageMustHaveWhatTheRunStartsWith) {
    proto::RunDefinition script;
    script.script = "train.py";
    proto::RunDefinition ranks = script;
    ranks.launch = proto::LaunchKind::mpi;
    Image bare = python_image();
    bare.python.clear();
    Image alone = python_image();
    alone.mpirun.clear();

    EXPECT_TRUE(check_image(python_image(), ranks));
    EXPECT_TRUE(check_image(bare, script)); // conda may bring one; who makes the environment says if nobody does
    EXPECT_THAT(check_image(alone, ranks).error().detail(), HasSubstr("has no Open MPI"));
    EXPECT_TRUE(check_image(alone, script));

    script.python.user_managed = true;
    EXPECT_THAT(check_image(bare, script).error().detail(), HasSubstr("image 'team/x:1' has no Python"));
    script.python.interpreter_path = "/own/python";
    EXPECT_TRUE(check_image(bare, script)); // its user says where it is
    proto::RunDefinition command;
    command.command = {"/bin/true"};
    EXPECT_TRUE(check_image(bare, command));
}

TEST(RunContainer, TheImagesVariablesStandForTheNodes) {
    LaunchOrder order;
    order.inherited = {{"PATH", "/node/bin"}, {"HOME", "/home/u"}, {"TZ", "Europe/Berlin"}, {"USER", "u"}};
    order.definition.container.arguments = {"-e", "MINE=x"};

    fit_into(python_image(), order);

    EXPECT_TRUE(order.contained);
    EXPECT_THAT(order.inherited, IsSupersetOf({Pair("PATH", "/opt/bin:/bin"), Pair("LD_LIBRARY_PATH", "/opt/lib"),
                                               Pair("TZ", "Europe/Berlin"), Pair("MINE", "x")}));
    EXPECT_THAT(order.inherited, Not(Contains(Pair("HOME", testing::_)))); // the run's own folder is writable
}

TEST(RunContainer, NoMoreOfTheNodeIsSeenThanTheRunNeeds) {
    const test::Scratch node;
    LaunchOrder order;
    order.run_dir = node / "agent/work/r";
    order.work_dir = node / "other/work/r/wd"; // of the lead, on the same host
    order.launch_socket = node.write("agent/launch/launch.sock", "").string();
    order.variables["SSL_CERT_FILE"] = node.write("agent/ca.pem", "").string();
    order.variables["LINARITE_CA_FILE"] = (node / "agent/gone.pem").string();
    order.data_paths = {{"in", node.write("store/five", "").string()}, {"out", (node / "back").string()}};
    fs::create_directories(node / "back");

    const auto mounts =
        container_mounts(order, {data("in", proto::DataMode::mount), data("out", proto::DataMode::upload)});

    EXPECT_THAT(mounts, testing::UnorderedElementsAre(
                            BindMount{order.run_dir, false}, BindMount{order.work_dir, false},
                            BindMount{node / "agent/launch", true}, BindMount{node / "agent/ca.pem", true},
                            BindMount{node / "store/five", true}, BindMount{node / "back", false}));
}

} // namespace
} // namespace linarite::agent
