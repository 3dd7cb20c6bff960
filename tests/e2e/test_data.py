"""Data on hosts that do not see the datastore: fetched once, kept by content, sent back. Each host is a namespace of its
own (hosts.py); what goes over the network is counted at the host's only cable and by the coordinator."""

import hashlib
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import time

import pytest

from cluster import running, wait_until
from hosts import HostCluster, require_hosts

require_hosts()
STORE = "workspaceblobstore"
ENVIRONMENT = {"python": {"userManagedDependencies": True, "interpreterPath": sys.executable}}
FILES_ROUTE = "/api/v1/agent/datastores/{name}/files/{path...}"
MIB = 1 << 20

# Prints the SHA-256 of every file at the places that are given, by their names below them.
DIGEST = """
import hashlib, pathlib, sys
for place in map(pathlib.Path, sys.argv[1:]):
    files = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    for path in files:
        name = path.name if path == place else path.relative_to(place)
        print("GOT", hashlib.sha256(path.read_bytes()).hexdigest(), name)
"""


class Datahosts(HostCluster):
    def fetched(self):
        """How many files of datastores the coordinator has sent to agents."""
        text = self.get("/metrics").body.decode()
        lines = [line for line in text.splitlines() if line.startswith("linarite_http_requests_total{")]
        return sum(float(line.rpartition(" ")[2]) for line in lines if FILES_ROUTE in line and 'status="200"' in line)

    def received(self, host):
        """Bytes that came through the host's cable."""
        table = pathlib.Path(f"/proc/{host.space.pid}/net/dev").read_text()
        return int(re.search(r"eth0:\s*(\d+)", table).group(1))

    def store(self, name=STORE):
        return self.data / "datastores" / name

    def put(self, name, content):
        path = self.store() / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return content

    def got(self, run):
        """{name: SHA-256} as DIGEST printed it."""
        lines = [line for line in self.driver_log(run).decode().splitlines() if line.startswith("GOT ")]
        return {line.split(" ", 2)[2]: line.split(" ", 2)[1] for line in lines}

    def notes(self, run, host):
        return self.file(run, f"azureml-logs/65_job_prep-tvmps_{host.name}_d.txt").decode()


def cache_of(host):
    return host.outside / "data" / f"agent-{host.name}" / "data-cache"


def kept(host):
    return {path.name for path in (cache_of(host) / "sha256").glob("*/*")}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def references(*modes, path="", **more):
    """dataReferences d0, d1 ... of these modes, all of one path."""
    one = {"dataStoreName": STORE, "pathOnDataStore": path} | more
    return {f"d{index}": one | {"mode": mode} for index, mode in enumerate(modes)}


def places(data):
    return [f"$AZUREML_DATAREFERENCE_{name}" for name in data]


@pytest.fixture(scope="module")
def shared_hosts():
    flags = ["--data-cache-size", "64m", "--image-map", "linarite/dockerfile:*=none"]
    cluster = Datahosts(2, slots=2, prefix="dd", agent_flags=flags, packages=False)
    with running(cluster):
        yield cluster


@pytest.fixture
def hosts(shared_hosts):
    yield shared_hosts
    shared_hosts.cancel_all()


@pytest.fixture
def dice():
    return random.Random(time.monotonic_ns())


@pytest.fixture
def submit(hosts, project, job_file):
    """submit(data, script=DIGEST, nodes=1) gives the id of a run with these references, whose places are its arguments."""

    def start(data, script=DIGEST, nodes=1, flags=()):
        job = job_file(arguments=places(data), environment=ENVIRONMENT, dataReferences=data, nodeCount=nodes)
        return hosts.submit(project(script), flags=["--job", job, *flags])

    return start


@pytest.fixture
def run(hosts, submit):
    def start(*arguments, **more):
        row = hosts.wait_for_end(submit(*arguments, **more))
        assert row["status"] == "Completed", row["outcome"]["message"]
        return row

    return start


@pytest.fixture
def on_one_host(hosts):
    """All runs on the first host alone."""
    other = hosts.hosts[1]
    hosts.cli("nodes", "drain", other.name)
    yield hosts.hosts[0]
    hosts.cli("nodes", "resume", other.name)


@pytest.mark.parametrize("mode", ["mount", "download"])
def test_a_second_run_reads_nothing_of_the_data_over_the_network(hosts, run, dice, on_one_host, mode):
    folder = f"twice-{mode}"
    files = {f"{index}/part": dice.randbytes(2 * MIB) for index in range(8)} | {"small": dice.randbytes(20)}
    for name, content in files.items():
        hosts.put(f"{folder}/{name}", content)
    expected = {name: sha256(content) for name, content in files.items()}
    fetched, received = hosts.fetched(), hosts.received(on_one_host)

    first = run(references(mode, path=folder))

    assert hosts.got(first["run_id"]) == expected
    assert hosts.fetched() == fetched + len(set(expected.values()))
    assert hosts.received(on_one_host) - received > 16 * MIB
    fetched, received = hosts.fetched(), hosts.received(on_one_host)

    second = run(references(mode, path=folder))

    assert hosts.got(second["run_id"]) == expected
    assert hosts.fetched() == fetched
    assert hosts.received(on_one_host) - received < MIB, "the list, the source tree and the agent's own words"


