#include "proto/run_definition.hpp"
#include "proto_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace linarite::proto {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

Result<std::string> no_file(const std::string& path) {
    return Error(Errc::not_found, "'" + path + "' is not there");
}

Json read(const std::string& text) {
    return read_job_file(text, no_file).value();
}

std::string refusal(const std::string& text) {
    const auto document = read_job_file(text, no_file);
    return document ? "" : document.error().detail();
}

TEST(JobFile, OfTheSdkIsTakenAsItIs) {
    std::string asked;
    const auto document =
        read_job_file(data_file("mpi.runconfig"), [&](const std::string& path) -> Result<std::string> {
            asked = path;
            return data_file("conda_dependencies.yml");
        });
    ASSERT_TRUE(document) << document.error().detail();

    const auto run = parse_run_definition(*document);

    ASSERT_TRUE(run) << run.error().detail();
    EXPECT_EQ(asked, ".azureml/conda_dependencies.yml");
    EXPECT_EQ(run->script, "train.py");
    EXPECT_THAT(run->arguments, ElementsAre("--epochs", "3", "--rate", "1e-05", "--shuffle", "True", "007", "1.0"));
    EXPECT_EQ(run->launch, LaunchKind::mpi);
    EXPECT_EQ(run->node_count, 2);
    EXPECT_EQ(run->processes_per_node, 2);
    EXPECT_EQ(run->python.python_version, "3.8.13");
    EXPECT_THAT(run->python.pip_packages, ElementsAre("azureml-defaults", "mpi4py"));
    EXPECT_THAT(run->python.conda_packages, ElementsAre("scikit-learn"));
    EXPECT_FALSE(run->container.use_docker);
    EXPECT_THAT(run->environment_variables,
                ElementsAre(Pair("A", "1"), Pair("B", "true"), Pair("EXAMPLE_ENV_VAR", "EXAMPLE_VALUE")));
    EXPECT_THAT(run->data,
                ElementsAre(DataReference{
                    .name = "digits", .datastore = "workspaceblobstore", .path_on_datastore = "data/digits"}));
    EXPECT_EQ(run->max_duration, std::nullopt);
}

TEST(JobFile, PlainScalarsHaveTheTypesOfTheCoreSchema) {
    EXPECT_EQ(read("x: [~, null, Null, NULL, , true, True, TRUE, false, False, FALSE]").at("x"),
              json("[null,null,null,null,null,true,true,true,false,false,false]"));
    EXPECT_EQ(read("x: [0, -7, +7, 007, 0x1F, 0o17, 18446744073709551615, -9223372036854775808]").at("x"),
              json("[0,-7,7,7,31,15,18446744073709551615,-9223372036854775808]"));
    EXPECT_EQ(read("x: [1.5, -.5, 1., 1e-05, +2E3, 6.02e+23]").at("x"), json("[1.5,-0.5,1.0,1e-05,2000.0,6.02e23]"));
}

TEST(JobFile, WhatIsNoNumberStaysText) {
    const Json expected = json(R"(["yes","off","nul","1.2.3","1e","e5",".","-","+","0x","0xZZ","--5","1_000","12:30",
                                   ".inf",".nan","inf","nan","36893488147419103232","2026-11-23","1e999"])");

    EXPECT_EQ(
        read("x: [yes, off, nul, 1.2.3, 1e, e5, ., '-', +, 0x, 0xZZ, --5, 1_000, \"12:30\", .inf, .nan, inf, nan, "
             "36893488147419103232, 2026-11-23, 1e999]")
            .at("x"),
        expected);
}

TEST(JobFile, QuotedScalarsAreText) {
    EXPECT_EQ(read("x: ['1', \"true\", '', \"null\", !!str 5]").at("x"), json(R"(["1","true","","null","5"])"));
    EXPECT_EQ(read("x: |\n  1\n").at("x"), "1\n");
}

