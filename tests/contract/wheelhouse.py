"""A folder of small wheels under the names that old scripts ask for, for machines (and namespaces) without an index."""

import zipfile

# the distribution's name, its version, the module that it brings
WHEELS = (("scikit_learn", "1.3.2", "sklearn"), ("cntk", "2.5.1", "cntk"), ("six", "1.16.0", "six"))


def make_wheelhouse(folder):
    for name, version, module in WHEELS:
        info = f"{name}-{version}.dist-info"
        files = {
            f"{module}/__init__.py": f'__version__ = "{version}"\n',
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: contract\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            for path, text in {**files, f"{info}/RECORD": record}.items():
                wheel.writestr(path, text)
    return folder
