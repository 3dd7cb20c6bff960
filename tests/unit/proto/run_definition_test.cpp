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
using testing::UnorderedElementsAre;

const std::string no_script = "an entry script is needed: 'script' names it, relative to the source directory";

RunDefinition from_file(const std::string& name) {
    return parse_run_definition(json(data_file(name))).value();
}

TEST(RunDefinition, ReadsWhatTheSklearnEstimatorSends) {
    const RunDefinition run = from_file("seed1-sklearn.json");

    EXPECT_EQ(run.script, "train.py");
    EXPECT_THAT(run.command, IsEmpty());
    EXPECT_THAT(run.arguments,
                ElementsAre("--data-folder", "$AZUREML_DATAREFERENCE_workspaceblobstore", "--regularization", "0.8"));
    EXPECT_EQ(run.target, "cpu-cluster");
    EXPECT_EQ(run.node_count, 1);
    EXPECT_EQ(run.processes_per_node, 1);
    EXPECT_EQ(run.launch, LaunchKind::single);
    EXPECT_EQ(run.communicator, "None");
    EXPECT_FALSE(run.python.user_managed);
    EXPECT_EQ(run.python.interpreter_path, "python");
    EXPECT_EQ(run.python.python_version, "3.8.13");
    EXPECT_THAT(run.python.channels, ElementsAre("anaconda", "conda-forge"));
    EXPECT_THAT(run.python.conda_packages, ElementsAre("scikit-learn"));
    EXPECT_THAT(run.python.pip_packages, ElementsAre("azureml-defaults"));
    EXPECT_TRUE(run.container.use_docker);
    EXPECT_EQ(run.container.base_image, "MCR/azureml/openmpi4.1.0-ubuntu22.04:20251130.v1");
    EXPECT_EQ(run.container.shm_size, "2g");
    EXPECT_EQ(run.environment_name, "default-environment");
    EXPECT_THAT(run.environment_variables, ElementsAre(Pair("EXAMPLE_ENV_VAR", "EXAMPLE_VALUE")));
    EXPECT_THAT(run.data, ElementsAre(DataReference{.name = "workspaceblobstore", .datastore = "workspaceblobstore"}));
    EXPECT_EQ(run.max_duration, std::nullopt);
    EXPECT_EQ(run.priority, 0);
    EXPECT_EQ(run.max_attempts, 1);
    EXPECT_TRUE(run.collect_outputs);
    EXPECT_THAT(run.watched_folders, ElementsAre("logs"));
}

TEST(RunDefinition, ReadsWhatTheDistributedEstimatorSends) {
    const RunDefinition run = from_file("seed2-cntk-mpi.json");

    EXPECT_EQ(run.node_count, 2);
    EXPECT_EQ(run.processes_per_node, 1);
    EXPECT_EQ(run.launch, LaunchKind::mpi);
    EXPECT_EQ(run.communicator, "IntelMpi");
    EXPECT_EQ(run.framework, "Python");
    EXPECT_THAT(run.python.pip_packages, ElementsAre("azureml-defaults", "cntk==2.5.1"));
    EXPECT_EQ(run.container.base_image, "microsoft/mmlspark:0.12");
    EXPECT_THAT(run.arguments, IsEmpty());
}

TEST(RunDefinition, AScriptIsEnough) {
    const RunDefinition run = definition("{}");

    EXPECT_EQ(run, (RunDefinition{.script = "train.py"}));
}

TEST(RunDefinition, UnknownMembersAreIgnored) {
    EXPECT_EQ(definition(R"({"amlcompute":{"vmSize":"x"},"sourceDirectoryDataStore":"ws","hdi":3,"novelty":[1]})"),
              definition("{}"));
}

TEST(RunDefinition, NullIsAbsent) {
    EXPECT_EQ(definition(R"({"arguments":null,"target":null,"nodeCount":null,"communicator":null,"framework":null,
                             "mpi":null,"environment":null,"environmentVariables":null,"dataReferences":null,
                             "docker":null,"history":null,"priority":null,"maxAttempts":null,"data":null})"),
              definition("{}"));
    EXPECT_EQ(definition(R"({"environment":{"python":null,"docker":null,"name":null,"environmentVariables":null},
                             "history":{"outputCollection":null,"directoriesToWatch":null},
                             "dataReferences":{"a":null}})"),
              definition("{}"));
}

