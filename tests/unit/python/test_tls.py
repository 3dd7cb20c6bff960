"""HTTPS with a certificate authority of our own."""

import shutil
import ssl
import subprocess

import pytest

from fake_service import FakeService

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="makes its certificates with openssl")

SCRIPT = """
import io
from azureml.core import Run
run = Run.get_context()
run.log('v', 1)
run.upload_file('f', io.BytesIO(b'content'))
"""


def openssl(folder, *arguments):
    subprocess.run(["openssl"] + list(arguments), cwd=str(folder), check=True, capture_output=True)


@pytest.fixture
def certificates(tmp_path):
    """ca.pem, and server.pem with its key for 127.0.0.1."""
    folder = tmp_path / "tls"
    folder.mkdir()
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=a test CA", "-days", "2")
    openssl(folder, "req", "-new", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1")
    sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san", "-days", "2"]
    openssl(folder, "x509", "-req", "-in", "server.csr", "-out", "server.pem", *sign)
    return folder


@pytest.fixture
def secure(certificates):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(certificates / "server.pem"), str(certificates / "server.key"))
    fake = FakeService(tls=context)
    fake.add_run("run-1")
    yield fake
    fake.stop()
    assert fake.faults == []


@pytest.mark.parametrize("variable", ["LINARITE_CA_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_the_ca_of_the_environment_is_trusted(secure, scripts, certificates, variable):
    scripts.run(SCRIPT, secure, env={variable: str(certificates / "ca.pem")})
    assert secure.values("run-1", "v") == [1]
    assert secure.content("run-1", "f") == b"content"


def test_the_coordinators_own_ca_goes_before_a_bundle(secure, scripts, certificates):
    scripts.run(SCRIPT, secure, env={"LINARITE_CA_FILE": str(certificates / "ca.pem"), "REQUESTS_CA_BUNDLE": "/nowhere/ca.pem"})
    assert secure.values("run-1", "v") == [1]


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(secure, scripts):
    process = scripts.start(SCRIPT, secure)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1 and "CERTIFICATE_VERIFY_FAILED" in error
    assert secure.requests == []


def test_a_bundle_that_is_not_there_is_named(secure, scripts):
    process = scripts.start(SCRIPT, secure, env={"REQUESTS_CA_BUNDLE": "/nowhere/ca.pem"})
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1 and "cannot read the certificates in /nowhere/ca.pem" in error
