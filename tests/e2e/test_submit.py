"""A run id that the client chose makes a submit safe to repeat."""

from cluster import write_project


def test_the_same_id_twice_is_the_same_run(cluster, project):
    folder = project("print('once')")
    run = cluster.submit(folder, "train.py", "--x", "1")
    first = cluster.wait_for_end(run)

    cluster.submit(folder, "train.py", "--x", "1", run=run)

    assert cluster.show(run) == first
    assert [row["run_id"] for row in cluster.runs()].count(run) == 1


def test_the_same_id_with_another_body_is_a_conflict(cluster, project, tmp_path):
    folder = project("pass")
    run = cluster.submit(folder, "train.py", "--x", "1")

    result = cluster.cli(
        "submit", folder, "--experiment", "e2e", "--run-id", run, "--", "train.py", "--x", "2", code=None
    )

    assert result.returncode != 0 and run in result.stderr
    row = cluster.show(run)
    body = {"run_id": run, "experiment": "e2e", "snapshot": row["snapshot"], "definition": row["definition"]}
    assert cluster.post("/api/v1/runs", body).status == 200
    assert cluster.post("/api/v1/runs", body | {"experiment": "other"}).status == 409
    other = write_project(tmp_path / "other", "print('another source tree')")
    assert (
        cluster.cli(
            "submit", other, "--experiment", "e2e", "--run-id", run, "--", "train.py", "--x", "1", code=None
        ).returncode
        != 0
    )
    assert cluster.wait_for_end(run)["status"] == "Completed"


def test_a_dry_run_shows_the_normalised_definition_and_stores_nothing(cluster, project, job_file):
    before = len(cluster.runs())
    job = job_file(arguments=["--rate", 0.8], nodeCount=2, communicator="intelmpi", mpi={"processCountPerNode": 2})

    answer = cluster.json("submit", project("pass"), "--job", job, "--dry-run")

    assert answer["definition"]["arguments"] == ["--rate", "0.8"]
    assert answer["definition"]["communicator"] == "IntelMpi"
    assert len(cluster.runs()) == before


def test_flags_win_over_the_job_file(cluster, project, job_file):
    job = job_file(arguments=["--rate", 1], environmentVariables={"A": "file", "B": "file"})

    answer = cluster.json("submit", project("pass"), "--job", job, "--env", "A=flag", "--dry-run")

    assert answer["definition"]["environmentVariables"] == {"A": "flag", "B": "file"}


def test_ignored_files_are_not_sent(cluster, project):
    folder = project("import os; print(sorted(os.listdir('.')))")
    (folder / ".amlignore").write_text("*.big\n/secret\n")
    (folder / "data.big").write_text("")
    (folder / "secret").mkdir()
    (folder / "secret/key").write_text("")
    (folder / "kept.txt").write_text("")

    run = cluster.run(folder, "train.py")

    log = cluster.driver_log(run["run_id"]).decode()
    assert "kept.txt" in log and "data.big" not in log and "secret" not in log
