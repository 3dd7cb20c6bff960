"""Live answers against proto/openapi-azureml.yaml: every operation of it is requested, in the order of STEPS."""

import json
import sys
import urllib.parse
import uuid

import pytest
from jsonschema import Draft202012Validator
from openapi import API, OPERATIONS, RECORDED, SOURCE, WORKSPACES, Service, Step
from openapi import faults, lacking, schema_of, schema_of_request

HISTORY = "/history/v1.0{scope}"
EXPERIMENT = HISTORY + "/experiments/{experiment}"
RUN = EXPERIMENT + "/runs/{run}"
EXECUTION = "/execution/v1.0{scope}/experiments/{experiment}"
SNAPSHOTS = "/content/v2.0{scope}/snapshots"
ARTIFACTS = "/artifact/v2.0{scope}/artifacts"
METRICS = "/metric/v2.0{scope}/runs/{run}"
DATASTORES = "/datastore/v1.0{scope}/datastores"
ENVIRONMENT = "/environment/v1.0{scope}/environments/{environment}"
COMPUTES = "/rp/workspaces{scope}/computes"
COMPUTE = "{scope}/computes/{compute}"


def form(names):
    client = {"grant_type": "client_credentials", "client_id": "x", "client_secret": names["secret"]}
    return urllib.parse.urlencode(client)


def pool(kind="AmlCompute"):
    scale = {"minNodeCount": 0, "maxNodeCount": 1}
    inner = {"vmSize": "STANDARD_D2_V2", "vmPriority": "dedicated", "scaleSettings": scale}
    return {"location": "local", "properties": {"computeType": kind, "properties": inner}}


def event(name, of=lambda names: names["run"]):
    moment = "2026-11-23T14:00:00Z"

    def body(names):
        data = {"RunId": of(names), "StartTime": moment, "EndTime": moment}
        return {"timestamp": moment, "name": f"Microsoft.MachineLearning.Run.{name}", "data": data}

    return body


def metrics(*values):
    def one(value):
        row = {"metricId": str(uuid.uuid4()), "createdUtc": "2026-11-23T14:00:01Z", "data": {"acc": value}}
        kind = {"uxMetricType": "azureml.v1.scalar"}
        return {"name": "acc", "columns": {"acc": "double"}, "value": [row], "properties": kind}

    return {"values": [one(value) for value in values], "reportErrors": True}


def snapshot(names):
    file = {"name": "train.py", "type": "File", "children": {}}
    nodes = [{"FullName": "train.py", "BlobUri": names["source"], "FileSize": len(SOURCE)}]
    return {
        "ParentSnapshotId": str(uuid.UUID(int=0)),
        "Tags": None,
        "Properties": {},
        "DirTreeNode": {"name": "", "type": "Directory", "children": {"train.py": file}},
        "FileRevisionList": {"FileNodes": nodes},
    }


def orphan(names):
    """A snapshot with a file that nobody sent."""
    return snapshot(names) | {"FileRevisionList": {"FileNodes": []}}


def start(**more):
    """What snapshotrun is given."""

    def body(names):
        python = {"userManagedDependencies": True, "interpreterPath": sys.executable}
        definition = {"script": "train.py", "target": names["compute"], "environment": {"python": python}}
        return {"SnapshotId": names["snapshot"], "Configuration": definition | more}

    return body


def datastore(kind="AzureBlob"):
    def body(names):
        section = {"accountName": "linarite", "containerName": "openapi", "credentialType": "None"}
        return {"name": names["datastore"], "dataStoreType": kind, "azureStorageSection": section}

    return body


def environment(names):
    python = {"userManagedDependencies": True, "interpreterPath": "python"}
    return {"Name": names["environment"], "EnvironmentVariables": {"A": "b"}, "python": python}


def new_run(names):
    return {"runId": names["run"], "name": "a run", "tags": {"stage": "training", "bare": "x"}, "target": "local"}


def child(names):
    return {"runId": names["run"] + "-child", "parentRunId": names["run"]}


def end_of_child(names):
    events = [event(name, lambda names: child(names)["runId"])(names) for name in ("Start", "Completed")]
    return {"events": events}


NOTHING = {name: "nothing" for name in ("experiment", "run", "compute", "datastore", "environment", "path")}


def missing(verb, path, name, body=None):
    """The request of something that is not there."""
    return Step(verb, path, 404, body, names={name: NOTHING[name]})


