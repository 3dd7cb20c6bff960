// One fetch of an image for all who ask for it at the same time, and engines that die in the middle of one.
#include "agent/container/images.hpp"
#include "fake_engine.hpp"
#include "support/coroutines.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <future>

namespace linarite::agent {
namespace {

using namespace std::chrono_literals;
using test::FakeEngine;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

/// An engine that has the image once it was pulled; each pull goes on when the test lets it.
class ImagesTest : public testing::Test {
protected:
    using Answer = FakeEngine::Answer;
    void start_engine() {
        fake_ = std::make_unique<FakeEngine>((scratch_ / "e.sock").string(),
                                             [this](const FakeEngine::Question& asked) { return answer(asked.line); });
    }
    Answer answer(const std::string& line) {
        if (line == "GET /version") {
            return {200, R"({"ApiVersion":"1.41","Version":"20.10"})", {}, false};
        }
        if (line.starts_with("GET /v1.41/images/")) {
            return pulled_ ? Answer{200, R"({"Id":"sha256:ab","Config":{"Env":[]}})", {}, false}
                           : Answer{404, R"({"message":"no such image"})", {}, false};
        }
        if (line.starts_with("POST /v1.41/images/create?fromImage")) {
            return pull();
        }
        if (line.find("fromSrc=-") != std::string::npos) {
            pulled_ = true;
            return {200, "", {"{\"status\":\"sha256:ab\"}\n"}, false};
        }
        if (line.starts_with("GET /v1.41/containers/") && line.find("/logs") != std::string::npos) {
            return {200, "", {std::string("\1\0\0\0\0\0\0\x18python=/usr/bin/python3\n", 32)}, false};
        }
        return {200, R"({"Id":"1","StatusCode":0})", {}, false};
    }
    Answer pull() {
        ++pulls_;
        if (dies_ > 0) {
            --dies_;
            return {200, "", {"{\"status\":\"Pulling fs layer\",\"id\":\"a\"}\n"}, false, true};
        }
        if (silent_) {
            return {200, "", {}, true};
        }
        gate_.wait();
        pulled_ = true;
        return {200, "", {"{\"status\":\"Pulling fs layer\",\"id\":\"a\"}\n"}, false};
    }

    struct Waiter {
        std::vector<std::string> log;
        CancelToken cancel;
        std::optional<Result<Image>> outcome;
    };
    std::shared_ptr<Waiter> ask(ImageOrder order = {"r:5000/x:1"}) {
        auto waiter = std::make_shared<Waiter>();
        asio::co_spawn(
            io_,
            images_->provide(
                std::move(order), [waiter](std::string line) { waiter->log.push_back(std::move(line)); },
                waiter->cancel),
            [waiter](const std::exception_ptr&, Result<Image> image) { waiter->outcome.emplace(std::move(image)); });
        return waiter;
    }
    void make_images() {
        images_ = std::make_unique<Images>(std::make_shared<Engine>(io_.get_executor(), scratch_ / "e.sock"), pool_,
                                           ImageSettings{"0:0", {}, scratch_ / "scratch", 10s});
    }
    [[nodiscard]] bool asked_for(const std::string& what) const {
        const auto asked = fake_->asked();
        return std::ranges::any_of(asked, [&](const auto& each) { return each.line.find(what) != std::string::npos; });
    }
    [[nodiscard]] long count(const std::string& what) const {
        const auto asked = fake_->asked();
        return std::ranges::count_if(asked,
                                     [&](const auto& each) { return each.line.find(what) != std::string::npos; });
    }

