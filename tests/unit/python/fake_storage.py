"""The part of the fake service that keeps files."""

import urllib.parse
import uuid
import xml.etree.ElementTree as ElementTree

from fake_history import Refusal, page


class Storage:
    """Artifacts, and the blobs that hold them. Mixed into FakeService."""

    def _content(self, container, path):
        return {"contentUri": self._blob_uri(self.artifacts[container, path]), "origin": "ExperimentRun",
                "container": container, "path": path}  # fmt: skip

    def _blob_uri(self, blob):
        return "{}/azureml/{}?sv=2019-02-02&sr=b&sig=a%2Bb%3D&sp=rcw".format(
            self.url.replace("127", "localstore.blob.local@127", 1), blob
        )

    def _batch_metadata(self, request, body, container):
        assert set(body) == {"paths"} and 0 < len(body["paths"]) <= 500
        answer = {"artifacts": {}, "artifactContentInformation": {}, "errors": {}}
        for item in body["paths"]:
            assert set(item) == {"path"}
            path = item["path"]
            if path.startswith("forbidden"):
                answer["errors"][path] = {"error": {"code": "UserError", "message": "not allowed"}}
                continue
            self.artifacts.setdefault((container, path), uuid.uuid4().hex)
            answer["artifacts"][path] = {"container": container, "path": path, "origin": "ExperimentRun"}
            answer["artifactContentInformation"][path] = self._content(container, path)
        return answer

    def _list_artifacts(self, request, body, container):
        found = [{"path": path} for owner, path in self.artifacts if owner == container]
        return page(found, urllib.parse.parse_qs(request.query))

    def _content_info(self, request, body, container, path):
        if (container, path) not in self.artifacts:
            raise Refusal(404, "Artifact {} not found".format(path))
        return self._content(container, path)

    def _prefix_info(self, request, body, container, prefix):
        found = [path for owner, path in self.artifacts if owner == container and path.startswith(prefix)]
        return page([self._content(container, path) for path in found], urllib.parse.parse_qs(request.query))

    # ----------------------------------------------------------------- blobs

    def _blob(self, request):
        """(status, headers, body) of a request for a blob."""
        assert "Authorization" not in request.headers
        assert request.headers["x-ms-version"] == "2021-08-06"
        query = urllib.parse.parse_qs(request.query)
        assert query["sig"] == ["a+b="]
        blob = request.path.replace("/azureml/", "")
        outcome = self.blob_outcomes.popleft() if self.blob_outcomes and request.method in ("PUT", "GET") else 0
        if outcome not in (0, "cut", "short"):
            return outcome, {}, b""
        if request.method == "PUT":
            status = self._put(request, blob, query)
            return "cut" if outcome == "cut" else status, {"x-ms-error-code": "BlobAlreadyExists"}, b""
        if blob not in self.blobs:
            return 404, {"x-ms-error-code": "BlobNotFound"}, b""
        if outcome == "short":
            return 200, {"Content-Length": str(len(self.blobs[blob]) + 1), "Connection": "close"}, self.blobs[blob]
        return 200, {}, self.blobs[blob]

    def _put(self, request, blob, query):
        if query.get("comp") == ["block"]:
            assert len(request.body) <= 4 << 20
            self.blocks[blob, query["blockid"][0]] = request.body
            return 201
        assert request.headers["If-None-Match"] == "*"
        if blob in self.blobs:
            return 409
        if query.get("comp") == ["blocklist"]:
            root = ElementTree.fromstring(request.body)
            assert root.tag == "BlockList" and {item.tag for item in root} == {"Latest"}
            self.blobs[blob] = b"".join(self.blocks[blob, item.text] for item in root)
        else:
            assert request.headers["x-ms-blob-type"] == "BlockBlob"
            self.blobs[blob] = request.body
        return 201

    def content(self, run_id, path):
        """What was uploaded as a file of a run."""
        return self.blobs[self.artifacts["dcid." + run_id, path]]
