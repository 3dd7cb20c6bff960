"""A short kill_gang: the seed is fixed, so that what fails here fails again."""

from gang_kills import QUICK_DEEDS, Killer, make_work, start_cluster
from hosts import require_hosts

require_hosts()


def test_whatever_is_killed_the_run_ends_as_one(tmp_path):
    cluster = start_cluster()
    try:
        cluster.start()
        killer = Killer(cluster, make_work(tmp_path / "work"), seed=20)
        for _ in killer.run(len(QUICK_DEEDS), QUICK_DEEDS):
            pass
        assert not killer.faults, killer.report()
        cluster.stop()
    finally:
        cluster.destroy()