    asio::io_context io_;
    asio::thread_pool pool_{1};
    test::Scratch scratch_;
    std::promise<void> let_pull_;
    std::shared_future<void> gate_ = let_pull_.get_future().share();
    std::atomic<bool> pulled_ = false;
    std::atomic<bool> silent_ = false;
    std::atomic<int> pulls_ = 0;
    std::atomic<int> dies_ = 0;
    std::unique_ptr<FakeEngine> fake_;
    std::unique_ptr<Images> images_;
};

TEST_F(ImagesTest, TwentyRunsThatAskAtOnceShareOnePullAndOneLook) {
    start_engine();
    make_images();
    std::vector<std::shared_ptr<Waiter>> waiters(10);
    std::ranges::generate(waiters, [this] { return ask(); });
    ASSERT_TRUE(test::run_until(io_, [this] { return asked_for("fromImage"); }));
    for (int i = 0; i < 10; ++i) {
        waiters.push_back(ask());
    }

    let_pull_.set_value();
    ASSERT_TRUE(test::run_until(
        io_, [&] { return std::ranges::all_of(waiters, [](const auto& each) { return each->outcome.has_value(); }); }));

    EXPECT_EQ(pulls_, 1);
    EXPECT_EQ(count("POST /v1.41/containers/create"), 1);
    for (const auto& each : waiters) {
        ASSERT_TRUE(*each->outcome) << each->outcome->error().detail();
        EXPECT_EQ((*each->outcome)->python, "/usr/bin/python3");
        EXPECT_THAT(each->log, Contains("image 'r:5000/x:1' is not on this node: fetching it"));
        EXPECT_THAT(each->log, Contains("a: Pulling fs layer"));
    }
    EXPECT_THAT(waiters.back()->log.front(), HasSubstr("another run"));
}

TEST_F(ImagesTest, OneThatCancelsLeavesTheOthersTheirPull) {
    start_engine();
    make_images();
    const auto first = ask();
    const auto second = ask();
    ASSERT_TRUE(test::run_until(io_, [this] { return asked_for("fromImage"); }));

    first->cancel.cancel();

    ASSERT_TRUE(test::run_until(io_, [&] { return first->outcome.has_value(); }));
    EXPECT_EQ(first->outcome->error().code(), Errc::conflict);
    EXPECT_FALSE(second->outcome);
    let_pull_.set_value();
    ASSERT_TRUE(test::run_until(io_, [&] { return second->outcome.has_value(); }));
    EXPECT_TRUE(*second->outcome);
    EXPECT_EQ(pulls_, 1);
}

TEST_F(ImagesTest, TheLastOneThatCancelsEndsThePull) {
    silent_ = true;
    start_engine();
    make_images();
    const auto first = ask();
    const auto second = ask();
    ASSERT_TRUE(test::run_until(io_, [this] { return asked_for("fromImage"); }));

    first->cancel.cancel();
    second->cancel.cancel();

    ASSERT_TRUE(test::run_until(io_, [&] { return first->outcome && second->outcome; }));
    silent_ = false;
    let_pull_.set_value();
    const auto third = ask(); // only now can the engine, which answers one call at a time, be asked again
    ASSERT_TRUE(test::run_until(io_, [&] { return third->outcome.has_value(); }));
    EXPECT_TRUE(*third->outcome);
    EXPECT_EQ(pulls_, 2);
}

TEST_F(ImagesTest, OthersCredentialsAreAnotherQuestion) {
    start_engine();
    make_images();
    const auto anna = ask({"r:5000/x:1", {"anna", "a", "r:5000"}});
    const auto bert = ask({"r:5000/x:1", {"bert", "b", "r:5000"}});

    let_pull_.set_value();
    ASSERT_TRUE(test::run_until(io_, [&] { return anna->outcome && bert->outcome; }));

    EXPECT_THAT(anna->log, Contains(HasSubstr("as user 'anna' of r:5000")));
    EXPECT_THAT(bert->log, Not(Contains(HasSubstr("anna"))));
}

TEST_F(ImagesTest, ALoginIsNotShownToAnotherRegistry) {
    start_engine();
    make_images();
    let_pull_.set_value();

    const auto waiter = ask({"other:5000/x:1", {"anna", "secret", "r:5000"}});
    ASSERT_TRUE(test::run_until(io_, [&] { return waiter->outcome.has_value(); }));

    EXPECT_THAT(waiter->log, Contains(HasSubstr("is for registry 'r:5000', and is not shown to 'other:5000'")));
    for (const auto& asked : fake_->asked()) {
        EXPECT_EQ(asked.login, "");
    }
}

TEST_F(ImagesTest, AnEngineThatDiesInTheMiddleOfAPullIsAskedAgainWhenItIsBack) {
    dies_ = 1;
    start_engine();
    make_images();
    let_pull_.set_value();

    const auto waiter = ask();
    ASSERT_TRUE(test::run_until(io_, [&] { return waiter->outcome.has_value(); }));

    ASSERT_TRUE(*waiter->outcome) << waiter->outcome->error().detail();
    EXPECT_EQ(pulls_, 2);
    EXPECT_THAT(waiter->log, Contains(HasSubstr("went away in the middle of its answer; waiting for it")));
}

TEST_F(ImagesTest, AnEngineThatDiesEachTimeIsGivenUpInWords) {
    dies_ = 100;
    start_engine();
    make_images();

    const auto waiter = ask();
    ASSERT_TRUE(test::run_until(io_, [&] { return waiter->outcome.has_value(); }));

    EXPECT_EQ(waiter->outcome->error().code(), Errc::unavailable);
    EXPECT_THAT(waiter->outcome->error().detail(),
                HasSubstr("ImagePullError: image 'r:5000/x:1' can't be had: the container engine at"));
    EXPECT_EQ(pulls_, 3);
}

TEST_F(ImagesTest, ARootFilesystemIsGivenToTheEngineOnce) {
    start_engine();
    make_images();
    scratch_.write("root/bin/sh", "#!");
    scratch_.write("root/etc/name", "x");
    const std::string name = "rootfs:" + (scratch_ / "root").string();

    for (int i = 0; i < 2; ++i) {
        const auto waiter = ask({name});
        ASSERT_TRUE(test::run_until(io_, [&] { return waiter->outcome.has_value(); }));
        ASSERT_TRUE(*waiter->outcome) << waiter->outcome->error().detail();
    }

    EXPECT_EQ(count("fromSrc=-&repo=linarite%2Frootfs%3A"), 1);
    EXPECT_TRUE(fs::is_empty(scratch_ / "scratch"));
    const auto asked = fake_->asked();
    const auto import =
        std::ranges::find_if(asked, [](const auto& each) { return each.line.find("fromSrc") != std::string::npos; });
    EXPECT_NE(import->body.find("etc/name"), std::string::npos);
}

TEST_F(ImagesTest, ARootFilesystemThatIsNotThereIsNamed) {
    start_engine();
    make_images();

    const auto waiter = ask({"rootfs:/nothing/here"});
    ASSERT_TRUE(test::run_until(io_, [&] { return waiter->outcome.has_value(); }));

    EXPECT_THAT(waiter->outcome->error().detail(), HasSubstr("root filesystem '/nothing/here' is not on this node"));
}

} // namespace
} // namespace linarite::agent
