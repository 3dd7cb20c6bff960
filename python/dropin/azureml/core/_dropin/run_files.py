"""The part of a run that moves files."""

import os

from azureml.core._dropin import artifacts
from azureml.exceptions import UserErrorException


def files_below(name, folder):
    """(artifact name, path) of all files in a folder, for upload under `name`."""
    if not os.path.isdir(folder):
        raise UserErrorException("{} is no folder".format(folder))
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            path = os.path.join(parent, file)
            yield os.path.join(name, os.path.relpath(path, folder)), path


class FileCalls:
    """Uploads and downloads. What a script leaves in ./outputs and ./logs is stored without them."""

    def upload_file(self, name, path_or_stream, datastore_name=None):
        """Stores a file with the run."""
        return self._files.upload([name], [path_or_stream])

    def upload_files(self, names, paths, return_artifacts=False, timeout_seconds=None, datastore_name=None):
        """Stores several files with the run."""
        if len(names) != len(paths):
            raise UserErrorException("{} names for {} paths".format(len(names), len(paths)))
        records = self._files.upload(list(names), list(paths))
        return records if return_artifacts else None

    def upload_folder(self, name, path, datastore_name=None):
        """Stores a folder with the run."""
        pairs = list(files_below(name, path))
        return self._files.upload([pair[0] for pair in pairs], [pair[1] for pair in pairs])

    def get_file_names(self):
        """The names of all files stored with the run."""
        return self._files.names()

    def download_file(self, name, output_file_path=None):
        """Fetches a file of the run, to its own name in the current folder if no other is given."""
        path = output_file_path or os.path.basename(name)
        if os.path.isdir(path) or path.endswith("/"):
            path = os.path.join(path, os.path.basename(name))
        self._files.download(self._files.content_address(artifacts.clean(name)), path)

    def download_files(
        self,
        prefix=None,
        output_directory=None,
        output_paths=None,
        batch_size=100,
        append_prefix=True,
        timeout_seconds=None,
    ):
        """Fetches all files of the run whose names start with a prefix."""
        found = self._files.addresses(prefix)
        if output_paths is not None and len(output_paths) != len(found):
            raise UserErrorException("{} output_paths for {} files".format(len(output_paths), len(found)))
        for index, (name, uri) in enumerate(found):
            if output_paths is not None:
                path = output_paths[index]
            else:
                shown = name if append_prefix or not prefix else name[len(prefix) :]
                path = artifacts.clean(shown or os.path.basename(name))
            self._files.download(uri, os.path.join(output_directory or ".", path))
