// What is in datastores, for nodes that do not see them: hashes that hold, and nothing from outside.
#include "common/hash.hpp"
#include "component/server/blob_fixture.hpp"

#include <SQLiteCpp/Database.h>

#include <atomic>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <thread>
#include <unistd.h>

namespace linarite::test {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class DatastoreTest : public BlobFixture {
protected:
    [[nodiscard]] fs::path store() const { return folder_.root() / "datastores/workspaceblobstore"; }
    fs::path write(const std::string& name, const std::string& text) const {
        return folder_.write("datastores/workspaceblobstore/" + name, text);
    }
    [[nodiscard]] std::unique_ptr<SQLite::Database> open_history() const {
        auto db = std::make_unique<SQLite::Database>((folder_ / "history.db").string(), SQLite::OPEN_READWRITE);
        db->setBusyTimeout(10'000);
        return db;
    }
    [[nodiscard]] int rows() const { return open_history()->execAndGet("SELECT count(*) FROM file_hashes").getInt(); }
    asio::awaitable<Response> contents_of(std::string path, int wait_ms = 20'000,
                                          std::string name = "workspaceblobstore") {
        HttpClient::Request request;
        request.target = "/api/v1/agent/datastores/" + name + "/contents?path=" + client::encode_part(path) +
                         "&wait_ms=" + std::to_string(wait_ms);
        co_return co_await send(*agent, std::move(request));
    }
    /// Name -> hash.
    asio::awaitable<std::map<std::string, std::string>> hashes(std::string path = "") {
        const Response answer = co_await contents_of(path);
        EXPECT_EQ(answer.status, 200) << answer.body;
        std::map<std::string, std::string> found;
        if (answer.status == 200) {
            const Json body = Json::parse(answer.body);
            for (const Json& file : body.at("files")) {
                found[file.at("path").get<std::string>()] = file.at("sha256").get<std::string>();
            }
        }
        co_return found;
    }
    asio::awaitable<std::vector<std::string>> obstacles(std::string path = "") {
        const Response answer = co_await contents_of(path);
        EXPECT_EQ(answer.status, 200) << answer.body;
        co_return Json::parse(answer.body).at("obstacles").get<std::vector<std::string>>();
    }
    asio::awaitable<Response> put_file(std::string name, std::string text, std::string condition = "") {
        HttpClient::Request request;
        request.method = "PUT";
        request.target = "/api/v1/agent/datastores/workspaceblobstore/files/" + name;
        request.body = std::move(text);
        request.content_type = "application/octet-stream";
        if (!condition.empty()) {
            request.headers["If-None-Match"] = condition;
        }
        co_return co_await send(*agent, std::move(request));
    }
    asio::awaitable<Response> get_file(std::string name) {
        HttpClient::Request request;
        request.target = "/api/v1/agent/datastores/workspaceblobstore/files/" + name;
        co_return co_await send(*agent, std::move(request));
    }
    void with_agent(Script script) {
        with_coordinator([this, script]() -> asio::awaitable<void> {
            agent = co_await join("remote");
            co_await script();
            agent.reset();
        });
    }
    /// Until the clock of the file system has gone on so far that its times tell what came before and what after.
    static asio::awaitable<void> let_it_settle(const fs::path& file) {
        const auto age = [&file] {
            struct stat info {};
            timespec now{};
            EXPECT_EQ(::stat(file.c_str(), &info), 0);
            ::clock_gettime(CLOCK_REALTIME, &now);
            return std::int64_t{now.tv_sec - info.st_ctim.tv_sec} * 1'000'000'000 + now.tv_nsec - info.st_ctim.tv_nsec;
        };
        asio::steady_timer timer(co_await asio::this_coro::executor);
        while (age() < 2'100'000'000) {
            timer.expires_after(std::chrono::milliseconds(50));
            co_await timer.async_wait(asio::use_awaitable);
        }
    }

    /// Of so many files.
    asio::awaitable<void> until_remembered(int count) const {
        asio::steady_timer timer(co_await asio::this_coro::executor);
        for (int tries = 0; tries < 1'000 && rows() != count; ++tries) {
            timer.expires_after(std::chrono::milliseconds(10));
            co_await timer.async_wait(asio::use_awaitable);
        }
        EXPECT_EQ(rows(), count);
    }

    std::unique_ptr<HttpClient> agent;
};

TEST_F(DatastoreTest, SaysWhatIsInTheFilesAtOrBelowAPath) {
    with_agent([this]() -> asio::awaitable<void> {
        write("digits/train.csv", "1\n");
        write("digits/deep/empty", "");
        write("digits2/x", "2\n");

        EXPECT_THAT(co_await hashes("digits"), UnorderedElementsAre(Pair("digits/train.csv", sha256_hex("1\n")),
                                                                    Pair("digits/deep/empty", sha256_hex(""))));
        EXPECT_THAT(co_await hashes("digits/train.csv"), ElementsAre(Pair("digits/train.csv", sha256_hex("1\n"))));
        EXPECT_EQ((co_await hashes("")).size(), 3U);
        fs::create_directories(store() / "nothing");
        EXPECT_THAT(co_await hashes("nothing"), IsEmpty());

        const Response missing = co_await contents_of("digits/no");
        EXPECT_EQ(missing.status, 404);
        EXPECT_THAT(words(Json::parse(missing.body)),
                    HasSubstr("'digits/no' is not on datastore 'workspaceblobstore'"));
        const Response unknown = co_await contents_of("", 0, "nowhere");
        EXPECT_EQ(unknown.status, 404);
        const Response admin = co_await ask("GET", "/api/v1/agent/datastores/workspaceblobstore/contents");
        EXPECT_EQ(admin.status, 403);
    });
}

TEST_F(DatastoreTest, AFileIsReadOnceForAsLongAsItStaysAsItIs) {
    with_agent([this]() -> asio::awaitable<void> {
        const fs::path file = write("old", "as it was");
        co_await let_it_settle(file);
        EXPECT_EQ((co_await hashes())["old"], sha256_hex("as it was"));
        co_await until_remembered(1); // a moment later: who asks in between has it read again

        // what is remembered is told, and not read again
        open_history()->exec("UPDATE file_hashes SET sha256 = '" + std::string(64, 'a') + "'");
        EXPECT_EQ((co_await hashes())["old"], std::string(64, 'a'));

        // its inode alone has changed
        EXPECT_EQ(::chmod(file.c_str(), 0600), 0);
        EXPECT_EQ((co_await hashes())["old"], sha256_hex("as it was"));
    });
}

TEST_F(DatastoreTest, AChangeIsSeenThoughSizeAndTimeAreAsBefore) {
    with_agent([this]() -> asio::awaitable<void> {
        const fs::path file = write("data", "one");
        co_await let_it_settle(file);
        EXPECT_EQ((co_await hashes())["data"], sha256_hex("one"));
        const auto dated = fs::last_write_time(file);

        write("data", "two");
        fs::last_write_time(file, dated);
        EXPECT_EQ((co_await hashes())["data"], sha256_hex("two"));

        write("new", "six");
        fs::last_write_time(store() / "new", dated);
        fs::rename(store() / "new", file);
        EXPECT_EQ((co_await hashes())["data"], sha256_hex("six"));
    });
}

TEST_F(DatastoreTest, AFileOfJustNowIsNotRememberedSinceItsTimeMayStayTheSame) {
    with_agent([this]() -> asio::awaitable<void> {
        for (int i = 0; i < 200; ++i) { // within ticks of the kernel's clock
            const std::string text = std::to_string(1000 + i);
            write("data", text);
            const auto found = co_await hashes("data");
            EXPECT_EQ(found.at("data"), sha256_hex(text));
        }
    });
}

TEST_F(DatastoreTest, WhatWeWriteOurselvesIsKnownAtOnceAndWatchedAllTheSame) {
    with_agent([this]() -> asio::awaitable<void> {
        const Response stored = co_await put_file("a/b", "1234");
        EXPECT_EQ(stored.status, 201) << stored.body;
        const Response blob = co_await put(container + "/a/c?" + sas(), "5678", {{"x-ms-version", "2021-08-06"}});
        EXPECT_EQ(blob.status, 201) << blob.body;
        EXPECT_EQ(rows(), 2);
        open_history()->exec("UPDATE file_hashes SET sha256 = '" + std::string(64, 'b') + "' WHERE name = 'a/c'");
        EXPECT_THAT(co_await hashes("a"),
                    UnorderedElementsAre(Pair("a/b", sha256_hex("1234")), Pair("a/c", std::string(64, 'b'))));

        for (int i = 0; i < 100; ++i) { // into the file, in the same tick
            const std::string ours = std::to_string(1000 + i);
            const std::string theirs = std::to_string(2000 + i);
            co_await put_file("race", ours);
            const UniqueFd fd(::open((store() / "race").c_str(), O_WRONLY | O_CLOEXEC));
            EXPECT_TRUE(write_all(fd.get(), theirs));
            const auto found = co_await hashes("race");
            EXPECT_EQ(found.at("race"), sha256_hex(theirs));
        }
    });
}

TEST_F(DatastoreTest, WhatIsGoneIsForgotten) {
    with_agent([this]() -> asio::awaitable<void> {
        co_await put_file("a/b", "1");
        co_await put_file("a/c", "2");
        fs::remove(store() / "a/b");

        EXPECT_EQ((co_await hashes("a")).size(), 1U);
        EXPECT_EQ(rows(), 1);
    });
}

TEST_F(DatastoreTest, WhatMustBeNewIsNotWrittenOver) {
    with_agent([this]() -> asio::awaitable<void> {
        EXPECT_EQ((co_await put_file("x", "first", "*")).status, 201);
        const Response second = co_await put_file("x", "second", "*");
        EXPECT_EQ(second.status, 409) << second.body;
        EXPECT_EQ(*read_file(store() / "x"), "first");
        EXPECT_EQ((co_await put_file("x", "third")).status, 201);
        EXPECT_EQ(*read_file(store() / "x"), "third");
    });
}

// A file of so many terabytes is never read to its end here.
TEST_F(DatastoreTest, ReadingHoldsUpNobodyAndTellsHowFarItIs) {
    with_agent([this]() -> asio::awaitable<void> {
        const fs::path huge = write("huge/file", "");
        EXPECT_EQ(::truncate(huge.c_str(), off_t{4} << 40U), 0);
        write("huge/small", "s");
        write("other/small", "s");

        const Response first = co_await contents_of("huge", 0);
        EXPECT_EQ(first.status, 202);
        const Json began = Json::parse(first.body);
        EXPECT_EQ(began.at("files"), 2);
        EXPECT_EQ(began.at("bytes"), (std::int64_t{4} << 40U) + 1);
        EXPECT_EQ((co_await put_file("other/put", "p")).status, 201);
        EXPECT_EQ((co_await get_file("other/put")).body, "p");
        for (Json look = began;
             look.at("known_bytes").get<std::int64_t>() <= began.at("known_bytes").get<std::int64_t>();) {
            look = Json::parse((co_await contents_of("huge", 100)).body);
        }
        // and the coordinator stops although it is not through
    });
}

TEST_F(DatastoreTest, ManyWhoAskAtOnceAreAllAnswered) {
    with_agent([this]() -> asio::awaitable<void> {
        for (int i = 0; i < 300; ++i) {
            write("many/" + std::to_string(i), std::string(1000, 'x') + std::to_string(i));
        }
        std::vector<std::unique_ptr<HttpClient>> clients;
        int right = 0;
        int ended = 0;
        Signal done;
        for (int i = 0; i < 8; ++i) {
            clients.push_back(co_await join("node" + std::to_string(i)));
            HttpClient::Request request;
            request.target = "/api/v1/agent/datastores/workspaceblobstore/contents?path=many&wait_ms=20000";
            asio::co_spawn(executor_, clients.back()->send(std::move(request)),
                           [&](std::exception_ptr, const Result<Response>& answer) {
                               right += answer && answer->status == 200 &&
                                                Json::parse(answer->body).at("files").size() == 300
                                            ? 1
                                            : 0;
                               ++ended;
                               done.notify();
                           });
        }
        while (ended < 8) {
            co_await done.wait();
        }
        EXPECT_EQ(right, 8);
    });
}

// ---- what does not belong there -------------------------------------------------------------------------------------

TEST_F(DatastoreTest, LinksPipesAndOddNamesAreNamedAndNothingOfThemIsSent) {
    with_agent([this]() -> asio::awaitable<void> {
        write("in/file", "1");
        fs::create_symlink(folder_ / "token", store() / "in/link");
        fs::create_directory_symlink(folder_.root(), store() / "in/folder-link");
        EXPECT_EQ(::mkfifo((store() / "in/pipe").c_str(), 0644), 0);
        write("in/latin-\xE9", "2");
        write("in/new\nline", "3");
        const bool device = ::mknod((store() / "in/zero").c_str(), S_IFCHR | 0666U, ::makedev(1, 5)) == 0;
        std::string deep = "in";
        for (int i = 0; i < 40; ++i) {
            deep += "/d";
        }
        write(deep + "/file", "4");

        const auto found = co_await obstacles("in");

        std::string all;
        for (const std::string& line : found) {
            all += line + "\n";
        }
        EXPECT_EQ(found.size(), device ? 7U : 6U) << all;
        EXPECT_THAT(all, HasSubstr("'in/link': it is a link"));
        EXPECT_THAT(all, HasSubstr("'in/folder-link': it is a link"));
        EXPECT_THAT(all, HasSubstr("'in/pipe': it is neither a file nor a folder"));
        EXPECT_THAT(all, HasSubstr("'in/latin-?': its name is not UTF-8"));
        EXPECT_THAT(all, HasSubstr("'in/new?line': "));
        EXPECT_THAT(all, HasSubstr("more than 32 folders deep"));
        EXPECT_THAT(co_await hashes("in"), ElementsAre(Pair("in/file", sha256_hex("1"))));
        for (const char* name : {"in/link", "in/folder-link/token", "in/pipe", "in/zero"}) {
            const Response read = co_await get_file(name);
            EXPECT_THAT(read.status, AnyOf(400, 404)) << name << read.body;
            const Response blob =
                co_await raw("GET", container + "/" + name + "?" + sas(), "", {{"x-ms-version", "2021-08-06"}});
            EXPECT_THAT(blob.status, AnyOf(400, 403, 404)) << name;
            const Response listed = co_await contents_of(name);
            EXPECT_THAT(listed.status, AnyOf(400, 404)) << name << listed.body;
        }
    });
}

TEST_F(DatastoreTest, NamesThatLeadOutAreRefusedWhoeverAsks) {
    with_agent([this]() -> asio::awaitable<void> {
        for (const char* name : {"..%2Ftoken", "a%2F..%2F..%2Ftoken", "%2Fetc%2Fpasswd", "a%2F%2Fb", "a%00b", "a%0Ab",
                                 "a%5Cb", "%FF", ".%2Fa"}) {
            HttpClient::Request request;
            request.target = std::string("/api/v1/agent/datastores/workspaceblobstore/contents?path=") + name;
            EXPECT_EQ((co_await send(*agent, std::move(request))).status, 400) << name;
            EXPECT_THAT((co_await put_file(name, "evil")).status, AnyOf(400, 404)) << name;
            EXPECT_THAT((co_await get_file(name)).status, AnyOf(400, 404)) << name;
        }
        EXPECT_EQ(read_file(folder_ / "token").value().substr(0, 64), token_);
    });
}

TEST_F(DatastoreTest, NothingIsWrittenThroughALink) {
    with_agent([this]() -> asio::awaitable<void> {
        folder_.write("outside/victim", "precious");
        fs::create_directory_symlink(folder_ / "outside", store() / "out");
        fs::create_symlink(folder_ / "outside/victim", store() / "victim");

        EXPECT_NE((co_await put_file("out/new", "evil")).status, 201);
        EXPECT_NE((co_await put_file("out/victim", "evil")).status, 201);
        EXPECT_EQ((co_await put_file("victim", "not evil")).status, 201) << "the link itself is replaced";

        EXPECT_EQ(*read_file(folder_ / "outside/victim"), "precious");
        EXPECT_FALSE(fs::exists(folder_ / "outside/new"));
        EXPECT_EQ(*read_file(store() / "victim"), "not evil");
    });
}

// Somebody puts a link into the place of a folder, again and again, while files are read, listed and written.
TEST_F(DatastoreTest, ALinkThatComesBetweenCheckAndOpenLeadsNowhere) {
    with_agent([this]() -> asio::awaitable<void> {
        folder_.write("outside/a", "secret");
        write("swap/a", "public");
        fs::create_directory_symlink(folder_ / "outside", folder_ / "link");
        std::atomic<bool> over = false;
        std::thread attacker([&] {
            while (!over) {
                ::renameat2(AT_FDCWD, (store() / "swap").c_str(), AT_FDCWD, (folder_ / "link").c_str(),
                            RENAME_EXCHANGE);
            }
        });
        int served = 0;
        int refused = 0;
        for (int i = 0; i < 5'000 && (i < 300 || served < 20 || refused < 20); ++i) {
            const Response read = co_await get_file("swap/a");
            (read.status == 200 ? served : refused) += 1;
            EXPECT_TRUE(read.status != 200 || read.body == "public") << read.body;
            const Response blob =
                co_await raw("GET", container + "/swap/a?" + sas(), "", {{"x-ms-version", "2021-08-06"}});
            EXPECT_TRUE(blob.status != 200 || blob.body == "public") << blob.body;
            if (i % 10 == 0) {
                const Response listed = co_await contents_of("swap");
                EXPECT_THAT(listed.body, Not(HasSubstr(sha256_hex("secret"))));
                co_await put_file("swap/new", "evil");
            }
            if (HasFailure()) {
                break;
            }
        }
        over = true;
        attacker.join();
        EXPECT_GT(served, 0);
        EXPECT_GT(refused, 0) << "the attack never met a request";
        EXPECT_FALSE(fs::exists(folder_ / "outside/new"));
    });
}

} // namespace
} // namespace linarite::test
