#include "agent/environment/interpreters.hpp"

#include <gtest/gtest.h>

namespace linarite::agent {
namespace {

Interpreters installed(std::initializer_list<PythonVersion> versions, PythonVersion usual) {
    Interpreters out;
    for (const PythonVersion& version : versions) {
        out.all.push_back({"/py/" + version.str(), version});
    }
    out.usual = Interpreter{"/usual", usual};
    return out;
}

const Interpreters node =
    installed({{3, 6, 15}, {3, 8, 18}, {3, 9, 18}, {3, 11, 2}, {3, 11, 7}, {3, 13, 0}}, {3, 11, 2});

InterpreterChoice choose(const std::string& asked) {
    auto out = choose_interpreter(asked, node);
    EXPECT_TRUE(out) << asked;
    return out ? *out : InterpreterChoice{};
}

TEST(ChooseInterpreter, TheUsualOneIfNothingIsAsked) {
    EXPECT_EQ(choose("").interpreter.path, "/usual");
    EXPECT_TRUE(choose("").as_asked);
}

TEST(ChooseInterpreter, TheUsualOneIfItFits) {
    EXPECT_EQ(choose("3.11").interpreter.path, "/usual");
}

TEST(ChooseInterpreter, ExactOnes) {
    for (const char* asked :
         {"3.8.18", "3.8", "3.8.*", "=3.8", "==3.8", ">=3.7,<3.9", "~=3.8.2", "<3.9,>3.6", "<=3.8,>3.6"}) {
        EXPECT_EQ(choose(asked).interpreter.version.str(), "3.8.18") << asked;
        EXPECT_TRUE(choose(asked).as_asked) << asked;
    }
}

TEST(ChooseInterpreter, TheNewestOfThoseThatFit) {
    EXPECT_EQ(choose(">3.11").interpreter.version.str(), "3.13.0");
    EXPECT_EQ(choose("<3.11").interpreter.version.str(), "3.9.18");
    EXPECT_EQ(choose("!=3.11.*").interpreter.version.str(), "3.13.0");
}

TEST(ChooseInterpreter, TheNearestOtherwise) {
    const std::pair<const char*, const char*> cases[] = {
        {"3.8.13", "3.8.18"}, {"3.7", "3.8.18"},    {"3.10.18", "3.11.7"}, {"2.7", "3.8.18"},
        {"3.12.1", "3.13.0"}, {"3.11.3", "3.11.2"}, {"3.5", "3.6.15"},     {"3.20", "3.13.0"}};
    for (const auto& [asked, nearest] : cases) {
        EXPECT_EQ(choose(asked).interpreter.version.str(), nearest) << asked;
        EXPECT_FALSE(choose(asked).as_asked) << asked;
    }
}

TEST(ChooseInterpreter, WordsThatAreNoVersionAskForNothing) {
    EXPECT_EQ(choose("latest").interpreter.path, "/usual");
}

TEST(ChooseInterpreter, ANodeWithoutPythonSaysSo) {
    EXPECT_EQ(choose_interpreter("", Interpreters{}).error().code(), Errc::not_found);
}

TEST(PythonVersion, IsReadExactly) {
    EXPECT_EQ(parse_python_version("3.8.18"), (PythonVersion{3, 8, 18}));
    for (const char* text : {"", "3", "3.8", "3.8.x", "3.8.1.2", "3.8.", "-3.8.1", "3.13.0rc1"}) {
        EXPECT_FALSE(parse_python_version(text)) << text;
    }
}

} // namespace
} // namespace linarite::agent
