"""What of the service is not here: the call raises soon, and what the user reads says so and what to do instead."""

import json
import textwrap

import pytest

# Every call of a group is made in one user script; `tell` keeps how it ended.
PREPARE = """
    from azureml.core.compute import AmlCompute, RemoteCompute
    from azureml.core.environment import DockerBuildContext
    from azureml.core.model import InferenceConfig, Model
    from azureml.core.private_endpoint import PrivateEndPointConfig
    from azureml.core.webservice import AciWebservice

    def tell(what, call):
        started = time.monotonic()
        try:
            found = {"returned": repr(call())}
        except Exception as error:
            found = {"kind": type(error).__name__, "words": str(getattr(error, "message", None) or error)}
        result(**{what: dict(found, took=time.monotonic() - started)})
"""

MODEL = """
    model = Model.deserialize(ws, dict(
        id="m:1", name="m", version=1, url="aml://asset/1", createdTime="2026-01-01T00:00:00Z", createdBy={},
        description="", mimeType="application/json", framework="Custom", frameworkVersion=None, tags={}, kvTags={},
        properties={}, unpack=False, experimentName="e", runId="r", datasets=[]))
    run = Experiment(ws, "not-there").start_logging(snapshot_directory=None, outputs=None)
    run.upload_file("outputs/m", "project/train.py")
    service = InferenceConfig(entry_script="train.py", source_directory="project", environment=bare)
    aci = AciWebservice.deploy_configuration()
"""
ENVIRONMENT = """
    made = bare.clone("not-there").register(ws)
    open("mine-1.0-py3-none-any.whl", "w").close()
"""
NO_MODELS = "Linarite keeps no registered models and deploys none: the files that a run left in outputs/"
NO_CHANGE = "workspaces are made and kept by whoever runs Linarite (linarite workspace)"
NO_CONNECTIONS = "Linarite connects workspaces to nothing else"
NO_SECRETS = "Linarite keeps no secrets: let the scripts read them from files on the nodes"
NO_KEYS = "keys never change here"
NO_IMAGES = "Linarite builds no images: the nodes prepare an environment when the first run needs it"
NO_LABELS = "environments have no labels here: name a version"
NO_OTHER_STORE = "only AzureBlob, whose containers are directories here"
NO_QUOTAS = "there are no quotas: the nodes are all that there is (linarite nodes)"

