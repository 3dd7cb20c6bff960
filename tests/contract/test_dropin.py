"""The policy `drop-in`: the same script in an interpreter that has no package of azureml at all."""

from in_run import LOGGING, READ_BACK, check_the_driver_log, check_the_rest, check_what_was_logged

NOTHING_THERE = """
    import importlib.metadata
    names = {name.lower() for d in importlib.metadata.distributions() for name in [d.metadata["Name"] or ""]}
    assert not any(name.startswith("azureml") for name in names), names
"""


def test_the_script_that_logs_everything(sdk, cluster):
    sdk.project(NOTHING_THERE + LOGGING)
    run = sdk.results("result(id=Experiment(ws, 'drop-in').submit(config()).id)")["id"]
    row = cluster.wait_for_end(run)
    log = cluster.driver_log(run).decode()
    assert row["status"] == "Completed", log

    found = sdk.results(READ_BACK, run)

    check_what_was_logged(found)
    check_the_rest(found)
    check_the_driver_log(log)


def test_an_estimators_own_environment_needs_no_package_of_azureml(sdk, cluster):
    """The SDK puts azureml-defaults into every environment, which no index has here."""
    sdk.project("""
        import six
        from azureml.core.run import Run
        Run.get_context().log("six", six.__version__)
    """)
    found = sdk.results("""
        from azureml.train.estimator import Estimator
        est = Estimator("project", compute_target="cpu-cluster", entry_script="train.py", pip_packages=["six"])
        run = Experiment(ws, "drop-in").submit(est)
        run.wait_for_completion()
        result(metrics=run.get_metrics(), status=run.get_status())
    """)
    assert found == {"metrics": {"six": "1.16.0"}, "status": "Completed"}


def test_every_rank_logs_without_azureml(sdk, cluster):
    sdk.project("""
        import os
        from azureml.core import Run
        run = Run.get_submitted_run()
        rank = int(os.environ["OMPI_COMM_WORLD_RANK"])
        for n in range(300): run.log("of rank %d" % rank, n)
        run.log("of all", rank)
    """)
    found = sdk.results("""
        from azureml.core.runconfig import MpiConfiguration
        job = config(distributed_job_config=MpiConfiguration(process_count_per_node=2, node_count=2))
        run = Experiment(ws, "drop-in").submit(job)
        run.wait_for_completion()
        result(metrics=run.get_metrics())
    """)
    for rank in range(4):
        assert found["metrics"][f"of rank {rank}"] == list(range(300))
    assert sorted(found["metrics"]["of all"]) == [0, 1, 2, 3]


def test_at_a_desk_it_is_an_offline_run(sdk, cluster):
    """What is not a run prints what it logs, as the SDK's own offline run does; here it is `submit` without a token."""
    sdk.project("""
        import os
        for name in [name for name in os.environ if name.startswith("AZUREML_")]: del os.environ[name]
        from azureml.core import Run
        run = Run.get_context()
        run.log("accuracy", 0.5)
        print("ID", run.id)
        try:
            Run.get_context(allow_offline=False)
        except Exception as error:
            print("RAISED", type(error).__name__)
    """)
    run = sdk.results("result(id=Experiment(ws, 'drop-in').submit(config()).id)")["id"]
    assert cluster.wait_for_end(run)["status"] == "Completed", cluster.driver_log(run).decode()
    log = cluster.driver_log(run).decode()
    assert "ID OfflineRun_" in log
    assert "accuracy" in log and "0.5" in log
    assert "RAISED RunEnvironmentException" in log
