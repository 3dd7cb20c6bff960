#include "cli/definition.hpp"
#include "cli/submit.hpp"
#include "proto/run_definition.hpp"
#include "temp_folder.hpp"

#include <gmock/gmock.h>

namespace linarite::cli {
namespace {

using testing::HasSubstr;

TEST(BuildDefinitionTest, FlagsAloneMakeTheWholeDefinition) {
    DefinitionFlags flags;
    flags.target = "gpu";
    flags.nodes = 2;
    flags.processes_per_node = 4;
    flags.backend = "mpi";
    flags.conda = {"scikit-learn"};
    flags.pip = {"mpi4py", "numpy<2"};
    flags.data = {"digits=workspaceblobstore/a/b", "all=store"};
    flags.environment = {"A=1", "B=x=y", "C="};
    flags.max_duration = 60;
    flags.script = {"./train.py", "--lr", "0.1"};

    const Json definition = build_definition(flags, Json::object()).value();

    EXPECT_EQ(definition, Json::parse(R"({
        "script": "train.py", "arguments": ["--lr", "0.1"], "target": "gpu", "nodeCount": 2,
        "framework": "Python", "communicator": "IntelMpi", "mpi": {"processCountPerNode": 4},
        "environment": {"python": {"condaDependencies": {"name": "project_environment", "channels": ["conda-forge"],
            "dependencies": ["scikit-learn", {"pip": ["mpi4py", "numpy<2"]}]}}},
        "dataReferences": {
            "digits": {"dataStoreName": "workspaceblobstore", "pathOnDataStore": "a/b", "mode": "mount",
                       "overwrite": false, "pathOnCompute": null},
            "all": {"dataStoreName": "store", "pathOnDataStore": null, "mode": "mount",
                    "overwrite": false, "pathOnCompute": null}},
        "environmentVariables": {"A": "1", "B": "x=y", "C": ""}, "maxRunDurationSeconds": 60
    })"));
    const auto parsed = proto::parse_run_definition(definition);
    ASSERT_TRUE(parsed) << parsed.error().detail();
    EXPECT_EQ(parsed->launch, proto::LaunchKind::mpi);
    EXPECT_EQ(parsed->processes_per_node, 4);
    EXPECT_THAT(parsed->python.pip_packages, testing::Contains("mpi4py"));
}

TEST(BuildDefinitionTest, WithoutFlagsTheJobFileStays) {
    const Json base = Json::parse(R"({"script": "a.py", "arguments": [1, true], "nodeCount": 3, "x": null})");

    EXPECT_EQ(build_definition({}, base).value(), base);
}

TEST(BuildDefinitionTest, FlagsWinOverTheJobFileAndPackagesAreAdded) {
    const Json base = Json::parse(R"({"script": "a.py", "arguments": ["x"], "nodeCount": 3, "target": "cpu",
        "environmentVariables": null,
        "environment": {"python": {"condaDependencies": {"name": "n", "channels": ["c"],
            "dependencies": ["python=3.9", {"pip": ["one"]}, "numpy"]}}}})");
    DefinitionFlags flags;
    flags.nodes = 1;
    flags.pip = {"two"};
    flags.conda = {"scipy"};
    flags.environment = {"K=V"};
    flags.script = {"b.py"};

    const Json definition = build_definition(flags, base).value();