# group -> what its calls need, and the calls: what -> (the call, what it must say)
GROUPS = {
    "models": (
        MODEL,
        {
            "Workspace.models": ("list(ws.models)", NO_MODELS),
            "Model.list": ("list(Model.list(ws))", NO_MODELS),
            "Model by name": ('Model(ws, name="m")', NO_MODELS),
            "Model by id": ('Model(ws, id="m:1")', NO_MODELS),
            "Model.register": ('Model.register(ws, model_path="project", model_name="m")', NO_MODELS),
            "Run.register_model": ('run.register_model("m", "outputs/m")', NO_MODELS),
            "Model.get_model_path": ('Model.get_model_path("m", _workspace=ws)', NO_MODELS),
            "Model.update": ('model.update(tags={"a": "b"})', NO_MODELS),
            "Model.update_tags_properties": ('model.update_tags_properties(add_tags={"a": "b"})', NO_MODELS),
            "Model.add_tags": ('model.add_tags({"a": "b"})', NO_MODELS),
            "Model.remove_tags": ('model.remove_tags(["a"])', NO_MODELS),
            "Model.add_properties": ('model.add_properties({"a": "b"})', NO_MODELS),
            "Model.delete": ("model.delete()", NO_MODELS),
            "Model.download": ('model.download("there")', NO_MODELS),
            "Model.get_sas_urls": ("model.get_sas_urls()", NO_MODELS),
            "Model.deploy": ('Model.deploy(ws, "service", [model], service, aci)', NO_MODELS),
            "Model.package": ("Model.package(ws, [model], service)", NO_MODELS),
            "Workspace.images": ("list(ws.images)", "Linarite deploys nothing"),
            "Workspace.webservices": ("list(ws.webservices)", "Linarite deploys nothing"),
        },
    ),
    "workspaces": (
        "",
        {
            "Workspace.create": (
                'Workspace.create("another", subscription_id=ws.subscription_id, resource_group="local")',
                NO_CHANGE,
            ),
            "Workspace.delete": ("ws.delete(no_wait=True)", NO_CHANGE),
            "Workspace.update": ('ws.update(description="other words", tags={"a": "b"})', NO_CHANGE),
            "Workspace.update_dependencies": (
                'ws.update_dependencies(container_registry=ws.get_details()["id"] + "/registry", force=True)',
                NO_CHANGE,
            ),
            "Workspace.add_private_endpoint": (
                'ws.add_private_endpoint(PrivateEndPointConfig("endpoint", "network"), show_output=False)',
                NO_CHANGE,
            ),
            "Workspace.delete_private_endpoint_connection": (
                'ws.delete_private_endpoint_connection("endpoint")',
                "Linarite has no private endpoints: it listens where its operator says",
            ),
            "Workspace.sync_keys": ("ws.sync_keys()", NO_KEYS),
            "Workspace.diagnose_workspace": ("ws.diagnose_workspace({})", "linarite nodes and linarite explain tell"),
            "Workspace.linked_services": ("list(ws.linked_services)", "Linarite links workspaces to no other service"),
            "Workspace.list_connections": ("ws.list_connections()", NO_CONNECTIONS),
            "Workspace.get_connection": ('ws.get_connection("c")', NO_CONNECTIONS),
            "Workspace.set_connection": ('ws.set_connection("c", "ACR", "http://127.0.0.1", "PAT", "v")', NO_CONNECTIONS),
            "Workspace.delete_connection": ('ws.delete_connection("c")', NO_CONNECTIONS),
            "Experiment.delete": (
                'Experiment.delete(ws, Experiment(ws, "not-there").id)',
                "Linarite deletes no experiments: archive() puts one out of sight",
            ),
        },
    ),
    "secrets": (
        'run = Experiment(ws, "not-there").start_logging(snapshot_directory=None, outputs=None)',
        {
            "Keyvault.get_secret": ('ws.get_default_keyvault().get_secret("s")', NO_SECRETS),
            "Keyvault.set_secret": ('ws.get_default_keyvault().set_secret("s", "v")', NO_SECRETS),
            "Run.get_secret": ('run.get_secret("s")', NO_SECRETS),
            "Run.get_secrets": ('run.get_secrets(["s", "t"])', NO_SECRETS),
        },
    ),
    "data": (
        "",
        {
            "Datastore.register_azure_file_share": (
                'Datastore.register_azure_file_share(ws, "d", "share", "account", account_key="eA==")',
                NO_OTHER_STORE,
            ),
            "Datastore.register_azure_data_lake": (
                'Datastore.register_azure_data_lake(ws, "d", "s", tenant_id="t", client_id="c", client_secret="x")',
                NO_OTHER_STORE,
            ),
            "Datastore.register_azure_data_lake_gen2": (
                'Datastore.register_azure_data_lake_gen2(ws, "d", "files", "account")',
                NO_OTHER_STORE,
            ),
            "Datastore.register_azure_my_sql": (
                'Datastore.register_azure_my_sql(ws, "d", "server", "base", "user", "x")',
                NO_OTHER_STORE,
            ),
            "Datastore.register_azure_postgre_sql": (
                'Datastore.register_azure_postgre_sql(ws, "d", "server", "base", "user", "x")',
                NO_OTHER_STORE,
            ),
            "Datastore.register_azure_sql_database": (
                'Datastore.register_azure_sql_database(ws, "d", "server", "base", username="user", password="x")',
                NO_OTHER_STORE,
            ),
            "Datastore.register_dbfs": ('Datastore.register_dbfs(ws, "d")', NO_OTHER_STORE),
            "Datastore.register_hdfs": (
                'Datastore.register_hdfs(ws, "d", "http", "127.0.0.1:1", None, "realm", "127.0.0.1", "user@realm",'
                ' kerberos_password="x")',
                NO_OTHER_STORE,
            ),
        },
    ),
    "environments": (
        ENVIRONMENT,
        {
            "Environment.build": ("made.build(ws)", NO_IMAGES),
            "Environment.build_local": ("made.build_local(ws)", NO_IMAGES),
            "Environment.get_image_details": ("made.get_image_details(ws)", NO_IMAGES),
            "Environment.label": ('Environment.label(ws, "not-there", "1", ["production"])', NO_LABELS),
            "Environment.get by label": ('Environment.get(ws, "not-there", label="production")', NO_LABELS),
            "Environment.add_private_pip_wheel": (
                'Environment.add_private_pip_wheel(ws, "mine-1.0-py3-none-any.whl")',
                "environments install them from the index that the nodes are set up with",
            ),
        },
    ),
    "compute targets": (
        """
    pool = ComputeTarget.create(ws, "not-there", AmlCompute.provisioning_configuration(vm_size="STANDARD_D2_V2",
                                                                                     max_nodes=1))
    machine = RemoteCompute.attach_configuration(
        username="u", password="p",
        resource_id="/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/m")
    whole = ComputeTarget(ws, "cpu-cluster")
        """,
        {
            "AmlCompute.add_identity": ('pool.add_identity("SystemAssigned")', "nodes have no identities of Azure here"),
            "AmlCompute.remove_identity": ('pool.remove_identity(["[system]"])', "no identity assigned"),
            "AmlCompute.detach": ("pool.detach()", "Try to use delete instead"),
            "AmlCompute.list_quotas": ('AmlCompute.list_quotas(ws, "local")', NO_QUOTAS),
            "AmlCompute.update_quotas": (
                'AmlCompute.update_quotas(ws, [{"id": "q", "limit": 1, "unit": "count"}], "local")',
                NO_QUOTAS,
            ),
            "AmlCompute.list_usages": ("AmlCompute.list_usages(ws)", "usage is not counted: the nodes are all"),
            "ComputeTarget.attach": (
                'ComputeTarget.attach(ws, "machine", machine)',
                "a machine becomes a node by 'linarite nodes join'",
            ),
            "the pool of all nodes is deleted": ("whole.delete()", "is there by itself, as long as it has nodes"),
        },
    ),
}


