"""Runs without a job: a notebook that logs, children, files, ends in every way."""

import math


def test_a_notebook_logs_and_completes(sdk):
    found = sdk.results("""
        experiment = Experiment(ws, "notebook")
        os.mkdir("made")
        open("made/model.txt", "w").write("model")
        run = experiment.start_logging(outputs="made", snapshot_directory=None, display_name="by hand")
        result(before=run.get_status(), kind=type(run).__name__)
        run.log("accuracy", 0.5)
        run.log("bad", float("nan"))
        run.log_list("losses", [3, 2, 1])
        run.log_row("row", a=1, b=2)
        run.log_table("table", {"x": [1, 2], "y": [3, 4]})
        run.upload_file("kept/one.txt", "made/model.txt")
        run.tag("where", "notebook")
        run.complete()
        again = Run.get(ws, run.id)
        result(status=again.get_status(), metrics=again.get_metrics(), files=again.get_file_names(), name=again.display_name,
               tags=again.get_tags(), ended=again.get_details()["endTimeUtc"])
    """)
    assert found["before"] == "Running"
    assert found["status"] == "Completed"
    assert math.isnan(found["metrics"].pop("bad"))
    assert found["metrics"] == {
        "accuracy": 0.5,
        "losses": [3, 2, 1],
        "row": {"a": 1, "b": 2},
        "table": {"x": [1, 2], "y": [3, 4]},
    }
    assert "kept/one.txt" in found["files"]
    assert any(name.endswith("model.txt") and name != "kept/one.txt" for name in found["files"]), "the outputs folder"
    assert found["name"] == "by hand"
    assert found["tags"]["where"] == "notebook"


TABLES = {
    "accuracy": {
        "schema_type": "accuracy_table",
        "schema_version": "1.0.1",
        "data": {
            "probability_tables": [[[1, 2, 3, 4]]],
            "percentile_tables": [[[1, 2, 3, 4]]],
            "probability_thresholds": [0.5],
            "percentile_thresholds": [0.5],
            "class_labels": ["0", "1"],
        },
    },
    "predictions": {
        "schema_type": "predictions",
        "schema_version": "1.0.0",
        "data": {"bin_averages": [0.25, 0.75], "bin_errors": [0.01, 0.04], "bin_counts": [56, 34], "bin_edges": [0, 0.5, 1]},
    },
}


def test_a_run_says_how_it_is_and_keeps_tables_as_files(sdk):
    found = sdk.results(f"tables = {TABLES!r}" + """
run = Experiment(ws, "notebook").start_logging(outputs=None, snapshot_directory=None)
run.set_tags({"a": "1"})
run.add_properties({"b": "2"})
run.log_accuracy_table("accuracy", tables["accuracy"])
run.log_predictions("predictions", tables["predictions"])
child = run.create_children(count=1)[0]
child.start()
again = Run.get(ws, run.id)
result(states=[child.get_status(), child.status], tags=again.tags, properties=again.properties)
child.complete()
run.complete()
for name in tables:
    again.download_file(name, output_file_path=name + ".json")
result(metrics=again.get_metrics(), tables={name: json.load(open(name + ".json")) for name in tables}, status=again.status)
factories = [lambda experiment, dto: Run(experiment, dto.run_id)] * 2
try:
    for factory in factories:
        Run.add_type_provider("contract.mine", factory)
except ValueError as error:
    result(twice=str(error))
""")
    assert found["states"] == ["Running", "Running"]
    assert found["tags"]["a"] == "1" and found["properties"]["b"] == "2"
    assert found["tables"] == TABLES
    assert sorted(found["metrics"]) == sorted(TABLES)
    assert found["status"] in ("Running", "Completed")  # what it was when it was last asked
    assert "contract.mine already has a factory" in found["twice"]


def test_children_of_a_run_and_of_its_children(sdk):
    found = sdk.results("""
        run = Experiment(ws, "family").start_logging(outputs=None, snapshot_directory=None)
        with run.child_run("first") as first:
            first.log("score", 1)
            with first.child_run("grandchild") as grandchild:
                grandchild.log("score", 2)
        many = run.create_children(count=3)
        tagged = run.create_children(tag_key="fold", tag_values=["a", "b"])
        for child in many + tagged:
            child.complete()
        run.complete()
        result(direct=sorted(c.id for c in run.get_children()), all=len(list(run.get_children(recursive=True))),
               expected=sorted([first.id] + [c.id for c in many + tagged]),
               states=[c.get_status() for c in run.get_children()], parent=grandchild.parent.id == first.id,
               fold=[c.get_tags()["fold"] for c in run.get_children(tags={"fold": "b"})],
               in_experiment=len(list(run.experiment.get_runs())),
               with_children=len(list(run.experiment.get_runs(include_children=True))),
               scores=sorted(v["score"] for v in run.get_metrics(recursive=True).values() if "score" in v))
    """)
    assert found["direct"] == found["expected"]
    assert (found["all"], found["in_experiment"], found["with_children"]) == (7, 1, 8)
    assert set(found["states"]) == {"Completed"}
    assert found["parent"]
    assert found["fold"] == ["b"]
    assert found["scores"] == [1, 2]


def test_a_run_that_fails_and_one_that_is_cancelled(sdk):
    found = sdk.results("""
        experiment = Experiment(ws, "ends")
        failed = experiment.start_logging(outputs=None, snapshot_directory=None)
        failed.fail(error_details="the disk is full", error_code="Disk")
        cancelled = experiment.start_logging(outputs=None, snapshot_directory=None)
        cancelled.cancel()
        try:
            with experiment.start_logging(outputs=None, snapshot_directory=None) as raised:
                raise ValueError("the script's own fault")
        except ValueError:
            pass
        result(failed=failed.get_status(), details=failed.get_details()["error"], cancelled=cancelled.get_status(),
               raised=raised.get_status())
    """)
    assert found["failed"] == "Failed"
    assert "the disk is full" in str(found["details"])
    assert found["cancelled"] == "Canceled"
    assert found["raised"] == "Failed"


def test_the_snapshot_of_a_notebook(sdk):
    sdk.project("x = 1")
    found = sdk.results("""
        experiment = Experiment(ws, "notebook-snapshot")
        run = experiment.start_logging(outputs=None, snapshot_directory="project")
        run.complete()
        later = experiment.start_logging(outputs=None, snapshot_directory=None)
        taken = later.take_snapshot("project")
        later.complete()
        result(snapshot=run.get_snapshot_id() is not None, taken=taken == later.get_snapshot_id(),
               zip=run.restore_snapshot(path="zip"))
    """)
    assert found["snapshot"] and found["taken"]
    assert (sdk.user / found["zip"]).stat().st_size > 0


def test_a_file_that_is_uploaded_twice_is_an_error_or_the_newer_one_but_never_a_mixture(sdk):
    found = sdk.results("""
        run = Experiment(ws, "twice").start_logging(outputs=None, snapshot_directory=None)
        for text in ("first" * 1000, "second"):
            open("file.txt", "w").write(text)
            try:
                run.upload_file("file.txt", "file.txt")
            except Exception as error:
                result(kind=type(error).__name__, words=str(error)[:400])
        run.complete()
        run.download_file("file.txt", output_file_path="back.txt")
        result(back=open("back.txt").read())
    """)
    assert found["back"] == ("first" * 1000 if "kind" in found else "second")
