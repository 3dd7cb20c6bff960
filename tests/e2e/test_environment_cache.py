"""The cache of environments: one build for all who ask at once, what is in use stays, the rest goes when it has to."""

import base64
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import zipfile

import pytest
from cluster import UV_FOLDER, Cluster, is_alive, wait_until

LOCK = "azureml-logs/environment_lock.txt"
SIX = "import six; print('six', six.__version__)"
# works until it may end
WAITER = """
import pathlib, sys, time
import six
pathlib.Path(sys.argv[1]).touch()
while not pathlib.Path(sys.argv[2]).exists():
    time.sleep(0.02)
import importlib; importlib.reload(six)
print("still here", six.__version__)
"""


def agent_logs(cluster):
    return "".join(log.read_text(errors="replace") for log in cluster.data.glob("agent-*/agent.log"))


def builds(cluster):
    return agent_logs(cluster).count("environment built: ")


def kept(cluster):
    """The environments of the cluster's own cache."""
    (folder,) = [f for f in cluster.json("env", "list")["folders"] if f["folder"] == str(cluster.data / "envs")]
    return folder["environments"]


def prune(cluster, *flags):
    """{key: row} of what `env prune` looked at."""
    # -o json belongs to the subcommand here
    document = json.loads(cluster.cli("env", "prune", "-o", "json", *flags).stdout)
    return {removal["name"]: removal for folder in document["folders"] for removal in folder["removals"]}


def keeps_no_folder(cluster, run):
    return not any((agent / "work" / run).exists() for agent in cluster.data.glob("agent-*"))


def test_twenty_runs_at_once_are_one_build(new_cluster, project):
    cluster = new_cluster(nodes=2, slots=10)
    folder = project(SIX)

    runs = [cluster.submit(folder, "train.py", flags=["--pip", "six"]) for _ in range(20)]

    for run in runs:
        row = cluster.wait_for_end(run, deadline=240)
        assert row["status"] == "Completed", row
    assert builds(cluster) == 1
    keys = {cluster.show(run)["environment"]["key"] for run in runs}
    assert len(keys) == 1
    assert len(kept(cluster)) == 1


def test_runs_know_who_had_the_same_environment(cluster, project):
    folder = project("import six, idna; print('both')")
    first = cluster.run(folder, "train.py", flags=["--pip", "idna", "--pip", "six"], deadline=120)
    second = cluster.run(folder, "train.py", flags=["--pip", " SIX", "--pip", "Idna"], deadline=120)
    other = cluster.run(project(SIX), "train.py", flags=["--pip", "six"], deadline=120)
    bare = cluster.run(project("print('bare')"), "train.py")
    for run in (first, second, other, bare):
        assert run["status"] == "Completed", run

    key = first["environment"]["key"]
    assert second["environment"] == first["environment"] and other["environment"]["key"] != key
    assert second["same_environment_as"] == {name: first[name] for name in ("run_id", "experiment", "created")}
    assert first["same_environment_as"] is None and other["same_environment_as"] is None
    assert bare["environment"]["key"] == "" and bare["environment"]["python"].startswith("3.")

    python = first["environment"]["python"]
    shown = cluster.cli("show", second["run_id"]).stdout
    assert f"{key[:12]} (pip, Python {python}), same as run {first['run_id']} (experiment e2e, " in shown
    assert "nothing was built: Python 3." in cluster.cli("show", bare["run_id"]).stdout
    document = cluster.json("show", second["run_id"])
    assert document["run"]["same_environment_as"]["run_id"] == first["run_id"]
    found = cluster.json("runs", "--filter", f"environment={key[:9]}")["runs"]
    assert [run["run_id"] for run in found] == [second["run_id"], first["run_id"]]

    lock = cluster.file(second["run_id"], LOCK).decode().splitlines()
    assert lock[:2] == [f"# environment {key}", "# provider pip"]
    assert lock[2].startswith(f"# Python {python} at /")
    environment = cluster.data / "envs" / key
    (record,) = environment.glob("lib/python3*/site-packages/idna-*.dist-info/RECORD")
    (line,) = [line for line in lock if line.startswith("idna==")]
    assert line.endswith("  # record sha256:" + hashlib.sha256(record.read_bytes()).hexdigest())


