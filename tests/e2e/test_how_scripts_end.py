"""However a script ends or behaves: the right status, exit code and signal; nothing lost, nothing left running."""

import hashlib
import json
import os
import pathlib
import signal
import time

import pytest

from cluster import processes_with, wait_until
from test_restarts import log_of


def test_a_script_that_succeeds_is_completed_with_its_outputs_as_plain_files(cluster, project):
    script = "open('outputs/model.txt', 'w').write('m'); open('logs/a.log', 'w').write('l'); print('hello')"

    run = cluster.run(project(script), "train.py")

    assert run["status"] == "Completed"
    assert (run["outcome"]["exit_code"], run["outcome"]["signal"]) == (0, 0)
    log = cluster.driver_log(run["run_id"]).decode()
    assert "hello\n" in log
    assert "The activity completed successfully. Finalizing run..." in log
    folder = cluster.data / "runs" / run["run_id"]
    assert (folder / "outputs/model.txt").read_text() == "m"
    assert (folder / "logs/a.log").read_text() == "l"
    statuses = cluster.statuses(run["run_id"])
    main = ["NotStarted", "Queued", "Running", "Finalizing"]
    assert [status for status in statuses if status in main] == main
    assert statuses[-1] == "Completed"


def test_exit_code_n_is_failed_with_that_code_and_the_last_lines(cluster, project):
    script = "import sys; print('the disk of the teapot is full'); sys.exit(7)"

    run = cluster.run(project(script), "train.py")

    assert run["status"] == "Failed"
    assert (run["outcome"]["exit_code"], run["outcome"]["signal"]) == (7, 0)
    assert run["outcome"]["code"] == "UserError"
    assert "7" in run["outcome"]["message"] and "the disk of the teapot is full" in run["outcome"]["message"]
    assert "The experiment failed with exit code: 7. Finalizing run..." in cluster.driver_log(run["run_id"]).decode()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM])
def test_death_by_a_signal_is_failed_with_that_signal(cluster, project, number):
    script = f"import os; print('before', flush=True); os.kill(os.getpid(), {int(number)})"

    run = cluster.run(project(script), "train.py")

    assert run["status"] == "Failed"
    assert run["outcome"]["signal"] == number
    assert b"before\n" in cluster.driver_log(run["run_id"])


def test_exit_code_15_is_not_taken_for_a_signal(cluster, project):
    run = cluster.run(project("import sys; sys.exit(15)"), "train.py")

    assert (run["outcome"]["exit_code"], run["outcome"]["signal"]) == (15, 0)


def test_a_line_of_100_megabytes_is_kept_whole(cluster, project):
    script = "import sys\nfor i in range(100): sys.stdout.write('x' * 1_000_000)\nsys.stdout.write('\\nafter\\n')"

    run = cluster.run(project(script), "train.py")

    assert run["status"] == "Completed"
    log = cluster.data / "runs" / run["run_id"] / "azureml-logs/70_driver_log.txt"
    lines = log.read_bytes().split(b"\n")
    assert b"x" * 100_000_000 in lines
    assert b"after" in lines


def test_binary_output_is_kept_as_it_is(cluster, project):
    script = "import sys; sys.stdout.buffer.write(bytes(range(256)) * 64); sys.stderr.buffer.write(b'\\xff\\xfe\\x00')"

    run = cluster.run(project(script), "train.py")

    assert run["status"] == "Completed"
    log = cluster.driver_log(run["run_id"])
    assert bytes(range(256)) * 64 in log
    assert b"\xff\xfe\x00" in log


def test_a_daemon_that_holds_stdout_neither_delays_the_end_for_ever_nor_survives(cluster, project):
    script = """
import os, pathlib, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        pathlib.Path("outputs/daemon.pid").write_text(str(os.getpid()))
        time.sleep(3600)
    os._exit(0)
os.wait()
while not pathlib.Path("outputs/daemon.pid").exists(): time.sleep(0.01)
print("the script itself is done")
"""
    run = cluster.run(project(script), "train.py", deadline=40)

    assert run["status"] == "Completed"
    assert b"the script itself is done" in cluster.driver_log(run["run_id"])
    # the work folder of the run is in the environment of everything that the run started
    left = lambda: processes_with(f"work/{run['run_id']}")  # noqa: E731
    wait_until(lambda: not left(), f"nothing of the run is left: {left()}", 5)


