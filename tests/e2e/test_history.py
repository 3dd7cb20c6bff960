"""What is left afterwards: one SQLite file that any tool reads, plain files, and backups of both."""

import contextlib
import pathlib
import sqlite3


def history(path):
    return contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True))


def test_the_history_is_readable_by_any_sqlite_tool(new_cluster, project):
    cluster = new_cluster(nodes=1)
    good = cluster.run(project("pass"), "train.py")["run_id"]
    bad = cluster.run(project("raise SystemExit(6)"), "train.py")["run_id"]
    cluster.stop()

    with history(cluster.data / "history.db") as database:
        database.row_factory = sqlite3.Row
        rows = {row["run"]: dict(row) for row in database.execute("SELECT * FROM run_history")}
        check = database.execute("PRAGMA integrity_check").fetchone()[0]

    assert check == "ok"
    assert rows[good]["status"] == "Completed" and rows[bad]["status"] == "Failed"
    assert rows[bad]["exit_code"] == 6


def test_a_backup_taken_while_a_run_is_on_is_complete(new_cluster, project, tmp_path):
    cluster = new_cluster(nodes=1)
    done = cluster.run(project("open('outputs/model.txt', 'w').write('weights'); print('kept')"), "train.py")["run_id"]
    running = cluster.submit(project("import time; time.sleep(3600)"), "train.py")
    cluster.wait_for(running, "Running")
    backup = tmp_path / "backup"

    cluster.cli("backup", backup)

    with history(backup / "history.db") as database:
        rows = dict(database.execute("SELECT run, status FROM run_history"))
    assert rows == {done: "Completed", running: "Running"}
    assert (backup / "runs" / done / "outputs/model.txt").read_text() == "weights"
    assert "kept" in (backup / "runs" / done / "azureml-logs/70_driver_log.txt").read_text()


def test_a_backup_names_the_datastores_that_it_leaves_out(new_cluster, tmp_path):
    cluster = new_cluster(nodes=1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "big.bin").write_text("big")
    (tmp_path / "small.txt").write_text("small")
    cluster.cli("backup", tmp_path / "whole")
    cluster.cli("datastore", "create", "corpus", "--path", elsewhere)
    cluster.cli("datastore", "create", "ours")
    cluster.cli("datastore", "upload", "ours", tmp_path / "small.txt")

    said = cluster.cli("backup", tmp_path / "first")
    document = cluster.json("backup", tmp_path / "second")

    assert said.stdout == f"{tmp_path / 'first'}\n"
    left_out = [line for line in said.stderr.splitlines() if "not copied" in line]
    assert left_out == [f"not copied: datastore 'corpus', registered from {elsewhere}"]
    assert document["not_copied"] == [{"name": "corpus", "path": str(elsewhere)}]
    for backup in (tmp_path / "first", tmp_path / "second"):
        lines = (backup / "not-copied.txt").read_text().splitlines()
        assert lines[1:] == [f"corpus\t{elsewhere}"]
        assert (backup / "datastores/ours/small.txt").read_text() == "small"
        assert not list(backup.rglob("big.bin"))
    assert not (tmp_path / "whole/not-copied.txt").exists()


def test_a_cluster_started_on_a_backup_goes_on_with_its_history_and_its_own_data(new_cluster, project, tmp_path):
    cluster = new_cluster(nodes=1)
    run = cluster.run(project("print('kept')"), "train.py")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "small.txt").write_text("small")
    cluster.cli("datastore", "create", "corpus", "--path", tmp_path / "elsewhere")
    cluster.cli("datastore", "upload", "workspaceblobstore", tmp_path / "small.txt")
    copy = tmp_path / "copy/data"
    copy.parent.mkdir()
    cluster.cli("backup", copy)
    cluster.stop()

    restored = new_cluster(nodes=1, folder=copy.parent)

    assert restored.show(run["run_id"]) == run
    assert b"kept" in restored.driver_log(run["run_id"])
    paths = {row["name"]: row["path"] for row in restored.get("/api/v1/datastores").json()["datastores"]}
    assert paths == {
        "corpus": str(tmp_path / "elsewhere"),
        "workspaceblobstore": str(copy / "datastores/workspaceblobstore"),
        "workspaceartifactstore": str(copy / "datastores/.containers/linarite/azureml"),
    }
    again = restored.submit(project("print('again')"), "train.py", run=f"{run['run_id']}-again")
    assert restored.wait_for_end(again)["status"] == "Completed"


def test_a_backup_never_overwrites(cluster, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").write_text("precious")

    result = cluster.cli("backup", tmp_path / "there", code=None)

    assert result.returncode != 0 and "there" in result.stderr
    assert [p.name for p in pathlib.Path(tmp_path / "there").iterdir()] == ["file"]
