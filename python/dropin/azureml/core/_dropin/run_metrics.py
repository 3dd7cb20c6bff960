"""The part of a run that logs."""

import io
import json
import os
import time

from azureml.core._dropin import artifacts, missing, values
from azureml.core._dropin.metrics import warn
from azureml.exceptions import ServiceException, UserErrorException


def picture(plot):
    """A matplotlib figure, axes or pyplot itself as the bytes of a PNG."""
    figure = plot if hasattr(plot, "savefig") else getattr(plot, "figure", None)
    if not hasattr(figure, "savefig"):
        raise UserErrorException("plot needs savefig(), and {} has none".format(type(plot).__name__))
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def image_source(name, path, plot):
    """(artifact name, what to upload) of the arguments of log_image."""
    if (path is None) == (plot is None):
        raise UserErrorException("log_image takes either a path or a plot")
    if plot is not None:
        return "{}_{}.png".format(name, int(time.time())), picture(plot)
    relative = os.path.normpath(str(path))
    outside = os.path.isabs(relative) or relative.startswith("..")
    return artifacts.clean(os.path.basename(relative) if outside else relative), path


def document(value):
    """The content of log_confusion_matrix and its like, which is JSON as text or as a dict."""
    try:
        return json.dumps(json.loads(value) if isinstance(value, str) else value)
    except (TypeError, ValueError) as error:
        raise UserErrorException("the value is no JSON: {}".format(error)) from error


def numbered(path):
    """Another name for a file whose name is taken."""
    stem, suffix = os.path.splitext(path)
    return "{}_{}{}".format(stem, int(time.time() * 1000), suffix)


class MetricCalls:
    """Logs of all kinds. They return at once; a thread delivers."""

    def log(self, name, value, description="", step=None):
        """Logs one value. Several of one name make a curve."""
        self._metrics.add(self._run_id, values.scalar(name, value, step))

    def log_list(self, name, value, description=""):
        """Logs several values at once."""
        self._metrics.add(self._run_id, values.listing(name, value))

    def log_row(self, name, description=None, **kwargs):
        """Logs a row of a table, one column for each keyword."""
        self._metrics.add(self._run_id, values.table(name, kwargs))

    def log_table(self, name, value, description=""):
        """Logs a table, a dict of columns."""
        self._metrics.add(self._run_id, values.table(name, value))

    def log_image(self, name, path=None, plot=None, description=""):
        """Logs an image file or a matplotlib plot."""
        path, source = image_source(name, path, plot)
        if path in self._images:
            path = numbered(path)
        try:
            self._files.upload([path], [source])
        except ServiceException as error:
            if error.status_code != 409:
                raise
            path = numbered(path)  # another rank was first
            self._files.upload([path], [source])
        self._images.add(path)
        self._add_artifact(name, "image", path)

    def log_confusion_matrix(self, name, value, description=""):
        """Logs a confusion matrix."""
        self._log_document(name, "confusion_matrix", value)

    def log_accuracy_table(self, name, value, description=""):
        """Logs an accuracy table."""
        self._log_document(name, "accuracy_table", value)

    def log_residuals(self, name, value, description=""):
        """Logs a histogram of residuals."""
        self._log_document(name, "residuals", value)

    def log_predictions(self, name, value, description=""):
        """Logs predictions against true values."""
        self._log_document(name, "predictions", value)

    def flush(self, timeout_seconds=300):
        """Waits until everything logged has arrived."""
        if not self._metrics.flush(timeout_seconds):
            warn("not everything logged has arrived after {} s; it stays on its way".format(timeout_seconds))

    def get_metrics(self, name=None, recursive=False, run_type=None, populate=False):
        """What was logged so far, by name."""
        if recursive or run_type or populate:
            raise missing.operation("get_metrics(recursive=, run_type= or populate=)")
        self.flush()
        names = [name] if name is not None else self._metric_names()
        answers = [(each, self._metric(each)) for each in names]
        return {each: values.read(answer) for each, answer in answers if answer is not None}

    def _log_document(self, name, kind, value):
        self._files.upload([name], [document(value).encode("utf-8")])
        self._add_artifact(name, kind, artifacts.clean(name))

    def _add_artifact(self, name, kind, path):
        address = artifacts.address(self._container(), path)
        self._metrics.add(self._run_id, values.artifact(name, kind, address))

    def _metric_names(self):
        body, names = {}, []
        while True:
            answer = self._service.call("POST", self._service.metrics(self._run_id, "/list"), body)
            names += [record["metricKey"]["name"] for record in answer["value"]]
            if not answer.get("continuationToken"):
                return names
            body = {"continuationToken": answer["continuationToken"]}

    def _metric(self, name):
        """The stored metric with the values of all pages, or None."""
        body, whole = {"metricName": name}, None
        while True:
            try:
                answer = self._service.call("POST", self._service.metrics(self._run_id, "/full"), body)
            except ServiceException as error:
                if error.status_code == 404:
                    return None
                raise
            if whole is None:
                whole = answer
            else:
                whole["value"] += answer["value"]
            if not answer.get("continuationToken"):
                return whole
            body = {"metricName": name, "continuationToken": answer["continuationToken"]}
