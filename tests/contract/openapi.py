"""A client of plain HTTP that holds answers against proto/openapi-azureml.yaml. See test_openapi.py."""

import dataclasses
import json
import pathlib
import re
import urllib.parse
import uuid
from typing import Any, Callable

import yaml
from cluster import ROOT
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

API = yaml.safe_load((ROOT / "proto/openapi-azureml.yaml").read_text())
REGISTRY = Registry().with_resource("urn:api", Resource(contents=API, specification=DRAFT202012))
RECORDED = yaml.safe_load((pathlib.Path(__file__).parent / "recorded.yaml").read_text())
OPERATIONS = [(verb, path) for path, verbs in API["paths"].items() for verb in verbs]
WORKSPACES = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local/providers/"
    "Microsoft.MachineLearningServices/workspaces/"
)
# the script of the run that the tests start: it waits until it is canceled
SOURCE = b"import signal\nsignal.pause()\n"


@dataclasses.dataclass
class Step:
    """One request and the status that it has to have."""

    verb: str
    path: str  # as the YAML has it
    status: int = 200
    body: Any = None  # a document, or what makes one of the names
    then: Callable | None = None  # what the steps after it need
    query: str = ""
    by_id: bool = False  # the path with /experimentids/{experiment_id} for /experiments/{experiment}
    names: dict = dataclasses.field(default_factory=dict)  # other values for the path's names

    def __str__(self):
        shown = ",".join(map(str, self.names.values()))
        return f"{self.verb} {self.path} {self.status}" + " by id" * self.by_id + (shown and f" for {shown}")


def schema_of(verb, path, status):
    """The schema of an answer; None if the YAML says nothing of its body. A status that it does not have is a fault."""
    responses = API["paths"][path][verb]["responses"]
    assert str(status) in responses, f"the YAML does not know that {verb} {path} may answer {status}"
    response = responses[str(status)]
    if "$ref" in response:
        response = API["components"]["responses"][response["$ref"].rpartition("/")[2]]
    media = response.get("content", {}).get("application/json")
    return media and media["schema"]


def schema_of_request(verb, path):
    """The schema of a request's body; None if the YAML says nothing of it."""
    media = API["paths"][path][verb].get("requestBody", {}).get("content", {}).get("application/json")
    return media and media["schema"]


def absolute(schema):
    """The schema with references that hold outside of its document."""
    if isinstance(schema, dict):
        return {k: "urn:api" + v if k == "$ref" and v.startswith("#") else absolute(v) for k, v in schema.items()}
    return [absolute(item) for item in schema] if isinstance(schema, list) else schema


def faults(schema, document):
    """What is wrong with a document, in words."""
    found = Draft202012Validator(absolute(schema), registry=REGISTRY).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in found]


def lacking(wanted, found, at="$"):
    """What `wanted` has and `found` has not, or as another kind of value. A list stands for its first element."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        missing = [f"{at}.{name}" for name in wanted if name not in found]
        both = [name for name in wanted if name in found]
        return missing + [lack for name in both for lack in lacking(wanted[name], found[name], f"{at}.{name}")]
    if isinstance(wanted, list) and isinstance(found, list):
        return lacking(wanted[0], found[0], f"{at}[0]") if wanted and found else []
    return [] if wanted is None or type(wanted) is type(found) else [f"{at}: {found!r}"]


class Service:
    """A client with a token of the login service, and the values of the names in paths."""

    def __init__(self, cluster):
        self.cluster, self.token = cluster, ""
        run = f"openapi-{uuid.uuid4().hex[:8]}"
        self.names = {
            "secret": cluster.token(),
            "scope": WORKSPACES + "linarite",
            "experiment": "openapi",
            "run": run,
            "script_run": f"{run}-script",
            "compute": "openapi-pool",
            "datastore": "openapistore",
            "environment": "openapi-environment",
            "snapshot": str(uuid.uuid4()),
            "origin": "ExperimentRun",
            "container": f"dcid.{run}",
            "path": "outputs/model.txt",
            "prefix": "outputs",
        }

    def request(self, step, token=None):
        """Sends it; `token` "" is none."""
        values = self.names | {name: value.format_map(self.names) for name, value in step.names.items()}
        path = step.path
        if step.by_id:
            path = path.replace("/experiments/{experiment}", "/experimentids/{experiment_id}")
        path = re.sub(r"{(\w+)}", lambda name: urllib.parse.quote(values[name[1]]), path + step.query)
        body = step.body(values) if callable(step.body) else step.body
        headers = {"Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        if isinstance(body, str):
            data, headers = body.encode(), {"Content-Type": "application/x-www-form-urlencoded"}
        token = self.token if token is None else token
        return self.cluster.request(step.verb.upper(), path, body=data, token=token, headers=headers)

    def put_blob(self, link, data):
        target = urllib.parse.urlsplit(link)
        headers = {"x-ms-blob-type": "BlockBlob", "x-ms-version": "2021-08-06", "Content-Type": "text/plain"}
        path = f"{target.path}?{target.query}"
        assert self.cluster.request("PUT", path, body=data, token="", headers=headers).status == 201

    # ---- what follows some of the steps -------------------------------------------------------------------------

    def log_in(self, answer):
        self.token = answer["access_token"]

    def keep_generation(self, answer):
        base, _, self.names["generation"] = answer["properties"]["discoveryUrl"].rpartition("/")
        assert base.endswith("/discovery")

    def keep_experiment(self, answer):
        self.names["experiment_id"] = answer["experimentId"]

    def put_file(self, answer):
        self.put_blob(answer["artifactContentInformation"][self.names["path"]]["contentUri"], b"hello")

    def put_source(self, answer):
        self.names["source"] = answer["fileNodes"][0]["blobUri"]
        self.put_blob(self.names["source"], SOURCE)

    def wait_for_end(self, answer):
        self.cluster.wait_for_end(self.names["script_run"])
