#include "agent/environment/requirements.hpp"

#include <gmock/gmock.h>

namespace linarite::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Lines = std::vector<std::string>;

Requirements read(const Lines& conda, const Lines& pip = {}) {
    auto out = to_requirements(conda, pip);
    EXPECT_TRUE(out) << out.error().detail();
    return out ? *out : Requirements{};
}

TEST(Requirements, CondaNamesBecomeIndexNames) {
    const auto got = read({"pytorch", "opencv", "py-opencv", "tensorflow-gpu", "pytables", "msgpack-python"});

    EXPECT_THAT(got.lines, ElementsAre("torch", "opencv-python", "opencv-python", "tensorflow", "tables", "msgpack"));
    EXPECT_THAT(got.warnings, IsEmpty());
}

TEST(Requirements, NamesThatAreEqualStay) {
    EXPECT_THAT(read({"scikit-learn", "python-dateutil", "pillow"}).lines,
                ElementsAre("scikit-learn", "python-dateutil", "pillow"));
}

TEST(Requirements, CondaVersionsBecomeIndexVersions) {
    const auto got =
        read({"numpy=1.21", "numpy=1.21.*", "numpy==1.21", "numpy>=1.2,<2", "numpy >=1.2, <2", "numpy 1.21",
              "numpy=1.21=py38_0", "numpy=*", "numpy!=1.3", "numpy[version='>=1.5']", "numpy 1.21 py38_0"});

    EXPECT_THAT(got.lines,
                ElementsAre("numpy==1.21.*", "numpy==1.21.*", "numpy==1.21", "numpy>=1.2,<2", "numpy>=1.2,<2",
                            "numpy==1.21", "numpy==1.21.*", "numpy", "numpy!=1.3", "numpy>=1.5", "numpy==1.21"));
}

TEST(Requirements, ChannelsAreDropped) {
    EXPECT_THAT(read({"conda-forge::numpy=1.21", "pytorch::pytorch"}).lines, ElementsAre("numpy==1.21.*", "torch"));
}

TEST(Requirements, LibrariesAreLeftOutWithAWarning) {
    const auto got = read({"mkl", "cudatoolkit=11.3", "numpy"});

    EXPECT_THAT(got.lines, ElementsAre("numpy"));
    EXPECT_THAT(got.warnings, ElementsAre(HasSubstr("'mkl'"), HasSubstr("'cudatoolkit'")));
}

TEST(Requirements, AlternativesAreTakenAsAnyWithAWarning) {
    const auto got = read({"numpy=1.21|1.22"});

    EXPECT_THAT(got.lines, ElementsAre("numpy"));
    EXPECT_THAT(got.warnings, ElementsAre(HasSubstr("1.21|1.22")));
}

TEST(Requirements, PythonAndPipAreNotPackages) {
    EXPECT_THAT(read({"python=3.8", "pip"}).lines, IsEmpty());
}

TEST(Requirements, PipLinesStayAsTheyAre) {
    EXPECT_THAT(
        read({}, {" Foo[bar]>=1; python_version < '3.9' ", "", "# note", "--extra-index-url https://x/simple"}).lines,
        ElementsAre("Foo[bar]>=1; python_version < '3.9'", "--extra-index-url https://x/simple"));
}

TEST(Requirements, TheIndexThatTheSdkPutsInIsNobodysWish) {
    const auto requirements =
        to_requirements({}, {"--find-links https://public/simple/index.html", "--extra-index-url https://public/simple",
                             "--extra-index-url https://ours/simple", "six"});
    ASSERT_TRUE(requirements);
    EXPECT_EQ(requirements->lines, (Lines{"--extra-index-url https://ours/simple", "six"}));
}

TEST(Requirements, AnIndexOrAPageOfWheelsAloneIsAWish) {
    const Lines asked{"--extra-index-url https://ours/simple", "--find-links https://wheels/index.html", "six"};
    EXPECT_EQ(to_requirements({}, asked)->lines, asked);
}

TEST(Requirements, LinesThatReadOtherFilesAreRefused) {
    for (const char* line : {"-r other.txt", "--requirement=x", "-c /etc/passwd", "-e ."}) {
        const auto got = to_requirements({}, {line});
        ASSERT_FALSE(got) << line;
        EXPECT_EQ(got.error().code(), Errc::invalid_argument);
        EXPECT_THAT(got.error().detail(), HasSubstr(line));
    }
}

TEST(Normalise, OrderCaseBlanksAndRepeatsDoNotMatter) {
    EXPECT_EQ(normalise({"NumPy >= 1.2", "scikit_learn", "six"}),
              normalise({"six", "scikit-learn", "numpy>=1.2", "six"}));
}

TEST(Credentials, AreLeftOutOfAddresses) {
    EXPECT_EQ(without_credentials("--index-url https://anna:p%40ss@host:80/simple -v"),
              "--index-url https://****@host:80/simple -v");
    EXPECT_EQ(without_credentials("a @ git+https://token@host/x and http://b:c@d"),
              "a @ git+https://****@host/x and http://****@d");
    EXPECT_EQ(without_credentials("https://host/a@b name@host"), "https://host/a@b name@host");
    EXPECT_EQ(without_credentials("ends in ://"), "ends in ://");
}

TEST(NormaliseConda, OrderCaseAndIdleBlanksDoNotMatter) {
    EXPECT_EQ(normalise_conda({"NumPy >= 1.20", "conda-forge::six"}),
              normalise_conda({"conda-forge::six", "numpy>=1.20"}));
    EXPECT_EQ(normalise_conda({" numpy  1.21   py38_0 "}), "numpy 1.21 py38_0\n");
    EXPECT_EQ(normalise_conda({"a >=1 , <2"}), "a>=1,<2\n");
}

TEST(NormaliseConda, DifferentPackagesDiffer) {
    EXPECT_NE(normalise_conda({"a_b"}), normalise_conda({"a-b"}));
    EXPECT_NE(normalise_conda({"numpy 1.21"}), normalise_conda({"numpy1.21"}));
    EXPECT_NE(normalise_conda({"a=1=Py_0"}), normalise_conda({"a=1=py_0"}));
}

TEST(Normalise, DifferentContentDiffers) {
    EXPECT_NE(normalise({"numpy"}), normalise({"numpy==1.2"}));
    EXPECT_NE(normalise({"a; sys_platform == 'Linux'"}), normalise({"a; sys_platform == 'linux'"}));
    EXPECT_NE(normalise({"a @ https://x/A.whl"}), normalise({"a @ https://x/a.whl"}));
    EXPECT_NE(normalise({"ab", "c"}), normalise({"a", "bc"}));
}

} // namespace
} // namespace linarite::agent
