// Two nodes of one run with working directories of their own: each with a capture and a mirror, over a coordinator that
// is an object.
#include "agent/capture/capture.hpp"
#include "agent/capture/mirror.hpp"
#include "agent/capture/placing.hpp"
#include "async/async.hpp"
#include "support/coroutines.hpp"
#include "support/scratch.hpp"

#include <gmock/gmock.h>

#include <fcntl.h>
#include <map>
#include <sys/stat.h>
#include <unistd.h>

namespace linarite::agent {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::Not;

// What the coordinator does for a gang, without its rules for names: those have tests of their own.
class Exchange {
public:
    struct Row {
        int node = 0;
        GangFile file;
    };
    std::map<std::string, std::string> bytes;
    std::vector<Row> closed;          // a row's version is its place + 1
    std::vector<std::string> brought; // "node:path" of each frame
    std::vector<std::function<void(std::uint64_t)>> listeners;
    std::optional<Error> failure;
    bool holds_fetches = false;
    std::string garbled; // arrives with other bytes
    Signal released;
    int fetches = 0;

    std::optional<LengthConflict> take(int node, const OutgoingFrame& frame) {
        const auto& header = frame.header;
        if (header.offset > bytes[header.path].size()) {
            return LengthConflict{header.path, bytes[header.path].size()};
        }
        std::string text = frame.bytes;
        if (frame.file) {
            text.resize(header.size);
            EXPECT_EQ(::pread(frame.file->get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
        }
        std::string& have = bytes[header.path];
        have = have.substr(0, header.offset) + text;
        brought.push_back(std::to_string(node) + ":" + header.path);
        if (!header.closed.empty()) {
            EXPECT_EQ(sha256_hex(have), header.closed) << header.path;
            closed.push_back({node, {header.path, have.size(), header.closed, header.executable}});
        }
        return std::nullopt;
    }
    void tell() {
        for (const auto& listener : listeners) {
            listener(closed.size());
        }
    }
};

class ExchangeUploader final : public Uploader {
public:
    ExchangeUploader(Exchange& exchange, int node) : exchange_(exchange), node_(node) {}
    asio::awaitable<Result<std::optional<LengthConflict>>> send(std::shared_ptr<const Frames> frames) override {
        if (exchange_.failure) {
            co_return *exchange_.failure;
        }
        for (const OutgoingFrame& frame : *frames) {
            if (auto conflict = exchange_.take(node_, frame)) {
                co_return conflict;
            }
        }
        exchange_.tell();
        co_return std::optional<LengthConflict>();
    }

private:
    Exchange& exchange_;
    int node_;
};

class ExchangeSource final : public GangSource {
public:
    ExchangeSource(Exchange& exchange, int node) : exchange_(exchange), node_(node) {}
    asio::awaitable<Result<GangFileList>> list(std::uint64_t since) override {
        if (exchange_.failure) {
            co_return *exchange_.failure;
        }
        GangFileList out{exchange_.closed.size(), {}};
        for (std::size_t i = since; i < exchange_.closed.size(); ++i) {
            if (exchange_.closed[i].node != node_) {
                out.files.push_back(exchange_.closed[i].file);
            }
        }
        co_return out;
    }
    asio::awaitable<Result<void>> fetch(std::vector<GangFile> files, Sink sink) override {
        ++exchange_.fetches;
        while (exchange_.holds_fetches) {
            co_await exchange_.released.wait();
        }
        for (const GangFile& file : files) {
            std::string text = exchange_.bytes[file.path].substr(0, file.size);
            if (file.path == exchange_.garbled) {
                text.assign(text.size(), '?');
            }
            const std::string frame = proto::print_frame_header({file.path, 0, text.size(), false, "", ""}) + text;
            if (auto taken = co_await sink(frame); !taken) {
                co_return taken;
            }
        }
        co_return Result<void>();
    }

private:
    Exchange& exchange_;
    int node_;
};

// One node's part.
struct Node {
    Node(asio::io_context& loop, asio::thread_pool& threads, FileWatcher& events, Exchange& to, int number)
        : io(loop), pool(threads), watcher(events), exchange(to), index(number) {
        for (const char* folder : {"wd/outputs", "wd/logs", "azureml-logs", "state"}) {
            fs::create_directories(scratch / folder);
        }
    }
    void start() {
        foreign = *ForeignFiles::open(scratch / "state/foreign.jsonl");
        CaptureSettings settings;
        settings.azureml_logs = scratch / "azureml-logs";
        settings.work_dir = scratch / "wd";
        settings.foreign = foreign;
        settings.open_outputs = Millis(20);
        ASSERT_TRUE(Arrivals::prepare(scratch / "arrivals"));
        MirrorSettings mirrored;
        mirrored.work_dir = scratch / "wd";
        mirrored.arrivals = scratch / "arrivals";
        mirrored.trees = captured_trees(settings);
        mirrored.foreign = foreign;
        mirrored.first_retry = Millis(1);
        mirrored.last_retry = Millis(4);
        capture = std::make_unique<Capture>(io.get_executor(), pool, watcher,
                                            std::make_shared<ExchangeUploader>(exchange, index), settings);
        mirror = std::make_unique<Mirror>(io.get_executor(), pool, std::make_shared<ExchangeSource>(exchange, index),
                                          mirrored);
        exchange.listeners.emplace_back([this](std::uint64_t version) {
            if (mirror) {
                mirror->update(version);
            }
        });
        capture->start();
        mirror->update(exchange.closed.size());
    }
    void kill() {
        capture.reset();
        mirror.reset();
        exchange.listeners.clear();
    }
    std::string read(const std::string& name) const {
        const auto text = read_file(scratch / ("wd/" + name));
        return text ? *text : "(none)";
    }
    std::string node(const std::string& name) const { return std::to_string(index) + ":" + name; }

    asio::io_context& io;
    asio::thread_pool& pool;
    FileWatcher& watcher;
    Exchange& exchange;
    int index;
    test::Scratch scratch{test::memory_folder()};
    std::shared_ptr<ForeignFiles> foreign;
    std::unique_ptr<Capture> capture;
    std::unique_ptr<Mirror> mirror;
};

class MirrorTest : public testing::Test {
protected:
    MirrorTest() {
        a.start();
        b.start();
    }
    ~MirrorTest() override {
        a.kill();
        b.kill();
        pool.join();
    }
    bool until(const std::function<bool()>& holds) { return test::run_until(io, holds, std::chrono::seconds(10)); }
    /// Both know all that the other one has closed so far.
    bool settled() {
        return until([&] {
            return a.mirror->version() == exchange.closed.size() && b.mirror->version() == exchange.closed.size();
        });
    }
    /// A file that `from` closes now has come to the other one: so has all that was closed before.
    bool passes(Node& from, Node& to) {
        const std::string name = "outputs/passed-" + std::to_string(++passed);
        from.scratch.write("wd/" + name, "x");
        return until([&] { return to.read(name) == "x"; });
    }

    asio::io_context io;
    asio::thread_pool pool{2};
    FileWatcher watcher{io.get_executor()};
    Exchange exchange;
    Node a{io, pool, watcher, exchange, 0};
    Node b{io, pool, watcher, exchange, 1};
    int passed = 0;
};

TEST_F(MirrorTest, AClosedOutputAppearsOnTheOtherNodeAndIsNotSentBack) {
    a.scratch.write("wd/outputs/MNIST/data.bin", "0123456789");
    ASSERT_TRUE(until([&] { return b.read("outputs/MNIST/data.bin") == "0123456789"; }));
    ASSERT_TRUE(passes(a, b));
    ASSERT_TRUE(passes(b, a));

    ASSERT_TRUE(test::run(io, b.capture->finish(CancelToken())));

    EXPECT_THAT(exchange.brought, Not(Contains("1:outputs/MNIST/data.bin")));
}

TEST_F(MirrorTest, AnOpenFileDoesNotAppearAndALogDoesWhenItIsClosed) {
    {
        std::ofstream output(a.scratch / "wd/outputs/history.csv");
        std::ofstream log(a.scratch / "wd/logs/log.txt");
        output << "epoch 1\n" << std::flush;
        log << "one\n" << std::flush;
        ASSERT_TRUE(until([&] {
            return exchange.bytes["outputs/history.csv"] == "epoch 1\n" && exchange.bytes["logs/log.txt"] == "one\n";
        })) << "the coordinator has them early";
        ASSERT_TRUE(passes(a, b));
        EXPECT_EQ(b.read("outputs/history.csv"), "(none)");
        EXPECT_EQ(b.read("logs/log.txt"), "(none)");
        log << "two\n";
    }

    EXPECT_TRUE(until([&] { return b.read("logs/log.txt") == "one\ntwo\n"; }));
    EXPECT_TRUE(until([&] { return b.read("outputs/history.csv") == "epoch 1\n"; }));
    a.scratch.append("wd/logs/log.txt", "three\n");
    EXPECT_TRUE(until([&] { return b.read("logs/log.txt") == "one\ntwo\nthree\n"; }));
}

TEST_F(MirrorTest, AFileInANewFolderThatIsStillWrittenDoesNotAppear) {
    fs::create_directories(a.scratch / "wd/outputs/deep/er");
    std::ofstream output(a.scratch / "wd/outputs/deep/er/half");
    output << "half" << std::flush;
    ASSERT_TRUE(passes(a, b));
    ASSERT_TRUE(passes(a, b));
    EXPECT_EQ(b.read("outputs/deep/er/half"), "(none)");

    output << " and half";
    output.close();

    EXPECT_TRUE(until([&] { return b.read("outputs/deep/er/half") == "half and half"; }));
}

TEST_F(MirrorTest, AMarkerNeverAppearsBeforeWhatWasClosedBeforeIt) {
    for (int round = 0; round < 30; ++round) {
        const std::string n = std::to_string(round);
        a.scratch.write("wd/outputs/z-data-" + n,
                        std::string(std::size_t{3} << 20U, static_cast<char>('a' + round % 26)));
        a.scratch.write("wd/logs/y-data-" + n, std::string(std::size_t{2} << 20U, 'l'));
        a.scratch.write("wd/outputs/a-marker-" + n, n);
        ASSERT_TRUE(until([&] {
            const bool marked = b.read("outputs/a-marker-" + n) == n;
            if (marked) {
                EXPECT_EQ(b.read("outputs/z-data-" + n).size(), std::size_t{3} << 20U) << round;
                EXPECT_EQ(b.read("logs/y-data-" + n).size(), std::size_t{2} << 20U) << round;
            }
            return marked;
        }));
    }
}

TEST_F(MirrorTest, AFileThatItsNodeRewritesIsReplacedWhereNobodyTouchedIt) {
    a.scratch.write("wd/outputs/state", "first");
    a.scratch.write("wd/logs/state", "first");
    ASSERT_TRUE(until([&] { return b.read("outputs/state") == "first" && b.read("logs/state") == "first"; }));

    a.scratch.write("wd/outputs/state", "again");
    a.scratch.write("wd/logs/state", "again"); // as long as before: only its bytes show it

    EXPECT_TRUE(until([&] { return b.read("outputs/state") == "again"; }));
    EXPECT_TRUE(until([&] { return b.read("logs/state") == "again"; }));
}

TEST_F(MirrorTest, WhatANodeWroteItselfStays) {
    b.scratch.write("wd/outputs/model", "of b");
    exchange.holds_fetches = true;
    a.scratch.write("wd/outputs/model", "of a");
    a.scratch.write("wd/outputs/late", "of a");
    ASSERT_TRUE(until([&] { return exchange.fetches > 0; }));
    b.scratch.write("wd/outputs/late", "of b"); // while that of a is on its way
    exchange.holds_fetches = false;
    exchange.released.notify();

    ASSERT_TRUE(passes(a, b));
    EXPECT_EQ(b.read("outputs/model"), "of b");
    EXPECT_EQ(b.read("outputs/late"), "of b");
}

TEST_F(MirrorTest, AFileOfAnotherNodeThatThisOneChangedIsItsOwnFromThenOn) {
    a.scratch.write("wd/logs/shared.txt", "of a\n");
    ASSERT_TRUE(until([&] { return b.read("logs/shared.txt") == "of a\n"; }));

    b.scratch.append("wd/logs/shared.txt", "and of b\n");
    ASSERT_TRUE(until([&] { return std::ranges::count(exchange.brought, "1:logs/shared.txt") > 0; }));
    a.scratch.append("wd/logs/shared.txt", "more of a\n");

    ASSERT_TRUE(passes(a, b));
    EXPECT_EQ(b.read("logs/shared.txt"), "of a\nand of b\n");
}

TEST_F(MirrorTest, AFileThatIsOpenForWritingHereIsNotReplaced) {
    a.scratch.write("wd/outputs/f", "one");
    ASSERT_TRUE(until([&] { return b.read("outputs/f") == "one"; }));
    std::ofstream writer(b.scratch / "wd/outputs/f", std::ios::app);

    a.scratch.write("wd/outputs/f", "two");
    ASSERT_TRUE(passes(a, b));
    writer << " more" << std::flush;

    EXPECT_EQ(b.read("outputs/f"), "one more");
}

TEST_F(MirrorTest, AnAgentThatIsStartedAgainKnowsWhatIsNotItsOwn) {
    a.scratch.write("wd/outputs/one", "1");
    a.scratch.write("wd/outputs/two", "2");
    ASSERT_TRUE(until([&] { return b.read("outputs/two") == "2"; }));
    fs::remove(b.scratch / "wd/outputs/two");
    b.kill();
    a.kill();
    const std::size_t before = exchange.brought.size();

    b.start();

    ASSERT_TRUE(until([&] { return b.mirror->version() == exchange.closed.size(); }));
    ASSERT_TRUE(test::run(io, b.capture->finish(CancelToken())));
    EXPECT_EQ(exchange.brought.size(), before) << "what came from a is not sent";
    EXPECT_EQ(b.read("outputs/two"), "(none)") << "what was deleted here stays deleted";
    EXPECT_EQ(b.read("outputs/one"), "1");
}

TEST_F(MirrorTest, LinksAreNotFollowed) {
    b.scratch.write("elsewhere/f", "precious");
    fs::create_directory_symlink(b.scratch / "elsewhere", b.scratch / "wd/outputs/folder");
    fs::create_symlink(b.scratch / "elsewhere/f", b.scratch / "wd/outputs/file");
    fs::create_symlink(b.scratch / "elsewhere/new", b.scratch / "wd/outputs/dangling");

    for (const char* name : {"folder/f", "file", "dangling"}) {
        a.scratch.write(std::string("wd/outputs/") + name, "evil");
    }

    ASSERT_TRUE(passes(a, b));
    EXPECT_EQ(*read_file(b.scratch / "elsewhere/f"), "precious");
    EXPECT_FALSE(fs::exists(b.scratch / "elsewhere/new"));
    EXPECT_TRUE(fs::is_symlink(b.scratch / "wd/outputs/file"));
}

TEST_F(MirrorTest, NamesOutsideTheCapturedFoldersAreNotTaken) {
    exchange.bytes["train.py"] = exchange.bytes["outputs"] = "evil";
    const std::string hash = sha256_hex("evil");
    exchange.closed.push_back({0, {"train.py", 4, hash, false}});
    exchange.closed.push_back({0, {"outputs", 4, hash, false}});
    exchange.tell();

    ASSERT_TRUE(passes(a, b));
    EXPECT_EQ(b.read("train.py"), "(none)");
    EXPECT_TRUE(fs::is_directory(b.scratch / "wd/outputs"));
}

TEST_F(MirrorTest, BytesThatAreNotThoseOfTheHashDoNotAppear) {
    exchange.garbled = "outputs/g";
    a.scratch.write("wd/outputs/g", "good");
    ASSERT_TRUE(until([&] { return exchange.fetches >= 2; })) << "it is asked for again";
    EXPECT_EQ(b.read("outputs/g"), "(none)");

    exchange.garbled.clear();

    EXPECT_TRUE(until([&] { return b.read("outputs/g") == "good"; }));
}

TEST_F(MirrorTest, TheCoordinatorMayBeAwayForAWhile) {
    exchange.failure = Error(Errc::unavailable, "connection refused");
    a.scratch.write("wd/outputs/f", "f");
    ASSERT_TRUE(until([&] { return !a.capture->trouble().empty(); }));
    exchange.failure.reset();

    EXPECT_TRUE(until([&] { return b.read("outputs/f") == "f"; }));
}

TEST_F(MirrorTest, ThousandsOfFilesComeInAFewRequests) {
    for (int i = 0; i < 4'000; ++i) {
        a.scratch.write("wd/outputs/d" + std::to_string(i % 7) + "/f" + std::to_string(i), std::to_string(i));
    }

    ASSERT_TRUE(until([&] { return b.read("outputs/d2/f3999") == "3999"; })) << b.read("outputs/d2/f3999");
    ASSERT_TRUE(passes(a, b));
    EXPECT_EQ(b.read("outputs/d0/f0"), "0");
    EXPECT_LT(exchange.fetches, 1'000);
}

TEST_F(MirrorTest, WhatCameWithTheSourceTreeIsNotSentByEachNode) {
    b.kill();
    a.kill();
    b.scratch.write("wd/outputs/seed.json", "{}");
    {
        auto foreign = *ForeignFiles::open(b.scratch / "state/foreign.jsonl");
        CaptureSettings settings;
        settings.work_dir = b.scratch / "wd";
        ASSERT_TRUE(foreign->add(files_of_source_tree(captured_trees(settings))));
    }

    b.start();
    ASSERT_TRUE(test::run(io, b.capture->finish(CancelToken())));

    EXPECT_THAT(exchange.brought, IsEmpty());
}

TEST_F(MirrorTest, FilesWhoseNamesAreNotTextStayOnTheirNode) {
    a.scratch.write("wd/outputs/a\xff", "x");

    ASSERT_TRUE(passes(a, b));
    EXPECT_FALSE(fs::exists(b.scratch / "wd/outputs/a%FF"));
    EXPECT_EQ(exchange.bytes["outputs/a%FF"], "x");
}

} // namespace
} // namespace linarite::agent
