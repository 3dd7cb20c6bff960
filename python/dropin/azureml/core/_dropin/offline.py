"""The run of a process that belongs to none: says what it would have logged."""

import uuid

from azureml.core._dropin import missing, values
from azureml.core._dropin.run_files import files_below
from azureml.core._dropin.run_metrics import document, image_source


class _OfflineRun:
    """Prints logs, keeps tags and properties to itself, stores nothing."""

    def __init__(self, name=None, parent=None):
        self._run_id = "OfflineRun_" + str(uuid.uuid4())
        self._name = name
        self._parent = parent
        self._tags = {}
        self._properties = {}

    @property
    def id(self):
        """OfflineRun_ and a UUID."""
        return self._run_id

    name = property(lambda self: self._name, doc="The name given to child_run, or None.")
    number = property(lambda self: None, doc="There is none.")
    parent = property(lambda self: self._parent, doc="The run whose child this is, or None.")
    status = property(lambda self: self.get_status(), doc="Always Running.")
    tags = property(lambda self: dict(self._tags), doc="The tags set here.")
    properties = property(lambda self: dict(self._properties), doc="The properties set here.")
    display_name = property(
        lambda self: self._name, lambda self, name: setattr(self, "_name", name), doc="The name that people see."
    )

    def log(self, name, value, description="", step=None):
        """Prints the value."""
        self._logged("scalar", name, values.scalar(name, value, step).rows[0][name])

    def log_list(self, name, value, description=""):
        """Prints the values."""
        metric = values.listing(name, value)
        self._logged("list", name, [row[name] for row in metric.rows] if metric else [])

    def log_row(self, name, description=None, **kwargs):
        """Prints the row."""
        values.table(name, kwargs)
        self._logged("row", name, kwargs)

    def log_table(self, name, value, description=""):
        """Prints the table."""
        values.table(name, value)
        self._logged("table", name, value)

    def log_image(self, name, path=None, plot=None, description=""):
        """Prints where the image is."""
        image_source(name, path, plot)
        self._logged("image", name, path if path is not None else plot)

    def log_confusion_matrix(self, name, value, description=""):
        """Prints the matrix."""
        self._logged("confusion matrix", name, document(value))

    def log_accuracy_table(self, name, value, description=""):
        """Prints the table."""
        self._logged("accuracy table", name, document(value))

    def log_residuals(self, name, value, description=""):
        """Prints the residuals."""
        self._logged("residuals", name, document(value))

    def log_predictions(self, name, value, description=""):
        """Prints the predictions."""
        self._logged("predictions", name, document(value))

    def upload_file(self, name, path_or_stream, datastore_name=None):
        """Prints what would be uploaded."""
        self._said("upload file {}".format(name), path_or_stream)

    def upload_files(self, names, paths, return_artifacts=False, timeout_seconds=None, datastore_name=None):
        """Prints what would be uploaded."""
        for name, path in zip(names, paths):
            self.upload_file(name, path)

    def upload_folder(self, name, path, datastore_name=None):
        """Prints what would be uploaded."""
        for file_name, file in files_below(name, path):
            self.upload_file(file_name, file)

    def tag(self, key, value=None):
        """Sets a tag here, and prints it."""
        self.set_tags({key: value})

    def set_tags(self, tags):
        """Sets tags here, and prints them."""
        tags = {str(key): "" if value is None else str(value) for key, value in tags.items()}
        self._tags.update(tags)
        self._said("set tags", tags)

    def remove_tags(self, tags):
        """Removes tags that were set here."""
        for key in [tags] if isinstance(tags, str) else tags:
            self._tags.pop(str(key), None)
        self._said("remove tags", tags)

    def add_properties(self, properties):
        """Adds properties here, and prints them."""
        properties = {str(key): str(value) for key, value in properties.items()}
        self._properties.update(properties)
        self._said("add properties", properties)

    def get_status(self):
        """Always Running: whoever asks does run."""
        return "Running"

    def get_details(self):
        """The little there is."""
        return {"runId": self._run_id, "status": self.get_status(), "properties": self.properties, "logFiles": {}}

    def get_tags(self):
        """The tags set here."""
        return self.tags

    def get_properties(self):
        """The properties set here."""
        return self.properties

    def get_metrics(self, name=None, recursive=False, run_type=None, populate=False):
        """Nothing: what was logged was printed."""
        return {}

    def get_file_names(self):
        """Nothing is stored."""
        return []

    def get_children(self, **kwargs):
        """Nothing is stored."""
        return iter(())

    def child_run(self, name=None, run_id=None, outputs=None):
        """Another offline run."""
        return _OfflineRun(name, self)

    def create_children(self, count=None, tag_key=None, tag_values=None):
        """Other offline runs."""
        children = [_OfflineRun(None, self) for _ in range(count if count is not None else len(tag_values))]
        for child, value in zip(children, tag_values or ()):
            child.tag(tag_key, value)
        return children

    def start(self):
        """Nothing to do."""

    def complete(self):
        """Nothing to do."""

    def fail(self, error_details=None, error_code=None):
        """Nothing to do."""

    def cancel(self):
        """Nothing to do."""

    def flush(self, timeout_seconds=300):
        """Nothing to do."""

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        return False

    def __repr__(self):
        return "_OfflineRun(id={!r})".format(self._run_id)

    def __getattr__(self, name):
        # experiment is asked for by hasattr() to tell an offline run from another
        if name == "experiment" or name.startswith("_"):
            raise AttributeError("an offline run has no {}".format(name))
        raise missing.attribute("run", name)

    def _logged(self, kind, name, value):
        self._said("log {} metric {}".format(kind, name), value)

    @staticmethod
    def _said(what, value):
        print("Attempted to {}:\n{}".format(what, value), flush=True)