def test_a_changed_file_alone_is_fetched_anew(hosts, run, dice, on_one_host):
    files = {name: hosts.put(f"changing/{name}", dice.randbytes(MIB)) for name in "abc"}
    run(references("mount", path="changing"))
    before = (hosts.store() / "changing/b").stat()
    files["b"] = dice.randbytes(MIB)
    with open(hosts.store() / "changing/b", "r+b") as file:  # in place, as long as before, and dated as before
        file.write(files["b"])
    os.utime(hosts.store() / "changing/b", ns=(before.st_atime_ns, before.st_mtime_ns))
    fetched = hosts.fetched()

    row = run(references("mount", path="changing"))

    assert hosts.got(row["run_id"]) == {name: sha256(content) for name, content in files.items()}
    assert hosts.fetched() == fetched + 1


def test_a_single_file_in_all_modes_and_under_the_names_that_the_user_gave(hosts, run, dice, on_one_host):
    content = hosts.put("single/file.bin", dice.randbytes(100_000))
    data = references("mount", "download", path="single/file.bin")
    data["named"] = data["d0"] | {"pathOnCompute": "in/mounted.bin"}
    data["loaded"] = data["d1"] | {"pathOnCompute": "in/loaded.bin"}
    script = DIGEST + """
for name in ("in/mounted.bin", "in/loaded.bin"):
    print("GOT", hashlib.sha256(pathlib.Path(name).read_bytes()).hexdigest(), name)
"""
    fetched = hosts.fetched()

    row = run(data, script)

    found = hosts.got(row["run_id"])
    assert set(found) == {"file.bin", "loaded.bin", "in/mounted.bin", "in/loaded.bin"}
    assert set(found.values()) == {sha256(content)}
    assert hosts.fetched() == fetched + 1


def test_a_folder_has_its_name_on_the_compute_and_a_download_may_be_written_to(hosts, run, dice, on_one_host):
    content = hosts.put("named/deep/x", dice.randbytes(1000))
    data = {"m": references("mount", path="named")["d0"] | {"pathOnCompute": "my/mount"},
            "d": references("download", path="named")["d0"] | {"pathOnCompute": "my/copy", "overwrite": True}}  # fmt: skip
    script = DIGEST + """
import os
assert os.path.samefile("my/mount", sys.argv[1]) and os.path.samefile("my/copy", sys.argv[2])
pathlib.Path("my/copy/deep/x").write_text("changed")
"""
    for _ in range(2):
        assert hosts.got(run(data, script)["run_id"]) == {"deep/x": sha256(content)}


def test_what_a_remote_run_makes_is_uploaded(hosts, run, dice, on_one_host):
    hosts.put("results/there", b"from before")
    data = {"kept": references("upload", path="results")["d0"],
            "named": references("upload", path="named results")["d0"] | {"pathOnCompute": "by name", "overwrite": True}}  # fmt: skip
    script = """
import os, sys
for place in sys.argv[1:]:
    os.makedirs(place + "/sub", exist_ok=True)
    open(place + "/sub/new", "w").write("new")
    os.symlink("/etc/passwd", place + "/link")
open(sys.argv[1] + "/there", "w").write("other")
open("by name/by the name", "w").write("as well")
"""
    row = run(data, script)

    store = hosts.store()
    assert (store / "results/sub/new").read_text() == "new"
    assert (store / "results/there").read_text() == "from before"
    assert {path.name for path in (store / "named results").rglob("*") if path.is_file()} == {"new", "by the name"}
    notes = hosts.notes(row["run_id"], on_one_host)
    assert "'results/there' is on datastore 'workspaceblobstore' already and stays as it is" in notes
    assert "data/link': it is a link" in notes


def test_every_host_uploads_what_its_own_processes_made(hosts, run):
    script = """
import os, sys
open(sys.argv[1] + "/of-" + os.uname().nodename, "w").write("mine")
"""
    run(references("upload", path="of-all", overwrite=True), script, nodes=2, flags=["--backend", "gloo"])

    assert {path.name for path in (hosts.store() / "of-all").iterdir()} == {"of-dd1", "of-dd2"}


def test_two_runs_at_once_share_one_transfer(hosts, submit, dice, on_one_host):
    content = hosts.put("shared/large", dice.randbytes(48 * MIB))
    fetched = hosts.fetched()

    both = [submit(references("mount", path="shared")) for _ in range(2)]

    for one in both:
        row = hosts.wait_for_end(one)
        assert row["status"] == "Completed", row["outcome"]["message"]
        assert hosts.got(one) == {"large": sha256(content)}
    assert hosts.fetched() == fetched + 1