    EXPECT_EQ(definition["nodeCount"], 1);
    EXPECT_EQ(definition["target"], "cpu");
    EXPECT_EQ(definition["script"], "b.py");
    EXPECT_EQ(definition["arguments"], Json::array());
    EXPECT_EQ(definition["environmentVariables"], Json::parse(R"({"K": "V"})"));
    EXPECT_EQ(definition["environment"]["python"]["condaDependencies"], Json::parse(R"({"name": "n", "channels": ["c"],
                              "dependencies": ["python=3.9", {"pip": ["one", "two"]}, "numpy", "scipy"]})"));
}

TEST(BuildDefinitionTest, WordsThatBeginWithADashAreArgumentsOfTheJobFilesScript) {
    DefinitionFlags flags;
    flags.script = {"--lr", "0.5"};

    const Json definition = build_definition(flags, Json{{"script", "a.py"}, {"arguments", {"old"}}}).value();

    EXPECT_EQ(definition["script"], "a.py");
    EXPECT_EQ(definition["arguments"], (Json{"--lr", "0.5"}));
}

TEST(BuildDefinitionTest, AnImageAsksForAContainer) {
    DefinitionFlags flags;
    flags.image = "ubuntu:22.04";
    flags.user_managed = true;
    flags.script = {"a.py"};

    const auto parsed = proto::parse_run_definition(build_definition(flags, Json::object()).value());

    ASSERT_TRUE(parsed) << parsed.error().detail();
    EXPECT_TRUE(parsed->container.use_docker);
    EXPECT_EQ(parsed->container.base_image, "ubuntu:22.04");
    EXPECT_TRUE(parsed->python.user_managed);
}

TEST(BuildDefinitionTest, ADockerfileGoesAlongAsItsText) {
    const TempFolder folder;
    DefinitionFlags flags;
    folder.write("Dockerfile", "FROM debian:12\n");
    flags.dockerfile = folder.path() / "Dockerfile";
    flags.script = {"a.py"};
    const Json base{{"environment", {{"docker", {{"baseImage", "of the job file"}}}}}};

    const auto parsed = proto::parse_run_definition(build_definition(flags, base).value());

    ASSERT_TRUE(parsed) << parsed.error().detail();
    EXPECT_TRUE(parsed->container.use_docker);
    EXPECT_EQ(parsed->container.base_image, "");
    EXPECT_EQ(parsed->container.base_dockerfile, "FROM debian:12\n");
}

TEST(BuildDefinitionTest, ADockerfileIsThereAndIsTheOnlyImage) {
    DefinitionFlags missing;
    missing.dockerfile = "/nowhere/Dockerfile";
    DefinitionFlags both;
    both.dockerfile = "/dev/null";
    both.image = "debian:12";

    for (const DefinitionFlags& flags : {missing, both}) {
        const auto refused = build_definition(flags, Json::object());
        ASSERT_FALSE(refused);
        ASSERT_EQ(refused.error().faults().size(), 1U);
        EXPECT_EQ(refused.error().faults()[0].pointer, "/environment/docker/baseDockerfile");
    }
}

TEST(BuildDefinitionTest, AllFlagsThatCannotBeReadAreSaidAtOnce) {
    DefinitionFlags flags;
    flags.data = {"digits", "=store/x", "ok=store", "d="};
    flags.environment = {"NAME", "=1"};

    const auto definition = build_definition(flags, Json::object());

    ASSERT_FALSE(definition);
    EXPECT_EQ(definition.error().faults().size(), 5);
    EXPECT_EQ(definition.error().faults().front().pointer, "/dataReferences");
}

TEST(JobFileTest, IsFoundInTheFolderAndBelowItsAzuremlAlsoWithoutItsEnding) {
    TempFolder folder;
    folder.write("a.runconfig", "script: a.py\n");
    folder.write(".azureml/b.runconfig", "script: b.py\n");

    EXPECT_EQ(find_job_file("a.runconfig", folder.path()).value(), folder.path() / "a.runconfig");
    EXPECT_EQ(find_job_file("b", folder.path()).value(), folder.path() / ".azureml/b.runconfig");
    EXPECT_EQ(find_job_file((folder.path() / "a.runconfig").string(), "/tmp").value(), folder.path() / "a.runconfig");
    const auto missing = find_job_file("c", folder.path());
    EXPECT_EQ(missing.error().code(), Errc::invalid_argument);
    EXPECT_THAT(missing.error().detail(), HasSubstr(".azureml/c"));
}

TEST(JobFileTest, TheCondaFileThatItNamesIsTakenIn) {
    TempFolder folder;
    folder.write(".azureml/conda.yml", "dependencies: [python=3.9, {pip: [numpy]}]\n");
    folder.write("job.runconfig", "script: a.py\nenvironment: {python: {condaDependenciesFile: .azureml/conda.yml}}\n");

    const auto job = load_job_file(folder.path() / "job.runconfig", folder.path());

    ASSERT_TRUE(job) << job.error().detail();
    EXPECT_EQ(proto::parse_run_definition(*job).value().python.pip_packages, std::vector<std::string>{"numpy"});
}

TEST(JobFileTest, AFileThatIsNoRunConfigurationIsBadInput) {
    TempFolder folder;
    folder.write("list.yml", "- 1\n");
    folder.write("broken.yml", "a: [\n");

    EXPECT_EQ(load_job_file(folder.path() / "list.yml", folder.path()).error().code(), Errc::invalid_argument);
    EXPECT_EQ(load_job_file(folder.path() / "broken.yml", folder.path()).error().code(), Errc::invalid_argument);
}

TEST(PlanSubmitTest, TheExperimentIsTheFoldersNameMadeSafe) {
    EXPECT_EQ(experiment_name("/x/my project (1)"), "my-project--1-");
    EXPECT_EQ(experiment_name("/x/.hidden"), "hidden");
    EXPECT_EQ(experiment_name("/"), "experiment");
}

TEST(PlanSubmitTest, ARunIdIsMadeOfTheExperiment) {
    SubmitOptions options;
    options.folder = "/tmp/proj";
    options.flags.script = {"a.py"};

    const auto plan = plan_submit(options);

    ASSERT_TRUE(plan) << plan.error().detail();
    EXPECT_EQ(plan->experiment, "proj");
    EXPECT_THAT(plan->run_id, testing::MatchesRegex("proj_[0-9]+_[0-9a-f]+"));
}

TEST(PlanSubmitTest, FaultsOfTheDefinitionAndOfTheNamesComeTogether) {
    SubmitOptions options;
    options.folder = "/tmp/proj";
    options.experiment = "a b";
    options.run_id = "../x";
    options.flags.nodes = 0;
    options.flags.script = {"a.py"};

    const auto plan = plan_submit(options);

    ASSERT_FALSE(plan);
    std::vector<std::string> pointers;
    const Error error = plan.error();
    for (const Fault& fault : error.faults()) {
        pointers.push_back(fault.pointer);
    }
    EXPECT_THAT(pointers, testing::IsSupersetOf(std::vector<std::string>{"/experiment", "/run_id", "/nodeCount"}));
}

} // namespace
} // namespace linarite::cli
