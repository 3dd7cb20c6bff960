"""Files of runs: upload, list, download."""

import contextlib
import io
import os
import tempfile

from azureml.core._dropin import blobs
from azureml.core._dropin.service import segment
from azureml.exceptions import ServiceException, UserErrorException

_ORIGIN = "ExperimentRun"
_PATHS_PER_REQUEST = 500


def address(container, path):
    """What a metric says in place of a file's content."""
    return "aml://artifactId/{}/{}/{}".format(_ORIGIN, container, path)


def clean(name):
    """An artifact's name: relative, with forward slashes."""
    path = os.path.normpath(str(name).replace("\\", "/")).replace(os.sep, "/").lstrip("/")
    if path in ("", ".", "..") or path.startswith("../"):
        raise UserErrorException("{!r} cannot be the name of a file of a run".format(name))
    return path


@contextlib.contextmanager
def opened(path_or_stream):
    """A local file, bytes, or a stream as something to upload."""
    if isinstance(path_or_stream, bytes):
        yield blobs.Source(io.BytesIO(path_or_stream))
    elif hasattr(path_or_stream, "read"):
        with _spooled(path_or_stream) as copy:
            yield blobs.Source(copy)
    else:
        try:
            file = open(path_or_stream, "rb")
        except OSError as error:
            raise UserErrorException("cannot upload {}: {}".format(path_or_stream, error)) from error
        with file:
            yield blobs.Source(file)


def _spooled(stream):
    """A stream's content in a file of its own: streams may not be able to go back, or give text."""
    copy = tempfile.TemporaryFile()
    for piece in iter(lambda: stream.read(1 << 20), None):
        if not piece:
            break
        copy.write(piece.encode("utf-8") if isinstance(piece, str) else piece)
    return copy


def _path(container, name):
    return "/{}/{}/{}".format(_ORIGIN, segment(container), "/".join(segment(part) for part in name.split("/")))


class Artifacts:
    """The files of one run."""

    def __init__(self, service, container):
        self._service = service
        self._container = container

    def upload(self, names, sources):
        """Uploads local files, bytes or streams under names. Gives the service's records of them by name."""
        names = [clean(name) for name in names]
        records = {}
        for start in range(0, len(names), _PATHS_PER_REQUEST):
            part = slice(start, start + _PATHS_PER_REQUEST)
            records.update(self._upload(names[part], sources[part]))
        return records

    def _upload(self, names, sources):
        url = self._service.artifacts("/batch/metadata/{}/{}".format(_ORIGIN, segment(self._container)))
        answer = self._service.call("POST", url, {"paths": [{"path": name} for name in names]})
        errors = answer.get("errors") or {}
        if errors:
            texts = ["{}: {}".format(name, (error.get("error") or {}).get("message")) for name, error in errors.items()]
            raise ServiceException("cannot upload " + "; ".join(texts))
        for name, source in zip(names, sources):
            with opened(source) as content:
                blobs.put(self._service.connections, answer["artifactContentInformation"][name]["contentUri"], content)
        return answer["artifacts"]

    def names(self):
        """The names of all files."""
        listed = self._service.pages(self._service.artifacts("/{}/{}".format(_ORIGIN, segment(self._container))))
        return [record["path"] for record in listed]

    def addresses(self, prefix):
        """(name, where to get it) of all files whose names start with a prefix."""
        if not prefix:
            return [(name, self.content_address(name)) for name in self.names()]
        url = self._service.artifacts("/prefix/contentinfo" + _path(self._container, prefix))
        return [(record["path"], record["contentUri"]) for record in self._service.pages(url)]

    def content_address(self, name):
        """Where to get one file."""
        url = self._service.artifacts("/contentinfo" + _path(self._container, name))
        try:
            return self._service.call("GET", url)["contentUri"]
        except ServiceException as error:
            if error.status_code != 404:
                raise
            there = ", ".join(self.names()) or "none"
            raise UserErrorException("the run has no file {!r}; it has: {}".format(name, there)) from error

    def download(self, uri, path):
        """Fetches to a local path, whose folder is made."""
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        blobs.get(self._service.connections, uri, path)