TEST(RunDefinition, AllFaultsComeAtOnce) {
    const auto faults = faults_of(parse_run_definition(json(R"({
        "nodeCount": 0, "mpi": {"processCountPerNode": 0}, "communicator": "carrier-pigeon", "priority": "high",
        "arguments": [[]], "maxAttempts": 11, "target": 5, "dataReferences": {"d": {"mode": "stare"}},
        "environment": {"python": {"condaDependencies": {"dependencies": [5]}}}})")));

    EXPECT_THAT(faults, UnorderedElementsAre(
                            Fault{"/script", no_script}, Fault{"/nodeCount", "Node count should be at least 1."},
                            Fault{"/mpi/processCountPerNode", "Process count per node should be at least 1."},
                            Field(&Fault::pointer, "/communicator"), Field(&Fault::pointer, "/priority"),
                            Field(&Fault::pointer, "/arguments/0"), Field(&Fault::pointer, "/maxAttempts"),
                            Field(&Fault::pointer, "/target"), Field(&Fault::pointer, "/dataReferences/d/mode"),
                            Field(&Fault::pointer, "/dataReferences/d/dataStoreName"),
                            Field(&Fault::pointer, "/environment/python/condaDependencies/dependencies/0")));
}

TEST(RunDefinition, RefusesWhatIsNoObject) {
    for (const char* text : {"[]", "null", "\"train.py\"", "1"}) {
        EXPECT_THAT(faults_of(parse_run_definition(json(text))), ElementsAre(Fault{"", "must be an object"})) << text;
    }
}

TEST(Script, IsNeededUnlessThereIsACommand) {
    for (const char* text : {"{}", R"({"script":null})", R"({"script":"","command":""})", R"({"command":[]})"}) {
        EXPECT_THAT(faults_of(parse_run_definition(json(text))), ElementsAre(Fault{"/script", no_script})) << text;
    }
    EXPECT_TRUE(parse_run_definition(json(R"({"command":["ls"]})")));
}

TEST(Script, MustStayInTheSourceTree) {
    for (const char* script : {"/etc/passwd", "../train.py", "a/../../b.py", "a//b.py", "a\\b.py", "."}) {
        const auto faults = faults_of(parse_run_definition({{"script", script}}));
        EXPECT_THAT(faults, ElementsAre(Field(&Fault::pointer, "/script"))) << script;
    }
    EXPECT_THAT(faults_of(parse_run_definition({{"script", 5}})), ElementsAre(Fault{"/script", "must be a string"}));
}

TEST(Script, MayBeInAFolder) {
    EXPECT_EQ(definition(R"({"script":"./src/train.py"})").script, "src/train.py");
}

TEST(Command, IsAListOrATextForTheShell) {
    EXPECT_THAT(definition(R"({"command":["python","t.py","--n",3]})").command,
                ElementsAre("python", "t.py", "--n", "3"));
    EXPECT_THAT(definition(R"({"command":"python t.py && ls"})").command,
                ElementsAre("/bin/sh", "-c", "python t.py && ls"));
}

TEST(Command, WinsOverTheScriptNameThatTheSdkLeavesInPlace) {
    EXPECT_EQ(definition(R"({"command":["ls"]})").script, "");
}

TEST(Arguments, AreWrittenAsPythonWritesThem) {
    const auto run = definition(R"({"arguments":[0.8,3,-4,true,false,1e-05,0.00001,0.0001,1e16,1e15,123456.0,2.5e-300,
                                    -0.0,1e22,18446744073709551615,"07","caf\u00e9"]})");

    EXPECT_THAT(run.arguments, ElementsAre("0.8", "3", "-4", "True", "False", "1e-05", "1e-05", "0.0001", "1e+16",
                                           "1000000000000000.0", "123456.0", "2.5e-300", "-0.0", "1e+22",
                                           "18446744073709551615", "07", "caf\u00e9"));
}

TEST(Arguments, EmptyOnesVanish) {
    EXPECT_THAT(definition(R"({"arguments":["--flag","",null,"--n",0,false]})").arguments,
                ElementsAre("--flag", "--n", "0", "False"));
}

TEST(Arguments, MustBeScalars) {
    EXPECT_THAT(definition_faults(R"({"arguments":["a",{},["b"],"c\u0000"]})"),
                ElementsAre(Fault{"/arguments/1", "must be a string, a number or a boolean"},
                            Fault{"/arguments/2", "must be a string, a number or a boolean"},
                            Fault{"/arguments/3", "holds a NUL character, which no program can be given"}));
    EXPECT_THAT(definition_faults(R"({"arguments":"--n 3"})"), ElementsAre(Field(&Fault::pointer, "/arguments")));
    EXPECT_THAT(definition_faults(R"({"command":{"a":1}})"), ElementsAre(Field(&Fault::pointer, "/command")));
}

