"""A container engine of the tests' own: no bridge, no firewall rules, everything below one folder."""

import base64
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.parse

from cluster import ROOT, is_alive, processes_with, wait_until

IMAGE = "linarite-test:base"
BARE_IMAGE = "linarite-test:bare"  # the same, as if nothing were in it
PASSWORD = "pass:word"
HASHED_PASSWORD = "$2y$05$abcdefghijklmnopqrstuuDIEddBSuRWBBEY6g5zv60IAP5bSSfki"  # bcrypt, as registries want it
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class NoEngine(Exception):
    """There is no engine on this machine, or it does not start here."""


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Engine:
    PULLED = "Downloaded newer image"  # its last word about a pull

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="linarite-engine-"))
        self.socket = self.folder / "docker.sock"
        self.url = f"unix://{self.socket}"
        self.flags = []
        self.process = None

    def start(self):
        if not shutil.which("dockerd"):
            raise NoEngine("dockerd is not installed (deploy/install-deps --tests does it)")
        # after a kill -9 they look alive to the next one
        for stale in (self.folder / "docker.pid", self.folder / "exec/containerd/containerd.pid"):
            stale.unlink(missing_ok=True)
        command = ["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", *self.flags]
        command += ["--data-root", self.folder / "data", "--exec-root", self.folder / "exec"]
        command += ["-p", self.folder / "docker.pid", "-H", self.url]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: self.process.poll() is not None or self.answers(), "the engine answers", 60)
        if self.process.poll() is not None:
            raise NoEngine("dockerd does not start here: " + (self.folder / "log").read_text()[-2000:])
        return self

    def answers(self):
        try:
            return self.call("GET", "/_ping")[0] == 200
        except OSError:
            return False

    def call(self, method, path, body=None, headers=None):
        """(status, body) of one call."""
        connection = UnixConnection(self.socket)
        try:
            kind = {"Content-Type": "application/json"} if isinstance(body, str) else {}
            connection.request(method, path, body=body, headers=kind | (headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def import_image(self, tar, name, environment=PATH):
        query = urllib.parse.urlencode({"fromSrc": "-", "repo": name, "changes": f"ENV PATH={environment}"})
        with open(tar, "rb") as content:
            status, said = self.call("POST", f"/v1.41/images/create?{query}", content)
        assert status == 200 and b'"error"' not in said, said

    def containers(self):
        """Labels of all containers of runs, by id."""
        found = json.loads(self.call("GET", "/v1.41/containers/json?all=1")[1])
        return {entry["Id"]: entry["Labels"] for entry in found}

    def container_of(self, run):
        return next((id for id, labels in self.containers().items() if labels.get("linarite.run") == run), None)

    def kill(self):
        """kill -9 of the daemon alone; what it has started lives on."""
        self.process.kill()
        self.process.wait(10)

    def stop(self):
        """Ends it with all that it started."""
        if self.process is not None and self.process.poll() is None:
            try:
                for container in self.containers():
                    self.call("DELETE", f"/v1.41/containers/{container}?force=1&v=1")
            except OSError:
                pass
            self.kill()  # there is nothing left that it would have to end, and in order it takes ten seconds
        pid_file = self.folder / "exec/containerd/containerd.pid"
        if pid_file.exists() and is_alive(int(pid_file.read_text())):  # of a daemon that was killed
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
        unmount_below(self.folder)
        shutil.rmtree(self.folder, ignore_errors=True)


class Podman(Engine):
    """Podman's service for the same API, with storage of its own. Its containers do not need it while they run."""

    PULLED = "Download complete"
    CONTAINERS = """
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]  # its own would need the right to raise limits
[engine]
runtime = "runc"  # crun does not do on machines with control groups of both versions
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
    REGISTRIES = """
unqualified-search-registries = []
[[registry]]
location = "127.0.0.1"
insecure = true
"""

    PROGRAMS = ("podman", "runc", "catatonit")

    def __init__(self):
        super().__init__()
        self.prefix = []
        self.environment = dict(os.environ)

    def start(self):
        for program in self.PROGRAMS:
            if not shutil.which(program) and not os.access(f"/usr/libexec/podman/{program}", os.X_OK):
                raise NoEngine(f"{program} is not installed (deploy/install-deps --tests does it)")
        storage = f'[storage]\ndriver = "overlay"\ngraphroot = "{self.folder}/data"\nrunroot = "{self.folder}/run"\n'
        texts = {"containers": self.CONTAINERS, "registries": self.REGISTRIES, "storage": storage}
        environment = dict(self.environment)
        for name, text in texts.items():
            (self.folder / f"{name}.conf").write_text(text)
            variable = {"containers": "", "registries": "_REGISTRIES", "storage": "_STORAGE"}[name]
            environment[f"CONTAINERS{variable}_CONF"] = str(self.folder / f"{name}.conf")
        command = [*self.prefix, "podman", "--tmpdir", self.folder / "tmp", "system", "service", "-t", "0", self.url]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        wait_until(lambda: self.process.poll() is not None or self.answers(), "Podman answers", 60)
        if self.process.poll() is not None:
            raise NoEngine("podman does not start here: " + (self.folder / "log").read_text()[-2000:])
        return self


class RootlessPodman(Podman):
    """The same as an ordinary user. The numbers that its containers may use are in a file that it alone sees in the place
    of the machine's."""

    PROGRAMS = (*Podman.PROGRAMS, "newuidmap", "newgidmap", "setpriv", "unshare")
    NUMBERS = ("/etc/subuid", "/etc/subgid")
    BECOME = 'numbers=$1; shift; for file in /etc/subuid /etc/subgid; do mount --bind "$numbers" $file; done; exec "$@"'

    def __init__(self, user):
        super().__init__()
        numbers = self.folder / "numbers"
        numbers.write_text(f"{user.pw_name}:100000:65536\n")
        self.prefix = ["unshare", "--mount", "sh", "-ec", self.BECOME, "sh", numbers]
        self.prefix += ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]
        self.environment = {"HOME": self.folder, "XDG_RUNTIME_DIR": self.folder, "PATH": PATH}
        os.chown(self.folder, user.pw_uid, user.pw_gid)

    def start(self):
        for file in self.NUMBERS:
            if not os.path.exists(file):
                raise NoEngine(f"there is no {file} to put another in the place of")
        return super().start()

    def stop(self):
        super().stop()
        for pid in processes_with(str(self.folder)):  # one holds its user namespace
            os.kill(pid, signal.SIGKILL)


def unmount_below(folder):
    with open("/proc/self/mounts") as mounts:
        places = [line.split()[1] for line in mounts]
    for place in sorted((p for p in places if p.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "-l", place], check=False, capture_output=True)


def make_image(tar, *packages):
    """Of these packages; by itself with Python and Open MPI."""
    subprocess.run([ROOT / "tests/support/make_base_image", tar, *packages], check=True, capture_output=True)
    return tar


def make_image_folder(folder, *packages):
    """The same as a folder."""
    folder.mkdir()
    subprocess.run(["tar", "-xf", make_image(folder.with_suffix(".tar"), *packages), "-C", folder], check=True)
    return folder


class Registry:
    """A registry on loopback, which engines take over plain HTTP by themselves; with a password if it is given one."""

    def __init__(self, folder, user=""):
        program = shutil.which("docker-registry")
        if not program:
            raise NoEngine("docker-registry is not installed (deploy/install-deps --tests does it)")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        configuration = {
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": str(folder / "registry")}},
            "http": {"addr": f"127.0.0.1:{self.port}"},
        }
        if user:
            (folder / "passwords").write_text(f"{user}:{HASHED_PASSWORD}\n")
            configuration["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "passwords")}}
        (folder / "registry.yml").write_text(json.dumps(configuration))  # JSON is YAML
        self.name = f"127.0.0.1:{self.port}"
        self.login = {"username": user, "password": PASSWORD, "serveraddress": self.name} if user else {}
        with open(folder / "registry.log", "wb") as log:
            command = [program, "serve", str(folder / "registry.yml")]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(self.answers, "the registry answers", 20)

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def take(self, engine, image, name):
        """Moves the engine's image to this registry, under that name; the engine forgets it there."""
        engine.call("POST", f"/v1.41/images/{image}/tag?repo={self.name}/{name}&tag=1")
        login = base64.urlsafe_b64encode(json.dumps(self.login).encode()).decode()
        status, said = engine.call(
            "POST", f"/v1.41/images/{self.name}/{name}/push?tag=1", headers={"X-Registry-Auth": login}
        )
        assert status == 200 and b'"error"' not in said, said
        assert engine.call("DELETE", f"/v1.41/images/{self.name}/{name}:1")[0] == 200
        return f"{self.name}/{name}:1"

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
