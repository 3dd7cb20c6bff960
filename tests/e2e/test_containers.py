"""Runs in containers: a real engine, started here without a network of its own, and an image of what is installed."""

import base64
import json
import os
import signal
import subprocess
import time

import pytest

from cluster import ROOT, Cluster, is_alive, running, wait_until
from engine import BARE_IMAGE, IMAGE, PASSWORD, Engine, NoEngine, Registry, make_image, make_image_folder
from test_ordinary_user import become_nobody, readable
from test_process_groups import GLOO, REDUCE
from test_packages import CHANGES_ITS_ENVIRONMENT, check_changes_are_its_own
from test_restarts import counted_lines, log_of
from wheelhouse import write_wheel

MPI = ["--backend", "mpi"]
IN_IMAGE = ["--image", IMAGE, "--user-managed"]
FLAGS = ["--image-map", f"mapped/*={IMAGE}", "--image-map", "nowhere/*=none"]


def engine_with_image(engine, image_tar):
    """Skips, so that it is seen, where that engine can't be."""
    try:
        engine.start()
        engine.import_image(image_tar, IMAGE)
        yield engine
    except NoEngine as error:
        pytest.skip(f"NO CONTAINER ENGINE: nothing of runs in its containers is tested here: {error}")
    finally:
        engine.stop()


@pytest.fixture(scope="module")
def image_tar(tmp_path_factory):
    return make_image(tmp_path_factory.mktemp("image") / "image.tar")


@pytest.fixture(scope="module")
def engine(image_tar):
    yield from engine_with_image(Engine(), image_tar)


@pytest.fixture(scope="module")
def bare_image(engine, image_tar):
    engine.import_image(image_tar, BARE_IMAGE, environment="/nowhere")
    return BARE_IMAGE


@pytest.fixture(scope="module")
def two_nodes(engine):
    cluster = Cluster(nodes=2, flags=FLAGS, environment={"DOCKER_HOST": engine.url})
    with running(cluster):
        yield cluster


@pytest.fixture
def cluster(two_nodes, engine):
    """Idle again after the test, and no container is left."""
    yield two_nodes
    two_nodes.cancel_all()
    wait_until(lambda: not engine.containers(), lambda: f"containers are removed: {engine.containers()}")


def engine_log(cluster, run):
    node = cluster.show(run)["nodes"][0]
    return cluster.file(run, f"azureml-logs/55_azureml-execution-tvmps_{node}_d.txt").decode()


def work_dir(cluster, run, node=0):
    return cluster.data / f"agent-{cluster.show(run)['nodes'][node]}" / "work" / run / "wd"


# Counts until the test writes `go` into its working directory, then writes down how far it came.
COUNTER = """
import os, time
n = 0
while not os.path.exists("go"):
    print(f"line {n}", flush=True)
    n += 1
    time.sleep(0.002)
open("outputs/count.txt", "w").write(str(n))
"""


def start_counter(cluster, folder, image=IMAGE):
    run = cluster.submit(folder, "train.py", flags=["--image", image, "--user-managed"])
    cluster.wait_for(run, "Running")
    where = lambda: f"{cluster.show(run)}\n{log_of(cluster, run)[-300:]}\n{cluster.up_log()[-3000:]}"  # noqa: E731
    wait_until(lambda: len(counted_lines(log_of(cluster, run))) > 50, lambda: f"the first lines are in the log: {where()}")
    return run


def finish(cluster, run):
    """Lets the counter end; everything that it printed must be there, once and in order."""
    seen = len(counted_lines(log_of(cluster, run)))
    wait_until(lambda: len(counted_lines(log_of(cluster, run))) > seen, "the log goes on to grow")
    (work_dir(cluster, run) / "go").write_text("")
    row = cluster.wait_for_end(run)
    assert row["status"] == "Completed", row
    count = int(cluster.file(run, "outputs/count.txt"))
    assert counted_lines(cluster.driver_log(run)) == [f"line {n}" for n in range(count)]