TEST(DataReferences, AreReadWithTheirPathsCleaned) {
    const auto run = definition(R"({"dataReferences":{
        "967f04d28ce94e3f9043c5477cba405d":{"dataStoreName":"ws","mode":"mount","pathOnDataStore":"/x/y/"},
        "down":{"dataStoreName":"ws","mode":"Download","overwrite":true,"pathOnDataStore":"f.csv",
                "pathOnCompute":"./in"},
        "up":{"dataStoreName":"ws","mode":"upload","pathOnDataStore":"out","pathOnCompute":"/tmp/res"},
        "whole":{"dataStoreName":"ws","pathOnDataStore":"/"}}})");

    EXPECT_THAT(run.data, ElementsAre(DataReference{.name = "967f04d28ce94e3f9043c5477cba405d",
                                                    .datastore = "ws",
                                                    .path_on_datastore = "x/y"},
                                      DataReference{.name = "down",
                                                    .datastore = "ws",
                                                    .mode = DataMode::download,
                                                    .overwrite = true,
                                                    .path_on_datastore = "f.csv",
                                                    .path_on_compute = "in"},
                                      DataReference{.name = "up",
                                                    .datastore = "ws",
                                                    .mode = DataMode::upload,
                                                    .path_on_datastore = "out",
                                                    .path_on_compute = "/tmp/res"},
                                      DataReference{.name = "whole", .datastore = "ws"}));
}

TEST(DataReferences, FaultsNameTheReference) {
    const auto faults = definition_faults(R"({"dataReferences":{
        "a":{}, "b":{"dataStoreName":"ws","mode":"peek"}, "c":{"dataStoreName":"ws","pathOnDataStore":"../x"},
        "d":{"dataStoreName":"ws","pathOnCompute":"/a/../b"}, "e":"ws", "a b":{"dataStoreName":"ws"},
        "f":{"dataStoreName":"../ws"}}})");

    EXPECT_THAT(faults,
                UnorderedElementsAre(
                    Fault{"/dataReferences/a/dataStoreName", "is needed"},
                    Fault{"/dataReferences/b/mode", "'peek' is not known: 'mount', 'download' or 'upload'"},
                    Field(&Fault::pointer, "/dataReferences/c/pathOnDataStore"),
                    Field(&Fault::pointer, "/dataReferences/d/pathOnCompute"),
                    Fault{"/dataReferences/e", "must be an object"}, Field(&Fault::pointer, "/dataReferences/a b"),
                    Field(&Fault::pointer, "/dataReferences/f/dataStoreName")));
    EXPECT_THAT(definition_faults(R"({"dataReferences":[]})"),
                ElementsAre(Fault{"/dataReferences", "must be an object"}));
    EXPECT_THAT(
        definition_faults(R"({"docker":5,"environmentVariables":"A=1"})"),
        ElementsAre(Fault{"/docker", "must be an object"}, Fault{"/environmentVariables", "must be an object"}));
}

TEST(Datasets, AreRefusedAndNotIgnored) {
    EXPECT_THAT(definition_faults(R"({"data":{"in":{}},"outputData":{"out":{}}})"),
                ElementsAre(Field(&Fault::pointer, "/data"), Field(&Fault::pointer, "/outputData")));
    EXPECT_THAT(definition_faults(R"({"data":{},"outputData":{}})"), IsEmpty());
}

TEST(Limits, AreRead) {
    const auto run = definition(R"({"maxRunDurationSeconds":600,"priority":-5,"maxAttempts":3})");

    EXPECT_EQ(run.max_duration, std::chrono::seconds(600));
    EXPECT_EQ(run.priority, -5);
    EXPECT_EQ(run.max_attempts, 3);
    EXPECT_THAT(definition_faults(R"({"maxRunDurationSeconds":0,"maxAttempts":0})"), SizeIs(2));
}

TEST(History, SaysWhatIsKept) {
    const auto run =
        definition(R"({"history":{"outputCollection":false,"directoriesToWatch":["./logs/","tb/events","logs"]}})");

    EXPECT_FALSE(run.collect_outputs);
    EXPECT_THAT(run.watched_folders, ElementsAre("logs", "tb/events"));
    EXPECT_THAT(definition(R"({"history":{"directoriesToWatch":[]}})").watched_folders, IsEmpty());
    EXPECT_THAT(definition_faults(R"({"history":{"directoriesToWatch":["/etc"]}})"),
                ElementsAre(Field(&Fault::pointer, "/history/directoriesToWatch")));
}

