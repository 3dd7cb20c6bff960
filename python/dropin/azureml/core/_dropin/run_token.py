"""The token of the run, renewed before it expires."""

import base64
import json
import threading
import time

from azureml.core._dropin import times
from azureml.core._dropin.per_process import PerProcess

_RENEW_BEFORE = 95.0  # seconds to the end of the token
_CHECK_EVERY = 30.0


def expiry_in(token):
    """Seconds since 1970 of a JWT's `exp`, or None if there is none to be read."""
    try:
        claims = token.split(".")[1]
        claims += "=" * (-len(claims) % 4)
        return float(json.loads(base64.urlsafe_b64decode(claims).decode("utf-8"))["exp"])
    except (IndexError, KeyError, TypeError, ValueError):
        return None


class RunToken:
    """Gives the token, and renews it with `fetch`, which answers {"token", "expiryTimeUtc"}."""

    def __init__(self, token, expiry, fetch):
        self._token = token
        self._expires = times.epoch(expiry) or expiry_in(token)
        self._fetch = fetch
        self._lock = PerProcess(threading.RLock)
        self._checked = 0.0

    def value(self):
        """The token to use now."""
        now = time.time()
        if self._expires is not None and now > self._expires - _RENEW_BEFORE and now > self._checked + _CHECK_EVERY:
            self.renew()
        return self._token

    def renew(self):
        """Fetches a new one and says whether that worked. If not, the old one stays: it may do for some time yet."""
        with self._lock.get():
            self._checked = time.time()
            try:
                answer = self._fetch(self._token)
                token, expires = answer["token"], times.epoch(answer.get("expiryTimeUtc"))
            except Exception:
                return False
            self._token, self._expires = token, expires or expiry_in(token)
            return True
