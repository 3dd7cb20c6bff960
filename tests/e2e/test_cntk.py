"""CNTK, the old documentation's second example, without a container: the environment comes from its conda file."""

import subprocess

import pytest

from cluster import running
from cntk_parts import EXAMPLE, VARIABLES, losses, require_cntk
from hosts import HostCluster, require_hosts

require_hosts()
require_cntk()


@pytest.fixture(scope="module")
def hosts():
    """Two hosts that can install CNTK and reach no index."""
    cluster = HostCluster(2, prefix="ck", packages=False)
    cluster.environment.pop("UV_INDEX_URL")
    cluster.environment.update(VARIABLES)
    with running(cluster):
        yield cluster


def finish(cluster, run):
    """(row of the run, {(rank, ranks): loss}) at its end."""
    row = cluster.wait_for_end(run, deadline=120)
    logs = [cluster.file(run, name).decode() for name in cluster.files(run, "azureml-logs/70_driver_log")]
    assert row["status"] == "Completed", f"{row}\n" + "\n".join(logs)
    return row, losses("\n".join(logs))


def test_one_rank_two_ranks_and_two_hosts_have_the_same_loss(hosts, tmp_path):
    subprocess.run([EXAMPLE / "link-mpi", tmp_path / "mpi"], check=True)
    flags = ["--job", EXAMPLE / "cntk.runconfig", "--env", f"LD_LIBRARY_PATH={tmp_path / 'mpi'}"]

    # at the same time, each on a host of its own; the third one finds both hosts' environments built
    alone = hosts.submit(EXAMPLE, flags=[*flags, "--nodes", "1"])
    beside = hosts.submit(EXAMPLE, flags=[*flags, "--nodes", "1", "--processes-per-node", "2"])
    over = hosts.submit(EXAMPLE, flags=flags)
    (one, of_one), (two, of_two), (both, of_both) = (finish(hosts, run) for run in (alone, beside, over))

    loss = of_one[0, 1]
    assert of_one == {(0, 1): loss}
    assert of_two == of_both == {(0, 2): loss, (1, 2): loss}
    assert sorted(both["nodes"]) == ["ck1", "ck2"] == sorted(one["nodes"] + two["nodes"])
    log = hosts.file(over, "azureml-logs/70_driver_log_0.txt").decode()
    assert "the loss is that of one process" in log and "CNTK 2.7" in log
    assert "Python 3.6." in hosts.file(alone, "azureml-logs/20_image_build_log.txt").decode()
    assert "cntk==2.7" in hosts.file(over, "azureml-logs/environment_lock.txt").decode()
    assert {"outputs/cntk.model", "outputs/data/complete.txt"} <= set(hosts.files(over))
    logged = [point["data"]["Loss"] for point in hosts.json("metrics", over, "Loss")["points"]]
    assert len(logged) == 19 and f"{logged[-1]:.4f}" == loss
