"""Finding the workspace: by config.json, by name, by list; who may, and what one sees who may not."""

import pytest


def test_a_workspace_is_the_same_however_it_is_found(sdk):
    found = sdk.results("""
        by_config = ws
        by_name = Workspace(ws.subscription_id, ws.resource_group, ws.name)
        by_get = Workspace.get(name=ws.name, subscription_id=ws.subscription_id, resource_group=ws.resource_group)
        result(names=[w.name for w in (by_config, by_name, by_get)],
               details=[w.get_details()["id"] for w in (by_config, by_name, by_get)],
               group=ws.resource_group, subscription=ws.subscription_id, location=ws.location, tags=ws.tags,
               sku=ws.sku, discovery=ws.discovery_url)
    """)
    assert found["names"] == ["linarite"] * 3
    assert len(set(found["details"])) == 1
    assert found["subscription"] == "00000000-0000-0000-0000-000000000000"
    assert found["group"] == "local"
    assert "127.0.0.1" in found["discovery"]


def test_workspaces_are_listed_by_subscription_and_by_group(sdk):
    found = sdk.results("""
        everywhere = Workspace.list(ws.subscription_id)
        in_group = Workspace.list(ws.subscription_id, resource_group=ws.resource_group)
        result(everywhere=sorted(everywhere), in_group=sorted(in_group),
               ids=[everywhere[ws.name][0].get_details()["id"], in_group[ws.name][0].get_details()["id"]])
    """)
    assert "linarite" in found["everywhere"]
    assert "linarite" in found["in_group"]
    assert found["ids"][0] == found["ids"][1]


def test_a_config_file_that_the_sdk_writes_is_found_again(sdk):
    found = sdk.results("""
        os.mkdir("elsewhere")
        ws.write_config(path="elsewhere", file_name="config.json")
        result(name=Workspace.from_config(path="elsewhere").name)
    """)
    assert found["name"] == "linarite"


def test_the_collections_of_a_workspace(sdk):
    found = sdk.results("""
        Experiment(ws, "in-a-collection")
        result(experiments=list(ws.experiments), computes={k: type(v).__name__ for k, v in ws.compute_targets.items()},
               datastores={k: type(v).__name__ for k, v in ws.datastores.items()}, environments=list(ws.environments),
               default=ws.get_default_datastore().name)
    """)
    assert "in-a-collection" in found["experiments"]
    assert found["computes"]["cpu-cluster"] == "AmlCompute"
    assert found["datastores"]["workspaceblobstore"] == "AzureBlobDatastore"
    assert found["default"] == "workspaceblobstore"


@pytest.mark.differs("Workspace.list_keys", "there is a storage account's alone, which is that of its datastores")
def test_the_key_of_a_workspace_is_that_of_its_storage_account(sdk):
    found = sdk.results("""
        keys = ws.list_keys()
        default = ws.get_default_datastore()
        result(keys=sorted(key for key in keys if keys[key]), same=keys["userStorageKey"] == default.account_key,
               account=ws.get_details()["storageAccount"] == keys["userStorageResourceId"])
    """)
    assert found == {"keys": ["userStorageKey", "userStorageResourceId"], "same": True, "account": True}


@pytest.mark.differs("Workspace.setup", "finds the workspace of the config file; makes none")
def test_what_a_workspace_has_by_default(sdk):
    found = sdk.results("""
        result(target=ws.get_default_compute_target("CPU").name, endpoints=ws.private_endpoints, set_up=Workspace.setup().name)
    """)
    assert found == {"target": "cpu-cluster", "endpoints": {}, "set_up": "linarite"}


def test_a_workspace_that_is_not_there_is_named(sdk):
    script = sdk.run(
        """
        from azureml.exceptions import ProjectSystemException
        try:
            Workspace(ws.subscription_id, ws.resource_group, "somewhere-else")
        except ProjectSystemException as error:
            result(words=str(error))
        """
    )
    assert "not found" in script.results()["words"].lower(), script.story()


def test_a_subscription_that_is_not_ours_is_named(sdk):
    found = sdk.results("""
        other = "11111111-2222-3333-4444-555555555555"
        try:
            Workspace(other, "local", "linarite")
        except Exception as error:
            result(kind=type(error).__name__, words=str(error))
    """)
    assert found["kind"] == "UserErrorException"
    assert "11111111-2222-3333-4444-555555555555" in found["words"]


def test_a_service_principal_given_by_hand(sdk):
    found = sdk.results("""
        from azureml.core.authentication import ServicePrincipalAuthentication
        login = ServicePrincipalAuthentication(os.environ["AZUREML_SERVICE_PRINCIPAL_TENANT_ID"],
                                               os.environ["AZUREML_SERVICE_PRINCIPAL_ID"],
                                               os.environ["AZUREML_SERVICE_PRINCIPAL_PASSWORD"])
        header = login.get_authentication_header()["Authorization"]
        result(name=Workspace.from_config(auth=login).name, header=header.split(".")[0][:7])
    """)
    assert found == {"name": "linarite", "header": "Bearer "}


def test_a_wrong_secret_is_refused_in_words(sdk):
    found = sdk.results("""
        from azureml.core.authentication import ServicePrincipalAuthentication
        given = {name: os.environ["AZUREML_SERVICE_PRINCIPAL_" + name] for name in ("TENANT_ID", "ID", "PASSWORD")}
        given["PASSWORD"] = "wrong"
        try:
            Workspace.from_config(auth=ServicePrincipalAuthentication(given["TENANT_ID"], given["ID"], given["PASSWORD"]))
        except Exception as error:
            result(kind=type(error).__name__, words=str(error))
    """)
    assert found["kind"] == "AuthenticationError", found
    assert "the client secret is not" in found["words"]
