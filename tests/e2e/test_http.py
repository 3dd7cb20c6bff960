"""The coordinator's listeners: who may ask, over what."""

import ssl

import pytest


def test_every_call_needs_the_token(cluster):
    assert cluster.get("/healthz").json()["status"] == "ok"
    for path in ("/healthz", "/metrics", "/api/v1/runs"):
        assert cluster.get(path).status == 200
        for token in ("", "wrong"):
            # 429: too many wrong tokens from one address; the right one still passes, as the line above shows
            assert cluster.get(path, token=token).status in (401, 429), path


def test_metrics_are_in_prometheus_form(cluster, project):
    cluster.run(project("pass"), "train.py")

    answer = cluster.get("/metrics")

    assert answer.status == 200 and answer.headers["Content-Type"].startswith("text/plain")
    samples = [line for line in answer.body.decode().splitlines() if line and not line.startswith("#")]
    assert samples and all(len(line.rsplit(" ", 1)) == 2 and float(line.rsplit(" ", 1)[1]) >= 0 for line in samples)
    assert any(line.startswith("linarite_") for line in samples)


def test_https_is_trusted_with_the_ca_file_and_only_with_it(cluster):
    import urllib.error

    trusted = ssl.create_default_context(cafile=cluster.endpoint["ca_file"])

    answer = cluster.get("/healthz", url=cluster.endpoint["https_url"], context=trusted)

    assert answer.json()["status"] == "ok"
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        cluster.get("/healthz", url=cluster.endpoint["https_url"], context=ssl.create_default_context())


def test_secrets_are_for_their_owner_alone(cluster):
    secrets = [cluster.data / "token", *cluster.data.glob("tls/*key*")]

    assert len(secrets) >= 2
    for secret in secrets:
        assert secret.stat().st_mode & 0o077 == 0, secret


def test_errors_say_what_and_where(cluster):
    missing = cluster.get("/api/v1/runs/none")
    broken = cluster.post("/api/v1/runs", {"experiment": 7, "unknown": 1})

    assert missing.status == 404 and "none" in missing.json()["error"]["message"]
    assert broken.status == 400
    assert {"/experiment", "/snapshot"} <= {detail["target"] for detail in broken.json()["error"]["details"]}


def test_ranges_and_head_of_a_run_file(cluster, project):
    run = cluster.run(project("open('outputs/d.bin', 'wb').write(bytes(range(200)))"), "train.py")["run_id"]
    path = f"/api/v1/runs/{run}/files/outputs/d.bin"

    part = cluster.get(path, headers={"Range": "bytes=10-19"})
    head = cluster.request("HEAD", path)

    assert (part.status, part.body) == (206, bytes(range(10, 20)))
    assert part.headers["Content-Range"] == "bytes 10-19/200"
    assert (head.status, head.headers["Content-Length"], head.body) == (200, "200", b"")


@pytest.mark.parametrize("path", ["../../token", "..%2f..%2ftoken", "outputs/../../../token", "/etc/passwd"])
def test_no_path_leads_out_of_a_run(cluster, project, path):
    run = cluster.run(project("pass"), "train.py")["run_id"]

    answer = cluster.get(f"/api/v1/runs/{run}/files/{path}")

    assert answer.status in (400, 404)
    assert cluster.token().encode() not in answer.body
