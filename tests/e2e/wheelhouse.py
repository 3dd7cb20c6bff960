"""Small packages, and indexes of them on disk: for the contract tests there is no other index."""

import io
import tarfile
import zipfile

# the distribution's name, its version, the module that it brings
WHEELS = (("scikit-learn", "1.3.2", "sklearn"), ("cntk", "2.5.1", "cntk"), ("six", "1.16.0", "six"))


def write_wheel(folder, name, version, module):
    underscored = name.replace("-", "_")
    info = f"{underscored}-{version}.dist-info"
    files = {
        f"{module}/__init__.py": f'__version__ = "{version}"\n',
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: contract\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    wheel = folder / f"{underscored}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


def write_source_package(folder, name, version, build):
    """A package that has to be built, by the Python text `build` (no download is needed for that)."""
    files = {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": "def build_wheel(folder, config_settings=None, metadata_directory=None):\n"
        + "".join(f"    {line}\n" for line in build.splitlines()),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
    }
    with tarfile.open(folder / f"{name}-{version}.tar.gz", "w:gz") as archive:
        for path, text in files.items():
            member = tarfile.TarInfo(f"{name}-{version}/{path}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))


def make_index(folder, wheels=WHEELS):
    """Writes the index and gives the address of it."""
    for name, version, module in wheels:
        (folder / name).mkdir(parents=True)
        wheel = write_wheel(folder / name, name, version, module)
        (folder / name / "index.html").write_text(f'<!DOCTYPE html><a href="{wheel.name}">{wheel.name}</a>')
    return folder.as_uri()
