"""The estimators, in every way of starting processes; what is refused, in the words of the server or of the SDK."""

import pytest

FRAMEWORKS = {
    "PyTorch": "from azureml.train.dnn import PyTorch as Kind",
    "TensorFlow": "from azureml.train.dnn import TensorFlow as Kind",
    "Chainer": "from azureml.train.dnn import Chainer as Kind",
    "SKLearn": "from azureml.train.sklearn import SKLearn as Kind",
}
SHOWS = """
    import json, os, sys
    rank = os.environ.get("OMPI_COMM_WORLD_RANK", "none")
    seen = {"argv": sys.argv[1:], "size": os.environ.get("OMPI_COMM_WORLD_SIZE")}
    json.dump(seen, open("outputs/seen-%s.json" % rank, "w"))
"""


@pytest.mark.parametrize("kind", FRAMEWORKS)
def test_a_framework_estimator_on_one_node(sdk, kind):
    """Without packages it names a ready-made image of the service; the node itself stands in for it."""
    sdk.project(SHOWS)
    found = sdk.results(
        FRAMEWORKS[kind]
        + """
from azureml.core import ComputeTarget
est = Kind(source_directory="project", compute_target=ComputeTarget(ws, "cpu-cluster"), entry_script="train.py",
           script_params={"--epochs": 3, "--verbose": ""})
run = Experiment(ws, "frameworks").submit(est)
run.wait_for_completion()
run.download_file("outputs/seen-none.json", output_file_path="seen.json")
result(status=run.get_status(), seen=json.load(open("seen.json")), image=run.get_details()["runDefinition"]["environment"],
       version=est.framework_version, versions=est.get_supported_versions())
"""
    )
    assert found["version"] in found["versions"], "the default version"
    assert found["status"] == "Completed"
    assert found["seen"]["argv"] == ["--epochs", "3", "--verbose"]


@pytest.mark.parametrize("kind", ["PyTorch", "TensorFlow", "Chainer"])
def test_a_framework_estimator_under_mpi(sdk, kind):
    sdk.project(SHOWS)
    found = sdk.results(
        FRAMEWORKS[kind]
        + """
from azureml.core import ComputeTarget
from azureml.core.runconfig import MpiConfiguration
mpi = MpiConfiguration()
mpi.process_count_per_node = 2
est = Kind(source_directory="project", compute_target=ComputeTarget(ws, "cpu-cluster"), entry_script="train.py",
           node_count=2, distributed_training=mpi)
run = Experiment(ws, "frameworks").submit(est)
run.wait_for_completion()
result(status=run.get_status(), files=[name for name in run.get_file_names() if name.startswith("outputs/")])
"""
    )
    assert found["status"] == "Completed"
    assert sorted(found["files"]) == [f"outputs/seen-{rank}.json" for rank in range(4)]


def test_overrides_at_submission_and_the_estimators_own_parts(sdk):
    sdk.project(SHOWS)
    found = sdk.results("""
        from azureml.train.estimator import Estimator
        est = Estimator("project", compute_target="cpu-cluster", entry_script="train.py", environment_definition=bare,
                        script_params={"--a": 1})
        run = Experiment(ws, "overrides").submit(est, script_params={"--a": 2, "--b": "x y"})
        run.wait_for_completion()
        run.download_file("outputs/seen-none.json", output_file_path="seen.json")
        result(seen=json.load(open("seen.json")), target=est.run_config.target, directory=est.source_directory)
        packages = Estimator("project", compute_target="cpu-cluster", entry_script="train.py", conda_packages=["scipy"],
                             pip_packages=["six"]).conda_dependencies
        result(conda=list(packages.conda_packages), pip=list(packages.pip_packages))
    """)
    assert found["seen"]["argv"] == ["--a", "2", "--b", "x y"]
    assert (found["target"], found["directory"]) == ("cpu-cluster", "project")
    assert "scipy" in found["conda"] and "six" in found["pip"]


MEETS = """
    import json, os, socket, time
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    if rank == 0: # what torch.distributed's env:// does, without torch
        server = socket.create_server(address)
        server.settimeout(60)
        for _ in range(size - 1):
            server.accept()[0].sendall(b"met")
    else:
        end = time.monotonic() + 60
        while True:
            try:
                peer = socket.create_connection(address, timeout=60)
                break
            except OSError:
                if time.monotonic() > end: raise
                time.sleep(0.02)
        assert peer.recv(3) == b"met"
    open("outputs/met-%d" % rank, "w").write(os.environ["NODE_RANK"])
"""
GROUPS = {
    "gloo": ("from azureml.train.dnn import Gloo; more = dict(distributed_training=Gloo())", 2),
    "nccl": ("from azureml.train.dnn import Nccl; more = dict(distributed_training=Nccl())", 2),
    "backend": ("more = dict(distributed_backend='nccl')", 2),
}


