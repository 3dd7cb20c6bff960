"""The requests a run makes: where they go, what they carry, and what an answer means."""

import json
import urllib.parse

from azureml.core._dropin.run_token import RunToken
from azureml.core._dropin.transport import Connections, insist
from azureml.exceptions import ServiceException

_JSON = "application/json-patch+json; charset=utf-8"


def segment(name):
    """A name as one segment of a path."""
    return urllib.parse.quote(str(name), safe="")


def _refusal(answer):
    """The error that a refused request becomes."""
    try:
        error = json.loads(answer.body.decode("utf-8"))["error"]
        code, message = error.get("code"), error.get("message")
    except (ValueError, KeyError, TypeError, AttributeError):
        code, message = "HTTP {}".format(answer.status), answer.body[:300].decode("utf-8", "replace")
    return ServiceException("({}) {}".format(code, message), status_code=answer.status, code=code)


class Service:
    """One workspace, seen with the token of one run."""

    def __init__(self, settings):
        self.settings = settings
        self.connections = Connections()
        self._root = settings.endpoint.rstrip("/")
        self._token = RunToken(settings.token, settings.token_expiry, self._fetch_token)
        self._workspace = (
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.MachineLearningServices/workspaces/{}".format(
                segment(settings.subscription_id), segment(settings.resource_group), segment(settings.workspace_name)
            )
        )

    def history(self, tail):
        """Address of something of the experiment."""
        if self.settings.experiment_id:
            base = "/experimentids/" + segment(self.settings.experiment_id)
        else:
            base = "/experiments/" + segment(self.settings.experiment_name)
        return self._root + "/history/v1.0" + self._workspace + base + tail

    def run(self, run_id, tail=""):
        """Address of something of a run's record."""
        return self.history("/runs/" + segment(run_id) + tail)

    def metrics(self, run_id, tail):
        """Address of something of a run's metrics."""
        return self._root + "/metric/v2.0" + self._workspace + "/runs/" + segment(run_id) + tail

    def artifacts(self, tail):
        """Address of something of the artifacts."""
        return self._root + "/artifact/v2.0" + self._workspace + "/artifacts" + tail

    def is_ours(self, url):
        """Whether an address is at the service itself, so that the token may go there."""
        return urllib.parse.urlsplit(url)[:2] == urllib.parse.urlsplit(self._root)[:2]

    def call(self, method, url, body=None):
        """Asks until there is an answer. Gives its JSON, None if it is empty."""
        return insist(lambda: self.call_once(method, url, body))

    def call_once(self, method, url, body=None):
        """Asks once; raises Unavailable if asking again may help, ServiceException if not."""
        answer = self._send(method, url, body, self._token.value())
        if answer.status == 401 and self._token.renew():
            answer = self._send(method, url, body, self._token.value())
        if answer.status >= 300:
            raise _refusal(answer)
        return json.loads(answer.body.decode("utf-8")) if answer.body.strip() else None

    def pages(self, url, query=""):
        """All values of a list that comes in pages."""
        token = None
        while True:
            more = ["continuationToken=" + segment(token)] if token else []
            asked = "&".join(([query] if query else []) + more)
            answer = self.call("GET", url + ("?" + asked if asked else ""))
            for value in answer.get("value") or []:
                yield value
            token = answer.get("continuationToken")
            if not token:
                return

    def _send(self, method, url, body, token):
        content = None if body is None else json.dumps(body).encode("utf-8")
        headers = {"Accept": "application/json", "Authorization": "Bearer " + token}
        if content is not None:
            headers["Content-Type"] = _JSON
        elif method != "GET":
            headers["Content-Length"] = "0"
        return self.connections.request(method, url, content, headers)

    def _fetch_token(self, token):
        answer = self._send("GET", self.run(self.settings.run_id, "/token"), None, token)
        if answer.status >= 300:
            raise _refusal(answer)
        return json.loads(answer.body.decode("utf-8"))
