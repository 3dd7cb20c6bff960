"""Runs that bring a dockerfile in the place of an image's name: built once on each node, and seen while it is."""

import json
import os
import signal

import pytest

from cluster import Cluster, running, wait_until
from engine import IMAGE
from test_containers import cluster, engine, image_tar, two_nodes  # noqa: F401  fixtures

SAYS_WHERE = "import os; print('built', open('/built').read().strip(), os.environ['MADE_BY'])"
BUILD_LOG = "azureml-logs/20_image_build_log.txt"


@pytest.fixture
def dockerfile(tmp_path):
    """dockerfile("RUN true", ...) writes one on the tests' image, and gives the flags of `submit`."""

    def write(*lines, base=IMAGE):
        path = tmp_path / "Dockerfile"
        path.write_text("\n".join([f"FROM {base}", *lines]) + "\n")
        return ["--dockerfile", path]

    return write


def build_log(cluster, run):  # noqa: F811
    return cluster.file(run["run_id"], BUILD_LOG).decode()


def images_of_dockerfiles(engine):  # noqa: F811
    found = json.loads(engine.call("GET", "/v1.41/images/json")[1])
    return {tag for image in found for tag in image["RepoTags"] or [] if "linarite/dockerfile:" in tag}


def test_it_is_built_once_and_runs_are_inside_of_it(cluster, engine, project, dockerfile):  # noqa: F811
    before = images_of_dockerfiles(engine)
    flags = [*dockerfile("RUN echo making it; echo here > /built", "ENV MADE_BY=a-dockerfile"), "--user-managed"]
    folder = project(SAYS_WHERE)

    # both nodes have one engine: what one builds the other finds, or waits for in vain and builds from its layers
    first = cluster.run(folder, "train.py", flags=flags, deadline=120)
    second = cluster.run(folder, "train.py", flags=flags)

    for run in (first, second):
        assert run["status"] == "Completed", (run, build_log(cluster, run))
        assert b"built here a-dockerfile" in cluster.driver_log(run["run_id"])
    log = build_log(cluster, first)
    assert "container: an image that is built of the run's dockerfile" in log
    assert "making it" in log.splitlines() and "the image was built in" in log
    assert "making it" not in build_log(cluster, second)
    (built,) = images_of_dockerfiles(engine) - before
    name = built[built.index("linarite/") :]  # Podman puts a registry before it
    lock = cluster.file(second["run_id"], "azureml-logs/environment_lock.txt").decode()
    assert f"# image {name}\n# digest sha256:" in lock, lock


def test_what_it_builds_on_may_be_mapped_and_packages_go_on_top(cluster, project, dockerfile):  # noqa: F811
    folder = project("import os, six, sys; print(open('/built').read().strip(), six.__version__[0], '/envs/' in sys.prefix)")
    flags = [*dockerfile("RUN echo mapped > /built", base="mapped/base:3"), "--pip", "six"]

    run = cluster.run(folder, "train.py", flags=flags, deadline=120)

    log = build_log(cluster, run)
    assert run["status"] == "Completed", (run, log)
    assert b"mapped 1 True" in cluster.driver_log(run["run_id"])
    assert f"on '{IMAGE}' in the place of 'mapped/base:3' (mapped/*, by this node's operator)" in log


def test_a_build_that_fails_ends_the_run_in_the_engines_words(cluster, engine, project, dockerfile):  # noqa: F811
    before = images_of_dockerfiles(engine)

    run = cluster.run(project("pass"), "train.py", flags=dockerfile("RUN echo no such thing >&2; exit 42"), deadline=60)
    nonsense = cluster.run(project("pass"), "train.py", flags=dockerfile("DANCE"), deadline=60)

    assert (run["status"], run["outcome"]["code"]) == ("Failed", "UserError"), run
    assert "ImageBuildError: no image can be built of the run's dockerfile: " in run["outcome"]["message"], run
    assert "42" in run["outcome"]["message"], run
    assert "no such thing" in build_log(cluster, run).splitlines()
    assert nonsense["status"] == "Failed" and "DANCE" in nonsense["outcome"]["message"].upper(), nonsense
    assert images_of_dockerfiles(engine) == before