def test_a_run_is_inside_of_its_image_with_its_files_as_ever(cluster, engine, project):
    script = """
import json, os, sys, tempfile
open("logs/metrics.txt", "w").write("x")
with tempfile.NamedTemporaryFile() as temporary: pass
open(os.path.expanduser("~/at-home"), "w").write("x")
shm = os.statvfs("/dev/shm")
json.dump({"contained": os.path.exists("/etc/linarite-image"), "python": sys.executable, "cwd": os.getcwd(),
           "shm": shm.f_blocks * shm.f_frsize, "variable": os.environ["MINE"], "user": os.getuid(),
           "agent": os.path.exists("../../../identity.json"), "run": os.environ["AZUREML_RUN_ID"]},
          open("outputs/seen.json", "w"))
print("hello from inside")
"""
    run = cluster.run(project(script), "train.py", flags=[*IN_IMAGE, "--env", "MINE=a b"])

    assert run["status"] == "Completed", json.dumps(run)
    seen = json.loads(cluster.file(run["run_id"], "outputs/seen.json"))
    assert seen["contained"] and not seen["agent"]
    assert seen["python"] == "/usr/bin/python3"
    assert (seen["variable"], seen["user"], seen["run"]) == ("a b", os.getuid(), run["run_id"])
    assert seen["shm"] == 2 << 30
    log = cluster.driver_log(run["run_id"]).decode()
    assert "hello from inside" in log and "The activity completed successfully. Finalizing run..." in log
    assert cluster.file(run["run_id"], "logs/metrics.txt") == b"x"
    image = json.loads(engine.call("GET", f"/v1.41/images/{IMAGE}/json")[1])
    digest = image["RepoDigests"][0].split("@")[1] if image["RepoDigests"] else image["Id"]  # Podman gives each image one
    lock = cluster.file(run["run_id"], "azureml-logs/environment_lock.txt").decode()
    assert f"# digest {digest}" in lock and f"# id {image['Id']}" in lock
    assert digest in engine_log(cluster, run["run_id"])
    build_log = cluster.file(run["run_id"], "azureml-logs/20_image_build_log.txt").decode()
    assert build_log.splitlines()[0] == f"container: image '{IMAGE}', as the run asks for it"


def test_the_log_of_a_container_is_seen_while_it_is_written(cluster, project):
    finish(cluster, start_counter(cluster, project(COUNTER)))


def test_an_exit_code_comes_out_of_the_container(cluster, project):
    script = "import sys; print('the teapot'); sys.exit(7)"

    run = cluster.run(project(script), "train.py", flags=IN_IMAGE)

    assert run["status"] == "Failed"
    assert (run["outcome"]["exit_code"], run["outcome"]["code"]) == (7, "UserError")
    assert "the teapot" in run["outcome"]["message"]


def test_a_cancelled_run_has_its_grace_and_leaves_nothing(cluster, engine, project):
    script = """
import signal, subprocess, sys, time
subprocess.Popen(["sleep", "3600"], start_new_session=True)
def leave(*_):
    print("cleaning up", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
time.sleep(3600)
"""
    run = cluster.submit(project(script), "train.py", flags=IN_IMAGE)
    cluster.wait_for(run, "Running")
    wait_until(lambda: b"ready" in log_of(cluster, run), "the script is ready")
    assert engine.container_of(run)

    cluster.cli("cancel", run)

    assert cluster.wait_for_end(run)["status"] == "Canceled"
    assert b"cleaning up" in cluster.driver_log(run)
    wait_until(lambda: not engine.container_of(run), "its container is gone")


def test_a_killed_agent_goes_on_with_the_run_in_its_container(cluster, engine, project):
    run = start_counter(cluster, project(COUNTER))
    container = engine.container_of(run)
    name = cluster.show(run)["nodes"][0]
    agent = cluster.agent_pid(name)

    os.kill(agent, signal.SIGKILL)
    wait_until(lambda: not is_alive(agent), "the agent is dead")
    wait_until(lambda: cluster.agent_pid(name), "another agent is started in its place")

    wait_until(lambda: engine.container_of(run) == container, "the container is still there")
    finish(cluster, run)


