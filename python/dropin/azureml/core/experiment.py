"""azureml.core.experiment: the experiment that a run belongs to."""

from azureml.core._dropin import missing
from azureml.core.workspace import Workspace


class Experiment:
    """Name, id and workspace of the experiment. It cannot submit; get it by run.experiment."""

    def __init__(self, *args, **kwargs):
        raise missing.operation("Experiment(...)")

    @classmethod
    def _of(cls, settings):
        experiment = cls.__new__(cls)
        experiment.name = settings.experiment_name
        experiment.id = settings.experiment_id
        experiment.workspace = Workspace._of(settings)
        return experiment

    def __repr__(self):
        return "Experiment(name={!r}, workspace={!r})".format(self.name, self.workspace.name)

    def __getattr__(self, name):
        raise missing.attribute("Experiment", name)
