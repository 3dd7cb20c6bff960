"""Words for what the drop-in does not have."""

import sys

HOW_TO_GET_IT = (
    "it needs Azure's own SDK, and this run has only Linarite's drop-in for azureml.core.Run. To get the SDK, add "
    "azureml-core to the pip packages of the run's environment"
)


def attribute(owner, name):
    """The error for `owner.name`."""
    # dunders and private names are Python asking (copy, pickle, notebooks), nobody who wants advice
    if name.startswith("_"):
        return AttributeError("{!r} has no attribute {!r}".format(owner, name))
    return AttributeError("{}.{} is not here: {}".format(owner, name, HOW_TO_GET_IT))


def operation(call):
    """The error for a call that exists in name only."""
    return NotImplementedError("{} is not here: {}".format(call, HOW_TO_GET_IT))


class _Explainer:
    """Asked by Python's import after all others: says why there is no such azureml module."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.startswith("azureml."):
            # `from azureml.core import Dataset` swallows an error that bears the name asked for, so this one does not
            raise ModuleNotFoundError("no {}: {}".format(name, HOW_TO_GET_IT), name="azureml-core")
        return None


def explain_failed_imports():
    """From now on a failed import of azureml.anything says how to get it."""
    if _Explainer not in sys.meta_path:
        sys.meta_path.append(_Explainer)
