"""The part of azureml.core that a training script uses while it runs: the run itself."""

from azureml.core._dropin import missing
from azureml.core.experiment import Experiment
from azureml.core.run import Run
from azureml.core.workspace import Workspace

__all__ = ["Experiment", "Run", "Workspace", "VERSION"]
VERSION = __version__ = "linarite-dropin"

missing.explain_failed_imports()


def __getattr__(name):
    raise missing.attribute("azureml.core", name)
