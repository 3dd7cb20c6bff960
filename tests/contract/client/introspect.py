"""introspect.py: the public methods of the classes of the fidelity matrix in this interpreter's SDK, as JSON.

{"python", "packages": {name: version}, "classes": [{"title", "members": [{"name", "shown", "owner"}]}]}. The owner is the
name under which contract_hook.py records calls. Must run on Python 3.8.
"""

import importlib
import importlib.metadata
import inspect
import json
import platform
import warnings

import contract_hook

SECTIONS = (
    ("azureml.core.workspace", "Workspace"),
    ("azureml.core.experiment", "Experiment"),
    ("azureml.core.run", "Run"),
    ("azureml.core.script_run", "ScriptRun"),
    ("azureml.core.script_run_config", "ScriptRunConfig"),
    ("azureml.core.runconfig", "RunConfiguration"),
    ("azureml.core.runconfig", "MpiConfiguration"),
    ("azureml.train.estimator", "Estimator"),
    ("azureml.train.dnn", "PyTorch"),
    ("azureml.train.dnn", "TensorFlow"),
    ("azureml.train.dnn", "Chainer"),
    ("azureml.train.sklearn", "SKLearn"),
    ("azureml.core.compute", "ComputeTarget"),
    ("azureml.core.compute", "AmlCompute"),
    ("azureml.core.datastore", "Datastore"),
    ("azureml.data.azure_storage_datastore", "AzureBlobDatastore"),
    ("azureml.core.environment", "Environment"),
    ("azureml.core.authentication", "ServicePrincipalAuthentication"),
    ("azureml.core.model", "Model"),
    ("azureml.tensorboard", "Tensorboard"),
)


def owner_of(cls, name):
    """The recorded name of the class in the family that defines the member; None if it is not one of ours."""
    for base in cls.__mro__:
        if name in vars(base):
            return contract_hook.TRACKED.get(base.__module__, {}).get(base.__name__)
    return None


def members_of(cls):
    members = []
    for name in ["__init__"] + [name for name in dir(cls) if not name.startswith("_")]:
        owner = owner_of(cls, name)
        member = inspect.getattr_static(cls, name)
        is_property = isinstance(member, property)
        if getattr(member, "__isabstractmethod__", False):
            continue  # nobody can call it but in a subclass
        if owner is None or not (is_property or callable(member) or isinstance(member, (classmethod, staticmethod))):
            continue
        if name == "__init__":
            members.append({"name": "(constructor)", "shown": cls.__name__ + "(...)", "owner": owner})
        elif not inspect.isclass(member):
            members.append({"name": name, "shown": name if is_property else name + "()", "owner": owner})
    return members


def main():
    warnings.simplefilter("ignore")
    sections, seen = [], set()
    for module, name in SECTIONS:
        cls = getattr(importlib.import_module(module), name)
        # what a subclass only inherits from a class above is listed there
        members = [m for m in members_of(cls) if (m["owner"], m["name"]) not in seen]
        seen.update((m["owner"], m["name"]) for m in members)
        sections.append({"title": name, "members": members})
    packages = {}
    for distribution in importlib.metadata.distributions():
        if distribution.metadata["Name"].startswith("azureml"):
            packages[distribution.metadata["Name"]] = distribution.version
    print(json.dumps({"python": platform.python_version(), "packages": packages, "classes": sections}))


if __name__ == "__main__":
    main()
