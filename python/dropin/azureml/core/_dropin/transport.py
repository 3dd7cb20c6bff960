"""HTTP with kept-alive connections, and how long to insist."""

import collections
import http.client
import os
import random
import ssl
import time
import urllib.parse

from azureml.core._dropin import settings
from azureml.core._dropin.per_process import PerProcess
from azureml.exceptions import ServiceException

TEMPORARY = frozenset((408, 429, 500, 502, 503, 504, 530))
_TIMEOUT = 100.0
_LONGEST_PAUSE = 5.0

Answer = collections.namedtuple("Answer", "status headers body")


class Unavailable(Exception):
    """The service could not be asked just now; asking again may help."""


def pauses():
    """Seconds to wait before each further attempt, without end."""
    pause = 0.2
    while True:
        yield pause * random.uniform(0.75, 1.25)
        pause = min(pause * 2, _LONGEST_PAUSE)


def insist(attempt):
    """Calls `attempt` until it is not Unavailable any more, or patience ends."""
    deadline = time.monotonic() + settings.patience()
    for pause in pauses():
        try:
            return attempt()
        except Unavailable as reason:
            if time.monotonic() + pause > deadline:
                raise ServiceException("the service cannot be reached: {}".format(reason)) from reason
        time.sleep(pause)


def _certificate_is_wrong(error):
    return isinstance(error, ssl.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)


def _close_all(kept):
    for connections in kept.values():
        while connections:
            connections.pop().close()


class Connections:
    """Requests over connections that are kept, for each process its own."""

    def __init__(self):
        self._idle = PerProcess(lambda: collections.defaultdict(collections.deque), _close_all)
        self._context = None

    def request(self, method, url, body=None, headers=None, receive=None):
        """One request. `body` is bytes, or makes an iterable of bytes; `receive(response)` reads a good answer's body.

        What follows an '@' in the host is where to connect. Raises Unavailable if another attempt may help.
        """
        parts = urllib.parse.urlsplit(url)
        origin = (parts.scheme, parts.hostname, parts.port)
        target = parts.path + ("?" + parts.query if parts.query else "")
        while True:
            connection, kept = self._take(origin)
            try:
                answer = self._exchange(origin, connection, (method, target, body, headers or {}), receive)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if _certificate_is_wrong(error):
                    raise ServiceException("{}: {}".format(url.split("?")[0], error)) from error
                # the peer may have closed a kept connection meanwhile, which says nothing about a new one
                if not kept:
                    raise Unavailable("{}: {}".format(type(error).__name__, error)) from error
                continue
            except BaseException:
                connection.close()
                raise
            if answer.status in TEMPORARY:
                raise Unavailable("HTTP {}".format(answer.status))
            return answer

    def close(self):
        """Closes what this process keeps."""
        _close_all(self._idle.existing() or {})

    def _exchange(self, origin, connection, request, receive):
        method, target, body, headers = request
        try:
            connection.request(method, target, body() if callable(body) else body, headers)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may have answered before it took everything
        response = connection.getresponse()
        if receive is not None and response.status < 300:
            receive(response)
            content = b""
        else:
            content = response.read()
        if response.will_close:
            connection.close()
        else:
            self._idle.get()[origin].append(connection)
        return Answer(response.status, response.headers, content)

    def _take(self, origin):
        """A connection, and whether it was used before."""
        try:
            return self._idle.get()[origin].pop(), True
        except IndexError:
            pass
        scheme, host, port = origin
        if scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=self._tls()), False
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT), False

    def _tls(self):
        if self._context is None:
            bundle = settings.ca_bundle()
            try:
                self._context = _tls_context(bundle)
            except OSError as error:
                raise ServiceException("cannot read the certificates in {}: {}".format(bundle, error)) from error
        return self._context


def _tls_context(bundle):
    if bundle and os.path.isdir(bundle):
        return ssl.create_default_context(capath=bundle)
    return ssl.create_default_context(cafile=bundle)
