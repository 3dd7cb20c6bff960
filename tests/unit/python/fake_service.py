"""A small service that plays the in-run part of the Azure ML protocol, and is strict about what it is sent."""

import collections
import contextlib
import http.server
import json
import re
import socket
import socketserver
import threading
import urllib.parse
import uuid

from fake_history import UTC, History, Refusal, page
from fake_storage import Storage

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
SCOPE = "/subscriptions/{}/resourceGroups/rg/providers/{}/workspaces/ws".format(
    SUBSCRIPTION, "Microsoft.MachineLearningServices"
)
EXPERIMENT_ID = "7d19db1c-cd32-4807-8446-31ac0107cd60"
JSON_TYPES = ("application/json; charset=utf-8", "application/json-patch+json; charset=utf-8")
COLUMN_TYPES = {"int", "double", "string", "bool", "none", "Artifact"}
UX_TYPES = {"azureml.v1.scalar", "azureml.v1.list", "azureml.v1.table", "azureml.v2.image"} | {
    "azureml.v2." + kind for kind in ("confusion_matrix", "accuracy_table", "residuals", "predictions")
}

Request = collections.namedtuple("Request", "method path query headers body")


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Connections have threads of their own, and can all be cut."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *args):
        self.open = set()
        super().__init__(*args)

    def process_request(self, request, client_address):
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """Cut connections are part of the tests."""

    def cut(self):
        for request in list(self.open):
            with contextlib.suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)


