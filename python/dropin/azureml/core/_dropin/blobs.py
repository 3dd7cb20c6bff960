"""Files to and from the blob addresses that the service hands out. They carry their own permission, so no token."""

import base64
import os
import urllib.parse
import xml.sax.saxutils

from azureml.core._dropin.transport import Unavailable, insist
from azureml.exceptions import ServiceException, UserErrorException

_SINGLE_PUT = 64 << 20  # bytes; what is larger goes in blocks
_BLOCK = 4 << 20
_PIECE = 1 << 20  # bytes read at a time
_VERSION = "2021-08-06"


class Source:
    """A file of known size to be sent, perhaps more than once."""

    def __init__(self, stream):
        self._stream = stream
        self.size = stream.seek(0, os.SEEK_END)

    def pieces(self, offset, length):
        """The bytes of one part, in pieces."""
        end = offset + length
        while offset < end:
            try:
                self._stream.seek(offset)
                piece = self._stream.read(min(_PIECE, end - offset))
            except OSError as error:
                raise UserErrorException("cannot read the file to upload: {}".format(error)) from error
            if not piece:
                raise UserErrorException("the file to upload became shorter meanwhile")
            offset += len(piece)
            yield piece


def put(connections, uri, source):
    """Uploads a source."""
    if source.size <= _SINGLE_PUT:
        headers = {"x-ms-blob-type": "BlockBlob", "If-None-Match": "*"}
        _create(connections, uri, uri, lambda: source.pieces(0, source.size), source.size, headers, source.size)
        return
    names = []
    for offset in range(0, source.size, _BLOCK):
        length = min(_BLOCK, source.size - offset)
        names.append(base64.b64encode("block-{:08d}".format(len(names)).encode()).decode())
        block = _with_query(uri, "comp=block&blockid=" + urllib.parse.quote(names[-1], safe=""))
        answer = insist(lambda: _put(connections, block, lambda: source.pieces(offset, length), length, {}))
        _check(answer, "uploading a block")
    listed = "".join("<Latest>{}</Latest>".format(xml.sax.saxutils.escape(name)) for name in names)
    content = '<?xml version="1.0" encoding="utf-8"?><BlockList>{}</BlockList>'.format(listed).encode()
    headers = {"Content-Type": "application/xml", "If-None-Match": "*"}
    _create(connections, uri, _with_query(uri, "comp=blocklist"), lambda: [content], len(content), headers, source.size)


def _create(connections, uri, url, body, length, headers, size):
    """The request that makes the blob appear. One whose answer was lost finds its own work there when tried again."""
    sent = []

    def counted():
        sent.append(url)
        return body()

    answer = insist(lambda: _put(connections, url, counted, length, headers))
    if answer.status == 409 and len(sent) > 1 and _size(connections, uri) == size:
        return
    _check(answer, "uploading")


def _put(connections, url, body, length, headers):
    sent = {"x-ms-version": _VERSION, "Content-Length": str(length), "Content-Type": "application/octet-stream"}
    sent.update(headers)
    return connections.request("PUT", url, body, sent)


def _size(connections, uri):
    answer = insist(lambda: connections.request("HEAD", uri, None, {"x-ms-version": _VERSION}))
    return int(answer.headers.get("Content-Length", -1)) if answer.status == 200 else None


def get(connections, uri, path):
    """Downloads to a path. The file appears when it is whole."""
    part = "{}.{}.part".format(path, os.getpid())

    def receive(response):
        try:
            file = open(part, "wb", 0)
        except OSError as error:
            raise UserErrorException("cannot write {}: {}".format(path, error)) from error
        with file:
            while True:
                piece = response.read(_PIECE)
                if not piece:
                    break
                _write(file, piece)
        # a body that ended early is no exception for who reads it in pieces
        expected = response.headers.get("Content-Length")
        if expected is not None and os.path.getsize(part) != int(expected):
            raise Unavailable("the download broke off")

    try:
        answer = insist(lambda: connections.request("GET", uri, None, {"x-ms-version": _VERSION}, receive))
        _check(answer, "downloading")
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)


def _write(file, piece):
    rest = memoryview(piece)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise UserErrorException("cannot write {}: {}".format(file.name, error)) from error


def _with_query(uri, more):
    return uri + ("&" if "?" in uri else "?") + more


def _check(answer, doing):
    if answer.status >= 300:
        code = answer.headers.get("x-ms-error-code") or "HTTP {}".format(answer.status)
        raise ServiceException("({}) {} was refused".format(code, doing), status_code=answer.status, code=code)
