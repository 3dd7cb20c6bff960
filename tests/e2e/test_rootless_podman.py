"""Runs in containers with Podman and the agent as the same ordinary user: whose files are whose is another matter there."""

import pytest

from cluster import Cluster, wait_until, write_project
from engine import IMAGE, RootlessPodman
from test_containers import (  # noqa: F401  the tests and fixtures of the other engines, with this one in their place
    LEAVES_FILES,
    engine_log,
    engine_with_image,
    image_tar,
    test_a_cancelled_run_has_its_grace_and_leaves_nothing,
    test_a_killed_agent_goes_on_with_the_run_in_its_container,
    test_an_exit_code_comes_out_of_the_container,
    test_two_nodes_with_two_ranks_each_reduce_inside_of_containers,
)
from test_ordinary_user import become_nobody, readable


@pytest.fixture(scope="module")
def nobody():
    with become_nobody() as (user, options):
        yield user, options


@pytest.fixture(scope="module")
def engine(nobody, image_tar):  # noqa: F811
    user, _ = nobody
    yield from engine_with_image(RootlessPodman(user), image_tar)


@pytest.fixture(scope="module")
def two_nodes(nobody, engine):
    _, options = nobody
    options["environment"]["DOCKER_HOST"] = engine.url
    cluster = Cluster(nodes=2, **options)
    try:
        yield cluster.start()
        cluster.stop()
    finally:
        cluster.destroy()


@pytest.fixture
def cluster(two_nodes, engine):
    yield two_nodes
    two_nodes.cancel_all()
    wait_until(lambda: not engine.containers(), lambda: f"containers are removed: {engine.containers()}")


@pytest.fixture
def project(tmp_path):
    return lambda script, name="train.py", **more: readable(write_project(tmp_path / "project", script, name, **more))


def test_files_of_a_run_and_its_environment_are_its_agents_who_is_nobody_else_inside(cluster, nobody, project):
    user, _ = nobody

    run = cluster.run(project(LEAVES_FILES), "train.py", flags=["--image", IMAGE, "--pip", "six"], deadline=120)

    assert run["status"] == "Completed", run
    assert "(rootless) at " in engine_log(cluster, run["run_id"])
    assert f"uid {user.pw_uid} gid {user.pw_gid} {user.pw_uid}" in cluster.driver_log(run["run_id"]).decode()
    assert cluster.file(run["run_id"], "outputs/deep/closed") == b"x"
    cluster.wait_until_tidy()
    strangers = [path for path in cluster.data.rglob("*") if path.lstat().st_uid != user.pw_uid]
    assert not strangers, strangers