def test_files_go_along_with_a_dockerfile(cluster, engine, project, tmp_path):  # noqa: F811
    """A build context: another image for other files, the same one for the same."""
    context = tmp_path / "context"
    (context / "docker").mkdir(parents=True)
    (context / "docker" / "Dockerfile").write_text("FROM mapped/base:3\nCOPY tools /opt/tools\nRUN /opt/tools/make\n")
    (context / "tools").mkdir()
    (context / "tools" / "make").write_text("#!/bin/sh\necho making it; echo one > /built\n")
    flags = ["--build-context", context, "--dockerfile", "docker/Dockerfile", "--user-managed"]
    folder = project("print('built', open('/built').read().strip())")
    before = images_of_dockerfiles(engine)

    first = cluster.run(folder, "train.py", flags=flags, deadline=120)
    again = cluster.run(folder, "train.py", flags=flags)
    (context / "tools" / "make").write_text("#!/bin/sh\necho two > /built\n")
    other = cluster.run(folder, "train.py", flags=flags, deadline=120)

    for run, built in ((first, b"built one"), (again, b"built one"), (other, b"built two")):
        assert run["status"] == "Completed", (run, build_log(cluster, run))
        assert built in cluster.driver_log(run["run_id"])
    log = build_log(cluster, first)
    assert "container: an image that is built of the run's build context" in log
    assert "making it" in log.splitlines()
    assert f"on '{IMAGE}' in the place of 'mapped/base:3' (mapped/*, by this node's operator)" in log
    assert "making it" not in build_log(cluster, again)
    assert len(images_of_dockerfiles(engine) - before) == 2


def test_a_build_context_that_cannot_be_used_is_said(cluster, project, tmp_path, job_file):  # noqa: F811
    (tmp_path / "empty").mkdir()
    refused = cluster.cli("submit", project("pass"), "--build-context", tmp_path / "empty", "--", "train.py", code=2)
    assert "has no file 'Dockerfile' (--dockerfile names another one in it)" in refused.stderr

    def definition(**context):
        docker = {"enabled": True, "buildContext": context}
        return job_file(environment={"docker": docker, "python": {"userManagedDependencies": True}})

    elsewhere = definition(locationType="storageAccount", location="https://azure.blob.core.windows.net/azureml/x/")
    refused = cluster.cli("submit", project("pass"), "--job", elsewhere, "--", "train.py", code=2)
    assert "is in none of this coordinator's containers" in refused.stderr and "--build-context" in refused.stderr
    nowhere = definition(locationType="datastore", location="workspaceblobstore/nowhere")
    run = cluster.run(project("pass"), "train.py", flags=["--job", nowhere])
    assert (run["status"], run["outcome"]["code"]) == ("Failed", "UserError"), run
    assert "ImageBuildError" in run["outcome"]["message"] and "nowhere" in run["outcome"]["message"], run
    assert "nowhere" in build_log(cluster, run)


def submit_endless_build(cluster, folder, flags):  # noqa: F811
    """The run, when its build is at work."""
    run = cluster.submit(folder, "train.py", flags=flags)
    wait_until(
        lambda: BUILD_LOG in cluster.files(run) and b"\nit begins" in cluster.file(run, BUILD_LOG),
        "the build has begun",
        60,
    )
    return run


def test_of_a_build_whose_agent_is_killed_nothing_goes_on(cluster, engine, project, dockerfile):  # noqa: F811
    run = submit_endless_build(cluster, project("pass"), dockerfile("RUN echo it begins; sleep 1000"))
    (step,) = engine.containers()

    os.kill(cluster.agent_pid(cluster.show(run)["nodes"][0]), signal.SIGKILL)

    next_step = lambda: [id for id in engine.containers() if id != step]  # noqa: E731
    wait_until(next_step, "the next agent has begun it anew", 60)
    wait_until(lambda: step not in engine.containers(), "the step of before is gone")
    cluster.cli("cancel", run)
    assert cluster.wait_for_end(run)["status"] == "Canceled"


def test_a_build_has_a_limit_and_can_be_cancelled(cluster, engine, project, dockerfile):  # noqa: F811
    flags = dockerfile("RUN echo it begins; sleep 1000")
    waits = submit_endless_build(cluster, project("pass"), flags)

    cluster.cli("cancel", waits)

    assert cluster.wait_for_end(waits)["status"] == "Canceled"
    wait_until(lambda: not engine.containers(), lambda: f"nothing is left of it: {engine.containers()}")
    hurried = Cluster(nodes=1, flags=["--env-build-limit", "2"], environment={"DOCKER_HOST": engine.url})
    with running(hurried):
        run = hurried.run(project("pass"), "train.py", flags=flags, deadline=60)
        assert run["status"] == "Failed"
        assert "it took longer than 2 s and was ended; --env-build-limit sets" in run["outcome"]["message"], run
    wait_until(lambda: not engine.containers(), lambda: f"nothing is left of it: {engine.containers()}")
