"""Compute targets: read, made, resized, waited for, deleted."""


def test_the_cluster_of_the_local_nodes(sdk):
    found = sdk.results("""
        target = ComputeTarget(workspace=ws, name="cpu-cluster")
        listed = {t.name: t for t in ComputeTarget.list(ws)}
        status = target.get_status()
        result(kind=type(target).__name__, type=target.type, state=target.provisioning_state, listed=sorted(listed),
               status=status.serialize(), max=target.scale_settings.maximum_node_count,
               same=listed["cpu-cluster"].serialize() == target.serialize(), nodes=target.list_nodes())
    """)
    assert found["kind"] == "AmlCompute"
    assert found["state"] == "Succeeded"
    assert {"cpu-cluster", "local"} <= set(found["listed"])
    assert found["max"] == 2
    assert found["status"]["currentNodeCount"] == 2
    assert found["status"]["allocationState"] == "Steady"
    assert found["same"]


def test_a_target_is_written_down_and_read_again(sdk):
    found = sdk.results("""
        from azureml.core.compute import AmlCompute
        target = ComputeTarget(ws, "cpu-cluster")
        document = target.get()
        again = AmlCompute.deserialize(ws, document)
        result(document=document["name"], same=again.serialize() == target.serialize(), state=ComputeTarget.get_status(target))
    """)
    assert found == {"document": "cpu-cluster", "same": True, "state": "Succeeded"}


def test_a_target_that_is_missing_is_made_as_the_notebooks_do(sdk):
    sdk.project("print('ran on a new target')")
    script = sdk.run(
        """
        from azureml.core.compute import AmlCompute
        from azureml.core.compute_target import ComputeTargetException
        try:
            target = ComputeTarget(workspace=ws, name="made-by-hand")
            result(there="already")
        except ComputeTargetException as error:
            result(missing=str(error))
            wanted = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", min_nodes=0, max_nodes=2)
            target = ComputeTarget.create(ws, "made-by-hand", wanted)
            target.wait_for_completion(show_output=True)
        result(state=target.provisioning_state, size=target.vm_size, names=sorted(ws.compute_targets))
        run = Experiment(ws, "new-target").submit(ScriptRunConfig("project", script="train.py", compute_target=target,
                                                                 environment=bare))
        run.wait_for_completion()
        result(status=run.get_status(), target=run.get_details()["target"])
        """
    )
    found = script.results()
    assert "ComputeTargetNotFound" in found["missing"]
    assert "there" not in found
    assert found["state"] == "Succeeded"
    assert "made-by-hand" in found["names"]
    assert (found["status"], found["target"]) == ("Completed", "made-by-hand")


def test_a_target_that_is_deleted_is_gone(sdk):
    found = sdk.results("""
        from azureml.core.compute import AmlCompute
        from azureml.core.compute_target import ComputeTargetException
        wanted = AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2", max_nodes=1)
        target = ComputeTarget.create(ws, "short-lived", wanted)
        ComputeTarget.wait_for_completion(target, show_output=True)
        target.update(max_nodes=2)
        target.wait_for_completion()
        target.refresh_state()
        result(max=target.scale_settings.maximum_node_count)
        target.delete()
        try:
            while True:  # as with the service, deleting takes its time
                ComputeTarget(ws, "short-lived")
                time.sleep(0.2)
        except ComputeTargetException as error:
            result(gone=str(error))
    """)
    assert found["max"] == 2
    assert "ComputeTargetNotFound" in found["gone"]


def test_vm_sizes_and_active_runs(sdk):
    found = sdk.results("""
        from azureml.core.compute import AmlCompute
        sizes = AmlCompute.supported_vmsizes(workspace=ws)
        target = ComputeTarget(ws, "cpu-cluster")
        result(sizes=[size["name"] for size in sizes], active=[run.run_id for run in target.get_active_runs(status="Running")],
               on_compute=[run.run_id for run in Run.list_by_compute(target)])
    """)
    assert found["sizes"]
    assert found["active"] == []
    assert len(found["on_compute"]) == len(set(found["on_compute"]))
