"""Datastores: the default one, uploads and downloads through real blob requests, registered containers."""

import pytest


def fill(folder, files):
    for name, contents in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents)
    return files


def read_all(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


NAMES = {"plain.txt": b"one", "sub/two.bin": bytes(range(256)) * 20, "a name with spaces.txt": b"3", "\u00fcml\u00e4ut/\u20ac.txt": b"4",
         "plus+and&.txt": b"5", "empty.txt": b"", "100%.txt": b"7"}  # fmt: skip


def test_what_is_uploaded_comes_back_byte_for_byte(sdk):
    files = fill(sdk.user / "data", NAMES)
    sdk.run("""
        ds = ws.get_default_datastore()
        ds.upload(src_dir="data", target_path="there/and/back", overwrite=True, show_progress=True)
        ds.download(target_path="back", prefix="there/and/back", overwrite=True)
    """)
    assert read_all(sdk.user / "back/there/and/back") == files


def test_a_large_file_goes_in_blocks_and_comes_back(sdk):
    content = bytes(range(256)) * (300 << 10)  # 75 MiB: above what goes in a single request
    fill(sdk.user / "large", {"large.bin": content})
    sdk.run("""
        ds = ws.get_default_datastore()
        ds.upload_files(["large/large.bin"], target_path="large", overwrite=True, show_progress=False)
        ds.download(target_path="back", prefix="large/large.bin", overwrite=True, show_progress=False)
    """)
    assert read_all(sdk.user / "back/large") == {"large.bin": content}


def test_without_overwrite_what_is_there_stays(sdk):
    fill(sdk.user / "data", {"keep.txt": b"first"})
    script = sdk.start("""
        ds = ws.get_default_datastore()
        ds.upload(src_dir="data", target_path="keep")
        open("data/keep.txt", "w").write("second")
        ds.upload(src_dir="data", target_path="keep")
        ds.download(target_path="first", prefix="keep")
        ds.upload(src_dir="data", target_path="keep", overwrite=True)
        ds.download(target_path="second", prefix="keep")
    """)
    sdk.finish(script)
    assert (sdk.user / "first/keep/keep.txt").read_text() == "first"
    assert (sdk.user / "second/keep/keep.txt").read_text() == "second"


def test_a_registered_container_is_a_datastore_like_the_default_one(sdk):
    fill(sdk.user / "data", {"a.txt": b"registered"})
    found = sdk.results("""
        default = ws.get_default_datastore()
        made = Datastore.register_azure_blob_container(workspace=ws, datastore_name="mine", container_name="mine",
                                                       account_name=default.account_name, account_key=default.account_key,
                                                       create_if_not_exists=True)
        made.upload(src_dir="data", target_path="x")
        again = Datastore.get(ws, "mine")
        again.download(target_path="back", prefix="x")
        result(type=again.datastore_type, container=again.container_name, listed=sorted(ws.datastores),
               in_default=default.name)
        made.set_as_default()
        result(default=ws.get_default_datastore().name, by_class=Datastore.get_default(ws).name)
        ws.set_default_datastore(default.name)
        by_name = Datastore(ws, "mine")
        result(by_name=[type(by_name).__name__, by_name.is_sas, by_name.workspace.name])
        made.unregister()
        result(left=sorted(ws.datastores))
        # as the class of all kinds has it
        other = Datastore.register_azure_blob_container(ws, "other", container_name="mine", account_name=default.account_name,
                                                        account_key=default.account_key)
        Datastore.set_as_default(other)
        result(other=ws.get_default_datastore().name)
        ws.set_default_datastore(default.name)
        Datastore.unregister(other)
        result(left_at_last=sorted(ws.datastores))
    """)
    assert (sdk.user / "back/x/a.txt").read_bytes() == b"registered"
    assert found["type"] == "AzureBlob"
    assert "mine" in found["listed"]
    assert (found["default"], found["by_class"]) == ("mine", "mine")
    assert found["by_name"] == ["AzureBlobDatastore", False, "linarite"]
    assert "mine" not in found["left"]
    assert found["other"] == "other" and "other" not in found["left_at_last"]


def test_a_datastore_that_is_not_there_is_named(sdk):
    found = sdk.results("""
        try:
            Datastore.get(ws, "nowhere")
        except Exception as error:
            result(kind=type(error).__name__, words=str(error))
    """)
    assert found["kind"] in ("UserErrorException", "ErrorResponseException")  # of different versions of the SDK
    assert "nowhere" in found["words"]


@pytest.mark.differs("Datastore.register_azure_blob_container", "the store's own key is kept, whatever key is given")
def test_a_request_with_a_wrong_account_key_is_refused(sdk):
    fill(sdk.user / "data", {"a.txt": b"x"})
    found = sdk.results("""
        import base64
        from azureml._vendor.azure_storage.blob import BlobServiceClient
        ds = ws.get_default_datastore()
        for name, key in (("right", ds.account_key), ("wrong", base64.b64encode(b"x" * 32).decode())):
            url = "https://%s.blob.%s" % (ds.account_name, ds.endpoint)
            client = BlobServiceClient(account_url=url, credential={"account_name": ds.account_name, "account_key": key})
            blob = client.get_blob_client(ds.container_name, "key/" + name)
            try:
                blob.upload_blob(b"x")
                result(**{name: "written"})
            except Exception as error:
                result(**{name: type(error).__name__ + ": " + str(error)})
    """)
    assert found["right"] == "written"
    assert "AuthenticationFailed" in found["wrong"], found


def test_data_of_a_datastore_in_a_run(sdk):
    fill(sdk.user / "data", {"one.txt": b"11", "sub/two.txt": b"22"})
    sdk.project("""
        import os, sys
        mounted, downloaded, single = sys.argv[2::2]
        print("RUN", open(mounted + "/sub/two.txt").read(), open(downloaded + "/one.txt").read(), open(single).read())
        print("RUN", os.environ["AZUREML_DATAREFERENCE_mounted"] == mounted)
    """)
    log = sdk.results("""
        from azureml.train.estimator import Estimator
        ds = ws.get_default_datastore()
        ds.upload(src_dir="data", target_path="for-a-run", overwrite=True)
        mounted = ds.path("for-a-run", data_reference_name="mounted").as_mount()
        est = Estimator("project", compute_target="cpu-cluster", entry_script="train.py", environment_definition=bare,
                        script_params={"--mounted": mounted, "--downloaded": ds.path("for-a-run").as_download(),
                                       "--single": ds.path("for-a-run/one.txt").as_download()})
        run = Experiment(ws, "data-in-a-run").submit(est)
        result(log=log_of(run))
    """)["log"]
    assert "RUN 22 11 11" in log
    assert "RUN True" in log


def test_a_whole_datastore_is_given_to_a_run_and_gets_what_it_made(sdk):
    fill(sdk.user / "data", {"one.txt": b"11"})
    sdk.project("""
        import sys
        open("made/new.txt", "w").write("new of " + open(sys.argv[2] + "/one.txt").read())
        open("by name/other.txt", "w").write("other")
    """)
    found = sdk.results("""
        from azureml.data.azure_storage_datastore import AzureBlobDatastore
        from azureml.train.estimator import Estimator
        default = ws.get_default_datastore()
        small, goal = [Datastore.register_azure_blob_container(ws, name, container_name=name, account_key=default.account_key,
                                                               account_name=default.account_name)
                       for name in ("small", "goal")]
        small.upload(src_dir="data", overwrite=True)
        upload = AzureBlobDatastore(ws, "goal", goal.container_name, goal.account_name).path("deep").as_upload(
            path_on_compute="by name", overwrite=True)
        est = Estimator("project", compute_target="cpu-cluster", entry_script="train.py", environment_definition=bare,
                        script_params={"--data": small.as_download()},
                        inputs=[goal.as_upload(path_on_compute="made"), upload])
        run = Experiment(ws, "data-in-a-run").submit(est)
        result(status=at_its_end(run))
        goal.download(target_path="back")
    """)
    assert found["status"] == "Completed"
    assert read_all(sdk.user / "back") == {"new.txt": b"new of 11", "deep/other.txt": b"other"}


def test_data_is_where_the_script_knows_it_by_name(sdk):
    fill(sdk.user / "data", {"one.txt": b"11", "sub/two.txt": b"22"})
    sdk.project("""
        import os
        print("RUN", open("in/copy/one.txt").read(), open("in/kept/one.txt").read(), open("in/single.txt").read(),
              open("in/mount/sub/two.txt").read())
        print("RUN", os.path.samefile(os.environ["AZUREML_DATAREFERENCE_mounted"], "in/mount"))
    """)
    fill(sdk.user / "project", {"in/copy/one.txt": b"old", "in/kept/one.txt": b"old"})
    log = sdk.results("""
        from azureml.data.data_reference import DataReference
        from azureml.train.estimator import Estimator
        ds = ws.get_default_datastore()
        ds.upload(src_dir="data", target_path="by-name", overwrite=True)
        # as_download(overwrite=True) of the SDK forgets that argument
        data = [DataReference(ds, "copy", "by-name", "download", path_on_compute="in/copy", overwrite=True),
                ds.path("by-name").as_download(path_on_compute="in/kept"),
                ds.path("by-name/one.txt").as_download(path_on_compute="in/single.txt", overwrite=False),
                DataReference(ds, "mounted", path_on_datastore="by-name", mode="mount", path_on_compute="in/mount")]
        est = Estimator("project", compute_target="cpu-cluster", entry_script="train.py", environment_definition=bare,
                        inputs=data)
        run = Experiment(ws, "data-in-a-run").submit(est)
        result(log=log_of(run))
    """)["log"]
    assert "RUN 11 old 11 22" in log
    assert "RUN True" in log