TEST(PrintedDefinition, IsTheSameDefinitionWhenParsedAgain) {
    std::vector<RunDefinition> samples = {from_file("seed1-sklearn.json"), from_file("seed2-cntk-mpi.json")};
    for (const char* members :
         {"{}", R"({"command":"ls | wc"})", R"({"command":["ls","-l"],"arguments":[1,true,0.1]})",
          R"({"communicator":"mpi","nodeCount":3,"mpi":{"processCountPerNode":4},"framework":"python"})",
          R"({"communicator":"nccl","nodeCount":2,"framework":"pytorch","pytorch":{"processCount":8}})",
          R"({"communicator":"gloo","nodeCount":2})", R"({"communicator":"ps","nodeCount":2,"framework":"tensorflow"})",
          R"({"target":"t","priority":4,"maxAttempts":2,"maxRunDurationSeconds":9,"environmentVariables":{"A":"x"}})",
          R"({"environment":{"name":"e","docker":{"baseImage":"i"},"python":{"condaDependencies":{
              "channels":["c"],"dependencies":["python>=3.8,<3.11","a=1",{"pip":["b"]}]}}}})",
          R"({"environment":{"docker":{"baseImage":"i","enabled":false}},"docker":{"useDocker":false,"shmSize":"8g"}})",
          R"({"environment":{"docker":{"buildContext":{"locationType":"datastore","location":"d/x/y"}}}})",
          R"({"environment":{"docker":{"enabled":true,"buildContext":{"locationType":"storageAccount",
              "location":"https://a.blob.host/c/d/","dockerfilePath":"x/Dockerfile"}}}})",
          R"({"environment":{"python":{"userManagedDependencies":true,"interpreterPath":"/opt/p/bin/python"}}})",
          R"({"history":{"outputCollection":false,"directoriesToWatch":[]}})",
          R"({"dataReferences":{"a":{"dataStoreName":"ws","mode":"upload","overwrite":true,"pathOnDataStore":"p",
              "pathOnCompute":"/q"},"b":{"dataStoreName":"ws","mode":"download"}}})"}) {
        samples.push_back(definition(members));
    }
    for (const RunDefinition& run : samples) {
        const Json printed = print_run_definition(run);

        const auto parsed = parse_run_definition(json(print_json(printed)));

        ASSERT_TRUE(parsed) << parsed.error().detail();
        EXPECT_EQ(*parsed, run) << print_json_pretty(printed);
        EXPECT_EQ(print_run_definition(*parsed), printed);
    }
}

/// The pointers of everything in a document, the document itself among them.
void gather_pointers(const Json& document, const Json::json_pointer& at, std::vector<Json::json_pointer>& out) {
    out.push_back(at);
    for (const auto& [key, value] : document.items()) {
        if (document.is_object()) {
            gather_pointers(value, at / key, out);
        } else if (document.is_array()) {
            gather_pointers(value, at / static_cast<std::size_t>(std::stoul(key)), out);
        }
    }
}

TEST(HostileDefinition, IsRefusedOrMakesARunWhateverIsPutWhere) {
    const Json values = json(R"([null,-1,0,1,18446744073709551615,1e300,-0.5,true,"","x","../x","/","a\u0000b",[],[[]],
                                 [null],["x"],{},{"":{}},{"a":[]},{"pip":[1]}])");
    const Json seed = json(data_file("seed1-sklearn.json"));
    std::vector<Json::json_pointer> pointers;
    gather_pointers(seed, Json::json_pointer(), pointers);
    ASSERT_GT(pointers.size(), 60U);
    for (const Json::json_pointer& pointer : pointers) {
        for (const Json& value : values) {
            Json changed = seed;
            changed[pointer] = value;

            const auto run = parse_run_definition(changed);

            if (run) {
                EXPECT_EQ(parse_run_definition(print_run_definition(*run)).value(), *run) << pointer << value;
            } else {
                EXPECT_FALSE(run.error().faults().empty()) << pointer << value;
            }
        }
    }
}

TEST(PrintedDefinition, HasCanonicalSpellings) {
    const Json printed = print_run_definition(
        definition(R"({"communicator":"intelmpi","framework":"python","nodeCount":2,"arguments":[0.8]})"));

    EXPECT_EQ(printed.at("communicator"), "IntelMpi");
    EXPECT_EQ(printed.at("framework"), "Python");
    EXPECT_EQ(printed.at("arguments"), json(R"(["0.8"])"));
}

} // namespace
} // namespace linarite::proto