def test_ten_thousand_small_outputs_are_all_there(cluster, project):
    script = "for i in range(10_000): open(f'outputs/{i:05}.txt', 'w').write(f'file {i}')"

    run = cluster.run(project(script), "train.py", deadline=120)

    assert run["status"] == "Completed"
    files = cluster.files(run["run_id"], "outputs/")
    assert len(files) == 10_000
    for i in (0, 4_321, 9_999):
        content = f"file {i}".encode()
        row = files[f"outputs/{i:05}.txt"]
        assert (row["size"], row["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    stored = cluster.data / "runs" / run["run_id"] / "outputs"
    expected = {f"{i:05}.txt": f"file {i}" for i in range(10_000)}
    assert {entry.name: entry.read_text() for entry in stored.iterdir()} == expected


def test_a_script_that_writes_nothing_is_completed_without_outputs(cluster, project):
    run = cluster.run(project("pass"), "train.py")

    assert run["status"] == "Completed"
    assert cluster.files(run["run_id"], "outputs/") == {}


def test_outputs_and_logs_of_a_failed_run_are_kept(cluster, project):
    script = "open('outputs/half.bin', 'wb').write(b'half'); open('logs/x.log', 'w').write('x'); raise SystemExit(1)"

    run = cluster.run(project(script), "train.py")

    assert run["status"] == "Failed"
    assert cluster.file(run["run_id"], "outputs/half.bin") == b"half"
    assert cluster.file(run["run_id"], "logs/x.log") == b"x"


def test_a_run_over_its_time_limit_is_stopped_and_says_so(cluster, project, job_file):
    script = "import subprocess, sys; print('started', flush=True); subprocess.run(['sleep', '3600'])"

    run = cluster.run(project(script), flags=["--job", job_file(maxRunDurationSeconds=1)])

    assert run["status"] == "Canceled"
    assert run["outcome"]["timed_out"] is True
    assert "1 s" in run["outcome"]["message"] or "maxRunDurationSeconds" in run["outcome"]["message"]
    assert b"started" in cluster.driver_log(run["run_id"])
    assert processes_with(f"work/{run['run_id']}") == {}


DEAF = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: print("deaf to it", flush=True))
deaf_child = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
child = subprocess.Popen([sys.executable, "-c", deaf_child])
while True: child.wait()
"""


def outlive_sigterm(run, cluster):
    """What is to be seen of a deaf script that was stopped with a grace of one second."""
    assert run["status"] == "Canceled", run
    assert b"deaf to it\n" in cluster.driver_log(run["run_id"]), "it was asked first"
    assert run["outcome"]["signal"] == signal.SIGKILL
    assert processes_with(f"work/{run['run_id']}") == {}


def test_a_script_that_ignores_sigterm_is_canceled_when_its_grace_is_over(new_cluster, project):
    cluster = new_cluster(nodes=1, flags=["--stop-grace", 1])
    run = cluster.submit(project(DEAF), "train.py")
    cluster.wait_for(run, "Running")
    wait_until(lambda: b"up\n" in log_of(cluster, run), "it runs")

    asked = time.monotonic()
    cluster.cli("cancel", run)
    row = cluster.wait_for_end(run)

    assert 1 <= time.monotonic() - asked < 10
    outlive_sigterm(row, cluster)


def test_a_script_that_ignores_sigterm_is_ended_soon_after_its_time_limit(new_cluster, project, job_file):
    cluster = new_cluster(nodes=1, flags=["--stop-grace", 1])

    row = cluster.run(project(DEAF), flags=["--job", job_file(maxRunDurationSeconds=2)], deadline=20)

    assert row["outcome"]["timed_out"] is True
    outlive_sigterm(row, cluster)


def test_what_a_script_sees(cluster, project, job_file):
    script = """
import json, os, sys
import helper
seen = {"argv": sys.argv[1:], "helper": helper.VALUE, "cwd": os.listdir("."), "env": dict(os.environ)}
print(json.dumps(seen))
"""
    job = job_file(arguments=["--rate", 0.8, "--flag", "a b"], environmentVariables={"MINE": 'it\'s "quoted"'})
    run = cluster.run(project(script, helper="VALUE = 42"), flags=["--job", job])

    assert run["status"] == "Completed", run
    lines = cluster.driver_log(run["run_id"]).decode().splitlines()
    seen = json.loads(next(line for line in lines if line.startswith("{")))
    assert seen["argv"] == ["--rate", "0.8", "--flag", "a b"]
    assert seen["helper"] == 42
    assert {"train.py", "helper.py", "outputs", "logs"} <= set(seen["cwd"])
    assert seen["env"]["MINE"] == 'it\'s "quoted"'
    assert seen["env"]["AZUREML_RUN_ID"] == run["run_id"]
    assert not [name for name in seen["env"] if name.startswith("LINARITE_TOKEN")]


def test_a_script_killed_for_memory_says_so(new_cluster, project):
    """Needs a memory cgroup of our own around the cluster, whose limit the script runs into."""
    group = memory_group()
    if group is None:
        pytest.skip("no memory cgroup can be made here (needs root and the memory controller)")
    try:
        cluster = new_cluster(nodes=1, prefix=["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh"])
        run = cluster.run(project("data = []\nwhile True: data.append(bytearray(8_000_000))"), "train.py")

        assert run["status"] == "Failed"
        assert run["outcome"]["signal"] == signal.SIGKILL
        assert run["outcome"]["out_of_memory"] is True
        assert "memory" in run["outcome"]["message"]
        cluster.stop()
    finally:
        wait_until(lambda: remove_group(group), f"{group} is empty", 15)


def memory_group():
    """A new cgroup with 400 MB of memory, v1 or v2; None if that is not allowed."""
    for base, limit in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")):
        group = pathlib.Path(base) / f"linarite-e2e-{os.getpid()}"
        if not (group.parent / "cgroup.procs").exists():
            continue
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            if (group / limit).exists():
                (group / limit).write_text("400000000")
                return group
        except OSError:
            pass
        group.rmdir()
    return None


def remove_group(group):
    try:
        group.rmdir()
    except OSError:
        return not group.exists()
    return True


def test_a_log_that_is_too_long_keeps_its_beginning_and_its_end(new_cluster, project):
    cluster = new_cluster(nodes=1, flags=["--max-log-size", "100k"])
    run = cluster.run(project("for n in range(100000): print('line', n)\nprint('the last word')"), "train.py")

    assert run["status"] == "Completed", run
    lines = cluster.driver_log(run["run_id"]).decode().splitlines()
    assert len("\n".join(lines)) < 110_000
    assert "line 0" in lines and "line 99999" in lines and "the last word" in lines and "line 50000" not in lines
    assert any(line.startswith("[linarite: this log has") and "left out here" in line for line in lines)


def test_a_size_that_is_none_is_refused(cluster):
    refused = cluster.cli("agent", "--max-log-size", "lots", code=None)

    assert refused.returncode != 0 and "--max-log-size 'lots' is no size" in refused.stderr
