"""The same runs in containers with Podman as the engine: one client for both, and what differs is tested here."""

import pytest

from cluster import wait_until
from engine import Podman
from test_containers import (  # noqa: F401  the tests and fixtures of the other engine, with this one in its place
    COUNTER,
    cluster,
    counted_lines,
    engine_with_image,
    finish,
    image_tar,
    log_of,
    registry,
    start_counter,
    test_a_cancelled_run_has_its_grace_and_leaves_nothing,
    test_a_killed_agent_goes_on_with_the_run_in_its_container,
    test_a_root_filesystem_stands_for_an_image,
    test_a_run_is_inside_of_its_image_with_its_files_as_ever,
    test_an_exit_code_comes_out_of_the_container,
    test_an_image_comes_from_its_registry_and_is_recorded_by_digest,
    test_an_image_that_cannot_be_had_fails_the_run_at_once_and_in_words,
    test_packages_are_installed_for_the_python_of_the_image_once,
    test_the_log_of_a_container_is_seen_while_it_is_written,
    test_what_a_run_changes_in_its_environment_is_its_own_in_a_container,
    test_two_nodes_with_two_ranks_each_reduce_inside_of_containers,
    test_what_the_operator_gives_a_container_is_what_the_engine_is_told,
    two_nodes,
)
from test_dockerfiles import (  # noqa: F401
    dockerfile,
    test_a_build_has_a_limit_and_can_be_cancelled,
    test_a_build_that_fails_ends_the_run_in_the_engines_words,
    test_files_go_along_with_a_dockerfile,
    test_it_is_built_once_and_runs_are_inside_of_it,
    test_what_it_builds_on_may_be_mapped_and_packages_go_on_top,
)


@pytest.fixture(scope="module")
def engine(image_tar):  # noqa: F811
    yield from engine_with_image(Podman(), image_tar)


def test_a_run_does_not_need_podmans_service(cluster, engine, project):  # noqa: F811
    run = start_counter(cluster, project(COUNTER))

    engine.kill()
    seen = len(counted_lines(log_of(cluster, run)))
    wait_until(lambda: len(counted_lines(log_of(cluster, run))) > seen, "the run goes on without it")
    engine.start()

    finish(cluster, run)
