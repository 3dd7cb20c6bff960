"""Loaded at the start of every process of an SDK's interpreter, by a .pth file: clients and scripts inside runs alike.

It does two things, and changes nothing of what the SDK does:

* The socket audit: an address that is not of this machine is written down and refused, before any packet leaves.
* The record: which public methods the user's code called, and whether they returned or raised (see matrix.py).

What the test session wants to know is in the file that LINARITE_CONTRACT_SESSION names: the folder to write to, and the
test that runs now. Without it only the audit is on. Must run on Python 3.8.
"""

import functools
import importlib.abc
import importlib.machinery
import json
import os
import sys
import sysconfig

SESSION = os.environ.get("LINARITE_CONTRACT_SESSION", "")

# module -> the classes whose public methods are recorded, and the name that the matrix has for them
TRACKED = {
    "azureml.core.workspace": {"Workspace": "Workspace"},
    "azureml.core.experiment": {"Experiment": "Experiment"},
    "azureml.core.run": {"Run": "Run", "_SubmittedRun": "Run", "_OfflineRun": "OfflineRun"},
    "azureml._run_impl.run_base": {"_RunBase": "Run"},
    "azureml.core._portal": {"HasPortal": "Portal", "HasWorkspacePortal": "Portal", "HasRunPortal": "Portal"},
    "azureml.core.script_run": {"ScriptRun": "ScriptRun"},
    "azureml.core.script_run_config": {"ScriptRunConfig": "ScriptRunConfig"},
    "azureml.core.runconfig": {
        "RunConfiguration": "RunConfiguration",
        "MpiConfiguration": "MpiConfiguration",
        "PyTorchConfiguration": "PyTorchConfiguration",
        "TensorflowConfiguration": "TensorflowConfiguration",
    },
    "azureml.core.compute.compute": {"ComputeTarget": "ComputeTarget"},
    "azureml.core.compute.amlcompute": {"AmlCompute": "AmlCompute"},
    "azureml.core.datastore": {"Datastore": "Datastore"},
    "azureml.data.abstract_datastore": {"AbstractDatastore": "AbstractDatastore"},
    "azureml.data.azure_storage_datastore": {
        "AbstractAzureStorageDatastore": "AbstractAzureStorageDatastore",
        "AzureBlobDatastore": "AzureBlobDatastore",
    },
    "azureml.core.environment": {"Environment": "Environment"},
    "azureml.core.authentication": {"ServicePrincipalAuthentication": "ServicePrincipalAuthentication"},
    "azureml.core.model": {"Model": "Model"},
    "azureml.train.estimator._mml_base_estimator": {"MMLBaseEstimator": "MMLBaseEstimator"},
    "azureml.train.estimator._estimator": {"Estimator": "Estimator"},
    "azureml.train.estimator._framework_base_estimator": {"_FrameworkBaseEstimator": "FrameworkBaseEstimator"},
    "azureml.train.dnn._pytorch": {"PyTorch": "PyTorch"},
    "azureml.train.dnn._tensorflow": {"TensorFlow": "TensorFlow"},
    "azureml.train.dnn._chainer": {"Chainer": "Chainer"},
    "azureml.train.sklearn": {"SKLearn": "SKLearn"},
    "azureml.tensorboard.tensorboard": {"Tensorboard": "Tensorboard"},
}

# ---- where to write -------------------------------------------------------------------------------------------------


def session():
    try:
        with open(SESSION) as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def append(name, row):
    """One line to a file of the session. One write, so that processes do not mix."""
    current = session()
    if not current:
        return
    try:
        handle = os.open(os.path.join(current["folder"], name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    except OSError:
        return
    os.write(handle, (json.dumps(dict(row, test=current["test"])) + "\n").encode())
    os.close(handle)


# ---- the socket audit -----------------------------------------------------------------------------------------------


def is_of_this_machine(host):
    if isinstance(host, (bytes, bytearray)):
        host = bytes(host).decode("ascii", "replace")
    own = os.environ.get("LINARITE_CONTRACT_OWN_ADDRESS")  # of a host that the test has made
    return host in (None, "", "localhost", "::1", "0.0.0.0", "::", own) or host.startswith("127.")


def audit(event, arguments):
    if event == "socket.connect":
        address = arguments[1]
        if not isinstance(address, tuple) or is_of_this_machine(address[0]):
            return
        seen = "connect to %s:%s" % address[:2]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        if is_of_this_machine(arguments[0]):
            return
        seen = "look-up of %s" % arguments[0]
    else:
        return
    append("audit.jsonl", {"what": seen, "program": " ".join(sys.argv[:2]), "run": os.environ.get("AZUREML_RUN_ID")})
    raise ConnectionRefusedError("contract tests: %s refused, it would leave this machine" % seen)


# ---- the record -----------------------------------------------------------------------------------------------------

LIBRARIES = tuple(
    {os.path.realpath(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    | {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


def called_by_the_user(frame):
    file = frame.f_code.co_filename
    return not file.startswith(LIBRARIES) and file != __file__ and not file.startswith("<frozen")


def recorded(function, owner, name):
    """The function, with a line in the record for each call that the user's own code makes."""

    @functools.wraps(function)
    def wrapper(*arguments, **keywords):
        if not called_by_the_user(sys._getframe(1)):
            return function(*arguments, **keywords)
        row = {"class": owner, "name": name, "inside": "AZUREML_RUN_TOKEN" in os.environ}
        try:
            result = function(*arguments, **keywords)
        except BaseException as error:
            lines = [line for line in str(getattr(error, "message", None) or error).splitlines() if line.strip()]
            append("calls.jsonl", dict(row, raised=type(error).__name__, words=" ".join(lines)[:2000]))
            raise
        append("calls.jsonl", row)
        return result

    return wrapper


def record_class(cls, owner):
    for name, member in list(vars(cls).items()):
        if name in ("__init__", "__new__"):
            shown = "(constructor)"
        elif name in ("__enter__", "__exit__"):
            shown = "(with)"
        elif name.startswith("_"):
            continue
        else:
            shown = name
        if isinstance(member, (classmethod, staticmethod)):
            setattr(cls, name, type(member)(recorded(member.__func__, owner, shown)))
        elif isinstance(member, property):
            getter = member.fget and recorded(member.fget, owner, shown)
            setter = member.fset and recorded(member.fset, owner, shown)
            setattr(cls, name, property(getter, setter, member.fdel, member.__doc__))
        elif callable(member) and hasattr(member, "__code__"):
            setattr(cls, name, recorded(member, owner, shown))


class RecordingLoader(importlib.abc.Loader):
    """Loads a module as its own loader would; then its tracked classes are wrapped."""

    def __init__(self, loader, classes):
        self.loader, self.classes = loader, classes

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        self.loader.exec_module(module)
        for name, owner in self.classes.items():
            if hasattr(module, name):
                record_class(getattr(module, name), owner)

    def __getattr__(self, name):
        return getattr(self.loader, name)


class RecordingFinder(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname, path, target=None):
        if fullname not in TRACKED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = RecordingLoader(spec.loader, TRACKED[fullname])
        return spec


sys.addaudithook(audit)
if session() is not None:
    sys.meta_path.insert(0, RecordingFinder())
