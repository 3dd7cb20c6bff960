"""Which azureml.core a script gets, depending on what else is installed."""

import pathlib
import shutil
import zipfile

import pytest

SCRIPT = """
import azureml.core
print(azureml.core.VERSION)
try:
    import azureml.mlflow
    print(azureml.mlflow.NAME)
except ImportError:
    print('no mlflow')
"""

DROPIN = pathlib.Path(__file__).resolve().parents[3] / "python/dropin"
EXTENDING = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"


def install(folder, *packages, init=None):
    """A folder as pip leaves it, with an azureml of the given packages."""
    for package, text in packages:
        (folder / "azureml" / package).mkdir(parents=True)
        (folder / "azureml" / package / "__init__.py").write_text(text)
    if init is not None:
        (folder / "azureml" / "__init__.py").write_text(init)
    return folder


CORE = ("core", "VERSION = 'genuine'\n")
MLFLOW = ("mlflow", "NAME = 'mlflow'\n")


def test_alone_it_is_ours(scripts):
    assert scripts.run(SCRIPT) == "linarite-dropin\nno mlflow\n"


def test_another_copy_of_it_is_none_installed(scripts, tmp_path):
    copy = shutil.copytree(DROPIN, tmp_path / "another")
    assert scripts.run(SCRIPT, path=[copy]) == "linarite-dropin\nno mlflow\n"


@pytest.mark.parametrize("init", [None, "", EXTENDING], ids=["namespace", "package", "extending package"])
def test_an_installed_core_wins(scripts, tmp_path, init):
    site = install(tmp_path / "site", CORE, init=init)
    assert scripts.run(SCRIPT, path=[site]) == "genuine\nno mlflow\n"


@pytest.mark.parametrize("init", [None, "", EXTENDING], ids=["namespace", "package", "extending package"])
def test_an_installed_core_with_mlflow_wins(scripts, tmp_path, init):
    site = install(tmp_path / "site", CORE, MLFLOW, init=init)
    assert scripts.run(SCRIPT, path=[site]) == "genuine\nmlflow\n"


@pytest.mark.parametrize("init", [None, EXTENDING], ids=["namespace", "extending package"])
@pytest.mark.parametrize("order", [1, -1], ids=["core first", "mlflow first"])
def test_core_and_mlflow_in_different_folders_are_both_found(scripts, tmp_path, init, order):
    sites = [install(tmp_path / "a", CORE, init=init), install(tmp_path / "b", MLFLOW, init=init)]
    assert scripts.run(SCRIPT, path=sites[::order]) == "genuine\nmlflow\n"


@pytest.mark.parametrize("init", [None, "", EXTENDING], ids=["namespace", "package", "extending package"])
def test_beside_mlflow_alone_core_is_ours(scripts, tmp_path, init):
    site = install(tmp_path / "site", MLFLOW, init=init)
    assert scripts.run(SCRIPT, path=[site]) == "linarite-dropin\nmlflow\n"


@pytest.mark.parametrize("before", ["nothing", "mlflow", "leftovers"])
def test_what_the_installed_package_defines_is_there(scripts, tmp_path, before):
    site = install(tmp_path / "site", CORE, init=EXTENDING + "answer = 42\nwhere = __file__\n")
    first = install(tmp_path / "first", *([MLFLOW] if before == "mlflow" else []))
    if before == "leftovers":
        (first / "azureml" / "core" / "__pycache__").mkdir(parents=True)
    script = "import azureml; print(azureml.answer, azureml.where == azureml.__file__, azureml.__file__)"
    assert scripts.run(script, path=[first, site]) == "42 True {}\n".format(site / "azureml" / "__init__.py")


@pytest.mark.parametrize("init", [None, EXTENDING], ids=["namespace", "extending package"])
def test_no_other_part_of_ours_shows_beside_an_installed_core(scripts, tmp_path, init):
    sites = [
        install(tmp_path / "a", CORE, init=init),
        install(tmp_path / "b", ("exceptions", "ORIGIN = 'genuine'\n"), init=init),
    ]
    assert scripts.run("import azureml.exceptions as e; print(e.ORIGIN)", path=sites) == "genuine\n"


def test_an_installed_core_in_a_zip_file_wins(scripts, tmp_path):
    egg = tmp_path / "azureml.egg"
    with zipfile.ZipFile(egg, "w") as archive:
        archive.writestr("azureml/__init__.py", "")
        archive.writestr("azureml/core/__init__.py", CORE[1])
    assert scripts.run(SCRIPT, path=[egg]) == "genuine\nno mlflow\n"


def test_what_an_uninstall_leaves_behind_does_not_count(scripts, tmp_path):
    (tmp_path / "site" / "azureml" / "core" / "__pycache__").mkdir(parents=True)
    assert scripts.run(SCRIPT, path=[tmp_path / "site"]) == "linarite-dropin\nno mlflow\n"


def test_an_incomplete_genuine_package_is_not_filled_up_with_ours(scripts, tmp_path):
    """Half of one and half of the other would be the worst of both."""
    site = install(tmp_path / "site", CORE, init=EXTENDING)
    script = """
import azureml.core
try:
    import azureml.core.run
except ImportError as error:
    print('linarite' in str(error).lower())
"""
    assert scripts.run(script, path=[site]) == "False\n"


def test_our_folder_twice_on_the_path_is_no_other(scripts, tmp_path):
    from conftest import DROPIN

    (tmp_path / "link").symlink_to(DROPIN)
    assert scripts.run(SCRIPT, path=[DROPIN, tmp_path / "link"]) == "linarite-dropin\nno mlflow\n"