STEPS = [
    # the way in
    Step("get", "/metadata/endpoints"),
    Step("get", "/adfs/.well-known/openid-configuration"),
    Step("post", "/adfs/oauth2/token", 401, lambda names: form(names | {"secret": "wrong"})),
    Step("post", "/adfs/oauth2/token", 200, form, Service.log_in),
    Step("get", "/subscriptions", query="?api-version=2022-12-01"),
    Step("get", "{scope}", 200, None, Service.keep_generation),
    Step("get", "{scope}", 404, names={"scope": WORKSPACES + "nowhere"}),
    Step("get", "/discovery/{generation}"),
    # an experiment
    missing("get", EXPERIMENT, "experiment"),
    Step("post", EXPERIMENT, 200, None, Service.keep_experiment),
    Step("get", EXPERIMENT),
    Step("get", HISTORY + "/experimentids/{experiment_id}"),
    Step("patch", HISTORY + "/experimentids/{experiment_id}", 200, {"description": "of the API", "tags": {"a": "b"}}),
    Step("delete", HISTORY + "/experimentids/{experiment_id}", 400),
    Step("post", HISTORY + "/experiments:query", 200, {"viewType": "ActiveOnly"}),
    # an interactive run with tags, a metric and a file
    missing("get", RUN, "run"),
    Step("patch", RUN, 200, new_run),
    Step("post", RUN + "/events", 200, event("Start")),
    missing("post", RUN + "/events", "run", event("Start")),
    Step("patch", EXPERIMENT + "/batch/runs", 200, lambda names: {"runs": [child(names)]}),
    Step("post", EXPERIMENT + "/batch/events", 200, lambda names: {"events": [event("Start")(names)]}),
    Step("delete", RUN + "/tags", 200, ["bare"]),
    Step("post", METRICS + "/batch", 200, metrics(0.5)),
    Step("post", METRICS + "/batch", 207, metrics(0.6, [1])),
    Step("post", METRICS + "/list", 200, {}),
    Step("post", METRICS + "/full", 200, {"metricName": "acc"}),
    Step("post", METRICS + "/full", 404, {"metricName": "nothing"}),
    Step(
        "post",
        ARTIFACTS + "/batch/metadata/{origin}/{container}",
        200,
        lambda names: {"paths": [{"path": names["path"]}]},
        Service.put_file,
    ),
    Step("get", ARTIFACTS + "/{origin}/{container}"),
    Step("get", ARTIFACTS + "/contentinfo/{origin}/{container}/{path}"),
    missing("get", ARTIFACTS + "/contentinfo/{origin}/{container}/{path}", "path"),
    Step("get", ARTIFACTS + "/prefix/contentinfo/{origin}/{container}/{prefix}"),
    Step("get", HISTORY + "/runs/{run}"),
    Step("get", RUN),
    Step("get", RUN + "/details"),
    Step("get", RUN + "/children"),
    Step("get", RUN + "/token"),
    Step("post", EXPERIMENT + "/runs:query", 200, {"filter": '(Tags/stage eq "training")', "top": 10}),
    Step("post", EXPERIMENT + "/runs:query", 400, {"filter": "(Status eq"}),
    # compute targets, snapshots, and a run on a node
    Step("put", COMPUTE, 400, pool("VirtualMachine")),
    Step("put", COMPUTE, 201, pool()),
    Step("put", COMPUTE, 200, pool()),
    Step("get", COMPUTES),
    Step("get", COMPUTES + "/{compute}"),
    missing("get", COMPUTES + "/{compute}", "compute"),
    Step("get", "/content/v1.0{scope}/snapshots/latest/metadata"),
    Step("post", SNAPSHOTS + "/getblob", 200, {"FileNames": ["train.py"]}, Service.put_source),
    Step("post", SNAPSHOTS + "/{snapshot}", 400, orphan),
    Step("post", SNAPSHOTS + "/{snapshot}", 200, snapshot),
    Step("post", SNAPSHOTS + "/{snapshot}/zip"),
    Step("post", EXECUTION + "/snapshotrun", 400, start(script="nothing.py"), query="?runId={script_run}"),
    Step("post", EXECUTION + "/snapshotrun", 200, start(), query="?runId={script_run}"),
    Step("post", EXECUTION + "/snapshotrun", 409, start(arguments=["x"]), query="?runId={script_run}"),
    Step("get", RUN, names={"run": "{script_run}"}),
    Step("get", RUN + "/details", names={"run": "{script_run}"}),
    Step("delete", COMPUTE, 409),
    Step("post", EXECUTION + "/runId/{run}/cancel", 200, None, Service.wait_for_end, names={"run": "{script_run}"}),
    Step("delete", COMPUTE, 202),
    Step("post", EXECUTION + "/clean", 200, lambda names: {"RunId": names["script_run"], "Target": names["compute"]}),
    # datastores and environments
    Step("get", "/datastore/v1.0{scope}/default"),
    Step("get", DATASTORES),
    Step("post", DATASTORES, 200, datastore()),
    Step("post", DATASTORES, 400, datastore("AzureFile")),
    Step("get", DATASTORES + "/{datastore}"),
    missing("get", DATASTORES + "/{datastore}", "datastore"),
    Step("delete", DATASTORES + "/{datastore}", 400, names={"datastore": "workspaceblobstore"}),
    Step("delete", DATASTORES + "/{datastore}", 200),
    Step("put", ENVIRONMENT, 200, environment),
    Step("get", ENVIRONMENT),
    missing("get", ENVIRONMENT, "environment"),
    # what is not here
    Step("get", "/modelmanagement/v1.0{scope}/models", 400),
]
# what the run history has by the experiment's name, it has by its id
BY_ID = [
    Step("get", RUN, by_id=True),
    Step("get", RUN + "/details", by_id=True),
    Step("get", RUN + "/children", by_id=True),
    Step("get", RUN + "/token", by_id=True),
    Step("patch", RUN, 200, {"tags": {"more": "y"}}, by_id=True),
    Step("delete", RUN + "/tags", 200, ["more"], by_id=True),
    Step("post", EXPERIMENT + "/runs:query", 200, {}, by_id=True),
    Step("patch", EXPERIMENT + "/batch/runs", 200, lambda names: {"runs": [child(names)]}, by_id=True),
    Step("post", EXPERIMENT + "/batch/events", 200, end_of_child, by_id=True),
    Step("post", RUN + "/events", 200, event("Completed"), by_id=True),
    Step("post", RUN + "/events", 200, event("Start"), by_id=True),
    Step("post", RUN + "/events", 400, {}, by_id=True),
]
STEPS += BY_ID


