"""The Pythons of this machine that a run may find itself in."""

import os
import pathlib
import shutil
import subprocess
import sys


def _works(python):
    command = [python, "-c", "import ssl, sys; print(sys.version_info[:2] >= (3, 6))"]
    try:
        return subprocess.run(command, capture_output=True, timeout=30).stdout == b"True\n"
    except (OSError, subprocess.TimeoutExpired):
        return False


def _candidates(minor):
    name = "python3.{}".format(minor)
    if shutil.which(name):
        yield shutil.which(name)
    installed = pathlib.Path(os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))) / "versions"
    for folder in sorted(installed.glob("3.{}.*".format(minor))):
        yield str(folder / "bin" / name)


def found():
    """One interpreter for each version from 3.6 on, the one of the tests first."""
    versions = {"3.{}".format(sys.version_info[1]): sys.executable}
    for minor in range(6, 15):
        version = "3.{}".format(minor)
        if version not in versions:
            working = next((python for python in _candidates(minor) if _works(python)), None)
            if working:
                versions[version] = working
    return versions
