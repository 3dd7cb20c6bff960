"""Uploads and downloads."""

import io

import pytest

from azureml.core._dropin import blobs
from azureml.exceptions import ServiceException, UserErrorException


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_arrives_without_the_token_and_comes_back(service, run, folder):
    content = bytes(range(256)) * 1000
    (folder / "model.bin").write_bytes(content)
    run.upload_file("outputs/a b+ü%.bin", "model.bin")
    assert service.content(run.id, "outputs/a b+ü%.bin") == content
    run.download_file("outputs/a b+ü%.bin", "sub/back.bin")
    assert (folder / "sub" / "back.bin").read_bytes() == content
    run.download_file("outputs/a b+ü%.bin")
    assert (folder / "a b+ü%.bin").read_bytes() == content


def test_streams_and_empty_files_can_be_uploaded(service, run):
    run.upload_file("text", io.StringIO("grün"))
    run.upload_file("bytes", io.BytesIO(b"raw"))
    run.upload_file("empty", io.BytesIO())
    assert [service.content(run.id, name) for name in ("text", "bytes", "empty")] == ["grün".encode(), b"raw", b""]


def test_a_large_file_goes_in_blocks(service, run, folder, monkeypatch):
    monkeypatch.setattr(blobs, "_SINGLE_PUT", 1000)
    monkeypatch.setattr(blobs, "_BLOCK", 400)
    content = bytes(range(256)) * 5
    (folder / "big").write_bytes(content)
    service.blob_outcomes.extend([0, 503, "cut"])
    run.upload_file("big", "big")
    assert service.content(run.id, "big") == content
    assert len(service.blocks) == 4


def test_the_limit_for_one_put_is_64_mib(service, run, folder):
    with (folder / "limit").open("wb") as file:
        file.truncate(64 << 20)
    with (folder / "above").open("wb") as file:
        file.truncate((64 << 20) + 1)
    run.upload_files(["limit", "above"], ["limit", "above"])
    assert len(service.blocks) == 17
    assert len(service.content(run.id, "limit")) == 64 << 20
    assert len(service.content(run.id, "above")) == (64 << 20) + 1


@pytest.mark.parametrize("outcome", [500, 503, "cut"])
def test_an_upload_that_broke_is_tried_again(service, run, outcome):
    service.blob_outcomes.append(outcome)
    run.upload_file("f", io.BytesIO(b"content"))
    assert service.content(run.id, "f") == b"content"


def test_a_name_that_is_taken_is_refused(service, run):
    run.upload_file("f", io.BytesIO(b"content"))
    with pytest.raises(ServiceException) as caught:
        run.upload_file("f", io.BytesIO(b"other content"))
    assert caught.value.status_code == 409 and "BlobAlreadyExists" in str(caught.value)
    assert service.content(run.id, "f") == b"content"


def test_a_refused_path_is_named(run):
    with pytest.raises(ServiceException, match="forbidden/x: not allowed"):
        run.upload_file("forbidden/x", io.BytesIO(b""))


@pytest.mark.parametrize("name", ["../x", "", "..", "a/../../x"])
def test_a_name_outside_of_the_run_is_refused(run, name):
    with pytest.raises(UserErrorException):
        run.upload_file(name, io.BytesIO(b""))


def test_a_file_that_is_not_there_is_named(run):
    with pytest.raises(UserErrorException, match="no-such-file"):
        run.upload_file("x", "no-such-file")


def test_a_folder_is_uploaded_with_all_below(service, run, folder):
    (folder / "data" / "deep").mkdir(parents=True)
    for number in range(501):
        (folder / "data" / "deep" / str(number)).write_text(str(number))
    (folder / "data" / "top").write_text("top")
    run.upload_folder("stored", "data")
    assert service.content(run.id, "stored/deep/500") == b"500"
    assert service.content(run.id, "stored/top") == b"top"
    assert len(run.get_file_names()) == 502
    assert sum(request.path.count("/batch/metadata/") for request in service.requests) == 2
    with pytest.raises(UserErrorException, match="no folder"):
        run.upload_folder("stored", "none such")


def test_several_files_are_downloaded_by_prefix(run, folder):
    for name in ("outputs/a", "outputs/sub/b", "outputs/c", "logs/d"):
        run.upload_file(name, io.StringIO(name))
    run.download_files("outputs/", "whole")
    run.download_files("outputs/", "bare", append_prefix=False)
    run.download_files(output_directory="all")

    def there(where):
        return sorted(str(path.relative_to(where)) for path in where.rglob("*") if path.is_file())

    assert there(folder / "whole") == ["outputs/a", "outputs/c", "outputs/sub/b"]
    assert there(folder / "bare") == ["a", "c", "sub/b"]
    assert len(there(folder / "all")) == 4
    assert (folder / "whole" / "outputs" / "sub" / "b").read_text() == "outputs/sub/b"


def test_a_file_that_the_run_does_not_have_is_refused_with_those_it_has(run):
    run.upload_file("f", io.BytesIO(b"content"))
    with pytest.raises(UserErrorException, match="no file 'g'; it has: f"):
        run.download_file("g")


def test_a_download_that_broke_off_is_tried_again(service, run, folder):
    run.upload_file("f", io.BytesIO(b"content"))
    service.blob_outcomes.extend(["short", 503])
    run.download_file("f", "back")
    assert (folder / "back").read_bytes() == b"content"
    assert [path.name for path in folder.iterdir()] == ["back"]


def test_a_disk_that_is_full_is_said_at_once(run, monkeypatch):
    run.upload_file("f", io.BytesIO(b"content"))
    monkeypatch.setattr(blobs, "open", lambda *args: open("/dev/full", "wb", 0), raising=False)
    with pytest.raises(UserErrorException, match="No space left"):
        run.download_file("f", "back")