def test_a_container_that_somebody_removes_fails_its_run_in_words(cluster, engine, project):
    run = start_counter(cluster, project(COUNTER))

    engine.call("DELETE", f"/v1.41/containers/{engine.container_of(run)}?force=1")

    row = cluster.wait_for_end(run)
    assert row["status"] == "Failed"
    assert "container" in row["outcome"]["message"] and "from outside" in row["outcome"]["message"], row


# Open MPI's C library by its address book: the image has no mpi4py.
MPI_SUM = """
import ctypes, os
mpi = ctypes.CDLL("libmpi.so.40")
world = ctypes.byref(ctypes.c_char.in_dll(mpi, "ompi_mpi_comm_world"))
number = ctypes.byref(ctypes.c_char.in_dll(mpi, "ompi_mpi_int"))
add = ctypes.byref(ctypes.c_char.in_dll(mpi, "ompi_mpi_op_sum"))
mpi.MPI_Init(None, None)
rank = int(os.environ["OMPI_COMM_WORLD_RANK"])
mine, total = ctypes.c_int(rank + 1), ctypes.c_int(0)
mpi.MPI_Allreduce(ctypes.byref(mine), ctypes.byref(total), 1, number, add, world)
print(f"rank {rank}: {total.value}, contained: {os.path.exists('/etc/linarite-image')}", flush=True)
if rank == 0: open("outputs/total.txt", "w").write(str(total.value))
mpi.MPI_Finalize()
"""


def test_two_nodes_with_two_ranks_each_reduce_inside_of_containers(cluster, project):
    flags = ["--nodes", "2", "--processes-per-node", "2", *MPI, *IN_IMAGE]

    run = cluster.run(project(MPI_SUM), "train.py", flags=flags)

    assert run["status"] == "Completed", json.dumps(run)
    assert cluster.file(run["run_id"], "outputs/total.txt") == b"10"
    for rank in range(4):
        assert f"rank {rank}: 10, contained: True" in cluster.driver_log(run["run_id"], rank).decode()


def test_a_rank_that_fails_in_a_container_is_named(cluster, project):
    script = """
import os, sys, time
if os.environ["OMPI_COMM_WORLD_RANK"] == "3":
    print("the teapot of rank 3", flush=True)
    sys.exit(5)
time.sleep(3600)
"""
    flags = ["--nodes", "2", "--processes-per-node", "2", *MPI, *IN_IMAGE]

    run = cluster.run(project(script), "train.py", flags=flags)

    assert run["status"] == "Failed"
    assert (run["outcome"]["rank"], run["outcome"]["exit_code"]) == (3, 5), run
    assert "the teapot of rank 3" in run["outcome"]["message"]


def test_an_image_that_cannot_be_had_fails_the_run_at_once_and_in_words(cluster, project):
    begun = time.monotonic()
    image = "127.0.0.1:9/nothing:1"

    run = cluster.run(project("pass"), "train.py", flags=["--image", image, "--user-managed"])

    assert time.monotonic() - begun < 15
    assert run["status"] == "Failed"
    assert "Running" not in cluster.statuses(run["run_id"])
    for words in (run["outcome"]["message"], engine_log(cluster, run["run_id"])):
        assert f"ImagePullError: image '{image}' can't be had" in words
        assert "connection refused" in words
    assert run["outcome"]["code"] == "UserError"


@pytest.fixture(params=["", "anna"], ids=["open", "with a password"])
def registry(request, tmp_path):
    try:
        registry = Registry(tmp_path, request.param)
    except NoEngine as error:
        pytest.skip(f"NO REGISTRY: nothing of fetched images is tested here: {error}")
    yield registry
    registry.stop()


