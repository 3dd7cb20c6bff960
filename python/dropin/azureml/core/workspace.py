"""azureml.core.workspace: where a run's experiment lives, as far as the run's environment says it."""

from azureml.core._dropin import missing


class Workspace:
    """The names of the workspace. It has no operations; get it by run.experiment.workspace."""

    def __init__(self, *args, **kwargs):
        raise missing.operation("Workspace(...)")

    @classmethod
    def _of(cls, settings):
        workspace = cls.__new__(cls)
        workspace.name = settings.workspace_name
        workspace.subscription_id = settings.subscription_id
        workspace.resource_group = settings.resource_group
        workspace._workspace_id = settings.workspace_id
        return workspace

    @classmethod
    def from_config(cls, *args, **kwargs):
        raise missing.operation("Workspace.from_config()")

    @classmethod
    def get(cls, *args, **kwargs):
        raise missing.operation("Workspace.get()")

    def __repr__(self):
        return "Workspace(name={!r}, subscription_id={!r}, resource_group={!r})".format(
            self.name, self.subscription_id, self.resource_group
        )

    def __getattr__(self, name):
        raise missing.attribute("Workspace", name)
