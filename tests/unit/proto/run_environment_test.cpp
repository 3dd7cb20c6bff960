#include "fmt/core.h"
#include "proto/run_definition.hpp"
#include "proto_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace linarite::proto {
namespace {

using testing::ElementsAre;
using testing::Field;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

const std::string managed_with_packages =
    "If user_managed is True, then conda_packages, conda_dependencies_file, pip_packages or pip_requirements_file "
    "cannot be specified.";

std::string with_python(const std::string& members) {
    return R"({"environment":{"python":{)" + members + "}}}";
}

std::string with_conda(const std::string& dependencies) {
    return with_python(R"("condaDependencies":{"dependencies":[)" + dependencies + "]}");
}

PythonEnvironment conda(const std::string& dependencies) {
    return definition(with_conda(dependencies)).python;
}

TEST(CondaDependencies, PythonIsTakenOutAsAVersion) {
    for (const auto& [spec, version] : std::vector<std::pair<std::string, std::string>>{
             {"python=3.8.13", "3.8.13"},
             {"python==3.8", "3.8"},
             {"python>=3.8", ">=3.8"},
             {"python >=3.8,<3.11", ">=3.8,<3.11"},
             {"Python = 3.9", "3.9"},
             {"python 3.9", "3.9"},
             {"python", ""},
             {"conda-forge::python=3.10", "3.10"},
         }) {
        const auto python = conda("\"" + spec + "\"");
        EXPECT_EQ(python.python_version, version) << spec;
        EXPECT_THAT(python.conda_packages, IsEmpty());
    }
}

TEST(CondaDependencies, PipItselfIsDroppedAndOthersStayAsWritten) {
    const auto python = conda(R"("pip=21.0","scikit-learn","pip"," conda-forge::numpy >=1.2 ","python-dateutil",
                                 {"pip":["azureml-defaults","mpi4py==3.1","azureml-defaults"]},"pytest",{"pip":null})");

    EXPECT_THAT(python.conda_packages,
                ElementsAre("scikit-learn", "conda-forge::numpy >=1.2", "python-dateutil", "pytest"));
    EXPECT_THAT(python.pip_packages, ElementsAre("azureml-defaults", "mpi4py==3.1", "azureml-defaults"));
    EXPECT_EQ(python.python_version, "");
}

TEST(CondaDependencies, FaultsNameTheEntry) {
    const std::string here = "/environment/python/condaDependencies/dependencies";
    EXPECT_THAT(definition_faults(with_conda(R"("a",5,{"npm":["x"]},{"pip":"numpy"},{"pip":[1]},"","==1",null)")),
                ElementsAre(Field(&Fault::pointer, here + "/1"), Field(&Fault::pointer, here + "/2"),
                            Field(&Fault::pointer, here + "/3"), Field(&Fault::pointer, here + "/4"),
                            Field(&Fault::pointer, here + "/5"), Field(&Fault::pointer, here + "/6"),
                            Field(&Fault::pointer, here + "/7")));
    EXPECT_THAT(definition_faults(with_conda(R"("python=3.8","python=3.9")")),
                ElementsAre(Fault{here + "/1", "python is asked for twice: '3.8' and '3.9'"}));
    EXPECT_THAT(definition_faults(with_python(R"("condaDependencies":{"dependencies":"numpy"})")),
                ElementsAre(Fault{here, "must be a list of packages"}));
    EXPECT_THAT(definition_faults(with_python(R"("condaDependencies":{"channels":"c"})")), SizeIs(1));
}

TEST(CondaDependencies, AFileAloneCannotBeHadFromTheWire) {
    EXPECT_THAT(definition_faults(with_python(R"("condaDependenciesFile":"env.yml")")),
                ElementsAre(Field(&Fault::pointer, "/environment/python/condaDependenciesFile")));
    EXPECT_THAT(
        definition(with_python(R"("condaDependenciesFile":"env.yml","condaDependencies":{"dependencies":["a"]})"))
            .python.conda_packages,
        ElementsAre("a"));
}

TEST(UserManaged, TakesTheDefaultsThatTheSdkLeavesInPlace) {
    const auto python = definition(with_python(R"("userManagedDependencies":true,"interpreterPath":"/opt/bin/python3",
        "condaDependencies":{"channels":["c"],"dependencies":["python=3.8.13",{"pip":["azureml-defaults"]}]})"))
                            .python;

    EXPECT_EQ(python, (PythonEnvironment{.user_managed = true, .interpreter_path = "/opt/bin/python3"}));
    EXPECT_TRUE(definition(with_python(R"("userManagedDependencies":true,"condaDependenciesFile":"env.yml")"))
                    .python.user_managed);
}

TEST(UserManaged, RefusesPackages) {
    for (const char* packages : {R"("numpy")", R"({"pip":["numpy"]})", R"({"pip":["azureml-defaults","numpy"]})"}) {
        EXPECT_THAT(
            definition_faults(with_python(R"("userManagedDependencies":true,"condaDependencies":{"dependencies":[)" +
                                          std::string(packages) + "]}")),
            ElementsAre(Fault{"/environment/python/userManagedDependencies", managed_with_packages}));
    }
}

struct Flags {
    const char* members;
    bool use_docker;
};

TEST(Container, IsUsedIfAnyFlagSaysSo) {
    for (const Flags& flags : {
             Flags{"{}", false},
             Flags{R"({"docker":{"useDocker":true}})", true},
             Flags{R"({"environment":{"docker":{"enabled":true}}})", true},
             Flags{R"({"environment":{"docker":{"enabled":true}},"docker":{"useDocker":false}})", true},
             Flags{R"({"environment":{"docker":{"enabled":false,"baseImage":"i"}},"docker":{"useDocker":false}})",
                   false},
             Flags{R"({"environment":{"docker":{"baseImage":"i"}}})", true},
             Flags{R"({"environment":{"docker":{"baseDockerfile":"FROM i"}}})", true},
             Flags{R"({"environment":{"docker":{"baseImage":"i","enabled":false}}})", false},
         }) {
        EXPECT_EQ(definition(flags.members).container.use_docker, flags.use_docker) << flags.members;
    }
}

TEST(Container, AnImageForARunWithoutOneIsRefused) {
    EXPECT_THAT(
        definition_faults(R"({"environment":{"docker":{"baseImage":"i"}},"docker":{"useDocker":false}})"),
        ElementsAre(Fault{"/docker/useDocker", "If use_docker parameter is set to false, custom_docker_image or "
                                               "custom_docker_base_image parameter is not allowed"}));
}

std::string with_context(const std::string& members, const std::string& enabled = R"("enabled":true,)") {
    return R"({"environment":{"docker":{)" + enabled + R"("buildContext":{)" + members + "}}}}";
}

TEST(Container, AFolderToBuildFromIsReadAndPrinted) {
    const std::string sdk =
        R"("locationType":"storageAccount","location":"https://a.blob.host/c/d/","dockerfilePath":)";
    EXPECT_EQ(definition(with_context(sdk + R"("docker/Dockerfile")")).container.build_context,
              (BuildContext{"https://a.blob.host/c/d/", "", "", "docker/Dockerfile"}));
    EXPECT_EQ(definition(with_context(sdk + "null")).container.build_context->dockerfile, "Dockerfile");
    const std::string ours = R"("locationType":"datastore","location":"azureml/DockerBuildContext/5d41/")";
    const BuildContext context{"", "azureml", "DockerBuildContext/5d41", "Dockerfile"};
    EXPECT_EQ(definition(with_context(ours)).container.build_context, context);
    EXPECT_EQ(definition(with_context(ours, "")).container.build_context, context) << "who names one wants it";
    EXPECT_EQ(definition(with_context(R"("locationType":"datastore","location":"mine")")).container.build_context,
              (BuildContext{"", "mine", "", "Dockerfile"}));
}

TEST(Container, AFolderToBuildFromIsNothingToARunWithoutDocker) {
    const RunDefinition off = definition(with_context(R"("locationType":"git","location":"x")", R"("enabled":false,)"));
    EXPECT_FALSE(off.container.use_docker);
    EXPECT_FALSE(off.container.build_context);
}

TEST(Container, AFolderToBuildFromIsOneThatCanBeReached) {
    const std::string pointer = "/environment/docker/buildContext";
    const auto fault = [](const std::string& members) { return definition_faults(with_context(members)); };
    EXPECT_THAT(fault(R"("locationType":"git","location":"https://host/x.git")"),
                ElementsAre(Field(&Fault::pointer, pointer + "/locationType")));
    for (const char* location : {"../x", "a b/c", "mine/../c", "/c"}) {
        EXPECT_THAT(fault(fmt::format(R"("locationType":"datastore","location":"{}")", location)),
                    ElementsAre(Field(&Fault::pointer, pointer + "/location")))
            << location;
    }
    EXPECT_THAT(fault(R"("locationType":"datastore","location":"mine","dockerfilePath":"../Dockerfile")"),
                ElementsAre(Field(&Fault::pointer, pointer + "/dockerfilePath")));
    EXPECT_THAT(definition_faults(R"({"environment":{"docker":{"enabled":true,"baseImage":"i",)"
                                  R"("buildContext":{"locationType":"datastore","location":"mine"}}}})"),
                ElementsAre(Field(&Fault::pointer, pointer)));
}

TEST(Container, TheRunsOwnSharedMemoryWins) {
    EXPECT_EQ(definition(R"({"environment":{"docker":{"shmSize":"2g"}},"docker":{"shmSize":"8g"}})").container.shm_size,
              "8g");
    EXPECT_EQ(definition(R"({"environment":{"docker":{"shmSize":"2g"}},"docker":{"shmSize":null}})").container.shm_size,
              "2g");
    for (const char* size : {"g", "8gb", "-1g", "8 g", "2x"}) {
        EXPECT_THAT(definition_faults(fmt::format(R"({{"docker":{{"shmSize":"{}"}}}})", size)),
                    ElementsAre(Field(&Fault::pointer, "/docker/shmSize")))
            << size;
    }
    EXPECT_EQ(definition(R"({"docker":{"shmSize":"1073741824"}})").container.shm_size, "1073741824");
}

TEST(EnvironmentVariables, TheRunsOwnWin) {
    const auto run = definition(R"({"environmentVariables":{"A":"run","C":"c"},
                                    "environment":{"environmentVariables":{"A":"environment","B":"b"}}})");

    EXPECT_THAT(run.environment_variables, ElementsAre(Pair("A", "run"), Pair("B", "b"), Pair("C", "c")));
}

TEST(EnvironmentVariables, ScalarsBecomeText) {
    const auto run = definition(R"({"environmentVariables":{"A":1,"B":true,"C":0.5,"D":null,"E":""}})");

    EXPECT_THAT(run.environment_variables,
                ElementsAre(Pair("A", "1"), Pair("B", "True"), Pair("C", "0.5"), Pair("E", "")));
}

TEST(EnvironmentVariables, BadOnesAreNamed) {
    EXPECT_THAT(definition_faults(R"({"environmentVariables":{"A=B":"x","L":[],"N":"\u0000","":"x"}})"),
                testing::UnorderedElementsAre(Field(&Fault::pointer, "/environmentVariables/A=B"),
                                              Field(&Fault::pointer, "/environmentVariables/L"),
                                              Field(&Fault::pointer, "/environmentVariables/N"),
                                              Field(&Fault::pointer, "/environmentVariables/")));
}

} // namespace
} // namespace linarite::proto
