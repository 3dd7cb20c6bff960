"""Random kills of the parts of an MPI run over three hosts, and what must be true after each. See kill_gang."""

import collections
import contextlib
import os
import pathlib
import random
import re
import signal
import time

from cluster import TERMINAL, command_line, is_alive, wait_until, write_project
from hosts import HostCluster, call

HOSTS, RANKS = 3, 6
LEASE, LOST_AFTER = 6, 20  # seconds, of the coordinator
END_DEADLINE = 90.0  # from the kill until the run has ended
CLEAN_DEADLINE = 20.0  # from there (and from the healing of the network) until nothing of it is left
GLANCE = 0.05  # between two looks at all processes, which cost more than what they wait for

# Works for a second, all ranks in step, and leaves a file that shows whether its rank did all of its work.
WORK = r"""
#include <mpi.h>
#include <stdio.h>
#include <time.h>
int main(int count, char** words) {
    int rank, size;
    MPI_Init(&count, &words);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    double sum = 0;
    for (int step = 0; step < 40; ++step) {
        double mine = rank + step, all = 0;
        MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
        sum += all;
        printf("step %d: %g\n", step, all);
        fflush(stdout);
        struct timespec pause = {0, 20000000};
        nanosleep(&pause, 0);
    }
    char name[64];
    snprintf(name, sizeof name, "outputs/rank-%d.txt", rank);
    FILE* file = fopen(name, "w");
    for (int line = 0; line < 20000; ++line) fprintf(file, "rank %d of %d: %g\n", rank, size, sum);
    fclose(file);
    MPI_Finalize();
    return 0;
}
"""
SUM = sum(RANKS * (RANKS - 1) / 2 + RANKS * step for step in range(40))

# (what, how): for links the seconds that the cable is out
PROCESSES = ("rank", "orted", "mpirun", "shim", "agent")
DEEDS = [(what, how) for what in PROCESSES for how in (signal.SIGTERM, signal.SIGKILL)]
DEEDS += [("link", 1), ("link", 4), ("link", 15), ("link", 30)]
QUICK_DEEDS = [("rank", signal.SIGKILL), ("orted", signal.SIGKILL), ("mpirun", signal.SIGTERM), ("shim", signal.SIGKILL),
               ("agent", signal.SIGKILL), ("link", 1)]  # fmt: skip


def name_of(deed):
    what, how = deed
    return f"{what} {how.name[3:] if isinstance(how, signal.Signals) else f'{how} s'}"


class Wrong(AssertionError):
    """Something that must not be; the words say what."""