TEST(JobFile, MayBeJson) {
    EXPECT_EQ(read("\n{\"script\":\"a\\u00e9\\ud83d\\ude00\",\"nodeCount\":2}"),
              json(R"({"script":"aé😀","nodeCount":2})"));
    EXPECT_EQ(read("{script: a.py, nodeCount: 2}"), json(R"({"script":"a.py","nodeCount":2})"));
}

TEST(JobFile, AnchorsAreFollowedWithinLimits) {
    EXPECT_EQ(read("a: &x [1, 2]\nb: *x").at("b"), json("[1,2]"));

    std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 12; ++i) {
        const std::string last = "*a" + std::to_string(i - 1);
        bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
        for (int k = 0; k < 9; ++k) {
            bomb += ", " + last;
        }
        bomb += "]\n";
    }
    EXPECT_THAT(refusal(bomb), HasSubstr("more than 100000 values"));
    EXPECT_THAT(refusal("a: &a [*a]"), HasSubstr("nested more than 64 deep"));
    EXPECT_NE(refusal("a: " + std::string(100'000, '[')), "");
}

TEST(JobFile, FaultsNameLineAndColumn) {
    EXPECT_EQ(refusal("a: 1\nb: 2\na: 3\n"), "line 3, column 1: the key 'a' is there twice");
    EXPECT_THAT(refusal("a: 1\n  b: [2\n"), HasSubstr("line "));
    EXPECT_THAT(refusal("a: [1,\n  2"), HasSubstr("line "));
    EXPECT_EQ(refusal("a:\n  ? [1]\n  : 2\n"), "line 2, column 5: a key must be a plain word");
    EXPECT_EQ(refusal("a: &x {b: 1}\nc:\n  <<: *x\n"), "line 3, column 3: merge keys ('<<') are not supported");
    EXPECT_EQ(refusal("a: !!binary aGk=\n"), "line 1, column 4: the tag 'tag:yaml.org,2002:binary' is not known here");
    EXPECT_THAT(refusal("a: 1\n---\nb: 2\n"), HasSubstr("line 3, column 1: a second document begins here"));
    EXPECT_EQ(refusal("a: *nowhere\n").substr(0, 6), "line 1");
}

TEST(JobFile, MustHoldKeysAndValues) {
    for (const char* text : {"", "# nothing\n", "train.py", "- a\n- b\n", "[]"}) {
        EXPECT_THAT(refusal(text), HasSubstr("no set of keys and values")) << text;
    }
    EXPECT_EQ(read_job_file(std::string(5U << 20U, ' '), no_file).error().code(), Errc::too_large);
}

TEST(CondaFile, FaultsNameIt) {
    const std::string job = "environment: {python: {condaDependenciesFile: env.yml}}";
    const auto with = [&](const std::string& content) {
        return read_job_file(job, [&](const std::string&) { return Result<std::string>(content); }).error().detail();
    };

    EXPECT_EQ(refusal(job), "conda file 'env.yml': 'env.yml' is not there");
    EXPECT_THAT(with("a: 1\na: 2"), HasSubstr("conda file 'env.yml': line 2, column 1"));
    EXPECT_THAT(with("- python"), HasSubstr("conda file 'env.yml': this is no set"));
}

TEST(CondaFile, CannotStandBesideInlineDependencies) {
    const auto both = read_job_file(
        "environment: {python: {condaDependenciesFile: env.yml, condaDependencies: {dependencies: [a]}}}", no_file);

    EXPECT_THAT(faults_of(both), ElementsAre(Fault{"/environment/python/condaDependenciesFile",
                                                   "If conda_dependencies_file parameter is specified, the following "
                                                   "parameters cannot be specified: pip_packages, "
                                                   "pip_requirements_file, conda_packages"}));
}

TEST(CondaFile, MayBeMissingWhereNothingIsBuiltOfIt) {
    const Json job = read("environment: {python: {userManagedDependencies: true, condaDependenciesFile: env.yml}}");

    EXPECT_EQ(job.at("environment").at("python"), json(R"({"userManagedDependencies":true})"));
}

} // namespace
} // namespace linarite::proto
