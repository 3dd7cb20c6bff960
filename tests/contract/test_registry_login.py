"""A private image by the SDK's ContainerRegistry: the login opens the registry, and the password is kept nowhere."""

import os
import shutil

import pytest

from cluster import Cluster, running
from engine import PASSWORD, Engine, NoEngine, Registry, make_image
from sdk import PYTHON, Sdk, Worker

SHOWS = "import os; print('contained:', os.path.exists('/etc/linarite-image'))"


@pytest.fixture(scope="module")
def private_registry(tmp_path_factory):
    """(the engine, the registry, an image's name in it without the registry's)."""
    folder = tmp_path_factory.mktemp("registry")
    engine, registry = Engine(), None
    try:
        engine.start()
        registry = Registry(folder, "anna")
        engine.import_image(make_image(folder / "image.tar", "base-files", "coreutils", "dash", "python3"), "private:1")
        registry.take(engine, "private:1", "team/private")
        yield engine, registry, "team/private:1"
    except NoEngine as error:
        pytest.skip(f"NO CONTAINER ENGINE: private images are not tested with the SDK here: {error}")
    finally:
        if registry:
            registry.stop()
        engine.stop()


@pytest.fixture(scope="module")
def private_cluster(private_registry, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    variables = {"DOCKER_HOST": private_registry[0].url, "DOCKER_CONFIG": str(home), "HOME": str(home)}
    made = Cluster(nodes=1, environment=variables)
    with running(made):
        yield made


@pytest.fixture
def private_sdk(private_cluster, tmp_path):
    worker = Worker(private_cluster)
    try:
        user = Sdk(private_cluster, worker.wait(), tmp_path)
        yield user
        user.end()
        private_cluster.cancel_all()
    finally:
        worker.stop()


SUBMITS = """
    from azureml.core.container_registry import ContainerRegistry
    from azureml.train.estimator import Estimator

    def submit(password):
        registry = ContainerRegistry()
        registry.address, registry.username, registry.password = {address!r}, "anna", password
        est = Estimator("project", compute_target="cpu-cluster", entry_script="train.py", user_managed=True,
                        custom_docker_image={image!r}, image_registry_details=registry)
        run = Experiment(ws, "private").submit(est)
        run.wait_for_completion(raise_on_error=False)
        return run

    def told(run):
        details = run.get_details()
        return dict(id=run.id, status=run.get_status(), error=str(details.get("error")), details=json.dumps(details, default=str))
"""


def texts_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


@pytest.mark.skipif(os.geteuid() != 0, reason="a container engine needs root")
@pytest.mark.skipif(not shutil.which("dockerd"), reason="dockerd is not installed (deploy/install-deps --tests does it)")
def test_image_registry_details_of_an_estimator(private_sdk, private_cluster, private_registry):
    _, registry, image = private_registry
    private_sdk.project(SHOWS)
    submits = SUBMITS.format(address=registry.name, image=image)

    found = private_sdk.results(
        submits
        + f"""
    result(wrong=told(submit("not-{PASSWORD}")), right=told(submit({PASSWORD!r})))
"""
    )

    wrong, right = found["wrong"], found["right"]
    assert wrong["status"] == "Failed" and "ImagePullError" in wrong["error"] and "unauthorized" in wrong["error"]
    assert right["status"] == "Completed", right
    assert b"contained: True" in private_cluster.driver_log(right["id"])
    for told in (wrong, right):
        assert PASSWORD not in told["details"]
    for path, text in texts_of(private_cluster.folder).items():
        assert PASSWORD.encode() not in text, path


@pytest.mark.skipif(os.geteuid() != 0, reason="a container engine needs root")
@pytest.mark.skipif(not shutil.which("dockerd"), reason="dockerd is not installed (deploy/install-deps --tests does it)")
@pytest.mark.differs("azureml.core.Environment.register", "keeps no password of a registry: set it again before each submit")
def test_a_registered_environment_needs_its_password_with_each_submit(private_sdk, private_registry):
    engine, registry, image = private_registry
    engine.call("DELETE", f"/v1.41/images/{registry.name}/{image}")
    private_sdk.project(SHOWS)

    found = private_sdk.results(f"""
        made = user_managed("private", "python")
        made.docker.base_image = {image!r}
        made.docker.base_image_registry.address = {registry.name!r}
        made.docker.base_image_registry.username = "anna"
        made.docker.base_image_registry.password = {PASSWORD!r}
        made.register(ws)

        def submit(environment):
            made = config(environment=environment)
            made.run_config.docker.use_docker = True
            run = Experiment(ws, "private").submit(made)
            run.wait_for_completion(raise_on_error=False)
            return run

        again = Environment.get(ws, "private")
        result(kept=again.docker.base_image_registry.password, user=again.docker.base_image_registry.username)
        result(lacking=str(submit(again).get_details().get("error")))
        again.docker.base_image_registry.password = {PASSWORD!r}
        result(complete=submit(again).get_status())
    """)

    assert found["user"] == "anna" and not found["kept"]
    assert "no password came with it" in found["lacking"], found
    assert found["complete"] == "Completed"


@pytest.mark.skipif(os.geteuid() != 0, reason="a container engine needs root")
@pytest.mark.skipif(not shutil.which("dockerd"), reason="dockerd is not installed (deploy/install-deps --tests does it)")
def test_an_estimator_in_an_image_of_a_dockerfile_on_a_private_one(private_sdk, private_cluster, private_registry):
    engine, registry, image = private_registry
    engine.call("DELETE", f"/v1.41/images/{registry.name}/{image}")
    private_sdk.project("import os; print('built:', os.path.exists('/built-here'))")

    found = private_sdk.results(f"""
        from azureml.train.estimator import Estimator

        with open("Dockerfile", "w") as file:
            file.write("FROM {registry.name}/{image}\\nRUN echo of a dockerfile && touch /built-here\\n")
        made = Environment.from_dockerfile("of-a-file", "Dockerfile")
        made.docker.enabled = True
        made.python.user_managed_dependencies = True
        made.docker.base_image_registry.address = {registry.name!r}
        made.docker.base_image_registry.username = "anna"

        def submit(password):
            made.docker.base_image_registry.password = password
            est = Estimator("project", compute_target="cpu-cluster", entry_script="train.py", environment_definition=made)
            run = Experiment(ws, "dockerfiles").submit(est)
            run.wait_for_completion(raise_on_error=False)
            return dict(id=run.id, status=run.get_status(), error=str(run.get_details().get("error")))

        result(wrong=submit("not-{PASSWORD}"), right=submit({PASSWORD!r}))
    """)

    wrong, right = found["wrong"], found["right"]
    assert wrong["status"] == "Failed" and "ImageBuildError" in wrong["error"] and "unauthorized" in wrong["error"], wrong
    log = private_cluster.file(right["id"], "azureml-logs/20_image_build_log.txt").decode()
    assert right["status"] == "Completed", (right, log)
    assert b"built: True" in private_cluster.driver_log(right["id"])
    assert "of a dockerfile" in log.splitlines() and PASSWORD not in log


@pytest.mark.skipif(os.geteuid() != 0, reason="a container engine needs root")
@pytest.mark.skipif(not shutil.which("dockerd"), reason="dockerd is not installed (deploy/install-deps --tests does it)")
def test_an_estimator_in_an_image_of_a_folder(private_sdk, private_cluster, private_registry):
    _, registry, image = private_registry
    private_sdk.project("print('built:', open('/opt/made').read())")
    context = private_sdk.user / "context"
    (context / "lost").mkdir(parents=True)  # the SDK sends all files without the names of their folders
    (context / "lost" / "of.dockerfile").write_text(f"FROM {registry.name}/{image}\nCOPY . /opt/\nRUN /opt/make-it\n")
    (context / "make-it").write_text("#!/bin/sh\necho of a folder; cat /opt/word > /opt/made\n")
    (context / "word").write_text("azurite")

    found = private_sdk.results(f"""
        from azureml.core.environment import DockerBuildContext
        from azureml.train.estimator import Estimator

        folder = DockerBuildContext.from_local_directory(ws, "context", dockerfile_path="of.dockerfile")
        made = Environment.from_docker_build_context("of-a-folder", folder)
        made.docker.enabled = True
        made.python.user_managed_dependencies = True
        made.docker.base_image_registry.address = {registry.name!r}
        made.docker.base_image_registry.username = "anna"
        made.docker.base_image_registry.password = {PASSWORD!r}
        est = Estimator("project", compute_target="cpu-cluster", entry_script="train.py", environment_definition=made)
        run = Experiment(ws, "folders").submit(est)
        run.wait_for_completion(raise_on_error=False)
        made.register(ws)
        again = Environment.get(ws, "of-a-folder").docker.build_context
        result(id=run.id, status=run.get_status(), error=str(run.get_details().get("error")),
               kept=[again.location == folder.location, again.dockerfile_path], stored=sorted(ws.datastores))
    """)

    log = private_cluster.file(found["id"], "azureml-logs/20_image_build_log.txt").decode()
    assert found["status"] == "Completed", (found, log)
    assert b"built: azurite" in private_cluster.driver_log(found["id"])
    assert "of a folder" in log.splitlines()
    assert found["kept"] == [True, "of.dockerfile"]
    assert "workspaceartifactstore" in found["stored"]
