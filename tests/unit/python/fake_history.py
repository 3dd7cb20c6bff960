"""The part of the fake service that keeps the records of runs."""

import re
import urllib.parse

UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status, message, code="UserError"):
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


def page(found, query):
    """Pages of two, so that clients must turn them."""
    start = int(query.get("continuationToken", ["0"])[0])
    more = str(start + 2) if start + 2 < len(found) else None
    return {"value": found[start : start + 2], "continuationToken": more, "nextLink": None}


class History:
    """Runs, their tags, children and events. Mixed into FakeService."""

    def _found(self, run_id):
        if run_id not in self.runs:
            raise Refusal(404, "Run {} was not found".format(run_id))
        return self.runs[run_id]

    def _patch(self, request, body, run_id):
        assert body["runId"] == run_id
        assert set(body) <= {"runId", "parentRunId", "status", "name", "target", "tags", "properties", "displayName"}
        if run_id not in self.runs:
            self.add_run(run_id, runType=None)
        record = self.runs[run_id]
        for key, value in body.items():
            if key in ("tags", "properties"):
                assert all(isinstance(text, str) for text in value.values())
                record[key].update(value)
            else:
                record[key] = value
        return record

    def _patch_batch(self, request, body):
        assert set(body) == {"runs"}
        return {"runs": {run["runId"]: self._patch(request, run, run["runId"]) for run in body["runs"]}, "errors": {}}

    def _delete_tags(self, request, body, run_id):
        for key in body:
            self.runs[run_id]["tags"].pop(key, None)
        return self.runs[run_id]

    def _details(self, request, body, run_id):
        return {"runId": run_id, "status": self._found(run_id)["status"], "logFiles": {}}

    def _children(self, request, body, run_id):
        query = urllib.parse.parse_qs(request.query)
        assert query["$orderby"] == ["StartTimeUtc desc"] and query["$top"] == ["500"]
        found = [record for record in self.runs.values() if record["parentRunId"] == run_id][::-1]
        return page(found, query)

    def _new_token(self, request, body, run_id):
        if self.next_token is None:
            raise Refusal(403, "no new token")
        self.token, self.next_token = self.next_token, None
        return {"token": self.token, "expiryTimeUtc": "2099-01-01T00:00:00.1234567Z"}

    def _event(self, request, body, run_id):
        assert set(body) == {"timestamp", "name", "data"} and UTC.match(body["timestamp"])
        name = body["name"].replace("Microsoft.MachineLearning.Run.", "")
        keys = {"Start": "StartTime", "Completed": "EndTime", "Failed": "EndTime", "Canceled": "EndTime"}
        keys["Error"] = "ErrorResponse"
        assert set(body["data"]) == {"RunId", keys[name]} and body["data"]["RunId"] == run_id
        if name == "Error":
            self.runs[run_id]["error"] = body["data"]["ErrorResponse"]
        else:
            assert UTC.match(body["data"][keys[name]])
            self.runs[run_id]["status"] = {"Start": "Running"}.get(name, name)
        self.events.append((run_id, name))

    def _event_batch(self, request, body):
        for event in body["events"]:
            self._event(request, event, event["data"]["RunId"])
        return {"errors": []}

    def _cancel(self, request, body, run_id):
        assert request.headers["Content-Length"] == "0"
        self.runs[run_id]["status"] = "CancelRequested"
