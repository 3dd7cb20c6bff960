"""A short kill_gang (the seed is fixed, so that what fails here fails again), and a host that is gone for good."""

import pytest
from cluster import running, wait_until
from gang_kills import QUICK_DEEDS, Killer, make_work, start_cluster
from hosts import require_hosts

require_hosts()


@pytest.fixture
def three_hosts():
    cluster = start_cluster()
    with running(cluster):
        yield cluster


def work_on(hosts):
    return [line for host in hosts for line in host.space.pids().values() if "./work" in line or "mpirun" in line]


def test_whatever_is_killed_the_run_ends_as_one(three_hosts, tmp_path):
    killer = Killer(three_hosts, make_work(tmp_path / "work"), seed=20)
    for _ in killer.run(len(QUICK_DEEDS), QUICK_DEEDS):
        pass
    assert not killer.faults, killer.report()

    run = killer.submit()
    three_hosts.wait_for(run, "Running")
    gone = three_hosts.hosts[2]
    gone.power_off()

    row = three_hosts.wait_for_end(run, deadline=60)
    assert row["status"] == "Failed"
    assert row["outcome"]["code"] == "ServiceError", row["outcome"]
    assert "kg3" in row["outcome"]["message"] or "another node" in row["outcome"]["message"]
    wait_until(lambda: not work_on(three_hosts.hosts[:2]), "what the run had started is ended", 15)