def make_work(folder):
    project = write_project(folder, WORK, "work.c")
    call("mpicc", "-O1", "-o", project / "work", project / "work.c")
    (project / "job.runconfig").write_text(
        '{"command": ["./work"], "target": "cpu-cluster", "communicator": "Mpi", "nodeCount": %d,'
        ' "mpi": {"processCountPerNode": %d}}' % (HOSTS, RANKS // HOSTS)
    )
    return project


def start_cluster():
    flags = ["--lease", LEASE, "--lost-after", LOST_AFTER, "--stop-grace", 5]
    return HostCluster(HOSTS, flags=flags, prefix="kg")


class Parts:
    """The processes of a run on all hosts, by what they are."""

    PATTERNS = {
        "mpirun": re.compile(r"^(\S*/)?mpirun "),
        "orted": re.compile(r"^(\S*/)?orted "),
        "rank": re.compile(r"^\./work"),
        "shim": re.compile(r"^(\S*/)?linarite-shim (supervise|rank|rsh)"),
    }

    def __init__(self, cluster):
        self.all = [(host, pid, line) for host in cluster.hosts for pid, line in host.space.pids().items()]

    def of(self, what):
        return [(host, pid) for host, pid, line in self.all if self.PATTERNS[what].match(line)]

    def of_a_run(self):
        return {pid: f"{host.name}: {line}" for host, pid, line in self.all
                if any(pattern.match(line) for pattern in self.PATTERNS.values())}  # fmt: skip


def rank_of(pid):
    environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return int(next(entry for entry in environment if entry.startswith(b"OMPI_COMM_WORLD_RANK=")).partition(b"=")[2])


class Killer:
    """Runs, deeds and judgements."""

    def __init__(self, cluster, project, seed):
        self.cluster, self.project, self.dice = cluster, project, random.Random(seed)
        self.table = collections.defaultdict(collections.Counter)
        self.slowest = collections.Counter()
        self.faults = []
        self.span = 2.0

    # ---- one run

    def submit(self):
        run = self.cluster.submit(self.project, flags=["--job", self.project / "job.runconfig"])
        wait_until(lambda: Parts(self.cluster).of_a_run() or self.ended(run), "the first program of the run", 60, GLANCE)
        return run

    def ended(self, run):
        return self.cluster.show(run)["status"] in TERMINAL

    def measure(self):
        """How long a run takes that is left alone, from its first program to its last file."""
        spans = []
        for _ in range(2):
            run = self.submit()
            first = time.monotonic()
            row = self.cluster.wait_for_end(run)
            assert row["status"] == "Completed", row["outcome"]["message"]
            spans.append(time.monotonic() - first)
        self.span = max(spans)

    def do(self, deed):
        """Gives what was hit, or None if it was not there any more."""
        what, how = deed
        if what == "link":
            host = self.dice.choice(self.cluster.hosts)
            host.cut()
            time.sleep(how)  # the deed itself, not a wait for anything
            host.heal()
            return {"host": host.name}
        if what == "agent":
            host = self.dice.choice(self.cluster.hosts)
            host.end_agent(how)
            host.start_agent(self.cluster)
            return {"host": host.name}
        found = Parts(self.cluster).of(what)
        if not found:
            return None
        host, pid = self.dice.choice(found)
        hit = {"host": host.name, "pid": pid, "line": command_line(pid)}
        try:
            if what == "rank":
                hit["rank"] = rank_of(pid)
            os.kill(pid, how)
        except (OSError, StopIteration):
            return None
        return hit

    # ---- judgement

    def judge(self, deed, hit, row):
        """Raises Wrong if the run ended otherwise than it must after that deed."""
        what, how = deed
        outcome = row["outcome"] or {}
        told = f"{row['status']}: {outcome.get('code')}: rank {outcome.get('rank')}: {outcome.get('message')}"
        if row["status"] == "Completed":
            self.check_files(row["run_id"])
            return
        harmless = hit is None or what == "agent" or (what == "link" and how <= LEASE)
        if harmless:
            raise Wrong(f"the run did not complete though nothing was done to it that must end it: {told}")
        if row["status"] != "Failed":
            raise Wrong(f"nobody has canceled it: {told}")
        if what == "rank":
            if (outcome["code"], outcome["rank"], outcome["signal"]) != ("UserError", hit["rank"], how):
                raise Wrong(f"rank {hit['rank']} was ended by {how.name}, but: {told}")
            if outcome["node"] != hit["host"] or how.name not in outcome["message"]:
                raise Wrong(f"rank {hit['rank']} was on {hit['host']}, but: {told}")
        elif what in ("orted", "mpirun", "link") and outcome["code"] != "ServiceError":
            raise Wrong(f"the script is blamed for what befell {what}: {told}")
        elif not outcome["message"]:
            raise Wrong(f"no word about why: {told}")

    def check_files(self, run):
        for rank in range(RANKS):
            lines = self.cluster.file(run, f"outputs/rank-{rank}.txt").decode().splitlines()
            if lines != [f"rank {rank} of {RANKS}: {SUM:g}"] * 20000:
                raise Wrong(f"Completed, but outputs/rank-{rank}.txt is not whole: {len(lines)} lines")
            log = self.cluster.driver_log(run, rank).decode()
            if log.count("step ") != 40:
                raise Wrong(f"Completed, but the log of rank {rank} has {log.count('step ')} of 40 lines")

    def left(self):
        """What should not be there any more once a run has ended."""
        found = Parts(self.cluster).of_a_run()
        busy = [node["name"] for node in self.cluster.get("/api/v1/nodes").json()["nodes"] if node["runs"]]
        return found or ([f"slots of {busy} are taken"] if busy else None)

    # ---- rounds

    def round(self, deed):
        counts = self.table[name_of(deed)]
        run = self.submit()
        time.sleep(self.dice.uniform(0, self.span))  # the moment is the point, not a state that is waited for
        hit = self.do(deed)
        counts["kills" if hit else "missed"] += 1
        done = time.monotonic()
        try:
            wait_until(lambda: self.ended(run), "a terminal status", END_DEADLINE, GLANCE)
        except AssertionError:
            counts["no end"] += 1
            self.faults.append(f"{name_of(deed)} ({hit}): run {run} did not end: {self.explain(run)}")
            self.cluster.cli("cancel", run, code=None)
            with contextlib.suppress(AssertionError):
                wait_until(lambda: self.ended(run), "the end of a canceled run", END_DEADLINE)
        row = self.cluster.show(run)
        self.slowest[name_of(deed)] = max(self.slowest[name_of(deed)], round(time.monotonic() - done, 1))
        counts[row["status"]] += 1
        try:
            self.judge(deed, hit, row)
        except Wrong as wrong:
            counts["wrong"] += 1
            self.faults.append(f"{name_of(deed)} ({hit}): run {run}: {wrong}")
        try:
            wait_until(lambda: not self.left(), "nothing is left", CLEAN_DEADLINE, GLANCE)
        except AssertionError:
            counts["left"] += 1
            self.faults.append(f"{name_of(deed)} ({hit}): run {run} left {self.left()}")
        for host in self.cluster.hosts:
            if host.agent is None or not is_alive(host.agent.pid):
                said = host.agent_log()[-500:]
                self.faults.append(f"{name_of(deed)} ({hit}): the agent of {host.name} is gone: {said}")
                host.start_agent(self.cluster)

    def explain(self, run):
        return self.cluster.cli("explain", run, code=None).stdout.strip()

    def run(self, kills, deeds):
        """So many rounds; each deed comes about equally often."""
        order = [deeds[i % len(deeds)] for i in range(kills)]
        self.dice.shuffle(order)
        self.measure()
        for number, deed in enumerate(order, 1):
            yield number, deed
            self.round(deed)

    def report(self):
        columns = ["kills", "missed", "Completed", "Failed", "Canceled", "no end", "wrong", "left"]
        rows = [["deed", *columns, "slowest end"]]
        for name, counts in sorted(self.table.items()):
            rows.append([name, *(counts[column] for column in columns), f"{self.slowest[name]} s"])
        total = sum(self.table.values(), collections.Counter())
        rows.append(["all", *(total[column] for column in columns), f"{max(self.slowest.values(), default=0)} s"])
        widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(str(cell).rjust(width) for cell, width in zip(row, widths)) for row in rows]
        return "\n".join(lines + [f"fault: {fault}" for fault in self.faults])
