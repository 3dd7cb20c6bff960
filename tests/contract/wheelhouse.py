"""A package index on disk with small wheels under the names that old scripts ask for: the tests have no other index."""

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


def make_index(folder):
    """Writes the index and gives the address of it."""
    for name, version, module in WHEELS:
        (folder / name).mkdir()
        wheel = write_wheel(folder / name, name, version, module)
        (folder / name / "index.html").write_text(f'<!DOCTYPE html><a href="{wheel.name}">{wheel.name}</a>')
    return folder.as_uri()