@pytest.mark.parametrize("what", GROUPS)
def test_a_process_group_meets_over_two_nodes(sdk, what):
    sdk.project(MEETS)
    prepare, processes = GROUPS[what]
    found = sdk.results(
        f"""
{prepare}
{FRAMEWORKS["PyTorch"]}
est = Kind("project", compute_target=ComputeTarget(ws, "cpu-cluster"), entry_script="train.py", node_count=2, **more)
run = Experiment(ws, "groups").submit(est)
run.wait_for_completion()
result(status=run.get_status(), files=sorted(run.get_file_names()))
"""
    )
    assert found["status"] == "Completed"
    assert [name for name in found["files"] if name.startswith("outputs/")] == [
        f"outputs/met-{rank}" for rank in range(processes)
    ]
    for name in ("70_driver_log_0.txt", "70_driver_log_1.txt", "process_info.json", "process_status.json"):
        assert f"azureml-logs/{name}" in found["files"]


def test_a_pytorch_configuration_counts_all_processes(sdk):
    sdk.project(MEETS)
    found = sdk.results("""
        from azureml.core.runconfig import PyTorchConfiguration
        run = Experiment(ws, "groups").submit(config(distributed_job_config=PyTorchConfiguration("Gloo", 4, 2)))
        run.wait_for_completion()
        outputs = sorted(name for name in run.get_file_names() if name.startswith("outputs/"))
        run.download_file("outputs/met-3", output_file_path="met")
        result(status=run.get_status(), outputs=outputs, node=open("met").read())
    """)
    assert found["status"] == "Completed"
    assert found["outputs"] == [f"outputs/met-{rank}" for rank in range(4)]
    assert found["node"] == "1"


def test_a_count_that_the_nodes_do_not_divide_is_refused_in_our_words(sdk):
    sdk.project(MEETS)
    found = sdk.results("""
        from azureml.core.runconfig import PyTorchConfiguration
        try:
            Experiment(ws, "refused").submit(config(distributed_job_config=PyTorchConfiguration("Gloo", 3, 2)))
        except Exception as error:
            result(words=str(error))
        result(runs=[run.id for run in Experiment(ws, "refused").get_runs()])
    """)
    assert "3 processes cannot be shared out evenly over 2 nodes" in found["words"]
    assert found["runs"] == [], "a refused run is in the history"


SERVES = """
    import json, os, socket, time
    config = json.loads(os.environ["TF_CONFIG"])
    role, index = config["task"]["type"], config["task"]["index"]
    if role == "ps":
        host, port = config["cluster"]["ps"][index].split(":")
        server = socket.create_server((host, int(port)))
        while True:
            server.accept()[0].sendall(b"weights")
    for host, port in (server.split(":") for server in config["cluster"]["ps"]):
        end = time.monotonic() + 60
        while True:
            try:
                peer = socket.create_connection((host, int(port)), timeout=60)
                break
            except OSError:
                if time.monotonic() > end: raise
                time.sleep(0.02)
        assert peer.recv(7) == b"weights"
    json.dump(config, open("outputs/worker-%d" % index, "w"))
"""


def test_parameter_servers_serve_until_the_workers_have_ended(sdk):
    sdk.project(SERVES)
    found = sdk.results(
        FRAMEWORKS["TensorFlow"]
        + """
from azureml.core.runconfig import TensorflowConfiguration
from azureml.train.dnn import ParameterServer
target = ComputeTarget(ws, "cpu-cluster")
est = Kind("project", compute_target=target, entry_script="train.py", node_count=2,
           distributed_training=ParameterServer(worker_count=2))
runs = [Experiment(ws, "servers").submit(est)]
runs.append(Experiment(ws, "servers").submit(config(distributed_job_config=TensorflowConfiguration(2, 2))))
for run in runs:
    run.wait_for_completion()
result(statuses=[run.get_status() for run in runs], files=[sorted(run.get_file_names()) for run in runs])
"""
    )
    assert found["statuses"] == ["Completed", "Completed"]
    for files, servers in zip(found["files"], (1, 2)):
        logs = [f"ps_{index}" for index in range(servers)] + ["worker_0", "worker_1"]
        assert [name for name in files if "70_driver" in name] == [f"azureml-logs/70_driver_log_{log}.txt" for log in logs]
        assert [name for name in files if name.startswith("outputs/")] == ["outputs/worker-0", "outputs/worker-1"]


def test_an_image_that_no_node_has_is_refused_or_fails_in_words(sdk):
    sdk.project(SHOWS)
    found = sdk.results("""
        from azureml.train.estimator import Estimator
        est = Estimator("project", compute_target="cpu-cluster", entry_script="train.py",
                        custom_docker_image="microsoft/mmlspark:0.12")
        try:
            run = Experiment(ws, "images").submit(est)
            run.wait_for_completion()
        except Exception as error:
            result(kind=type(error).__name__, words=str(error))
    """)
    assert found["kind"] in ("TrainingException", "ActivityFailedException")
    assert "microsoft/mmlspark:0.12" in found["words"]