def test_list_and_prune_leave_alone_what_a_run_uses(new_cluster, project, tmp_path):
    cluster = new_cluster(nodes=1)
    up, go = tmp_path / "up", tmp_path / "go"
    run = cluster.submit(project(WAITER), "train.py", str(up), str(go), flags=["--pip", "six"])
    wait_until(up.exists, "the script runs", 120)
    (entry,) = kept(cluster)
    assert [user["run"] for user in entry["in_use_by"]] == [run]
    assert (entry["state"], entry["requirements"], entry["provider"]) == ("ready", ["six"], "pip")
    assert entry["bytes"] > 0
    table = cluster.cli("env", "list").stdout
    assert entry["key"][:12] in table and run in table and "six" in table

    assert prune(cluster, "--all")[entry["key"]]["fate"] == "kept: in use"

    # nor does it once the agent was killed and another one has taken over
    pid = cluster.agent_pid("node-1")
    os.kill(pid, signal.SIGKILL)
    assert prune(cluster, "--all")[entry["key"]]["fate"] == "kept: in use"
    wait_until(lambda: cluster.agent_pid("node-1") not in (None, pid), "another agent is there", 30)
    wait_until(lambda: agent_logs(cluster).count("run taken up again") == 1, "the run is taken up", 30)
    refused = prune(cluster, "--older-than", "0s")[entry["key"]]
    assert refused["fate"] == "kept: in use" and refused["in_use_by"][0]["run"] == run

    go.touch()
    assert cluster.wait_for_end(run)["status"] == "Completed"
    assert b"still here" in cluster.driver_log(run)
    wait_until(lambda: keeps_no_folder(cluster, run), "the run's folder is gone", 30)
    assert prune(cluster) == {} and len(kept(cluster)) == 1  # it was used just now
    said = prune(cluster, "--all", "--dry-run")[entry["key"]]
    assert (said["fate"], said["bytes"] > 0, said["reason"]) == ("would remove", True, "all idle environments go")
    assert len(kept(cluster)) == 1
    assert prune(cluster, "--older-than", "0s")[entry["key"]]["fate"] == "removed"
    assert kept(cluster) == []
    assert not (cluster.data / "envs" / entry["key"]).exists()


def test_what_was_pruned_is_built_again(new_cluster, project):
    cluster = new_cluster(nodes=1)
    folder = project(SIX)
    first = cluster.run(folder, "train.py", flags=["--pip", "six"], deadline=120)
    wait_until(lambda: keeps_no_folder(cluster, first["run_id"]), "the run's folder is gone", 30)
    prune(cluster, "--all")

    second = cluster.run(folder, "train.py", flags=["--pip", "six"], deadline=120)

    assert second["status"] == "Completed", second
    assert builds(cluster) == 2
    assert second["environment"]["key"] == first["environment"]["key"]


def test_the_limit_of_up_reaches_its_agents(new_cluster, project):
    cluster = new_cluster(nodes=1, flags=["--env-cache-size", "1m", "--env-min-free", "0"])
    folder = project("print('ok')")
    first = cluster.run(folder, "train.py", flags=["--pip", "six"], deadline=120)
    wait_until(lambda: keeps_no_folder(cluster, first["run_id"]), "the run's folder is gone", 30)

    second = cluster.run(folder, "train.py", flags=["--pip", "idna"], deadline=120)

    # it is said once all of it is gone, a moment after the list has forgotten it
    said = f"environment removed: key={first['environment']['key']}"
    wait_until(lambda: said in agent_logs(cluster), lambda: f"the idle one is removed: {kept(cluster)}", 30)
    assert first["environment"]["key"] not in {entry["key"] for entry in kept(cluster)}
    assert second["status"] == "Completed"


def test_limits_that_are_none_are_refused(tmp_path):
    for option in ("--env-cache-size", "--env-min-free"):
        done = subprocess.run(
            [Cluster().binary, "up", "--data-dir", tmp_path / "data", option, "much"], capture_output=True, timeout=30
        )
        assert done.returncode != 0
        assert f"{option} 'much' is no size".encode() in done.stderr


