"""Environments: registered, versioned, listed, used by a run."""

import pytest


def test_a_registered_environment_comes_back_as_it_was(sdk):
    found = sdk.results("""
        from azureml.core.conda_dependencies import CondaDependencies
        made = Environment("kept")
        made.python.conda_dependencies = CondaDependencies.create(conda_packages=["scikit-learn"], pip_packages=["six"],
                                                                  python_version="3.11")
        made.environment_variables = {"MINE": "1"}
        first = made.register(ws)
        same = made.register(ws)
        made.environment_variables = {"MINE": "2"}
        second = made.register(ws)
        by_version = Environment.get(ws, "kept", version=first.version)
        newest = Environment.get(ws, "kept")
        result(versions=[first.version, same.version, second.version, newest.version], names=list(Environment.list(ws)),
               values=[by_version.environment_variables["MINE"], newest.environment_variables["MINE"]],
               packages=sorted(newest.python.conda_dependencies.pip_packages), listed="kept" in ws.environments,
               conda=list(newest.python.conda_dependencies.conda_packages))
    """)
    assert found["versions"] == ["1", "1", "2", "2"]
    assert found["values"] == ["1", "2"]
    assert "kept" in found["names"] and found["listed"]
    assert "six" in found["packages"]
    assert "scikit-learn" in found["conda"]


def test_a_run_in_a_registered_environment(sdk):
    sdk.project("import os, six; print('six', six.__version__, os.environ['MINE'])")
    found = sdk.results("""
        from azureml.core.conda_dependencies import CondaDependencies
        made = Environment("for-a-run")
        made.python.conda_dependencies = CondaDependencies.create(pip_packages=["six"], pin_sdk_version=False)
        made.environment_variables = {"MINE": "of the environment"}
        made.register(ws)
        run = Experiment(ws, "environments").submit(config(environment=Environment.get(ws, "for-a-run")))
        run.wait_for_completion()
        used = run.get_environment()
        result(status=run.get_status(), name=used.name, version=used.version)
    """)
    assert found == {"status": "Completed", "name": "for-a-run", "version": "1"}


def test_an_environment_that_is_not_there_is_named(sdk):
    found = sdk.results("""
        try:
            Environment.get(ws, "never-made")
        except Exception as error:
            result(kind=type(error).__name__, words=str(error))
    """)
    assert "never-made" in found["words"]
    assert found["kind"] != "KeyError"


def test_environments_are_made_from_files_and_kept_in_folders(sdk):
    (sdk.user / "conda.yml").write_text("name: x\ndependencies:\n- python=3.11\n- pip:\n  - six\n")
    (sdk.user / "requirements.txt").write_text("six\n")
    found = sdk.results("""
        conda = Environment.from_conda_specification("from-conda", "conda.yml")
        pip = Environment.from_pip_requirements("from-pip", "requirements.txt")
        conda.clone("cloned").register(ws)
        pip.register(ws)
        Environment.get(ws, "cloned").save_to_directory("saved", overwrite=True)
        loaded = Environment.load_from_directory("saved")
        result(loaded=loaded.name, packages=list(loaded.python.conda_dependencies.pip_packages),
               names=sorted(Environment.list(ws)))
    """)
    assert found["loaded"] == "cloned"
    assert "six" in found["packages"]
    assert {"cloned", "from-pip"} <= set(found["names"])


# what the SDK asks conda for: its version, the environments that are there, the specification of one
CONDA = """#!/bin/sh
case "$*" in
    --version) echo "conda 4.9.2" ;;
    "env list --json") echo '{"envs": ["/opt/conda/envs/there"]}' ;;
    "env export"*) printf 'name: there\\ndependencies:\\n- python=3.11\\n- pip:\\n  - six\\n' ;;
esac
"""


def test_an_environment_is_made_from_one_that_conda_has(sdk):
    tools = sdk.folder / "tools"
    tools.mkdir()
    (tools / "conda").write_text(CONDA)
    (tools / "conda").chmod(0o755)
    found = sdk.results(
        """
        os.environ["PATH"] = sys.argv[1] + ":" + os.environ["PATH"]
        made = Environment.from_existing_conda_environment("from-there", "there")
        made.register(ws)
        result(packages=list(Environment.get(ws, "from-there").python.conda_dependencies.pip_packages))
        """,
        tools,
    )
    assert found["packages"] == ["six"]


STANDS_IN = "the node itself stands in for the image, if docker is not enabled"


@pytest.mark.differs("Environment.from_docker_image", STANDS_IN)
@pytest.mark.differs("Environment.from_dockerfile", STANDS_IN)
@pytest.mark.differs("Environment.from_docker_build_context", STANDS_IN)
def test_environments_of_images_are_kept_and_the_node_stands_in(sdk):
    sdk.project("print('on the node')")
    (sdk.user / "Dockerfile").write_text("FROM scratch\n")
    found = sdk.results("""
        from azureml.core.environment import DockerBuildContext
        context = DockerBuildContext(location_type="storageAccount", location="https://127.0.0.1/x")
        made = [Environment.from_docker_image("from-image", "somewhere/image:1"),
                Environment.from_dockerfile("from-file", "Dockerfile"),
                Environment.from_docker_build_context("from-context", context)]
        for environment in made:
            environment.register(ws)
        image, file, context = [Environment.get(ws, environment.name).docker for environment in made]
        result(image=image.base_image, file=file.base_dockerfile, context=context.build_context.location)
        runs = [Experiment(ws, "images").submit(config(environment=environment)) for environment in made]
        result(states=[at_its_end(run) for run in runs])
    """)
    assert (found["image"], found["file"]) == ("somewhere/image:1", "FROM scratch\n")
    assert found["context"] == "https://127.0.0.1/x"
    assert found["states"] == ["Completed"] * 3
