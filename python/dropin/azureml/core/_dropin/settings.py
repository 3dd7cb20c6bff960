"""What the environment of a run says about it."""

import collections
import os

_REQUIRED = {
    "run_id": "AZUREML_RUN_ID",
    "token": "AZUREML_RUN_TOKEN",
    "subscription_id": "AZUREML_ARM_SUBSCRIPTION",
    "resource_group": "AZUREML_ARM_RESOURCEGROUP",
    "workspace_name": "AZUREML_ARM_WORKSPACE_NAME",
    "experiment_name": "AZUREML_ARM_PROJECT_NAME",
    "endpoint": "AZUREML_SERVICE_ENDPOINT",
}
_OPTIONAL = {
    "experiment_id": "AZUREML_EXPERIMENT_ID",
    "workspace_id": "AZUREML_WORKSPACE_ID",
    "token_expiry": "AZUREML_RUN_TOKEN_EXPIRY",
}

Settings = collections.namedtuple("Settings", list(_REQUIRED) + list(_OPTIONAL))


def missing_variables():
    """The variables without which a process is not part of a run."""
    return [variable for variable in _REQUIRED.values() if not os.environ.get(variable)]


def from_environment():
    """The settings, or None outside of a run."""
    if missing_variables():
        return None
    variables = list(_REQUIRED.items()) + list(_OPTIONAL.items())
    return Settings(**{field: os.environ.get(variable) or None for field, variable in variables})


def ca_bundle():
    """File or folder with the certificates to trust, or None for the system's."""
    names = ("LINARITE_CA_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def patience():
    """For how many seconds calls that need an answer, and the end of the process, wait for a service that is away."""
    try:
        return float(os.environ["LINARITE_PATIENCE_SECONDS"])
    except (KeyError, ValueError):
        return 240.0
