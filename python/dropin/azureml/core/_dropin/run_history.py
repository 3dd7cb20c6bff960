"""The part of a run that its record holds: tags, properties, status, children."""

import time
import uuid

from azureml.core._dropin import times
from azureml.exceptions import ServiceException, UserErrorException

_EVENT = "Microsoft.MachineLearning.Run."
_CHILDREN_PER_REQUEST = 500


def event(run_id, name, **data):
    """A change in a run's life as the service takes it."""
    now = times.iso(time.time())
    data = {key: now if value is None else value for key, value in data.items()}
    return {"timestamp": now, "name": _EVENT + name, "data": dict({"RunId": run_id}, **data)}


def has_all(record, wanted):
    """Whether a run's tags or properties have all of `wanted`: a key, keys, or a dict with values (None: any)."""
    if isinstance(wanted, str):
        wanted = {wanted: None}
    if not isinstance(wanted, dict):
        wanted = dict.fromkeys(wanted)
    return all(key in record and (value is None or record[key] == str(value)) for key, value in wanted.items())


class HistoryCalls:
    """What the service keeps of a run besides metrics and files."""

    @property
    def number(self):
        """The number of the run in its experiment."""
        return self._record()["runNumber"]

    @property
    def name(self):
        """The name of the run, or None."""
        return self._record().get("name")

    @property
    def display_name(self):
        """The name that people see."""
        return self._record().get("displayName")

    @display_name.setter
    def display_name(self, name):
        self._patch(displayName=name)

    @property
    def description(self):
        """The description, or None."""
        return self._record().get("description")

    @property
    def type(self):
        """The kind of run, for instance azureml.scriptrun."""
        return self._record().get("runType")

    @property
    def status(self):
        """The status when the record was last read; get_status() reads it anew."""
        return self._record()["status"]

    @property
    def tags(self):
        """The tags when the record was last read."""
        return dict(self._record().get("tags") or {})

    @property
    def properties(self):
        """The properties when the record was last read."""
        return dict(self._record().get("properties") or {})

    @property
    def parent(self):
        """The run whose child this is, or None."""
        parent_id = self._record().get("parentRunId")
        return self._sibling(parent_id) if parent_id else None

    def get_status(self):
        """The status now."""
        return self._refreshed()["status"]

    def get_tags(self):
        """The tags now."""
        return dict(self._refreshed().get("tags") or {})

    def get_properties(self):
        """The properties now."""
        return dict(self._refreshed().get("properties") or {})

    def get_details(self):
        """Status, times, definition, log files and more of the run."""
        return self._service.call("GET", self._service.run(self._run_id, "/details"))

    def tag(self, key, value=None):
        """Sets a tag."""
        self.set_tags({key: value})

    def set_tags(self, tags):
        """Sets several tags. A tag without a value is the empty text."""
        self._patch(tags={str(key): "" if value is None else str(value) for key, value in tags.items()})

    def remove_tags(self, tags):
        """Removes a tag, or several."""
        keys = [tags] if isinstance(tags, str) else [str(key) for key in tags]
        self._dto = self._service.call("DELETE", self._service.run(self._run_id, "/tags"), keys) or None

    def add_properties(self, properties):
        """Adds properties, which can never be changed again."""
        self._patch(properties={str(key): str(value) for key, value in properties.items()})

    def child_run(self, name=None, run_id=None, outputs=None):
        """Makes and starts a child. What is in the local folder `outputs` when it completes is stored with it."""
        child_id = run_id or str(uuid.uuid4())
        child = self._sibling(child_id)
        child._outputs = outputs
        child._dto = self._service.call("PATCH", self._service.run(child_id), self._child_record(child_id, name))
        child.start()
        return child

    def create_children(self, count=None, tag_key=None, tag_values=None):
        """Makes and starts several children: `count` of them, or one for each value of a tag."""
        if (tag_key is None) != (tag_values is None) or (count is None and tag_values is None):
            raise UserErrorException("create_children takes count, or tag_key and tag_values")
        if count is not None and tag_values is not None and count != len(tag_values):
            raise UserErrorException("count is {}, but there are {} tag_values".format(count, len(tag_values)))
        records = []
        for index in range(count if count is not None else len(tag_values)):
            record = self._child_record(str(uuid.uuid4()), None)
            if tag_values is not None:
                record["tags"] = {str(tag_key): str(tag_values[index])}
            records.append(record)
        children = []
        for start in range(0, len(records), _CHILDREN_PER_REQUEST):
            children += self._create(records[start : start + _CHILDREN_PER_REQUEST])
        return children

    def get_children(self, recursive=False, tags=None, properties=None, type=None, status=None):
        """The children that fit, the latest first."""
        query = "$orderby=StartTimeUtc%20desc&$top=500"
        for record in self._service.pages(self._service.run(self._run_id, "/children"), query):
            child = self._sibling(record["runId"], record)
            fits = (
                (status is None or record["status"] == status)
                and (type is None or record.get("runType") == type)
                and (tags is None or has_all(record.get("tags") or {}, tags))
                and (properties is None or has_all(record.get("properties") or {}, properties))
            )
            if fits and not record.get("hidden"):
                yield child
            if recursive:
                for grandchild in child.get_children(True, tags, properties, type, status):
                    yield grandchild

    def _create(self, records):
        answer = self._service.call("PATCH", self._service.history("/batch/runs"), {"runs": records})
        ids = [record["runId"] for record in records]
        events = [event(run_id, "Start", StartTime=None) for run_id in ids if run_id in answer["runs"]]
        self._service.call("POST", self._service.history("/batch/events"), {"events": events})
        if answer.get("errors"):
            raise ServiceException("some children could not be made: {}".format(answer["errors"]))
        return [self._sibling(run_id, answer["runs"][run_id]) for run_id in ids]

    def _child_record(self, child_id, name):
        record = {"runId": child_id, "parentRunId": self._run_id, "status": "NotStarted"}
        if name is not None:
            record["name"] = "{}>{}".format(self._record().get("name") or "", name)
        target = self._record().get("target")
        if target:
            record["target"] = target
        return record

    def _post_event(self, name, **data):
        self._service.call("POST", self._service.run(self._run_id, "/events"), event(self._run_id, name, **data))

    def _patch(self, **changes):
        self._dto = self._service.call("PATCH", self._service.run(self._run_id), dict(runId=self._run_id, **changes))

    def _record(self):
        """The record as it was read last."""
        return self._dto or self._refreshed()

    def _refreshed(self):
        self._dto = self._service.call("GET", self._service.run(self._run_id))
        return self._dto

    def _container(self):
        """Where the files of the run are."""
        return self._record().get("dataContainerId") or "dcid." + self._run_id
