// linarite-shim: what runs beside a user's processes, inside any image: the supervisor of one run on one node, what
// starts its ranks, and Open MPI's launch agent in place of ssh.
#include "agent/shim/rank.hpp"
#include "agent/shim/ranks.hpp"
#include "agent/shim/rsh.hpp"
#include "agent/shim/spawner.hpp"
#include "agent/shim/supervise.hpp"

#include <cstdio>
#include <cstring>
#include <string_view>

int main(int count, char** words) {
    using namespace linarite::shim;
    const std::string_view mode = count > 1 ? words[1] : "";
    if (mode == "supervise" && count == 3) {
        return supervise(words[2]);
    }
    if (mode == "spawner" && count == 3) {
        return spawner({words[1], words[2] + std::strlen(words[2])}); // the kernel lays words side by side
    }
    if (mode == "sweep" && count == 3) {
        return sweep(words[2]);
    }
    if (mode == "rsh") {
        return rsh(count - 2, words + 2);
    }
    if (mode == "rank") {
        return rank();
    }
    if (mode == "ranks") {
        return ranks();
    }
    if (mode == "--version") {
        std::puts("linarite-shim " LINARITE_VERSION);
        return 0;
    }
    std::fprintf(stderr,
                 "usage: linarite-shim supervise JOB-FILE | spawner ROOM | sweep FACTS-DIR | rsh HOST COMMAND... | "
                 "rank | ranks | --version\n");
    return 2;
}