def check(sdk, prepare, calls):
    sdk.project()
    told = [f"tell({json.dumps(what)}, lambda: {call})" for what, (call, _) in calls.items()]
    found = sdk.results("\n".join([textwrap.dedent(PREPARE), textwrap.dedent(prepare), *told]))
    assert sorted(found) == sorted(calls)
    for what, (_, words) in calls.items():
        # some parts of the SDK show the body of the answer as it came, with its quotes escaped
        assert words in found[what].get("words", "").replace("\\'", "'"), (what, found[what])
        assert found[what]["took"] < 10, (what, found[what])


@pytest.mark.differs("Workspace.get_default_keyvault", "gives one that refuses every call: Linarite keeps no secrets")
@pytest.mark.parametrize("group", GROUPS)
def test_what_is_not_there_says_so_soon_and_what_to_do_instead(sdk, group):
    """Nothing of these hangs in the SDK's retries: the answer is final, and it is for people."""
    check(sdk, *GROUPS[group])


@pytest.mark.expects_a_refused_connection  # the SDK's data sets report their use to Azure, whatever the workspace is
def test_there_are_no_data_sets(sdk):
    words = "Linarite has no datasets: give a run a Datastore's path(...).as_mount() or as_download()"
    calls = {
        "Workspace.datasets": ("list(ws.datasets)", words),
        "Dataset.get_by_name": ('Dataset.get_by_name(ws, "d")', words),
    }
    check(sdk, "from azureml.core import Dataset", calls)


def test_what_of_models_needs_no_service(sdk):
    """A model that a user has in a folder, or as the document of one, is read without any request."""
    sdk.project()
    (sdk.user / "azureml-models/m/1/files").mkdir(parents=True)
    script = sdk.run(
        textwrap.dedent(PREPARE)
        + textwrap.dedent(MODEL)
        + textwrap.dedent("""
        Model.print_configuration([model], service, aci, None)
        result(model=[model.name, model.version], document=model.serialize(), path=Model.get_model_path("m"))
        """)
    )
    found = script.results()
    assert found["model"] == ["m", 1]
    assert (found["document"]["id"], found["document"]["url"]) == ("m:1", "aml://asset/1")
    assert found["path"] == "azureml-models/m/1/files"
    assert "Models: ['m:1']" in script.out