def test_a_mount_cannot_spoil_what_the_next_run_gets(hosts, run, dice, on_one_host):
    content = hosts.put("spoilt/x", dice.randbytes(1000))
    script = """
import sys, os
path = sys.argv[1] + "/x"
try:
    os.chmod(path, 0o644)
    with open(path, "r+b") as file: file.write(b"spoilt")
except OSError as error:
    print("refused:", error)
"""
    run(references("mount", path="spoilt"), script)

    row = run(references("mount", path="spoilt"))

    assert hosts.got(row["run_id"]) == {"x": sha256(content)}


def test_the_cache_keeps_to_its_limit_and_lets_go_of_what_was_unused_for_longest(hosts, run, dice, on_one_host):
    shutil.rmtree(cache_of(on_one_host) / "sha256", ignore_errors=True)
    content = {name: hosts.put(f"{name}/x", dice.randbytes(24 * MIB)) for name in ("lru-a", "lru-b", "lru-c")}
    for name in ("lru-a", "lru-b", "lru-a", "lru-c"):  # 64 MiB hold two of them
        assert hosts.got(run(references("mount", path=name))["run_id"]) == {"x": sha256(content[name])}

    assert kept(on_one_host) == {sha256(content["lru-a"]), sha256(content["lru-c"])}


def test_an_agent_that_is_killed_while_it_fetches_leaves_nothing_half(hosts, submit, dice, on_one_host):
    host, content = on_one_host, dice.randbytes(60 * MIB)
    hosts.put("killed/large", content)
    for after in (1, 8 * MIB, 40 * MIB):  # bytes that have come
        shutil.rmtree(cache_of(host) / "sha256", ignore_errors=True)
        one = submit(references("mount", path="killed"))
        incoming = cache_of(host) / "incoming"

        def arrived(incoming=incoming, after=after):
            with_bytes = [path for path in incoming.glob("*") if path.exists() and path.stat().st_size >= after]
            return with_bytes or kept(host)

        wait_until(arrived, "bytes of the file", every=0.001)
        host.end_agent(signal.SIGKILL)
        for path in (cache_of(host) / "sha256").glob("*/*"):
            assert sha256(path.read_bytes()) == path.name

        host.start_agent(hosts, *hosts.agent_flags, "--slots", hosts.slots)
        host.await_agent()

        row = hosts.wait_for_end(one)
        assert row["status"] == "Completed", row["outcome"]["message"]
        assert hosts.got(one) == {"large": sha256(content)}
        assert list(incoming.iterdir()) == []


def test_a_link_in_the_datastore_does_not_lead_a_remote_run_out_of_it(hosts, submit):
    hosts.put("hostile/x", b"x")
    (hosts.store() / "hostile/token").symlink_to(hosts.data / "token")

    row = hosts.wait_for_end(submit(references("mount", path="hostile")))

    assert row["status"] == "Failed"
    assert "'hostile/token': it is a link" in row["outcome"]["message"]


def test_data_that_is_not_there_is_named(hosts, submit):
    row = hosts.wait_for_end(submit(references("download", path="nowhere")))

    assert row["status"] == "Failed"
    assert row["outcome"]["code"] == "UserError"
    assert "'nowhere' is not on datastore 'workspaceblobstore'" in row["outcome"]["message"]


def test_what_a_run_waits_for_is_explained_and_it_can_be_cancelled(hosts, submit):
    huge = hosts.store() / "huge/file"
    huge.parent.mkdir()
    huge.touch()
    os.truncate(huge, 1 << 42)  # a hole, which the coordinator would read for half an hour
    one = submit(references("mount", path="huge"))
    try:
        words = "for data 'd0', which the coordinator reads for the first time: 0 of 1 files"
        wait_until(lambda: words in hosts.cli("explain", one).stdout, lambda: hosts.cli("explain", one).stdout)
        hosts.cli("cancel", one)
        assert hosts.wait_for_end(one)["status"] == "Canceled"
    finally:
        huge.unlink()


def test_what_an_image_is_built_from_comes_as_data_does(hosts, run, on_one_host, tmp_path):
    """The folder is brought and read before it is known that nothing is built of it here."""
    (tmp_path / "context" / "tools").mkdir(parents=True)
    (tmp_path / "context" / "Dockerfile").write_text("FROM nowhere:1\nCOPY tools /tools\n")
    (tmp_path / "context" / "tools" / "tool").write_text("a tool")
    flags = ["--build-context", tmp_path / "context"]
    before = hosts.fetched()

    first = run({}, script="print('on the node')", flags=flags)
    fetched = hosts.fetched()
    second = run({}, script="print('on the node')", flags=flags)

    assert (fetched, hosts.fetched()) == (before + 2, before + 2)
    for row in (first, second):
        log = hosts.file(row["run_id"], "azureml-logs/20_image_build_log.txt").decode()
        assert "is mapped by this node's operator (linarite/dockerfile:*) to the node itself" in log
