"""Packages: built once, cached, usable without a network, and recorded."""

from cluster import Cluster

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
OFFLINE = {name: "http://127.0.0.1:9" for proxy in PROXIES for name in (proxy, proxy.lower())}


def test_a_cached_environment_is_used_without_a_network(project, tmp_path):
    folder = project("import six; print('six', six.__version__)")
    cluster = Cluster(nodes=1)
    try:
        cluster.start()
        first = cluster.run(folder, "train.py", flags=["--pip", "six"], deadline=120)
        assert first["status"] == "Completed", first
        assert b"six" in cluster.file(first["run_id"], "azureml-logs/20_image_build_log.txt")
        cluster.stop()

        # the same data directory, with a proxy that is not there (and an empty package cache) in place of the network
        cluster.environment.update(OFFLINE, UV_CACHE_DIR=str(tmp_path / "no-cache"), NO_PROXY="127.0.0.1,localhost")
        cluster.start()
        second = cluster.run(folder, "train.py", flags=["--pip", "six"])
        other = cluster.run(folder, "train.py", flags=["--pip", "six", "--pip", "toolz"])

        assert second["status"] == "Completed", second
        assert b"six 1." in cluster.driver_log(second["run_id"])
        assert other["status"] == "Failed", "there was a network after all: this proves nothing"
        cluster.stop()
    finally:
        cluster.destroy()


def test_a_runconfig_that_names_its_conda_file_as_the_sdk_saves_it(cluster, project, tmp_path):
    folder = project("import six; print('six is here')")
    (folder / ".azureml").mkdir()
    (folder / ".azureml/conda_dependencies.yml").write_text(
        "name: project_environment\nchannels:\n- anaconda\n- conda-forge\n"
        "dependencies:\n- python=3.8.13\n- pip:\n  - six\n"
    )
    (folder / ".azureml/train.runconfig").write_text(
        "script: train.py\narguments: []\ntarget: cpu-cluster\nframework: Python\ncommunicator: None\nnodeCount: 1\n"
        "environment:\n  name: project_environment\n  version:\n  python:\n    userManagedDependencies: false\n"
        "    interpreterPath: python\n    condaDependenciesFile: .azureml/conda_dependencies.yml\n"
        "    baseCondaEnvironment:\n  docker:\n    enabled: false\n    shmSize: 2g\n"
        "spark:\n  configuration:\n    spark.app.name: Azure ML Experiment\n    spark.yarn.maxAppAttempts: 1\n"
    )

    run = cluster.run(folder, flags=["--job", folder / ".azureml/train.runconfig"], deadline=120)

    assert run["status"] == "Completed", run
    assert b"six is here" in cluster.driver_log(run["run_id"])
    # the SDK's own python=3.8.13 is not to be had on most machines: the nearest is taken, and the run says so
    assert any("3.8" in warning for warning in run["warnings"])


def test_a_user_managed_environment_builds_nothing(cluster, project):
    run = cluster.run(project("print('bare')"), "train.py", flags=["--user-managed"])

    assert run["status"] == "Completed", run
    assert "azureml-logs/20_image_build_log.txt" not in cluster.files(run["run_id"])