@pytest.fixture(scope="module")
def service(cluster):
    return Service(cluster)


@pytest.fixture(scope="module")
def answers(service):
    """What each of STEPS was answered, by its place. A step that a later one needs fails here if it fails."""
    found = []
    for step in STEPS:
        answer = service.request(step)
        found.append(answer)
        if step.then:
            assert answer.status == step.status, f"{step}: {answer.status} {answer.body[:1000]}"
            step.then(service, json.loads(answer.body) if answer.body else None)
    return found


@pytest.mark.parametrize("place", range(len(STEPS)), ids=map(str, STEPS))
def test_the_answer_is_as_the_description_says(answers, place):
    step, answer = STEPS[place], answers[place]
    assert answer.status == step.status, answer.body[:1000]
    schema = schema_of(step.verb, step.path, step.status)
    if schema is not None:
        assert answer.headers.get_content_type() == "application/json"
        assert faults(schema, json.loads(answer.body)) == []


def shown(exchange):
    return "{verb} {path} {status}".format_map(exchange)


@pytest.mark.parametrize("exchange", RECORDED, ids=shown)
def test_a_recorded_exchange_is_as_the_description_says(exchange):
    """What the SDK is known to send and to take is what the description has, so that it is held to the SDK's needs."""
    verb, path = exchange["verb"], exchange["path"]
    answer, request = schema_of(verb, path, exchange["status"]), schema_of_request(verb, path)
    assert answer is None or faults(answer, exchange["response"]) == []
    assert request is None or faults(request, exchange["request"]) == []


@pytest.mark.parametrize("exchange", [row for row in RECORDED if "response" in row], ids=shown)
def test_our_answer_has_what_the_sdk_reads_of_the_recorded_one(answers, exchange):
    ours = [answer for step, answer in zip(STEPS, answers) if str(step).startswith(shown(exchange))]
    assert min((lacking(exchange["response"], json.loads(answer.body)) for answer in ours), key=len) == []


def secured(operation):
    verb, path = operation
    return API["paths"][path][verb].get("security", API["security"]) != []


@pytest.mark.parametrize("verb, path", list(filter(secured, OPERATIONS)), ids=str)
def test_without_a_token_it_is_refused_and_says_so(answers, service, verb, path):
    answer = service.request(Step(verb, path), token="")  # the steps have filled in the names of the path
    assert answer.status == 401
    assert faults(schema_of(verb, path, 401), json.loads(answer.body)) == []


def test_every_answer_that_the_description_has_is_asked_for():
    asked = {(step.verb, step.path, str(step.status)) for step in STEPS}
    asked |= {(*operation, "401") for operation in filter(secured, OPERATIONS)}
    described = {(verb, path, status) for verb, path in OPERATIONS for status in API["paths"][path][verb]["responses"]}
    assert asked == described


def test_all_of_an_experiment_is_asked_for_by_its_id_too():
    by_name = {(verb, path) for verb, path in OPERATIONS if path.startswith(EXPERIMENT + "/")}
    assert by_name == {(step.verb, step.path) for step in BY_ID}


def test_every_schema_of_the_description_is_one():
    for schema in API["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_an_answer_that_lacks_a_required_member_is_a_fault(answers):
    place = next(i for i, step in enumerate(STEPS) if (step.verb, step.path) == ("post", EXPERIMENT + "/runs:query"))
    schema, page = schema_of("post", EXPERIMENT + "/runs:query", 200), answers[place].json()
    for name in API["components"]["schemas"]["Run"]["required"]:
        run = {key: value for key, value in page["value"][0].items() if key != name}
        assert faults(schema, {"value": [run]}) == [f"$.value[0]: '{name}' is a required property"]
