"""The script inside a run that calls everything, the run of it, and what of it must be readable from outside.

It is the same for the genuine Run and for the module that the policy `drop-in` puts in its place.
"""

import math

LOGGING = '''
    import base64, os
    from azureml.core import Run
    run = Run.get_context()
    print("ONLINE", type(run).__name__, run.id == os.environ["AZUREML_RUN_ID"], run.experiment.name, run.get_status())
    print("SAME", Run.get_context() is run)
    print("BY ITS OLD NAME", Run.get_submitted_run().id == run.id)

    run.log("accuracy", 0.5)
    run.log("accuracy", 0.75)
    run.log("epochs", 3)
    run.log("word", "hello")
    run.log("stepped", 1.5, step=1)
    run.log("not a number", float("nan"))
    run.log("above", float("inf"))
    run.log("below", float("-inf"))
    run.log("many", 0.0)
    for n in range(1, 200):
        run.log("many", n / 2)
    run.log_list("losses", [0.3, 0.2, 0.1, float("nan")])
    run.log_row("row", x=1, y=2.5)
    run.log_row("rows", x=1, y=2.5)
    run.log_row("rows", x=2, y=3.5)
    run.log_table("table", {"a": [1, 2, 3], "b": ["x", "y", "z"]})

    with open("dot.png", "wb") as file:
        file.write(base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="))
    run.log_image("dot", path="dot.png")
    matrix = {"schema_type": "confusion_matrix", "schema_version": "1.0.0",
              "data": {"class_labels": ["0", "1"], "matrix": [[3, 1], [0, 2]]}}
    run.log_confusion_matrix("confusion", matrix)
    residuals = {"schema_type": "residuals", "schema_version": "1.0.0",
                 "data": {"bin_edges": [50, 100, 200], "bin_counts": [0.88, 20]}}
    run.log_residuals("left over", residuals)

    os.makedirs("elsewhere/deep", exist_ok=True)
    for name, text in (("elsewhere/one.txt", "1"), ("elsewhere/deep/two.txt", "22"), ("alone.txt", "alone")):
        with open(name, "w") as file:
            file.write(text)
    run.upload_file("by hand/alone.txt", "alone.txt")
    run.upload_files(["first.txt", "second.txt"], ["elsewhere/one.txt", "elsewhere/deep/two.txt"])
    run.upload_folder("folder", "elsewhere")

    run.tag("stage", "late")
    run.tag("alone")
    run.set_tags({"a": "1"})
    run.add_properties({"owner": "the script"})
    run.display_name = "named inside"
    print("TAGS", sorted(run.get_tags().items(), key=str))
    child = run.child_run("fold")
    child.log("score", 1)
    child.tag("kind", "fold")
    child.complete()
    failed = run.child_run("broken")
    failed.fail("out of luck")
    print("PARENT", child.parent.id == run.id, [c.id in (child.id, failed.id) for c in run.get_children()])
    print("METRICS", run.get_metrics(name="epochs"))
    run.flush()
    run.complete()
    print("the script goes on")
'''

READ_BACK = """
    run = Run.get(ws, sys.argv[1])
    metrics = run.get_metrics()
    images = {name: metrics.pop(name) for name in ("dot", "confusion", "left over")}
    run.download_files(prefix="by hand", output_directory="back")
    run.download_files(prefix="folder", output_directory="back")
    names = run.get_file_names()
    picture = [name for name in names if name.startswith("dot") and name.endswith(".png")]
    run.download_file(picture[0], output_file_path="dot.png")
    run.download_file("confusion", output_file_path="confusion.json")
    children = {child.name.rpartition(">")[2]: child for child in run.get_children()}
    result(metrics=metrics, images=images, names=names, tags=run.get_tags(), properties=run.get_properties(),
           name=run.display_name, status=run.get_status(), one=run.get_metrics(name="epochs"),
           picture=open("dot.png", "rb").read()[:8].hex(), alone=open("back/by hand/alone.txt").read(),
           two=open("back/folder/deep/two.txt").read(), filled={"confusion": open("confusion.json").read()},
           populated=str(run.get_metrics(name="confusion", populate=True)),
           children={name: [child.get_status(), child.get_metrics(), child.get_tags(), child.parent.id == run.id]
                     for name, child in children.items()},
           recursive=sorted(run.get_metrics(recursive=True)))
"""


def without_nan(value):
    """NaN as a word, so that values can be compared."""
    if isinstance(value, list):
        return [without_nan(element) for element in value]
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def check_what_was_logged(found):
    metrics = {name: without_nan(value) for name, value in found["metrics"].items()}
    metrics["many"].sort()  # more than one batch: the SDK sends them side by side
    assert metrics == {
        "accuracy": [0.5, 0.75],
        "epochs": 3,
        "word": "hello",
        "stepped": 1.5,
        "not a number": "NaN",
        "above": math.inf,
        "below": -math.inf,
        "many": [n / 2 for n in range(200)],
        "losses": [0.3, 0.2, 0.1, "NaN"],
        "row": {"x": 1, "y": 2.5},
        "rows": {"x": [1, 2], "y": [2.5, 3.5]},
        "table": {"a": [1, 2, 3], "b": ["x", "y", "z"]},
    }
    assert found["one"] == {"epochs": 3}
    for name, address in found["images"].items():
        assert address.startswith("aml://artifactId/ExperimentRun/"), (name, address)
    assert found["picture"] == "89504e470d0a1a0a"


def check_the_rest(found):
    assert {"by hand/alone.txt", "first.txt", "second.txt", "folder/one.txt", "folder/deep/two.txt"} <= set(found["names"])
    assert (found["alone"], found["two"]) == ("alone", "22")
    assert found["tags"]["stage"] == "late" and found["tags"]["a"] == "1" and "alone" in found["tags"]
    assert found["properties"]["owner"] == "the script"
    assert found["name"] == "named inside"
    assert found["status"] == "Completed"
    status, metrics, tags, is_child = found["children"]["fold"]
    assert (status, metrics, tags["kind"], is_child) == ("Completed", {"score": 1}, "fold", True)
    assert found["children"]["broken"][0] == "Failed"


def check_the_driver_log(log):
    assert "ONLINE" in log, log
    assert "True" in log.partition("ONLINE")[2].splitlines()[0]
    assert "SAME True" in log
    assert "BY ITS OLD NAME True" in log
    assert "('stage', 'late')" in log
    assert "PARENT True [True, True]" in log
    assert "METRICS {'epochs': 3}" in log
    assert "the script goes on" in log
