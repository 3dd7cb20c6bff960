#include "common/hash.hpp"
#include "proto/snapshot.hpp"
#include "proto_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace linarite::proto {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

const std::string sha_a(64, 'a');
const std::string sha_b(64, 'b');

Manifest sample() {
    return {{{.path = "lib/util.py", .size = 7, .sha256 = sha_a},
             {.path = "run.sh", .size = 0, .sha256 = sha_b, .executable = true}}};
}

std::vector<Fault> faults_of_paths(const std::vector<std::string>& paths) {
    Json files = Json::array();
    for (const std::string& path : paths) {
        files.push_back({{"path", path}, {"size", 1}, {"sha256", sha_a}});
    }
    return faults_of(parse_manifest(Json::object({{"files", files}})));
}

TEST(Manifest, IsTheSameAfterPrintAndParse) {
    EXPECT_EQ(parse_manifest(print(sample())).value(), sample());
}

TEST(Manifest, IsSortedByPathWhenParsed) {
    Manifest reversed = sample();
    std::swap(reversed.files[0], reversed.files[1]);

    EXPECT_EQ(parse_manifest(print(reversed)).value(), sample());
    EXPECT_EQ(snapshot_id(reversed), snapshot_id(sample()));
}

TEST(Manifest, MayBeEmpty) {
    EXPECT_TRUE(parse_manifest(json(R"({"files":[]})")).value().files.empty());
}

TEST(Manifest, IdIsTheHashOfItsCanonicalForm) {
    const std::string canonical = R"({"files":[{"executable":false,"path":"lib/util.py","sha256":")" + sha_a +
                                  R"(","size":7},{"executable":true,"path":"run.sh","sha256":")" + sha_b +
                                  R"(","size":0}]})";

    EXPECT_EQ(snapshot_id(sample()).str(), sha256_hex(canonical));
}

TEST(Manifest, IdChangesWithEverythingThatItNames) {
    const SnapshotId id = snapshot_id(sample());
    for (const auto& change : std::vector<std::function<void(SnapshotFile&)>>{
             [](SnapshotFile& f) { f.path += "x"; }, [](SnapshotFile& f) { f.size += 1; },
             [](SnapshotFile& f) { f.sha256[0] = '0'; }, [](SnapshotFile& f) { f.executable = !f.executable; }}) {
        Manifest changed = sample();
        change(changed.files[0]);
        EXPECT_NE(snapshot_id(changed), id);
    }
}

TEST(Manifest, AllFaultsComeAtOnce) {
    const auto faults = faults_of(parse_manifest(json(R"({"files":[{"path":"/etc/passwd","size":1,"sha256":")" + sha_a +
                                                      R"("},{"path":"b","size":-1,"sha256":"x"},{"path":"c"},3]})")));

    EXPECT_THAT(faults, ElementsAre(testing::Field(&Fault::pointer, "/files/0/path"),
                                    testing::Field(&Fault::pointer, "/files/1/size"),
                                    Fault{"/files/1/sha256", "must be 64 lower-case hex digits"},
                                    Fault{"/files/2/sha256", "is needed"}, Fault{"/files/2/size", "is needed"},
                                    Fault{"/files/3", "must be an object"}));
}

TEST(Manifest, RefusesAPathThatIsThereTwice) {
    EXPECT_THAT(faults_of_paths({"a", "b", "a"}), ElementsAre(Fault{"/files/2/path", "'a' is there twice"}));
}

TEST(Manifest, RefusesAFileThatIsAlsoAFolder) {
    EXPECT_THAT(faults_of_paths({"a/b/c", "a/b"}),
                ElementsAre(Fault{"/files/0/path", "'a/b/c' lies below 'a/b', which is a file"}));
    EXPECT_THAT(faults_of_paths({"a", "a.b", "a-b/c", "ab/c"}), ElementsAre());
}

TEST(Manifest, RefusesWhatIsNone) {
    EXPECT_FALSE(parse_manifest(json("[]")));
    EXPECT_THAT(faults_of(parse_manifest(json("{}"))), ElementsAre(Fault{"/files", "is needed"}));
    EXPECT_FALSE(parse_manifest(json(R"({"files":{}})")));
}

TEST(Manifest, TotalDoesNotWrapAround) {
    Manifest huge = sample();
    huge.files[0].size = std::numeric_limits<std::uint64_t>::max();
    huge.files[1].size = 5;

    EXPECT_EQ(total_bytes(huge), std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(total_bytes(sample()), 7U);
}

TEST(SizeLimit, NamesTheTenLargestFiles) {
    Manifest tree;
    for (unsigned i = 10; i < 30; ++i) {
        tree.files.push_back({.path = "f" + std::to_string(i), .size = std::uint64_t{i} << 20U, .sha256 = sha_a});
    }

    const auto over = check_size(tree, 100U << 20U);

    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().code(), Errc::too_large);
    EXPECT_THAT(over.error().detail(),
                AllOf(HasSubstr("390.0 MiB in 20 files"), HasSubstr("100.0 MiB is the limit"), HasSubstr(".amlignore"),
                      HasSubstr("f29 (29.0 MiB), f28 (28.0 MiB)"), HasSubstr("f20 (20.0 MiB)"), Not(HasSubstr("f19"))));
}

TEST(SizeLimit, IsTheLastSizeThatPasses) {
    EXPECT_TRUE(check_size(sample(), 7));
    EXPECT_FALSE(check_size(sample(), 6));
}

} // namespace
} // namespace linarite::proto
