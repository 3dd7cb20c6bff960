#include "agent/capture/capture.hpp"
#include "async/async.hpp"
#include "common/hash.hpp"
#include "support/coroutines.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

#include <future>
#include <map>
#include <sys/stat.h>

namespace linarite::agent {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Key;
using testing::UnorderedElementsAre;

// A coordinator that keeps what it gets, by the rules of the real one.
class FakeCoordinator final : public Uploader {
public:
    struct File {
        std::string bytes;
        bool complete = false;
    };

    asio::awaitable<Result<std::optional<LengthConflict>>> send(std::shared_ptr<const Frames> frames) override {
        ++requests;
        if (before_answer) {
            before_answer();
        }
        while (held) {
            co_await released.wait();
        }
        if (failure) {
            co_return *failure;
        }
        for (const OutgoingFrame& frame : *frames) {
            log.push_back(frame.header);
            auto taken = take(frame);
            if (!taken || *taken) {
                co_return taken;
            }
        }
        co_return std::optional<LengthConflict>();
    }

    std::map<std::string, File> files;
    std::vector<proto::FrameHeader> log;
    int requests = 0;
    std::optional<Error> failure;
    std::string refused; // a name that is refused
    std::function<void()> before_answer;
    bool held = false;
    Signal released;

private:
    Result<std::optional<LengthConflict>> take(const OutgoingFrame& frame) {
        const auto& header = frame.header;
        if (header.path == refused) {
            return Error(Errc::invalid_argument, "no '" + refused + "' here");
        }
        std::string bytes = frame.bytes;
        if (frame.file) {
            bytes.resize(header.size);
            EXPECT_EQ(::pread(frame.file->get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
        }
        EXPECT_EQ(bytes.size(), header.size);
        if (header.offset == 0 && !header.sha256.empty()) {
            EXPECT_EQ(sha256_hex(bytes), header.sha256) << header.path;
            files[header.path] = {bytes, true};
            return std::optional<LengthConflict>();
        }
        std::string& have = files[header.path].bytes;
        const std::string overlap = header.offset < have.size() ? have.substr(header.offset, bytes.size()) : "";
        if (header.offset > have.size() || !bytes.starts_with(overlap)) {
            return std::optional(LengthConflict{header.path, have.size()});
        }
        have += bytes.substr(overlap.size());
        if (!header.sha256.empty()) {
            if (sha256_hex(have) != header.sha256) {
                return std::optional(LengthConflict{header.path, have.size()});
            }
            files[header.path].complete = true;
        }
        return std::optional<LengthConflict>();
    }
};

class CaptureTest : public testing::Test {
protected:
    CaptureTest() {
        fs::create_directories(scratch / "wd/outputs");
        fs::create_directories(scratch / "wd/logs");
        fs::create_directories(scratch / "azureml-logs");
        settings.azureml_logs = scratch / "azureml-logs";
        settings.work_dir = scratch / "wd";
        settings.warn = [this](const std::string& line) { warnings.push_back(line); };
        settings.first_retry = Millis(1);
        settings.last_retry = Millis(4);
        settings.open_outputs = Millis(20);
    }
    ~CaptureTest() override { pool.join(); }

    void begin() {
        capture = std::make_unique<Capture>(io.get_executor(), pool, watcher, coordinator, settings);
        capture->start();
    }
    Result<void> finish() {
        if (!capture) {
            capture = std::make_unique<Capture>(io.get_executor(), pool, watcher, coordinator, settings);
        }
        return test::run(io, capture->finish(cancel));
    }
    bool until(const std::function<bool()>& holds) { return test::run_until(io, holds, std::chrono::seconds(10)); }
    std::string bytes(const std::string& name) { return coordinator->files[name].bytes; }
    void expect_complete(const std::string& name, const std::string& text) {
        EXPECT_EQ(bytes(name), text) << name;
        EXPECT_TRUE(coordinator->files[name].complete) << name;
    }

    asio::io_context io;
    asio::thread_pool pool{1};
    test::Scratch scratch{test::memory_folder()};
    FileWatcher watcher{io.get_executor()};
    std::shared_ptr<FakeCoordinator> coordinator = std::make_shared<FakeCoordinator>();
    CaptureSettings settings;
    std::vector<std::string> warnings;
    CancelToken cancel;
    std::unique_ptr<Capture> capture;
};

constexpr auto driver = "azureml-logs/70_driver_log.txt";

TEST_F(CaptureTest, AShortRunIsSentInOneRequestOfWholeFiles) {
    begin();
    scratch.write(driver, "hello\n");
    scratch.write("azureml-logs/65_job_prep-n.txt", "");

    ASSERT_TRUE(finish());

    EXPECT_EQ(coordinator->requests, 1);
    expect_complete(driver, "hello\n");
    expect_complete("azureml-logs/65_job_prep-n.txt", "");
}

TEST_F(CaptureTest, ALogIsSentWhileItGrows) {
    begin();
    scratch.write(driver, "one\n");
    ASSERT_TRUE(until([&] { return bytes(driver) == "one\n"; }));
    EXPECT_FALSE(coordinator->files[driver].complete);
    scratch.append(driver, "two\n");
    ASSERT_TRUE(until([&] { return bytes(driver) == "one\ntwo\n"; }));
    scratch.append(driver, "end");

    ASSERT_TRUE(finish());

    expect_complete(driver, "one\ntwo\nend");
    std::uint64_t sent = 0; // "end" may have gone before the end was known
    for (const auto& frame : coordinator->log) {
        EXPECT_EQ(frame.offset, sent) << "no byte is sent twice";
        sent += frame.size;
    }
    EXPECT_EQ(sent, 11U);
}

TEST_F(CaptureTest, WhatWasThereBeforeIsSentInTheOrderInWhichItWasWritten) {
    fs::create_directories(scratch / "wd/outputs");
    fs::create_directories(scratch / "wd/logs");
    int age = 9;
    for (const char* name : {"wd/logs/first", "wd/outputs/second", "wd/logs/third", "wd/outputs/0-last"}) {
        scratch.write(name, "x\n");
        fs::last_write_time(scratch / name, fs::file_time_type::clock::now() - std::chrono::minutes(--age));
    }
    begin();

    ASSERT_TRUE(until([&] { return coordinator->log.size() == 4; }));

    std::vector<std::string> names;
    for (const auto& frame : coordinator->log) {
        names.push_back(frame.path);
    }
    EXPECT_THAT(names, ElementsAre("logs/first", "outputs/second", "logs/third", "outputs/0-last"));
}

TEST_F(CaptureTest, WhatIsWrittenWhileFilesAreListedIsSentInItsOrder) {
    fs::create_directories(scratch / "wd/outputs");
    fs::create_directories(scratch / "wd/logs");
    std::promise<void> go;
    asio::post(pool, [waits = go.get_future().share()] { waits.wait(); }); // the list is made after it
    begin();
    io.poll();
    const fs::path first = scratch.write("wd/logs/first", "x\n");
    scratch.write("wd/outputs/second", "x\n");
    fs::last_write_time(first, fs::file_time_type::clock::now() + std::chrono::hours(1)); // its time does not tell
    std::promise<void> listed;
    asio::post(pool, [&listed] { listed.set_value(); });
    go.set_value();
    listed.get_future().wait(); // before anything is heard of the files

    ASSERT_TRUE(until([&] { return coordinator->log.size() == 2; }));

    EXPECT_EQ(coordinator->log.front().path, "logs/first");
}

TEST_F(CaptureTest, GrowthDuringARequestGoesWithTheNextOne) {
    begin();
    coordinator->held = true;
    scratch.write(driver, "one\n");
    ASSERT_TRUE(until([&] { return coordinator->requests == 1; }));
    for (int i = 0; i < 100; ++i) {
        scratch.append(driver, "line\n");
    }
    coordinator->held = false;
    coordinator->released.notify();

    ASSERT_TRUE(until([&] { return bytes(driver).size() == 504; }));
    EXPECT_LE(coordinator->requests, 3);
}

TEST_F(CaptureTest, FilesInNewFoldersOfLogsAreFollowed) {
    begin();
    fs::create_directories(scratch / "wd/logs/a/b/c");
    scratch.write("wd/logs/a/b/c/f", "deep");

    EXPECT_TRUE(until([&] { return bytes("logs/a/b/c/f") == "deep"; }));
}

TEST_F(CaptureTest, AnOutputIsSentWholeWhenItIsClosed) {
    begin();
    scratch.write("wd/outputs/model.pkl", "v1");
    ASSERT_TRUE(until([&] { return coordinator->files.contains("outputs/model.pkl"); }));
    expect_complete("outputs/model.pkl", "v1");
    scratch.write("wd/outputs/model.pkl", "version 2");
    ASSERT_TRUE(until([&] { return bytes("outputs/model.pkl") == "version 2"; }));
    const int before = coordinator->requests;

    ASSERT_TRUE(finish());

    EXPECT_EQ(coordinator->requests, before); // it is there already
}

TEST_F(CaptureTest, AnOutputThatStaysOpenIsSentAfterAWhile) {
    begin();
    std::ofstream file(scratch / "wd/outputs/history.csv");
    file << "epoch 1\n" << std::flush;

    EXPECT_TRUE(until([&] { return bytes("outputs/history.csv") == "epoch 1\n"; }));
}

TEST_F(CaptureTest, ALargeOutputIsReadFromItsFile) {
    std::string large;
    for (int i = 0; large.size() < (std::size_t{3} << 20U); ++i) {
        large += std::to_string(i) + " ";
    }
    scratch.write("wd/outputs/big.bin", large);

    ASSERT_TRUE(finish());

    expect_complete("outputs/big.bin", large);
}

TEST_F(CaptureTest, ALargeLogIsSentInPiecesOfAMegabyte) {
    begin();
    const std::string large(std::size_t{3} << 20U, 'x');
    scratch.write(driver, large);
    ASSERT_TRUE(until([&] { return bytes(driver).size() == large.size(); }));

    ASSERT_TRUE(finish());

    expect_complete(driver, large);
    for (const auto& header : coordinator->log) {
        EXPECT_LE(header.size, std::size_t{1} << 20U);
    }
}

TEST_F(CaptureTest, BinaryBytesArrive) {
    const std::string binary("\0\xff\n\x80\r\n\0", 7);
    scratch.write(driver, binary);
    scratch.write("wd/outputs/b", binary);

    ASSERT_TRUE(finish());

    expect_complete(driver, binary);
    expect_complete("outputs/b", binary);
}

TEST_F(CaptureTest, TenThousandFilesGoInBundles) {
    for (int i = 0; i < 10'000; ++i) {
        scratch.write("wd/outputs/d" + std::to_string(i % 10) + "/f" + std::to_string(i), std::to_string(i));
    }

    ASSERT_TRUE(finish());

    EXPECT_EQ(coordinator->files.size(), 10'000U);
    EXPECT_EQ(bytes("outputs/d7/f1237"), "1237");
    EXPECT_LE(coordinator->requests, 21);
}

TEST_F(CaptureTest, ABundleIsBoundedInBytes) {
    const std::string text(std::size_t{1} << 20U, 'x');
    for (int i = 0; i < 20; ++i) {
        scratch.write("wd/outputs/f" + std::to_string(i), text);
    }

    ASSERT_TRUE(finish());

    EXPECT_EQ(coordinator->requests, 3); // 8 + 8 + 4
}

TEST_F(CaptureTest, ANewCaptureGoesOnWhereTheCoordinatorStands) {
    const std::string old(std::size_t{5} << 20U, 'a');
    coordinator->files[driver].bytes = old;
    scratch.write(driver, old + "new");

    begin();

    ASSERT_TRUE(until([&] { return bytes(driver).size() == old.size() + 3; }));
    for (const auto& header : coordinator->log) {
        EXPECT_LE(header.size, 3U); // nothing was sent twice
    }
    ASSERT_TRUE(finish());
    expect_complete(driver, old + "new");
}

TEST_F(CaptureTest, BytesThatTheCoordinatorLostAreSentAgain) {
    begin();
    scratch.write(driver, "0123456789");
    ASSERT_TRUE(until([&] { return bytes(driver).size() == 10; }));
    coordinator->files[driver].bytes = "0123"; // it was killed before they were on disk
    scratch.append(driver, "ab");

    ASSERT_TRUE(until([&] { return bytes(driver) == "0123456789ab"; }));
}

TEST_F(CaptureTest, ATruncatedLogIsSentWholeAtTheEnd) {
    begin();
    scratch.write("wd/logs/l.txt", "a long first version");
    ASSERT_TRUE(until([&] { return bytes("logs/l.txt").size() == 20; }));
    scratch.write("wd/logs/l.txt", "short");

    ASSERT_TRUE(finish());

    expect_complete("logs/l.txt", "short");
}

TEST_F(CaptureTest, ALogThatWasRewrittenInPlaceIsSentWholeAtTheEnd) {
    begin();
    scratch.write("wd/logs/l.txt", "aaaa");
    ASSERT_TRUE(until([&] { return bytes("logs/l.txt") == "aaaa"; }));
    scratch.write("wd/logs/l.txt", "bbbb and more");
    ASSERT_TRUE(until([&] { return bytes("logs/l.txt") != "aaaa"; }));

    ASSERT_TRUE(finish());

    expect_complete("logs/l.txt", "bbbb and more");
}

TEST_F(CaptureTest, ALogThatIsOtherThanTheCoordinatorsAfterARestartIsSentWhole) {
    coordinator->files["logs/l.txt"].bytes = "something else that is longer";
    scratch.write("wd/logs/l.txt", "mine");

    begin();
    ASSERT_TRUE(finish());

    expect_complete("logs/l.txt", "mine");
}

TEST_F(CaptureTest, LinksAreLeftOutWithAWarning) {
    scratch.write("secret", "secret");
    fs::create_symlink(scratch / "secret", scratch / "wd/outputs/stolen");
    fs::create_directory_symlink(scratch.root(), scratch / "wd/outputs/everything");
    ::mkfifo((scratch / "wd/outputs/pipe").c_str(), 0600);
    scratch.write("wd/outputs/fine", "fine");

    ASSERT_TRUE(finish());

    EXPECT_THAT(coordinator->files, ElementsAre(Key("outputs/fine")));
    EXPECT_THAT(warnings, UnorderedElementsAre(HasSubstr("left out 'outputs/stolen': it is a link"),
                                               HasSubstr("left out 'outputs/everything': it is a link"),
                                               HasSubstr("left out 'outputs/pipe': it is not a regular file")));
}

TEST_F(CaptureTest, AFolderThatWasReplacedByALinkIsLeftOut) {
    begin();
    scratch.write("elsewhere/f", "secret");
    fs::remove(scratch / "wd/outputs");
    fs::create_directory_symlink(scratch / "elsewhere", scratch / "wd/outputs");

    ASSERT_TRUE(finish());

    EXPECT_THAT(coordinator->files, IsEmpty());
    EXPECT_THAT(warnings, ElementsAre(HasSubstr("'outputs': it is a link")));
}

TEST_F(CaptureTest, NamesThatAreNotTextAreEncoded) {
    scratch.write("wd/outputs/a\xff%", "1");
    scratch.write("wd/outputs/b\nc", "2");
    scratch.write("wd/outputs/d\\e", "3");
    scratch.write("wd/outputs/\xc3\xa9 %", "4");

    ASSERT_TRUE(finish());

    EXPECT_THAT(coordinator->files, UnorderedElementsAre(Key("outputs/a%FF%25"), Key("outputs/b%0Ac"),
                                                         Key("outputs/d%5Ce"), Key("outputs/\xc3\xa9 %")));
}

TEST_F(CaptureTest, HiddenFilesOfLogsAreSkippedAndThoseOfOutputsAreNot) {
    begin();
    scratch.write("wd/logs/.cache/x", "1");
    scratch.write("wd/outputs/.config", "2");

    ASSERT_TRUE(finish());

    EXPECT_THAT(coordinator->files, ElementsAre(Key("outputs/.config")));
    EXPECT_THAT(warnings, IsEmpty());
}

TEST_F(CaptureTest, ANodeWithoutTheWorkingDirectorySendsItsOwnLogsOnly) {
    settings.work_dir.clear();
    scratch.write(driver, "x");
    scratch.write("wd/outputs/f", "y");

    ASSERT_TRUE(finish());

    EXPECT_THAT(coordinator->files, ElementsAre(Key(driver)));
}

TEST_F(CaptureTest, OtherWatchedFoldersAreMadeAndFollowed) {
    settings.watched_folders = {"./tb/", "logs", "outputs/x", "../out"};
    begin();
    scratch.write("wd/tb/events", "e");

    EXPECT_TRUE(until([&] { return bytes("tb/events") == "e"; }));
    ASSERT_TRUE(finish());
    EXPECT_THAT(coordinator->files, ElementsAre(Key("tb/events")));
}

TEST_F(CaptureTest, NothingIsLostWhileTheCoordinatorIsAway) {
    coordinator->failure = Error(Errc::unavailable, "connection refused");
    begin();
    scratch.write(driver, "one\n");
    ASSERT_TRUE(until([&] { return coordinator->requests >= 3; }));
    EXPECT_EQ(capture->trouble(), "connection refused");
    scratch.append(driver, "two\n");
    scratch.write("wd/outputs/f", "f");
    std::optional<bool> done;
    asio::co_spawn(io, capture->finish(cancel),
                   [&](std::exception_ptr, Result<void> result) { done = result.has_value(); });
    const int before = coordinator->requests;
    ASSERT_TRUE(until([&] { return coordinator->requests >= before + 2; }));
    EXPECT_FALSE(done);

    coordinator->failure.reset();

    ASSERT_TRUE(until([&] { return done.has_value(); }));
    EXPECT_TRUE(*done);
    expect_complete(driver, "one\ntwo\n");
    expect_complete("outputs/f", "f");
    EXPECT_EQ(capture->trouble(), "");
}

TEST_F(CaptureTest, FinishingCanBeCancelledWhileTheCoordinatorIsAway) {
    coordinator->failure = Error(Errc::unavailable, "connection refused");
    coordinator->before_answer = [&] { cancel.cancel(); };
    scratch.write(driver, "x");

    EXPECT_EQ(finish().error().code(), Errc::conflict);
}

TEST_F(CaptureTest, AnOldFenceEndsItForGood) {
    coordinator->failure = Error(Errc::conflict, "stale fence 3");
    scratch.write(driver, "x");

    const auto result = finish();

    EXPECT_EQ(result.error().code(), Errc::conflict);
    EXPECT_EQ(coordinator->requests, 1);
}

TEST_F(CaptureTest, OneRefusedFileDoesNotKeepTheOthersBack) {
    coordinator->refused = "outputs/bad";
    for (const char* name : {"a", "bad", "c", "d"}) {
        scratch.write(std::string("wd/outputs/") + name, name);
    }

    ASSERT_TRUE(finish());

    EXPECT_THAT(coordinator->files, ElementsAre(Key("outputs/a"), Key("outputs/c"), Key("outputs/d")));
    EXPECT_THAT(warnings, ElementsAre(HasSubstr("the coordinator refused 'outputs/bad'")));
}

TEST_F(CaptureTest, FilesOverTheLimitAreLeftOutWithOneWarning) {
    settings.most_files = 5;
    for (int i = 0; i < 9; ++i) {
        scratch.write("wd/outputs/f" + std::to_string(i), "x");
    }

    ASSERT_TRUE(finish());

    EXPECT_EQ(coordinator->files.size(), 5U);
    EXPECT_THAT(warnings, ElementsAre(HasSubstr("over 5 files")));
}

constexpr const char* cut_log = "0123456789ab\n[linarite: this log has 36 bytes, of which the first 12 and the last 4 "
                                "are kept: 20 are left out here]\nwxyz";

TEST_F(CaptureTest, ALogOverTheLimitIsCutInTheMiddleWithAWordAboutIt) {
    settings.largest_log = 16;
    begin();
    scratch.write(driver, "0123456789abcdefghijklmnopqrstuvwxyz");
    ASSERT_TRUE(until([&] { return !bytes(driver).empty(); }));

    ASSERT_TRUE(finish());

    expect_complete(driver, cut_log);
}

TEST_F(CaptureTest, ALogThatIsTooLongIsCutAlsoIfNothingOfItWasSentBefore) {
    settings.largest_log = 16;
    scratch.write(driver, "0123456789abcdefghijklmnopqrstuvwxyz");

    ASSERT_TRUE(finish());

    expect_complete(driver, cut_log);
}

TEST_F(CaptureTest, ALogOfJustTheLimitIsWhole) {
    settings.largest_log = 16;
    begin();
    scratch.write(driver, "0123456789abcdef");
    ASSERT_TRUE(until([&] { return !bytes(driver).empty(); }));

    ASSERT_TRUE(finish());

    expect_complete(driver, "0123456789abcdef");
}

TEST_F(CaptureTest, ALogThatWasCutAndSentIsTheSameAfterARestart) {
    settings.largest_log = 16;
    scratch.write(driver, "0123456789abcdefghijklmnopqrstuvwxyz");
    ASSERT_TRUE(finish());
    const int before = coordinator->requests;

    capture.reset(); // an agent that was killed before it knew of that
    ASSERT_TRUE(finish());

    EXPECT_GT(coordinator->requests, before);

    expect_complete(driver, cut_log);
}

TEST_F(CaptureTest, WarningsInACapturedLogArriveToo) {
    settings.warn = [this](const std::string& line) { scratch.append("azureml-logs/75_job_post-n.txt", line + "\n"); };
    fs::create_symlink("/etc/passwd", scratch / "wd/outputs/l");
    begin();

    ASSERT_TRUE(finish());

    expect_complete("azureml-logs/75_job_post-n.txt", "warning: left out 'outputs/l': it is a link\n");
}

TEST_F(CaptureTest, ADeletedFileIsNoTrouble) {
    begin();
    scratch.write("wd/logs/l", "x");
    ASSERT_TRUE(until([&] { return bytes("logs/l") == "x"; }));
    fs::remove(scratch / "wd/logs/l");

    EXPECT_TRUE(finish());
}

TEST_F(CaptureTest, DestroyingItInTheMiddleIsHarmless) {
    begin();
    coordinator->held = true;
    scratch.write(driver, "x");
    ASSERT_TRUE(until([&] { return coordinator->requests == 1; }));

    capture.reset();
    coordinator->held = false;
    coordinator->released.notify();

    EXPECT_TRUE(until([&] { return coordinator.use_count() == 1; }));
}

} // namespace
} // namespace linarite::agent