def slow_uv(folder):
    """A uv whose first install waits for a word, after it has said that it is there."""
    folder.mkdir()
    wrapper = folder / "uv"
    wrapper.write_text(
        f"""#!/bin/sh
if [ "$1 $2" = "pip install" ] && mkdir {folder}/first 2>/dev/null; then
    echo $$ > {folder}/pid.new && mv {folder}/pid.new {folder}/pid
    while [ ! -e {folder}/go ]; do sleep 0.05; done
fi
exec {UV_FOLDER}/uv "$@"
"""
    )
    wrapper.chmod(0o755)
    return folder


def test_an_agent_that_is_killed_while_it_builds(new_cluster, project, tmp_path):
    uv = slow_uv(tmp_path / "slow")
    cluster = new_cluster(nodes=1, environment={"PATH": f"{uv}:{os.environ['PATH']}"})
    run = cluster.submit(project(SIX), "train.py", flags=["--pip", "six"])
    wait_until((uv / "pid").exists, "the build is in its middle", 60)
    installer = int((uv / "pid").read_text())

    os.kill(cluster.agent_pid("node-1"), signal.SIGKILL)

    # the installer has outlived the agent, and nobody builds beside it or takes what it makes
    assert is_alive(installer)
    (entry,) = kept(cluster)
    assert entry["state"] == "being built"
    assert prune(cluster, "--all")[entry["key"]]["fate"] == "kept: busy"
    (uv / "go").touch()
    row = cluster.wait_for_end(run, deadline=120)
    assert row["status"] == "Completed", row
    assert b"six 1." in cluster.driver_log(run)
    assert builds(cluster) == 1


def test_a_home_that_is_not_there_and_cannot_be_made(new_cluster, project):
    if shutil.which("uv") is None and not (pathlib.Path(UV_FOLDER) / "uv").exists():
        pytest.skip("uv is not here")
    home = "/proc/no-home"
    cluster = new_cluster(nodes=1, environment={"HOME": home, "XDG_CACHE_HOME": f"{home}/.cache"})

    run = cluster.run(project(SIX), "train.py", flags=["--pip", "six"], deadline=120)

    assert run["status"] == "Completed", run
    assert (cluster.data / "envs" / ".uv-cache").is_dir()


def make_wheel(folder, name, mebibytes):
    """A wheel with so much in it that no compression helps."""
    content = os.urandom(mebibytes << 20)
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}/__init__.py": b"",
        f"{name}/bulk.bin": content,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        for path, data in files.items():
            wheel.writestr(path, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(data)}\n"
        wheel.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")


def test_a_full_disk_makes_idle_environments_go(project, tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in ("linarite_bulk_a", "linarite_bulk_b"):
        make_wheel(wheels, name, 12)
    cluster = Cluster(nodes=1, flags=["--env-min-free", "0"], environment={"UV_FIND_LINKS": str(wheels)})
    envs = cluster.data / "envs"
    envs.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=44m", "tmpfs", envs], capture_output=True).returncode != 0:
        cluster.destroy()
        pytest.skip("needs root: a small disk cannot be mounted")
    try:
        cluster.start()
        folder = project("import sys, importlib; importlib.import_module(sys.argv[1]); print('ok')")
        first = cluster.run(folder, "train.py", "linarite_bulk_a", flags=["--pip", "linarite_bulk_a"], deadline=120)
        assert first["status"] == "Completed", first
        wait_until(lambda: keeps_no_folder(cluster, first["run_id"]), "the run's folder is gone", 30)
        space = os.statvfs(envs)
        (envs / "ballast").write_bytes(b"\1" * (space.f_bavail * space.f_frsize - (6 << 20)))

        second = cluster.run(folder, "train.py", "linarite_bulk_b", flags=["--pip", "linarite_bulk_b"], deadline=120)

        log = cluster.file(second["run_id"], "azureml-logs/20_image_build_log.txt").decode()
        assert second["status"] == "Completed", (second, log)
        assert "the disk is full: " in log and "it is tried again" in log
        assert f"environment removed: key={first['environment']['key']}" in agent_logs(cluster)
        cluster.stop()
    finally:
        subprocess.run(["umount", "-l", envs])
        cluster.destroy()
