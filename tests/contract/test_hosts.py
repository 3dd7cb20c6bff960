"""The distributed example over hosts that share nothing but a network, submitted by the SDK on the coordinator's host."""

import pytest
from cluster import running
from hosts import COORDINATOR, HostCluster, require_hosts
from sdk import Sdk

require_hosts()

# MPI without a package: the hosts have the operating system's Python and Open MPI.
TRAIN = """
    import argparse, ctypes, os
    from azureml.core import Run
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int)
    args = parser.parse_args()
    mpi = ctypes.CDLL("libmpi.so.40", ctypes.RTLD_GLOBAL)
    world, double, add = (ctypes.byref(ctypes.c_char.in_dll(mpi, "ompi_mpi_" + name)) for name in ("comm_world", "double", "op_sum"))
    rank, size = ctypes.c_int(), ctypes.c_int()
    mpi.MPI_Init(None, None)
    mpi.MPI_Comm_rank(world, ctypes.byref(rank))
    mpi.MPI_Comm_size(world, ctypes.byref(size))
    run = Run.get_context()
    for epoch in range(args.epochs):
        mine, total = ctypes.c_double(rank.value + epoch), ctypes.c_double()
        mpi.MPI_Allreduce(ctypes.byref(mine), ctypes.byref(total), 1, double, add, world)
        if rank.value == 0:
            run.log("total", total.value)
    print("rank", rank.value, "of", size.value, "on", os.uname().nodename, "total", total.value)
    with open("outputs/node-%d.txt" % rank.value, "w") as file:
        file.write(os.uname().nodename)
    mpi.MPI_Finalize()
"""
PAGE = """
    import json
    from azureml.core import Experiment, Workspace
    from azureml.core.compute import ComputeTarget
    from azureml.train.estimator import Estimator

    ws = Workspace.from_config()
    estimator = Estimator(source_directory="./project",
                          script_params={"--epochs": 3},
                          compute_target=ComputeTarget(workspace=ws, name="cpu-cluster"),
                          entry_script="train.py",
                          node_count=4,
                          process_count_per_node=2,
                          distributed_backend="mpi",
                          user_managed=True)
    run = Experiment(workspace=ws, name="over-hosts").submit(estimator)
    run.wait_for_completion(show_output=True)
    nodes = []
    for rank in range(8):
        run.download_file("outputs/node-%d.txt" % rank, output_file_path="node.txt")
        nodes.append(open("node.txt").read())
    print("RESULT " + json.dumps({"status": run.get_status(), "metrics": run.get_metrics(), "nodes": nodes,
                                  "files": run.get_file_names()}))
"""


@pytest.fixture
def hosts():
    cluster = HostCluster(4, prefix="ct", packages=False)
    with running(cluster):
        yield cluster


def test_the_distributed_example_runs_over_four_hosts(hosts, tmp_path):
    sdk = Sdk(hosts, None, tmp_path)
    sdk.project(TRAIN)

    script = sdk.finish(sdk.start_cold(PAGE, variables={"LINARITE_CONTRACT_OWN_ADDRESS": COORDINATOR}), timeout=150)

    found = script.results()
    assert found["status"] in ("Finalizing", "Completed"), script.story()
    assert found["metrics"] == {"total": [28.0, 36.0, 44.0]}
    assert found["nodes"] == [f"ct{1 + rank // 2}" for rank in range(8)]
    assert {f"azureml-logs/70_driver_log_{rank}.txt" for rank in range(8)} <= set(found["files"])
