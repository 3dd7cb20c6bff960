"""azureml.core.run: the run that a script belongs to."""

from azureml.core._dropin import missing, settings
from azureml.core._dropin.artifacts import Artifacts
from azureml.core._dropin.metrics import MetricSender, warn
from azureml.core._dropin.offline import _OfflineRun
from azureml.core._dropin.run_files import FileCalls
from azureml.core._dropin.run_history import HistoryCalls
from azureml.core._dropin.run_metrics import MetricCalls
from azureml.core._dropin.service import Service
from azureml.core.experiment import Experiment
from azureml.exceptions import RunEnvironmentException

__all__ = ["Run"]

_contexts = {}  # run id -> the one object for it


class Run(MetricCalls, FileCalls, HistoryCalls):
    """A run of the experiment. Scripts get theirs by Run.get_context()."""

    def __init__(self, *args, **kwargs):
        raise missing.operation("Run(...)")

    @classmethod
    def _of(cls, service, sender, run_id, record=None):
        run = cls.__new__(cls)
        run._service = service
        run._metrics = sender
        run._run_id = run_id
        run._dto = record
        run._images = set()
        run._outputs = None
        return run

    @staticmethod
    def get_context(allow_offline=True, used_for_context_manager=False, **kwargs):
        """The run this process belongs to; every call gives the same object. Outside of runs, one that prints."""
        found = settings.from_environment()
        key = found.run_id if found else None
        if not found and not allow_offline:
            raise RunEnvironmentException(
                "this process belongs to no run: not set are " + ", ".join(settings.missing_variables())
            )
        if key not in _contexts:
            _contexts.setdefault(key, _SubmittedRun._from(found) if found else _OfflineRun())
        return _contexts[key]

    @staticmethod
    def get_submitted_run(**kwargs):
        """get_context() that raises outside of runs."""
        return Run.get_context(allow_offline=False)

    @property
    def id(self):
        """The id of the run."""
        return self._run_id

    @property
    def experiment(self):
        """The experiment of the run."""
        return Experiment._of(self._service.settings)

    def start(self):
        """Marks the run as started."""
        self._post_event("Start", StartTime=None)

    def complete(self):
        """Sends what is left, and marks the run as completed."""
        self._finish()
        self._post_event("Completed", EndTime=None)

    def fail(self, error_details=None, error_code=None):
        """Sends what is left, and marks the run as failed."""
        self._finish()
        if error_details is not None or error_code is not None:
            error = {"code": error_code or "UserError", "message": str(error_details or "")}
            self._post_event("Error", ErrorResponse={"error": error})
        self._post_event("Failed", EndTime=None)

    def cancel(self):
        """Cancels the run."""
        self.flush()
        address = self._refreshed().get("cancelUri")
        if address and self._service.is_ours(address):
            self._service.call("POST", address)
        else:
            self._post_event("Canceled", EndTime=None)

    def get_secret(self, name):
        """There are no secrets."""
        raise missing.operation("run.get_secret()")

    def get_secrets(self, secrets):
        """There are no secrets."""
        raise missing.operation("run.get_secrets()")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is None:
            self.complete()
        else:
            self.fail("{}: {}".format(kind.__name__, error))
        return False

    def __eq__(self, other):
        return isinstance(other, Run) and other._run_id == self._run_id

    def __hash__(self):
        return hash(self._run_id)

    def __repr__(self):
        return "{}(experiment={!r}, id={!r})".format(
            type(self).__name__, self._service.settings.experiment_name, self._run_id
        )

    def __reduce__(self):
        return _reopened, (self._run_id,)

    def __getattr__(self, name):
        raise missing.attribute("run", name)

    @property
    def _files(self):
        return Artifacts(self._service, self._container())

    def _finish(self):
        if self._outputs:
            self.upload_folder("outputs", self._outputs)
        self.flush()

    def _sibling(self, run_id, record=None):
        return Run._of(self._service, self._metrics, run_id, record)


class _SubmittedRun(Run):
    """The run this process belongs to. Its end is not for the script to say: the exit code decides."""

    @classmethod
    def _from(cls, found):
        service = Service(found)
        return cls._of(service, MetricSender(service), found.run_id)

    def start(self):
        """Nothing to do: it runs."""

    def complete(self):
        """Sends what is left."""
        self._finish()

    def fail(self, error_details=None, error_code=None):
        """Sends what is left, and leaves the reason in the log."""
        self._finish()
        warn("run.fail(): {} (the exit code of the script decides)".format(error_details or error_code or "no reason"))


def _reopened(run_id):
    """A run in another process than the one it was pickled in."""
    context = Run.get_submitted_run()
    return context if context.id == run_id else context._sibling(run_id)