def write_login(folder, registry, password):
    folder.mkdir(exist_ok=True)
    pair = base64.b64encode(f"anna:{password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {registry.name: {"auth": pair}}}))
    return folder


def test_an_image_comes_from_its_registry_and_is_recorded_by_digest(
    new_cluster, engine, registry, project, job_file, tmp_path
):
    engine.import_image(make_image(tmp_path / "small.tar", "base-files", "coreutils", "dash", "sed"), "small:1")
    image = registry.take(engine, "small:1", "team/train")
    login = write_login(tmp_path / "login", registry, "wrong")
    cluster = new_cluster(nodes=1, environment={"DOCKER_HOST": engine.url, "DOCKER_CONFIG": str(login)})
    job = job_file(script=None, command=["/bin/cat", "/etc/linarite-image"])
    flags = ["--job", job, "--image", image, "--user-managed"]
    folder = project("")

    if registry.login:
        refused = cluster.run(folder, flags=flags)
        assert refused["status"] == "Failed"
        assert f"ImagePullError: image '{image}' can't be had" in refused["outcome"]["message"]
        assert "unauthorized" in refused["outcome"]["message"], refused
        write_login(login, registry, PASSWORD)  # is read for each image
    run = cluster.run(folder, flags=flags)

    assert run["status"] == "Completed", json.dumps(run)
    assert b"made by pack-installed" in cluster.driver_log(run["run_id"])
    digest = json.loads(engine.call("GET", f"/v1.41/images/{image}/json")[1])["RepoDigests"][0].split("@")[1]
    assert f"# digest {digest}" in cluster.file(run["run_id"], "azureml-logs/environment_lock.txt").decode()
    said = engine_log(cluster, run["run_id"])
    assert f"image '{image}' is not on this node: fetching it" in said and engine.PULLED in said, said
    assert PASSWORD not in said
    engine.call("DELETE", f"/v1.41/images/{image}")


def files_with(folder, text):
    """The files below that hold the text, in whatever they are."""
    found = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [path for path in found if text.encode() in path.read_bytes()]


def docker_section(image, **registry):
    return {"docker": {"enabled": True, "baseImage": image, "baseImageRegistry": registry}, "python": {"userManagedDependencies": True}}


@pytest.mark.parametrize("registry", ["anna"], indirect=True)
def test_the_login_of_a_run_opens_its_registry_and_its_password_is_kept_nowhere(
    new_cluster, engine, registry, project, job_file, tmp_path
):
    engine.import_image(make_image(tmp_path / "small.tar", "base-files", "coreutils", "dash", "sed"), "small:1")
    image = registry.take(engine, "small:1", "team/private")
    address, short = image.split("/", 1)
    nothing = tmp_path / "no-login"
    nothing.mkdir()
    cluster = new_cluster(nodes=1, environment={"DOCKER_HOST": engine.url, "DOCKER_CONFIG": str(nothing)})
    wrong = "not-" + PASSWORD

    def run(**login):
        environment = docker_section(short, address=address, **login)
        job = job_file(script=None, command=["/bin/cat", "/etc/linarite-image"], environment=environment)
        return cluster.run(project(""), flags=["--job", job])

    refused = run(username="anna", password=wrong)
    alone = run(username="anna")
    completed = run(username="anna", password=PASSWORD)

    assert refused["status"] == alone["status"] == "Failed"
    assert f"ImagePullError: image '{image}' can't be had" in refused["outcome"]["message"]
    assert "unauthorized" in refused["outcome"]["message"], refused
    assert "no password came with it" in alone["outcome"]["message"], alone
    assert completed["status"] == "Completed", completed
    assert b"made by pack-installed" in cluster.driver_log(completed["run_id"])
    assert f"as user 'anna' of {address}" in engine_log(cluster, completed["run_id"])
    said = "".join(cluster.cli(*words).stdout for words in (["show", completed["run_id"]], ["runs"]))
    assert "anna" not in said or PASSWORD not in said
    for password in (wrong, PASSWORD):
        assert password not in said
        assert not files_with(cluster.folder, password)
    engine.call("DELETE", f"/v1.41/images/{image}")


@pytest.mark.parametrize(
    "flags, lacks", [([], "has no Python"), (["--processes-per-node", "2", *MPI], "has no Python"), (MPI, "no Open MPI")]
)
def test_an_image_that_lacks_what_the_run_starts_with_is_named_with_it(
    cluster, bare_image, project, job_file, flags, lacks
):
    arguments = ["train.py"]
    if lacks == "no Open MPI":  # a program that needs no Python
        job = job_file(script=None, command=["/bin/true"], communicator="Mpi")
        arguments, flags = [], ["--job", job]

    run = cluster.run(project("pass"), *arguments, flags=["--image", bare_image, "--user-managed", *flags])

    assert run["status"] == "Failed"
    assert bare_image in run["outcome"]["message"] and lacks in run["outcome"]["message"], run


def test_the_operator_maps_images(cluster, project):
    folder = project("import os; print('contained:', os.path.exists('/etc/linarite-image'))")

    mapped = cluster.run(folder, "train.py", flags=["--image", "mapped/any/thing:3", "--user-managed"])
    bare = cluster.run(folder, "train.py", flags=["--image", "nowhere/thing:3", "--user-managed"])
    default = cluster.run(folder, "train.py", flags=["--image", "mcr.example/azureml/openmpi4.1.0-ubuntu22.04"])

    log = {row["run_id"]: cluster.driver_log(row["run_id"]).decode() for row in (mapped, bare, default)}
    assert "contained: True" in log[mapped["run_id"]]
    assert "contained: False" in log[bare["run_id"]]
    assert "contained: False" in log[default["run_id"]]
    words = cluster.file(mapped["run_id"], "azureml-logs/20_image_build_log.txt").decode()
    assert "image 'mapped/any/thing:3' is mapped by this node's operator" in words.splitlines()[0]


AZURE_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20230103.v1"


def first_line(cluster, run):
    return cluster.file(run["run_id"], "azureml-logs/20_image_build_log.txt").decode().splitlines()[0]


def test_azures_own_image_is_the_stand_in_where_it_was_built_else_the_node(
    cluster, engine, new_cluster, project, image_tar, tmp_path
):
    build = ROOT / "deploy/images/build"
    stand_in = subprocess.run([build, "--print-name"], check=True, capture_output=True, text=True).stdout.strip()
    folder = project("import os; print('contained:', os.path.exists('/etc/linarite-image'))")
    flags = ["--image", AZURE_IMAGE, "--user-managed"]
    alone = new_cluster(nodes=1, environment={"DOCKER_HOST": f"unix://{tmp_path}/nothing.sock"})

    without_engine = alone.run(folder, "train.py", flags=flags)
    without_image = cluster.run(folder, "train.py", flags=flags)
    for said in ("is ready", "is up to date"):
        made = subprocess.run([build, "--from", image_tar, "--engine", engine.socket], check=True, capture_output=True)
        assert f"image {stand_in} {said}" in made.stdout.decode()
    contained = cluster.run(folder, "train.py", flags=flags)
    gang = cluster.run(project(MPI_SUM), "train.py", flags=["--nodes", "2", "--processes-per-node", "2", *MPI, *flags])
    engine.call("DELETE", f"/v1.41/images/{stand_in}")

    for where, row, inside, words in (
        (alone, without_engine, False, f"no container engine answers at '{tmp_path}/nothing.sock'"),
        (cluster, without_image, False, f"does not have '{stand_in}' (deploy/images/build makes it)"),
        (cluster, contained, True, f"is replaced by '{stand_in}', which was built for this node"),
    ):
        assert row["status"] == "Completed", row
        assert f"contained: {inside}" in where.driver_log(row["run_id"]).decode()
        line = first_line(where, row)
        assert line.startswith("container: " if inside else "no container: ") and words in line, line
    assert gang["status"] == "Completed", gang
    assert cluster.file(gang["run_id"], "outputs/total.txt") == b"10"


def test_a_root_filesystem_stands_for_an_image(new_cluster, engine, project, job_file, tmp_path):
    root = make_image_folder(tmp_path / "root", "base-files", "coreutils", "dash", "sed")
    flags = ["--image-map", f"rooted/*=rootfs:{root}", "--image-map", "absent/*=rootfs:/nothing/here"]
    cluster = new_cluster(nodes=1, flags=flags, environment={"DOCKER_HOST": engine.url})
    job = job_file(script=None, command=["/bin/cat", "/etc/linarite-image"])
    folder = project("")
    images = lambda: json.loads(engine.call("GET", "/v1.41/images/json")[1])  # noqa: E731

    rows = [cluster.run(folder, flags=["--job", job, "--image", "rooted/x:1", "--user-managed"]) for _ in range(2)]
    absent = cluster.run(folder, flags=["--job", job, "--image", "absent/x:1", "--user-managed"])

    for row in rows:
        assert row["status"] == "Completed", row
        assert b"made by pack-installed" in cluster.driver_log(row["run_id"])
    assert f"(rooted/*) to root filesystem '{root}'" in first_line(cluster, rows[0])
    assert "it becomes image 'linarite/rootfs:" in engine_log(cluster, rows[0]["run_id"])
    assert "it becomes image" not in engine_log(cluster, rows[1]["run_id"])
    assert "root filesystem '/nothing/here' is not on this node" in absent["outcome"]["message"]
    tags = [tag for image in images() for tag in image["RepoTags"] or []]
    for tag in tags:
        if "linarite/rootfs:" in tag:
            engine.call("DELETE", f"/v1.41/images/{tag}")


def test_what_the_operator_gives_a_container_is_what_the_engine_is_told(new_cluster, engine, project):
    flags = ["--container-cpus", "0.5", "--container-memory", "256m"]
    cluster = new_cluster(nodes=1, flags=flags, environment={"DOCKER_HOST": engine.url})

    run = start_counter(cluster, project(COUNTER))
    host = json.loads(engine.call("GET", f"/v1.41/containers/{engine.container_of(run)}/json")[1])["HostConfig"]
    finish(cluster, run)

    assert host["NanoCpus"] == 500_000_000
    assert (host["Memory"], host["MemorySwap"]) == (256 << 20, 256 << 20)
    assert host["ShmSize"] == 2 << 30


@pytest.fixture
def cluster_of_nobody(engine):
    """An agent that is not root, and may talk to the engine."""
    with become_nobody() as (user, options):
        engine.folder.chmod(0o711)
        engine.socket.chmod(0o666)
        options["environment"]["DOCKER_HOST"] = engine.url
        cluster = Cluster(nodes=1, **options)
        try:
            yield user, cluster.start()
            cluster.stop()
        finally:
            cluster.destroy()


# Leaves files of all kinds, also such that their owner may not write, and folders that they may not even read.
LEAVES_FILES = """
import os, six
try:
    os.remove(six.__file__)
except OSError as error:
    assert os.getuid() != 0, error
os.makedirs("closed/deep")
os.chmod("closed/deep", 0)
os.chmod("closed", 0o500)
os.makedirs("outputs/deep", exist_ok=True)
open("outputs/deep/closed", "w").write("x")
os.chmod("outputs/deep/closed", 0o400)
open("left-over", "w").write("x")
print("uid", os.getuid(), "gid", os.getgid(), os.stat("left-over").st_uid)
"""


def test_files_of_a_run_in_a_container_are_its_agents(cluster_of_nobody, cluster, project):
    user, of_nobody = cluster_of_nobody
    folder = readable(project(LEAVES_FILES))

    for where, uid, gid in ((of_nobody, user.pw_uid, user.pw_gid), (cluster, 0, 0)):
        run = where.run(folder, "train.py", flags=["--image", IMAGE, "--pip", "six>=1"], deadline=120)
        assert run["status"] == "Completed", run
        assert f"uid {uid} gid {gid} {uid}" in where.driver_log(run["run_id"]).decode()
        assert where.file(run["run_id"], "outputs/deep/closed") == b"x"
        where.wait_until_tidy()
        strangers = [path for path in where.data.rglob("*") if path.lstat().st_uid != uid]
        assert not strangers, strangers


def test_packages_are_installed_for_the_python_of_the_image_once(cluster, engine, project):
    folder = project(
        "import os, sys, six; print('six', six.__version__, sys.prefix, os.path.exists('/etc/linarite-image'));"
        "print('compiled', os.path.exists(six.__cached__))"  # what is mounted can't be added to
    )
    flags = ["--image", IMAGE, "--pip", "six"]

    first = cluster.run(folder, "train.py", flags=flags, deadline=120)
    second = cluster.run(folder, "train.py", flags=flags)
    on_the_node = cluster.run(folder, "train.py", flags=["--pip", "six"], deadline=120)

    prefixes = []
    for row, contained in ((first, "True"), (second, "True"), (on_the_node, "False")):
        assert row["status"] == "Completed", row
        line = next(l for l in cluster.driver_log(row["run_id"]).decode().splitlines() if l.startswith("six 1."))
        prefixes.append(line.split()[2])
        assert line.split()[3] == contained
    assert prefixes[0] == prefixes[1] != prefixes[2]
    assert b"compiled True" in cluster.driver_log(first["run_id"])
    assert b"+ six==" in cluster.file(first["run_id"], "azureml-logs/20_image_build_log.txt")
    assert b"+ six==" not in cluster.file(second["run_id"], "azureml-logs/20_image_build_log.txt")
    lock = cluster.file(second["run_id"], "azureml-logs/environment_lock.txt").decode()
    assert "six==1." in lock and "# digest sha256:" in lock


def test_a_conda_environment_goes_into_an_image_with_its_own_python(cluster, project, job_file, tmp_path):
    channel = tmp_path / "channel"
    subprocess.run([ROOT / "tests/support/make_conda_channel", channel, "--python", "/usr/bin/python3"], check=True)
    conda = {"channels": [channel.as_uri()], "dependencies": ["python", "lin-greet"]}
    job = job_file(environment={"python": {"condaDependencies": conda}, "docker": {"enabled": True, "baseImage": IMAGE}})
    script = "import lin_greet, os, sys; print(lin_greet.greeting, sys.prefix, os.path.exists('/etc/linarite-image'))"

    run = cluster.run(project(script), flags=["--job", job], deadline=120)

    assert run["status"] == "Completed", run
    greetings = next(line for line in cluster.driver_log(run["run_id"]).decode().splitlines() if "greetings" in line)
    assert "/envs/" in greetings and greetings.endswith("True")
    log = cluster.file(run["run_id"], "azureml-logs/20_image_build_log.txt").decode()
    assert "conda (rattler, which this agent installs for itself): the run names channel" in log
    assert "lin-hello 1.1 py_0 sha256:" in cluster.file(run["run_id"], "azureml-logs/environment_lock.txt").decode()


def test_what_a_run_changes_in_its_environment_is_its_own_in_a_container(cluster, engine, project):
    folder = project(CHANGES_ITS_ENVIRONMENT)
    write_wheel(folder, "lin-extra", "1.0", "lin_extra")
    volumes = engine.call("GET", "/v1.41/volumes")[1]
    install = ["python", "-m", "pip", "install", "--no-index", "--find-links", "."]

    for _ in range(2):
        flags = ["--image", IMAGE, "--pip", "six>=1"]
        run = cluster.run(folder, "train.py", "six", *install, flags=flags, deadline=120)
        check_changes_are_its_own(cluster, run)
    wait_until(lambda: not engine.containers(), "the containers are gone")
    assert engine.call("GET", "/v1.41/volumes")[1] == volumes
    cluster.wait_until_tidy()


def test_packages_that_cannot_be_had_in_an_image_fail_the_run_in_the_solvers_words(cluster, engine, project):
    run = cluster.run(project("pass"), "train.py", flags=["--image", IMAGE, "--pip", "six==99.0"], deadline=60)

    assert run["status"] == "Failed"
    assert "six==99.0" in run["outcome"]["message"] and run["outcome"]["code"] == "UserError", run
    assert f"of image '{IMAGE}'" in cluster.file(run["run_id"], "azureml-logs/20_image_build_log.txt").decode()


def test_data_is_read_only_in_a_container(cluster, project, tmp_path):
    (tmp_path / "five").write_text("5")
    cluster.cli("datastore", "upload", "workspaceblobstore", tmp_path / "five", "--to", "numbers/")
    script = """
import sys
print("five is", open(sys.argv[1] + "/five").read())
try: open(sys.argv[1] + "/six", "w")
except OSError as error: print("refused:", error.strerror)
"""
    flags = [*IN_IMAGE, "--data", "d=workspaceblobstore/numbers"]

    run = cluster.run(project(script), "train.py", "$AZUREML_DATAREFERENCE_d", flags=flags)

    assert run["status"] == "Completed", json.dumps(run)
    log = cluster.driver_log(run["run_id"]).decode()
    assert "five is 5" in log and "refused: Read-only file system" in log


def test_arguments_for_the_engine_are_let_in_or_refused(cluster, project, job_file):
    script = "import os; s = os.statvfs('/dev/shm'); print('shm', s.f_blocks * s.f_frsize, os.environ['MINE'])"
    docker = {"useDocker": True, "arguments": ["--shm-size", "512m", "--ulimit=nofile=500:1000", "-e", "MINE=x"]}
    environment = {"docker": {"enabled": True, "baseImage": IMAGE}, "python": {"userManagedDependencies": True}}

    run = cluster.run(project(script), flags=["--job", job_file(docker=docker, environment=environment)])

    assert run["status"] == "Completed", json.dumps(run)
    assert f"shm {512 << 20} x" in cluster.driver_log(run["run_id"]).decode()
    refused = job_file(docker={"useDocker": True, "arguments": ["--privileged"]}, environment=environment)
    said = cluster.cli("submit", project("pass"), "--job", refused, code=None)
    assert said.returncode != 0 and "'--privileged' is not let through" in said.stdout + said.stderr


def test_a_container_has_no_more_memory_than_the_operator_gives(new_cluster, engine, project):
    flags = ["--container-memory", "128m"]
    cluster = new_cluster(nodes=1, flags=flags, environment={"DOCKER_HOST": engine.url})

    run = cluster.run(project("x = bytearray(512 << 20)"), "train.py", flags=IN_IMAGE)

    assert run["status"] == "Failed"
    assert "ran out of memory" in run["outcome"]["message"], run


@pytest.mark.parametrize("live_restore", [True, False])
def test_an_engine_that_is_killed_and_comes_back(cluster, engine, project, live_restore):
    run = start_counter(cluster, project(COUNTER))

    engine.kill()
    seen = len(counted_lines(log_of(cluster, run)))
    wait_until(lambda: len(counted_lines(log_of(cluster, run))) > seen, "the run goes on without it")
    engine.flags = ["--live-restore"] if live_restore else []
    engine.start()

    if live_restore:
        finish(cluster, run)
    else:  # such an engine ends all containers when it comes back
        row = cluster.wait_for_end(run)
        assert row["status"] == "Failed"
        assert "container" in row["outcome"]["message"] and "outside" in row["outcome"]["message"], row


def test_a_process_group_over_two_nodes_meets_inside_of_containers(cluster, project):
    script = """
import os
from reduce import allreduce
rank = int(os.environ["RANK"])
print(f"rank {rank}: {allreduce(rank + 1)}, inside: {os.path.exists('/etc/linarite-image')}")
"""
    run = cluster.run(project(script, reduce=REDUCE), "train.py", flags=[*GLOO, *IN_IMAGE])

    assert run["status"] == "Completed", json.dumps(run)
    for rank in range(4):
        assert f"rank {rank}: 10, inside: True" in cluster.driver_log(run["run_id"], rank).decode()
