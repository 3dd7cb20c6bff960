"""GPUs, with four that are not there: runs have disjoint ones, and they are free again when a run is gone."""

import json

from cluster import wait_until

SHOW = "import os; print('gpus', os.environ['CUDA_VISIBLE_DEVICES'], os.environ['AZ_BATCHAI_GPU_COUNT'], flush=True)"
HOLD = SHOW + "; import time; time.sleep(3600)"


def gpus_of(cluster, run):
    for line in cluster.driver_log(run).decode().splitlines():
        if line.startswith("gpus "):
            return line.split()[1].split(",")
    return None


def seen_gpus(cluster, run):
    def there():
        return cluster.files(run, "azureml-logs/70_driver_log") and gpus_of(cluster, run)

    return wait_until(there, f"run {run} tells its GPUs")


def test_runs_at_once_have_disjoint_gpus_and_give_them_back(new_cluster, project):
    cluster = new_cluster(nodes=1, slots=2, flags=["--gpus", "fake:4"])
    folder = project(HOLD)
    flags = ["--target", "gpu-cluster"]
    assert cluster.get("/api/v1/nodes").json()["nodes"][0]["gpus"] == 4

    first, second = (cluster.submit(folder, "train.py", flags=flags) for _ in range(2))
    taken = [seen_gpus(cluster, run) for run in (first, second)]
    assert sorted(taken[0] + taken[1]) == ["0", "1", "2", "3"]

    cluster.cli("cancel", first)
    cluster.wait_for_end(first)
    third = cluster.submit(folder, "train.py", flags=flags)
    assert seen_gpus(cluster, third) == taken[0]


def test_a_run_keeps_its_gpus_over_a_restart_of_everything_but_itself(new_cluster, project):
    cluster = new_cluster(nodes=1, slots=2, flags=["--gpus", "fake:2"])
    folder = project(HOLD)
    first, second = (cluster.submit(folder, "train.py") for _ in range(2))
    taken = [seen_gpus(cluster, run) for run in (first, second)]
    cluster.cli("cancel", first)
    cluster.wait_for_end(first)

    cluster.kill()
    cluster.start()
    third = cluster.submit(folder, "train.py")

    assert seen_gpus(cluster, third) == taken[0]
    assert cluster.show(second)["status"] == "Running"


def test_local_nodes_share_the_gpus_of_the_machine(new_cluster, project):
    cluster = new_cluster(nodes=2, flags=["--gpus", "fake:4"])
    script = "import json, os; open('outputs/%s.json' % os.environ['RANK'], 'w').write(json.dumps(os.environ['CUDA_VISIBLE_DEVICES']))"

    run = cluster.run(project(script), "train.py", flags=["--nodes", "2", "--backend", "nccl"])

    assert run["status"] == "Completed", run
    seen = [json.loads(cluster.file(run["run_id"], f"outputs/{rank}.json")) for rank in range(2)]
    assert sorted(seen) == ["0,1", "2,3"]


def test_nodes_that_hide_their_gpus_have_none(new_cluster, project):
    cluster = new_cluster(nodes=1, flags=["--gpus", "none"])

    run = cluster.run(project("import os; print('gpus', repr(os.environ['CUDA_VISIBLE_DEVICES']))"), "train.py")

    assert "gpus ''" in cluster.driver_log(run["run_id"]).decode()
    refused = cluster.cli("submit", project(SHOW), "--experiment", "e2e", "--target", "gpu-cluster", "--", "train.py", code=None)
    assert refused.returncode != 0 and "gpu-cluster" in refused.stderr