class FakeService(History, Storage):
    """Records, metrics, artifacts and blobs in memory. `faults` has what clients did wrong."""

    def __init__(self, tls=None):
        self.token = "header.e30.signature"
        self.next_token = self.retired_token = None  # a retired token is good for a new one only
        self.requests, self.faults, self.batches = [], [], []
        self.runs, self.events, self.artifacts, self.blobs, self.blocks = {}, [], {}, {}, {}
        self.metrics = collections.defaultdict(list)  # run id -> entries as they came, without those seen before
        self.metric_ids, self.repeated = set(), 0
        self.outcomes = collections.deque()  # of the next metric requests: an HTTP status, "cut" (after taking it)
        self.blob_outcomes = collections.deque()
        self.refused_names = set()
        self.gate = threading.Event()  # metric requests wait for it
        self.gate.set()
        self.arrived = threading.Condition()
        self._lock = threading.RLock()
        self._tls, self._port, self._server = tls, 0, None
        self.start()

    # ------------------------------------------------------------------ life

    def start(self):
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def answer(self):
                service.handle(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer

            def log_message(self, *args):
                pass

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        if self._tls is not None:
            self._server.socket = self._tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        """Away: nobody listens, and all connections are cut."""
        self._server.shutdown()
        self._server.server_close()
        self._server.cut()

    @property
    def url(self):
        return "{}://127.0.0.1:{}".format("https" if self._tls else "http", self._port)

    def add_run(self, run_id, **more):
        record = {
            "runId": run_id, "experimentId": EXPERIMENT_ID, "runNumber": len(self.runs) + 1, "status": "Running",
            "rootRunId": run_id, "parentRunId": None, "name": None, "displayName": run_id, "target": "cpu-cluster",
            "dataContainerId": "dcid." + run_id, "runType": "azureml.scriptrun", "tags": {}, "properties": {},
            "cancelUri": self.url + "/execution/v1.0" + SCOPE + "/experiments/digits/runId/" + run_id + "/cancel",
        }  # fmt: skip
        record.update(more)
        self.runs[run_id] = record
        return record

    def environment(self, run_id):
        """What the node sets in a run."""
        return {
            "AZUREML_RUN_ID": run_id,
            "AZUREML_RUN_TOKEN": self.token,
            "AZUREML_ARM_SUBSCRIPTION": SUBSCRIPTION,
            "AZUREML_ARM_RESOURCEGROUP": "rg",
            "AZUREML_ARM_WORKSPACE_NAME": "ws",
            "AZUREML_ARM_PROJECT_NAME": "digits",
            "AZUREML_SERVICE_ENDPOINT": self.url,
            "AZUREML_EXPERIMENT_ID": EXPERIMENT_ID,
        }

    def wait_for(self, condition, seconds=60):
        """Waits until a condition on this service holds; it is checked before and after every request."""
        with self.arrived:
            assert self.arrived.wait_for(condition, seconds), "it never came"

    def values(self, run_id, name):
        """All values of a metric in the order of arrival."""
        rows = [row for entry in self.metrics[run_id] if entry["name"] == name for row in entry["value"]]
        return [row["data"][name] for row in rows]

    # -------------------------------------------------------------- requests

    def handle(self, handler):
        parts = urllib.parse.urlsplit(handler.path)
        content = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        request = Request(handler.command, parts.path, parts.query, handler.headers, content)
        with self._lock:
            self.requests.append(request)
        self._changed()
        try:
            if "x-ms-version" in handler.headers:
                status, headers, body = self._blob(request)
            else:
                status, headers, body = 200, {}, self._api(request)
        except Refusal as refusal:
            error = {"error": {"code": refusal.code, "message": refusal.message}}
            status, headers, body = refusal.status, {}, json.dumps(error).encode()
        except Exception as error:  # a bug of the client or of the test
            self.faults.append("{} {}: {!r}".format(request.method, request.path, error))
            status, headers, body = 400, {}, b"{}"
        if status != "cut":
            self._reply(handler, status, headers, body)
        else:
            handler.close_connection = True
        self._changed()

    def _changed(self):
        with self.arrived:
            self.arrived.notify_all()

    @staticmethod
    def _reply(handler, status, headers, body):
        handler.send_response(status)
        for name, value in dict({"Content-Length": str(len(body))}, **headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    def _api(self, request):
        token = self.retired_token if self.retired_token and request.path.endswith("/token") else self.token
        if request.headers["Authorization"] != "Bearer " + token:
            raise Refusal(401, "the token is wrong", "Unauthorized")
        body = None
        if request.body:
            assert request.headers["Content-Type"] in JSON_TYPES
            body = json.loads(request.body)
        for method, pattern, answer in self._routes():
            match = re.fullmatch(pattern, request.path)
            if match and method == request.method:
                names = [urllib.parse.unquote(group) for group in match.groups()]
                with contextlib.nullcontext() if answer == self._batch else self._lock:
                    result = answer(request, body, *names)
                return b"" if result is None else json.dumps(result).encode()
        raise AssertionError("no such route")

    def _routes(self):
        experiment = "/history/v1.0" + SCOPE + "/(?:experimentids/" + EXPERIMENT_ID + "|experiments/digits)"
        metric = "/metric/v2.0" + SCOPE + "/runs/([^/]+)"
        artifact = "/artifact/v2.0" + SCOPE + "/artifacts"
        return (
            ("POST", metric + "/batch", self._batch),
            ("POST", metric + "/list", self._list_metrics),
            ("POST", metric + "/full", self._full_metric),
            ("PATCH", experiment + "/batch/runs", self._patch_batch),
            ("POST", experiment + "/batch/events", self._event_batch),
            ("GET", experiment + "/runs/([^/]+)", lambda request, body, run_id: self._found(run_id)),
            ("PATCH", experiment + "/runs/([^/]+)", self._patch),
            ("DELETE", experiment + "/runs/([^/]+)/tags", self._delete_tags),
            ("GET", experiment + "/runs/([^/]+)/details", self._details),
            ("GET", experiment + "/runs/([^/]+)/children", self._children),
            ("GET", experiment + "/runs/([^/]+)/token", self._new_token),
            ("POST", experiment + "/runs/([^/]+)/events", self._event),
            ("POST", "/execution/v1.0" + SCOPE + "/experiments/digits/runId/([^/]+)/cancel", self._cancel),
            ("POST", artifact + "/batch/metadata/ExperimentRun/([^/]+)", self._batch_metadata),
            ("GET", artifact + "/ExperimentRun/([^/]+)", self._list_artifacts),
            ("GET", artifact + "/contentinfo/ExperimentRun/([^/]+)/(.+)", self._content_info),
            ("GET", artifact + "/prefix/contentinfo/ExperimentRun/([^/]+)/(.+)", self._prefix_info),
        )

    # --------------------------------------------------------------- metrics

    def _batch(self, request, body, run_id):
        self.gate.wait(60)
        outcome = self.outcomes.popleft() if self.outcomes else 200
        if outcome not in (200, "cut"):
            raise Refusal(outcome, "not now", "Injected")
        for entry in body["values"]:
            self._check_entry(entry)
        assert set(body) == {"values", "reportErrors"} and body["reportErrors"] is True
        assert 0 < len(body["values"]) <= 500
        if self.refused_names & {entry["name"] for entry in body["values"]}:
            raise Refusal(400, "a name is refused")
        with self._lock:
            self.batches.append((run_id, len(body["values"])))
            for entry in body["values"]:
                self._take(run_id, entry)
        if outcome == "cut":
            raise Refusal("cut", "")
        return {"errors": []}

    @staticmethod
    def _check_entry(entry):
        assert set(entry) == {"name", "columns", "value", "properties"}
        assert set(entry["properties"]) == {"uxMetricType"} and entry["properties"]["uxMetricType"] in UX_TYPES
        assert entry["columns"] and set(entry["columns"].values()) <= COLUMN_TYPES
        assert entry["value"]
        for row in entry["value"]:
            assert {"metricId", "createdUtc", "data"} <= set(row) <= {"metricId", "createdUtc", "step", "data"}
            assert str(uuid.UUID(row["metricId"])) == row["metricId"] and UTC.match(row["createdUtc"])
            assert isinstance(row.get("step", 0), int)
            assert set(row["data"]) == set(entry["columns"])

    def _take(self, run_id, entry):
        fresh = [row for row in entry["value"] if row["metricId"] not in self.metric_ids]
        self.repeated += len(entry["value"]) - len(fresh)
        self.metric_ids.update(row["metricId"] for row in fresh)
        if fresh:
            self.metrics[run_id].append(dict(entry, value=fresh))

    def _list_metrics(self, request, body, run_id):
        names = list(dict.fromkeys(entry["name"] for entry in self.metrics[run_id]))
        return page([{"metricKey": {"name": name}} for name in names], {key: [value] for key, value in body.items()})

    def _full_metric(self, request, body, run_id):
        entries = [entry for entry in self.metrics[run_id] if entry["name"] == body["metricName"]]
        if not entries:
            raise Refusal(404, "no such metric")
        rows = [row for entry in entries for row in entry["value"]]
        query = {key: [value] for key, value in body.items()}
        return dict(entries[0], dataContainerId="dcid." + run_id, **page(rows, query))
