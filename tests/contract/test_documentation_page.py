"""The two examples of the old page on training with Estimators, with the lines that it prints, by `linarite run`."""

import shlex
import subprocess
import textwrap

import pytest
from cluster import write_project
from sdk import PYTHON, client_variables

SKLEARN_TRAIN = """
    import argparse, json, os, time
    import sklearn
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-folder", type=str, dest="data_folder")
    parser.add_argument("--regularization", type=float, dest="reg", default=0.01)
    args = parser.parse_args()
    with open(os.path.join(args.data_folder, "digits", "points.csv")) as file:
        points = [tuple(map(float, line.split(","))) for line in file]
    weight = sum(x * y for x, y in points) / (sum(x * x for x, _ in points) + args.reg)
    print("scikit-learn", sklearn.__version__, "regularization", args.reg, "weight", round(weight, 6), flush=True)
    while not os.path.exists("GO"): time.sleep(0.02)  # some training: the SDK streams only what it saw alive
    os.makedirs("outputs", exist_ok=True)
    with open("outputs/sklearn_model.json", "w") as file:
        json.dump({"weight": weight}, file)
"""

SKLEARN_PAGE = """
    from azureml.core import Experiment, Workspace
    from azureml.core.compute import ComputeTarget
    from azureml.train.estimator import Estimator

    ws = Workspace.from_config()
    ds = ws.get_default_datastore()
    ds.upload(src_dir="./data", target_path="digits", overwrite=True, show_progress=True)
    compute_target = ComputeTarget(workspace=ws, name="cpu-cluster")

    script_params = {
        "--data-folder": ds.as_mount(),
        "--regularization": 0.8
    }

    sk_est = Estimator(source_directory="./my-sklearn-proj",
                       script_params=script_params,
                       compute_target=compute_target,
                       entry_script="train.py",
                       conda_packages=["scikit-learn"])

    experiment = Experiment(workspace=ws, name="my-sklearn-proj")
    run = experiment.submit(sk_est)
    print("status after submit:", run.get_details()["status"])
    run.wait_for_completion(show_output=True)
    print("status at the end:", run.get_details()["status"])
    print("files:", run.get_file_names())
    run.download_file(name="outputs/sklearn_model.json", output_file_path="./model.json")
    print("model:", open("./model.json").read())
    print("metrics:", run.get_metrics())
    print("runs:", [past.id == run.id for past in experiment.get_runs()])
"""

# The skeleton of the page's CNTK script: every rank waits for a file that rank 0 writes below the shared outputs.
CNTK_TRAIN = """
    import os, time
    import cntk
    rank, size = os.environ["OMPI_COMM_WORLD_RANK"], os.environ["OMPI_COMM_WORLD_SIZE"]
    if rank == "0":
        os.makedirs("outputs/MNIST", exist_ok=True)
        open("outputs/MNIST/complete.txt", "w").close()
    while not os.path.exists("outputs/MNIST/complete.txt"):
        time.sleep(0.02)
    print("rank", rank, "of", size, "with cntk", cntk.__version__, flush=True)
    while not os.path.exists("GO"): time.sleep(0.02)  # some training: the SDK streams only what it saw alive
    open("outputs/rank-" + rank + ".txt", "w").write(size)
"""

CNTK_PAGE = """
    import sys
    from azureml.core import Experiment, Workspace
    from azureml.train.estimator import Estimator

    ws = Workspace.from_config()
    compute_target = ws.compute_targets["cpu-cluster"]
    estimator = Estimator(source_directory="./my-cntk-proj",
                          compute_target=compute_target,
                          entry_script="train.py",
                          node_count=2,
                          process_count_per_node=int(sys.argv[1]),
                          distributed_backend="mpi",
                          pip_packages=["cntk==2.5.1"],
                          custom_docker_base_image="azureml/openmpi4.1.0-ubuntu22.04")
    experiment = Experiment(workspace=ws, name="my-cntk-proj")
    run = experiment.submit(estimator)
    run.wait_for_completion(show_output=True)
    print("status at the end:", run.get_details()["status"])
    print("files:", sorted(run.get_file_names()))
"""


@pytest.mark.differs("Run.get_details", "gives a dictionary: the page's `run.get_details().status` is older than SDK 1.0")
def test_the_single_node_example_as_printed(sdk, tmp_path):
    go = tmp_path / "go"
    write_project(sdk.user / "my-sklearn-proj", textwrap.dedent(SKLEARN_TRAIN).replace("GO", str(go)))
    write_project(sdk.user / "data", "1,2\n2,4\n3,6\n", name="points.csv")

    script = sdk.let_it_end_when_streamed(sdk.start_cold(SKLEARN_PAGE), go, timeout=150)

    out = script.out
    assert "status at the end: Completed" in out, script.story()
    assert "regularization 0.8 weight 1.891892" in out
    assert "outputs/sklearn_model.json" in out.partition("files:")[2]
    assert 'model: {"weight": 1.89' in out
    assert "metrics: {}" in out
    assert "runs: [True]" in out


@pytest.mark.parametrize("processes", [1, 2])
def test_the_distributed_example_as_printed(sdk, tmp_path, processes):
    go = tmp_path / "go"
    write_project(sdk.user / "my-cntk-proj", textwrap.dedent(CNTK_TRAIN).replace("GO", str(go)))

    script = sdk.let_it_end_when_streamed(sdk.start(CNTK_PAGE, processes, preamble=False), go, timeout=150)

    assert "status at the end: Completed" in script.out, script.story()
    ranks = 2 * processes
    assert f"rank 0 of {ranks} with cntk 2.5.1" in script.out
    for rank in range(ranks):
        assert f"'outputs/rank-{rank}.txt'" in script.out.partition("files:")[2]


def test_the_variables_that_env_prints_do_as_well(sdk, cluster, tmp_path):
    """eval "$(linarite env)" in a shell, and the interpreter called by hand."""
    home = tmp_path / "home"
    home.mkdir()
    (sdk.user / "name.py").write_text("from azureml.core import Workspace; print(Workspace.from_config().name)")
    line = f'eval "$({shlex.quote(str(cluster.binary))} env)" && exec {shlex.quote(str(PYTHON))} name.py'

    shell = subprocess.run(
        ["sh", "-c", line], cwd=sdk.user, env=client_variables(cluster, home), capture_output=True, text=True, timeout=90
    )

    assert shell.returncode == 0, shell.stderr
    assert shell.stdout.splitlines()[-1] == "linarite"
    assert not (home / ".azure").exists(), "the user's own Azure folder was touched"
