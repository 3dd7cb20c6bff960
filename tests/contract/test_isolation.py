"""The watch itself: no network but loopback, and a socket audit that refuses and records."""

import os
import pathlib

import pytest
from conftest import audit_lines


def test_there_is_no_network_but_loopback():
    if os.environ.get("LINARITE_CONTRACT_NAMESPACE") != "yes":
        pytest.skip("this machine has no network namespaces for us: only the socket audit watches")
    devices = [line.split(":")[0].strip() for line in pathlib.Path("/proc/net/dev").read_text().splitlines()[2:]]
    assert devices == ["lo"]


@pytest.mark.expects_a_refused_connection
def test_an_address_of_another_machine_is_refused_and_written_down(sdk):
    before = len(audit_lines())
    found = sdk.results("""
        import socket, urllib.request
        for call in (lambda: socket.create_connection(("192.0.2.1", 443), 2), lambda: socket.getaddrinfo("example.org", 80),
                     lambda: urllib.request.urlopen("http://192.0.2.2/")):
            try:
                call()
                result(reached=True)
            except OSError as error:
                result(words=str(error))
    """)
    assert "reached" not in found
    assert "would leave this machine" in found["words"]
    assert len(audit_lines()) - before == 3
