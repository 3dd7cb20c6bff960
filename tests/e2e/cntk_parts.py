"""CNTK for tests: its wheels, and an image that has what it needs. tests/support/install_cntk gets them."""

import os
import re
import shutil
import subprocess
import sysconfig

from cluster import ROOT
from engine import make_image

EXAMPLE = ROOT / "examples/cntk"
FOLDER = ROOT / "build/tools/cntk"
WHEELS = FOLDER / "wheels"
PYTHON = FOLDER / "python"
# The only index that there is for those who have these variables. Containers see it, too.
VARIABLES = {"UV_FIND_LINKS": str(WHEELS), "UV_NO_INDEX": "1", "UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": os.devnull}
IN_IMAGE = "/opt/python-3.6"  # where the image has its Python, and no node
# What neither a training script nor the installer needs of a Python, by the names of files and folders.
LEFT_OUT = shutil.ignore_patterns("test", "tests", "idlelib", "tkinter", "lib2to3", "ensurepip", "config-3.6m*", "*.a",
                                  "__pycache__", "site-packages", "_tkinter*", "include", "share")  # fmt: skip


def missing():
    """Why CNTK cannot be tried here; "" if it can."""
    if PYTHON.exists() and (FOLDER / "complete").exists():
        return ""
    return "there is no Python 3.6 on this machine, or tests/support/install_cntk was not run (tests/run does it)"


def require_cntk():
    """Skips the whole module where CNTK cannot be, so that it is seen."""
    import pytest

    if missing():
        pytest.skip(f"CNTK WAS NOT TESTED: {missing()}", allow_module_level=True)


def losses(log):
    """{(rank, ranks): loss} of what examples/cntk/train.py has printed."""
    found = re.findall(r"rank (\d+) of (\d+): loss ([\d.]+) ", log)
    return {(int(rank), int(ranks)): loss for rank, ranks, loss in found}


def libraries_of(python):
    """The Debian packages of the libraries that an interpreter and its modules are linked with."""
    modules = [path for path in (python / "lib/python3.6/lib-dynload").glob("*.so") if "_tkinter" not in path.name]
    command = ["ldd", python / "bin/python3.6", *modules]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    paths = {os.path.realpath(path) for path in re.findall(r"=> (/\S+)", told)}
    outside = [path for path in paths if not path.startswith(f"{python}/")]
    owners = subprocess.run(["dpkg", "-S", *outside], capture_output=True, text=True).stdout
    return sorted({line.partition(":")[0] for line in owners.splitlines()})


def make_cntk_image(tar, folder):
    """An image with Python 3.6, and with Open MPI under the names that CNTK wants, of what is on this machine. CNTK
    itself is not in it: runs name it, and it would take half a minute more to push and pull."""
    prefix = folder / IN_IMAGE.lstrip("/")
    shutil.copytree(PYTHON.resolve().parents[1], prefix, symlinks=True, ignore=LEFT_OUT)
    (folder / "usr/local/bin").mkdir(parents=True)
    for name in ("python", "python3"):
        (folder / "usr/local/bin" / name).symlink_to(f"{IN_IMAGE}/bin/python3.6")
    (folder / "etc/ld.so.conf.d").mkdir(parents=True)
    (folder / "etc/ld.so.conf.d/python-3.6.conf").write_text(f"{IN_IMAGE}/lib\n")
    libraries = folder / "usr/lib" / sysconfig.get_config_var("MULTIARCH")
    subprocess.run([EXAMPLE / "link-mpi", libraries], check=True)
    base = ("base-files", "bash", "coreutils", "dash", "sed", "grep", "findutils", "procps", "hostname", "openmpi-bin")
    return make_image(tar, "--add", folder, *base, *libraries_of(PYTHON.resolve().parents[1]))
