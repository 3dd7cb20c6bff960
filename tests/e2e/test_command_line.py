"""The commands that a user types, one by one."""

import json
import signal

import pytest

from cluster import wait_until

BOTH_NODES = ["--nodes", "2", "--backend", "mpi"]
# prints one line, and another once the file is there that its argument names
EARLY_AND_LATE = """
import os, sys, time
print("early", flush=True)
while not os.path.exists(sys.argv[1]): time.sleep(0.01)
print("late")
"""


@pytest.mark.parametrize(
    ("script", "code"), [("pass", 0), ("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 137)]
)
def test_submit_wait_ends_with_the_exit_code_of_the_job(cluster, project, script, code):
    cluster.cli("submit", project(script), "--wait", "--", "train.py", code=code)


def test_submit_follow_prints_the_log_and_ends_with_the_exit_code(cluster, project):
    result = cluster.cli(
        "submit", project("print('one\\ntwo'); raise SystemExit(4)"), "--follow", "--", "train.py", code=4
    )

    assert "one\ntwo\n" in result.stdout
    assert "\x1b[" not in result.stdout + result.stderr, "colours away from a terminal"


def test_submit_follow_shows_lines_while_the_script_runs(cluster, project, tmp_path):
    process = cluster.spawn("submit", project(EARLY_AND_LATE), "--follow", "--", "train.py", tmp_path / "go")
    lines = []

    while "early\n" not in lines:
        lines.append(process.stdout.readline().decode())
        assert lines[-1], f"ended without the line: {lines}\n{process.stderr.read().decode()}"
    (tmp_path / "go").write_text("")
    rest, _ = process.communicate(timeout=30)

    assert b"late\n" in rest
    assert process.returncode == 0


def test_interrupting_follow_leaves_the_run_and_says_how_to_cancel_it(cluster, project):
    run = cluster.new_run_id()
    script = "import time; print('started', flush=True); time.sleep(3600)"
    process = cluster.spawn("submit", project(script), "--follow", "--run-id", run, "--", "train.py")
    while b"started" not in process.stdout.readline():
        assert process.poll() is None

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)

    assert f"linarite cancel {run}" in (out + err).decode()
    assert cluster.show(run)["status"] == "Running"


def test_json_is_one_document_and_nothing_else(cluster, project):
    run = cluster.json("submit", project("print('hi')"), "--wait", "--", "train.py")["run_id"]

    assert cluster.json("show", run)["run"]["run_id"] == run
    assert run in [row["run_id"] for row in cluster.json("runs")["runs"]]
    assert {node["name"] for node in cluster.json("nodes")["nodes"]} == {"node-1", "node-2"}
    assert "workspaceblobstore" in json.dumps(cluster.json("datastore", "list"))
    assert cluster.json("explain", run)["status"] == "Completed"
    assert "version" in cluster.json("version")


def test_runs_lists_the_newest_first_and_filters(cluster, project):
    folder = project("raise SystemExit(1)")
    names = [cluster.new_run_id() for _ in range(2)]
    for name in names:
        cluster.cli("submit", folder, "--experiment", "filtered", "--run-id", name, "--wait", "--", "train.py", code=1)

    rows = cluster.json("runs", "--experiment", "filtered")["runs"]
    table = cluster.cli("runs", "--experiment", "filtered").stdout

    assert [row["run_id"] for row in rows] == names[::-1]
    assert all(name in table for name in names) and "Failed" in table


def test_logs_prints_the_driver_log_and_follow_waits_for_the_end(cluster, project, tmp_path):
    run = cluster.submit(project(EARLY_AND_LATE), "train.py", tmp_path / "go")
    follower = cluster.spawn("logs", run, "-f")
    seen = b""
    while b"early" not in seen:
        line = follower.stdout.readline()
        assert line, follower.stderr.read()
        seen += line

    (tmp_path / "go").write_text("")
    rest, _ = follower.communicate(timeout=30)

    assert b"late" in rest and follower.returncode == 0
    assert "early\nlate\n" in cluster.cli("logs", run).stdout


def test_logs_of_one_named_file(cluster, project):
    run = cluster.run(project("open('logs/mine.log', 'w').write('only this')"), "train.py")["run_id"]

    assert cluster.cli("logs", run, "--name", "logs/mine.log").stdout.strip() == "only this"


def test_download_of_one_file_and_of_folders(cluster, project, tmp_path):
    content = bytes(range(256)) * 1000
    script = """
open("outputs/a.bin", "wb").write(bytes(range(256)) * 1000)
open("outputs/b.txt", "w").write("b")
"""
    run = cluster.run(project(script), "train.py")["run_id"]

    cluster.cli("download", run, "outputs/a.bin", "--to", tmp_path / "one")
    cluster.cli("download", run, "outputs", "azureml-logs", "--to", tmp_path / "all")

    assert (tmp_path / "one/outputs/a.bin").read_bytes() == content
    assert not (tmp_path / "one/outputs/b.txt").exists()
    assert (tmp_path / "all/outputs/b.txt").read_text() == "b"
    assert (tmp_path / "all/azureml-logs/70_driver_log.txt").exists()
    assert "outputs/none" in cluster.cli("download", run, "outputs/none", "--to", tmp_path / "none", code=None).stderr


def test_datastore_upload_list_use_and_download(cluster, project, tmp_path):
    source = tmp_path / "set"
    (source / "deep").mkdir(parents=True)
    (source / "a.txt").write_text("alpha")
    (source / "deep/b.txt").write_text("beta")
    cluster.cli("datastore", "upload", "workspaceblobstore", source, "--to", "set/")
    script = "import sys; print('read', open(sys.argv[1] + '/deep/b.txt').read())"

    run = cluster.run(
        project(script), "train.py", "$AZUREML_DATAREFERENCE_input", flags=["--data", "input=workspaceblobstore/set"]
    )
    cluster.cli("datastore", "download", "workspaceblobstore", "set/a.txt", "--to", tmp_path / "back")

    assert run["status"] == "Completed", run
    assert b"read beta" in cluster.driver_log(run["run_id"])
    assert [file.read_text() for file in (tmp_path / "back").rglob("a.txt")] == ["alpha"]


def test_a_directory_of_the_machine_as_a_datastore(cluster, project, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/x.txt").write_text("from the disk")

    cluster.cli("datastore", "create", "disk", "--path", tmp_path / "disk")
    run = cluster.run(
        project("import sys; print(open(sys.argv[1] + '/x.txt').read())"),
        "train.py",
        "$AZUREML_DATAREFERENCE_d",
        flags=["--data", "d=disk/"],
    )

    assert run["status"] == "Completed", run
    assert b"from the disk" in cluster.driver_log(run["run_id"])


def test_explain_names_the_run_that_the_nodes_are_busy_with(cluster, project):
    folder = project("import time; time.sleep(3600)")
    busy = cluster.submit(folder, "train.py", flags=BOTH_NODES)
    cluster.wait_for(busy, "Running")
    waiting = cluster.submit(folder, "train.py")

    said = cluster.cli("explain", waiting).stdout

    assert busy in said and "cpu-cluster" in said


def test_explain_of_a_failed_run_says_why(cluster, project):
    run = cluster.run(project("raise RuntimeError('no teapots')"), "train.py")["run_id"]

    assert "no teapots" in cluster.cli("explain", run).stdout


def test_show_tells_status_nodes_and_outcome(cluster, project):
    run = cluster.run(project("raise SystemExit(9)"), "train.py")

    said = cluster.cli("show", run["run_id"]).stdout

    for word in (run["run_id"], "Failed", run["nodes"][0], "9"):
        assert word in said


def test_a_drained_node_gets_no_new_run_until_it_is_resumed(cluster, project):
    cluster.cli("nodes", "drain", "node-1")
    try:
        folder = project("print('x')")
        assert [cluster.run(folder, "train.py")["nodes"] for _ in range(3)] == [["node-2"]] * 3
    finally:
        cluster.cli("nodes", "resume", "node-1")
    wait_until(lambda: not cluster.json("nodes")["nodes"][0]["drained"], "node-1 is resumed")


def test_version_and_help(cluster):
    assert "0.1.0" in cluster.cli("version").stdout
    said = cluster.cli("--help").stdout
    for command in ("up", "submit", "runs", "logs", "cancel", "download", "nodes", "explain", "backup"):
        assert command in said


def test_what_a_run_replaces_meanwhile_is_read_whole(cluster, project, tmp_path):
    script = """
import json, os, sys
step = 0
while not os.path.exists(sys.argv[1]):
    step += 1
    with open("outputs/new", "w") as file: json.dump({"step": step, "sizes": "x" * (step * 7919 % 100_000)}, file)
    os.rename("outputs/new", "outputs/state.json")
"""
    go = tmp_path / "go"
    run = cluster.submit(project(script), "train.py", str(go))
    wait_until(lambda: "outputs/state.json" in cluster.files(run), "the first state is there")

    steps = set()
    while len(steps) < 10:
        steps.add(json.loads(cluster.file(run, "outputs/state.json"))["step"])
    cluster.cli("download", run, "outputs/state.json", "--to", tmp_path)
    last = json.loads((tmp_path / "outputs" / "state.json").read_text())["step"]
    go.touch()

    assert cluster.wait_for_end(run)["status"] == "Completed"
    assert last >= max(steps)
