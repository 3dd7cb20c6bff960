"""Experiments and the runs in them: made, listed, tagged, filtered, found again."""


def test_experiments_are_made_listed_and_tagged(sdk):
    found = sdk.results("""
        made = Experiment(workspace=ws, name="tagged")
        again = Experiment(workspace=ws, name="tagged")
        made.set_tags({"team": "red", "old": "yes"})
        made.tag("alone")
        made.remove_tags(["old"])
        again.refresh()
        result(same=made.id == again.id, tags=again.tags, workspace=made.workspace.name,
               listed=[e.name for e in Experiment.list(ws)],
               by_name=[e.name for e in Experiment.list(ws, experiment_name="tagged")],
               by_tag=[e.name for e in Experiment.list(ws, tags={"team": "red"})])
    """)
    assert found["same"]
    assert found["tags"]["team"] == "red"
    assert "old" not in found["tags"]
    assert "tagged" in found["listed"]
    assert found["by_name"] == ["tagged"]
    assert found["by_tag"] == ["tagged"]
    assert found["workspace"] == "linarite"


def test_an_experiment_is_found_from_the_folder_of_an_old_project(sdk):
    """Tools that came before the SDK left .azureml/project.json in the source folder."""
    found = sdk.results("""
        os.makedirs("project/.azureml")
        scope = ws.get_details()["id"] + "/projects/of-a-folder"
        with open("project/.azureml/project.json", "w") as file:
            json.dump({"Id": "", "Scope": scope}, file)
        made = Experiment.from_directory("project")
        result(name=made.name, same=made.id == Experiment(ws, "of-a-folder").id, workspace=made.workspace_object.name,
               portal=made.portal_url, page=made.get_portal_url(), docs=[Experiment.get_docs_url(), Run.get_docs_url()])
    """)
    assert (found["name"], found["same"], found["workspace"]) == ("of-a-folder", True, "linarite")
    assert found["portal"].startswith("https://127.0.0.1:") and found["page"].startswith(found["portal"])
    assert ["Experiment" in found["docs"][0], "Run" in found["docs"][1]] == [True, True]


def test_an_archived_experiment_is_out_of_sight_until_it_comes_back(sdk):
    found = sdk.results("""
        from azureml.core.experiment import Experiment as E
        made = Experiment(ws, "archived")
        made.archive()
        made.refresh()
        result(hidden="archived" not in [e.name for e in E.list(ws)], archived=made.archived_time is not None,
               all="archived" in [e.name for e in E.list(ws, view_type="All")])
        made.reactivate()
        result(back="archived" in [e.name for e in E.list(ws)])
    """)
    assert found == {"hidden": True, "archived": True, "all": True, "back": True}


def test_runs_are_listed_newest_first_and_filtered(sdk):
    found = sdk.results("""
        experiment = Experiment(ws, "filtered")
        made = []
        for number in range(5):
            run = experiment.start_logging(snapshot_directory=None, outputs=None)
            run.tag("number", str(number))
            run.tag("parity", "odd" if number % 2 else "even")
            run.add_properties({"half": "low" if number < 3 else "high"})
            run.complete()
            made.append(run.id)
        listed = [run.id for run in experiment.get_runs()]
        result(made=made, listed=listed,
               even=[r.id for r in experiment.get_runs(tags={"parity": "even"})],
               high=[r.id for r in experiment.get_runs(properties={"half": "high"})],
               both=[r.id for r in experiment.get_runs(tags={"parity": "even"}, properties={"half": "high"})],
               having=[r.id for r in experiment.get_runs(tags="number")],
               none=[r.id for r in experiment.get_runs(tags={"parity": "neither"})],
               other_type=[r.id for r in experiment.get_runs(type="azureml.scriptrun")],
               by_list=[r.id for r in Run.list(experiment)])
    """)
    made = found["made"]
    assert found["listed"] == found["by_list"] == made[::-1]
    assert found["even"] == [made[4], made[2], made[0]]
    assert found["high"] == [made[4], made[3]]
    assert found["both"] == [made[4]]
    assert found["having"] == made[::-1]
    assert found["none"] == found["other_type"] == []


def test_a_run_is_found_again_by_its_id(sdk):
    sdk.project("print('found')")
    found = sdk.results("""
        experiment = Experiment(ws, "found-again")
        run = experiment.submit(config())
        run.wait_for_completion()
        by_get, by_ws, by_new = Run.get(ws, run.id), ws.get_run(run.id), Run(experiment, run.id)
        result(ids=[r.id for r in (by_get, by_ws, by_new)], kinds=[type(r).__name__ for r in (by_get, by_ws)],
               id=run.id, states=[r.get_status() for r in (by_get, by_ws, by_new)], type=by_get.type,
               experiment=by_get.experiment.name, number=by_get.number == run.number, url=run.get_portal_url())
        try:
            Run.get(ws, "no-such-run")
        except Exception as error:
            result(kind=type(error).__name__, words=str(error))
    """)
    assert found["ids"] == [found["id"]] * 3
    assert found["kinds"] == ["ScriptRun"] * 2
    assert found["states"] == ["Completed"] * 3
    assert (found["type"], found["experiment"], found["number"]) == ("azureml.scriptrun", "found-again", True)
    assert "no-such-run" in found["words"]
    assert found["kind"] in ("RunEnvironmentException", "ServiceException", "ModelErrorResponseException")
