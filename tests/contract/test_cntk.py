"""The old page's second example, for real: CNTK over two nodes in a custom image, which comes from a registry."""

import pytest
from cluster import Cluster, running, wait_until
from cntk_parts import EXAMPLE, IN_IMAGE, VARIABLES, losses, make_cntk_image, require_cntk
from engine import Engine, NoEngine, Registry
from sdk import Sdk

require_cntk()

IMAGE = "microsoft/mmlspark:0.12"  # by this name the page asks for it
PAGE = """
    from azureml.core import Experiment, Workspace
    from azureml.train.estimator import Estimator

    ws = Workspace.from_config()
    compute_target = ws.compute_targets["cpu-cluster"]

    estimator = Estimator(source_directory=EXAMPLE,
                          compute_target=compute_target,
                          entry_script="train.py",
                          node_count=2,
                          process_count_per_node=1,
                          distributed_backend="mpi",
                          pip_packages=["cntk==2.5.1"],
                          custom_docker_base_image="microsoft/mmlspark:0.12")

    experiment = Experiment(workspace=ws, name="my-cntk-proj")
    run = experiment.submit(estimator)
    run.wait_for_completion(show_output=True)

    import json, time
    while run.get_status() == "Finalizing":
        time.sleep(0.05)
    print("RESULT " + json.dumps({"run": run.id, "status": run.get_status(), "metrics": run.get_metrics(),
                                  "files": run.get_file_names()}))
"""


@pytest.fixture(scope="module")
def engine():
    engine = Engine()
    try:
        yield engine.start()
    except NoEngine as error:
        pytest.skip(f"NO CONTAINER ENGINE: CNTK in a custom image was not tested: {error}")
    finally:
        engine.stop()


@pytest.fixture(scope="module")
def image(engine, tmp_path_factory):
    """Its name in the registry. The engine has forgotten it and all that it is made of."""
    folder = tmp_path_factory.mktemp("cntk")
    engine.import_image(make_cntk_image(folder / "image.tar", folder / "added"), "cntk:1")
    try:
        registry = Registry(folder)
    except NoEngine as error:
        pytest.skip(f"NO REGISTRY: CNTK in a custom image was not tested: {error}")
    try:
        name = registry.take(engine, "cntk:1", "cntk")
        assert engine.call("DELETE", "/v1.41/images/cntk:1")[0] == 200
        yield name
    finally:
        registry.stop()


@pytest.fixture(scope="module")
def nodes(engine, image):
    variables = VARIABLES | {"DOCKER_HOST": engine.url}
    cluster = Cluster(nodes=2, flags=["--image-map", f"{IMAGE}={image}"], environment=variables)
    with running(cluster):
        yield cluster


def test_the_distributed_example_trains_cntk_in_a_custom_image(nodes, engine, image, tmp_path):
    sdk = Sdk(nodes, None, tmp_path)

    script = sdk.finish(sdk.start_cold(PAGE.replace("EXAMPLE", repr(str(EXAMPLE)))), timeout=180)

    found = script.results()
    assert found["status"] == "Completed", script.story()
    run = found["run"]
    logs = [nodes.driver_log(run, rank).decode() for rank in (0, 1)]
    loss = losses(logs[0])[0, 2]
    assert losses("\n".join(logs)) == {(0, 2): loss, (1, 2): loss}, logs
    assert "the loss is that of one process" in logs[0] and "CNTK 2.5.1" in logs[0]
    assert len(found["metrics"]["Loss"]) == 19 and f"{found['metrics']['Loss'][-1]:.4f}" == loss
    assert {"outputs/cntk.model", "outputs/data/complete.txt"} <= set(found["files"])
    build_log = nodes.file(run, "azureml-logs/20_image_build_log.txt").decode()
    assert f"image '{IMAGE}' is mapped by this node's operator ({IMAGE}) to image '{image}'" in build_log
    assert "into Python 3.6." in build_log and f"of image '{image}'" in build_log
    lock = nodes.file(run, "azureml-logs/environment_lock.txt").decode()
    assert "cntk==2.5.1" in lock and "# digest sha256:" in lock
    fetched = [nodes.file(run, name).decode() for name in nodes.files(run, "azureml-logs/55_azureml-execution")]
    assert any(f"image '{image}' is not on this node: fetching it" in text for text in fetched), fetched
    wait_until(lambda: not engine.containers(), lambda: f"containers are removed: {engine.containers()}")
    nodes.cancel_all()
