"""The commands that point Azure ML's SDK at this coordinator. The SDK itself is not needed here."""

import json
import os
import pathlib
import signal
import ssl
import subprocess
import urllib.parse
import urllib.request

import pytest

NAMES = {
    "ARM_CLOUD_METADATA_URL",
    "AZUREML_CURRENT_CLOUD",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "AZURE_CONFIG_DIR",
    "AZUREML_SERVICE_PRINCIPAL_TENANT_ID",
    "AZUREML_SERVICE_PRINCIPAL_ID",
    "AZUREML_SERVICE_PRINCIPAL_PASSWORD",
}
SHOW = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"


def test_env_is_taken_by_a_shell_and_is_the_same_as_its_json(cluster):
    document = cluster.json("env")
    lines = cluster.cli("env").stdout

    shown = subprocess.run(
        ["sh", "-c", f'{lines}\npython3 -c "{SHOW}"'],
        env={"PATH": os.environ["PATH"], "MSI_ENDPOINT": "http://elsewhere"},
        capture_output=True,
        check=True,
    )
    environment = json.loads(shown.stdout)[1]

    assert NAMES <= document["set"].keys()
    assert {name: environment[name] for name in document["set"]} == document["set"]
    assert "MSI_ENDPOINT" not in environment


def test_what_env_names_is_there_and_leads_to_the_coordinator(cluster):
    variables = cluster.json("env")["set"]
    with urllib.request.urlopen(variables["ARM_CLOUD_METADATA_URL"]) as file:
        [cloud] = json.load(file)
    context = ssl.create_default_context(cafile=variables["SSL_CERT_FILE"])

    assert cloud["resourceManager"] == cluster.endpoint["https_url"]
    answer = cluster.request(
        "GET", "/metadata/endpoints", token="", url=cloud["resourceManager"], context=context
    )
    assert answer.json() == [cloud], "the coordinator says the same of itself"
    form = urllib.parse.urlencode(
        {
            "grant_type": "client_credentials",
            "client_id": variables["AZUREML_SERVICE_PRINCIPAL_ID"],
            "client_secret": variables["AZUREML_SERVICE_PRINCIPAL_PASSWORD"],
        }
    )
    login = cloud["authentication"]["loginEndpoint"] + variables["AZUREML_SERVICE_PRINCIPAL_TENANT_ID"]
    token = cluster.request(
        "POST",
        "/oauth2/token",
        body=form.encode(),
        token="",
        url=login,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        context=context,
    ).json()["access_token"]
    assert cluster.get("/subscriptions", token=token).status == 200
    assert not pathlib.Path(variables["AZURE_CONFIG_DIR"]).exists()


def test_run_hands_everything_to_the_command_and_its_exit_code_back(cluster):
    words = ["--json", "a b", "", "$HOME", "--", "-o", "json"]
    shown = cluster.cli("run", "python3", "-c", SHOW, *words).stdout
    arguments, environment = json.loads(shown)

    assert arguments == words
    assert NAMES <= environment.keys()
    cluster.cli("run", "--", "python3", "-c", "raise SystemExit(7)", code=7)
    missing = cluster.cli("run", "no-such-command", code=127)
    assert "no-such-command" in missing.stderr


def test_run_leaves_no_descriptors_and_takes_signals_as_the_command_does(cluster):
    script = "import os, signal; print(sorted(os.listdir('/proc/self/fd')), flush=True); signal.pause()"
    process = cluster.spawn("run", "python3", "-c", script)
    try:
        line = process.stdout.readline().decode()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM
        assert line == "['0', '1', '2', '3']\n", "the fourth is the listing's own"
    finally:
        process.kill()
        process.communicate()


def test_init_writes_the_config_of_a_workspace_that_was_made_for_it(cluster, tmp_path):
    names = ("--resource-group", "research", "--subscription", "11111111-2222-3333-4444-555555555555")
    made = cluster.json("workspace", "create", "mlws", *names)
    assert made["name"] == "mlws"
    assert "mlws" in cluster.cli("workspace", "list").stdout

    cluster.cli("init", tmp_path)
    config = tmp_path / ".azureml" / "config.json"
    assert json.loads(config.read_text())["workspace_name"] == "linarite"
    refused = cluster.cli("init", tmp_path, "--workspace", "mlws", code=1)
    assert "--force" in refused.stderr
    cluster.cli("init", tmp_path, "--workspace", "mlws", "--force")

    assert json.loads(config.read_text()) == {
        "subscription_id": "11111111-2222-3333-4444-555555555555",
        "resource_group": "research",
        "workspace_name": "mlws",
    }


@pytest.mark.parametrize("command", [("env",), ("run", "true"), ("init", "."), ("workspace", "list")])
def test_without_a_coordinator_each_says_how_to_start_one(cluster, tmp_path, command):
    result = cluster.cli(command[0], "--data-dir", tmp_path, *command[1:], code=3)
    assert "linarite up" in result.stderr
    assert result.stdout == ""
