"""One lab: starts a control plane, says where it is, and stops it.

    with Lab("mine") as lab:                # dies with this process, whatever kills it
        lab.client.apply_yaml(manifest)
        run_something(lab.kubeconfig)

Called by tests, by the scenario runner, and by `python -m evals.lab`, whose labs survive the shell. Must never touch a
process that it did not start: it stops by recorded process id, and only when that process is still the recorded one.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3

from evals.lab import cluster, components, pki, processes
from evals.lab.binaries import Binaries, resolve
from evals.lab.certs import Authority, write_kubeconfig
from evals.lab.client import LabClient, Object
from evals.lab.components import HOST, Layout, Ports
from evals.lab.errors import ApiError, LabError, StartError
from evals.lab.metricsapi import MetricsApi
from evals.lab.paths import state_dir

_START_TIMEOUT_S = 120.0
_ATTEMPTS = 3
_TAIL_LINES = 20


class Lab:
    """A control plane by name. Two names are two labs, side by side.

    Args:
        name: what to call it; also the name of its folder.
        survives: leave it running when this process ends. Otherwise a watchdog stops it, even after SIGKILL.
        nodes: how many default nodes.
        etcd_quota_bytes: a small database, for tests that want it nearly full.
        apiserver_flags: further flags for kube-apiserver.
        state: the folder of all labs.
    """

    def __init__(
        self,
        name: str = "default",
        *,
        survives: bool = False,
        nodes: int = 3,
        etcd_quota_bytes: int | None = None,
        apiserver_flags: tuple[str, ...] = (),
        state: Path | None = None,
    ) -> None:
        if not name.replace("-", "").isalnum():
            raise LabError(f"a lab's name has letters, digits and dashes, not {name!r}")
        self.name = name
        self.layout = Layout((state or state_dir()) / name)
        self._survives = survives
        self._nodes = nodes
        self._quota = etcd_quota_bytes
        self._apiserver_flags = apiserver_flags
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._client: LabClient | None = None
        self._metrics_api: MetricsApi | None = None
        self._found_running = False

    # --- what it is

    @property
    def root(self) -> Path:
        """The lab's folder: logs, certificates, database. Gone after `stop`."""
        return self.layout.root

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.layout.kubeconfig("admin")

    @property
    def audit_log(self) -> Path:
        """The API server's audit log: one JSON event a line, level Metadata, no RequestReceived."""
        return self.layout.audit_log

    @property
    def server(self) -> str:
        return f"https://{HOST}:{self.ports.apiserver}"

    @property
    def ports(self) -> Ports:
        return Ports(**self.record()["ports"])

    @property
    def client(self) -> LabClient:
        """The administrator's client."""
        if self._client is None:
            self._client = LabClient(self.kubeconfig)
        return self._client

    @property
    def setup_client(self) -> LabClient:
        """Owns what every lab holds from the start; for the lab and its clean-up."""
        return LabClient(self.kubeconfig, field_manager="firstmate-lab-setup")

    def default_nodes(self) -> list[Object]:
        """The nodes that the lab started with, as they were applied."""
        record = self.record()
        return cluster.default_nodes(record["ports"]["kwok"], record["nodes"])

    def kubeconfig_for(self, user: str, groups: tuple[str, ...] = ()) -> Path:
        """A kubeconfig for a user of your choice, who may do what RBAC grants to the name and the groups."""
        authority = Authority(self.layout.pki)
        pair = authority.client(f"user-{user.replace(':', '-').replace('/', '-')}", user, groups)
        path = self.layout.kubeconfig(pair.cert.stem)
        return write_kubeconfig(path, name=self.name, server=self.server, authority=authority, client=pair)

    def metrics_api(self) -> MetricsApi:
        """The server of metrics.k8s.io, started when somebody first asks for it; ends with the lab or this process."""
        if self._metrics_api is None:
            names = (HOST, "metrics-server.kube-system.svc")
            pair = Authority(self.layout.pki).server("metrics-api", "metrics-server", names)
            self._metrics_api = MetricsApi(LabClient(self.kubeconfig), pair)
        return self._metrics_api

    def record(self) -> dict[str, Any]:
        """What was written down at the start: ports, processes, binaries.

        Raises:
            LabError: no lab of this name has been started.
        """
        try:
            return json.loads((self.root / "lab.json").read_text())
        except FileNotFoundError:
            raise LabError(f"no lab {self.name!r}: start it with `python -m evals.lab up --name {self.name}`") from None

    def processes(self) -> list[processes.Process]:
        """The recorded processes, whether they live or not."""
        if not (self.root / "lab.json").is_file():
            return []
        return [processes.Process(**one) for one in self.record()["processes"]]

    @property
    def running(self) -> bool:
        """Complete, and every process alive."""
        started = self.processes()
        return bool(started) and self.record()["ready"] and all(process.alive() for process in started)

    def log_tail(self, component: str, lines: int = _TAIL_LINES) -> str:
        path = self.layout.log(component)
        if not path.is_file():
            return "(no log)"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    # --- start and stop

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._found_running and not (self._survives and error is None):
            self.stop()

    def start(self) -> Self:
        """Starts it, and returns when pods can be applied.

        A lab that runs already is left as it is, and a `with` block does not stop it either.

        Raises:
            BuildError: a binary is missing and could not be built.
            StartError: a component did not start.
        """
        binaries = resolve()
        with self._lock():
            self._found_running = self.running
            if self._found_running:
                return self
            for attempt in range(1, _ATTEMPTS + 1):
                self._stop()
                try:
                    self._start(binaries)
                    return self
                except StartError as error:
                    self._stop(keep_folder=True)
                    if "address already in use" not in str(error) or attempt == _ATTEMPTS:
                        raise
                except BaseException:
                    self._stop(keep_folder=True)
                    raise
        raise AssertionError("unreachable")

    def stop(self) -> list[processes.Process]:
        """Stops what this lab started and removes its folder; gives the processes that it ended."""
        with self._lock():
            return self._stop()

    def _stop(self, *, keep_folder: bool = False) -> list[processes.Process]:
        if self._metrics_api is not None:
            self._metrics_api.close()
            self._metrics_api = None
        ended = processes.stop(self.processes()[::-1])
        if not keep_folder:
            shutil.rmtree(self.root, ignore_errors=True)
        self._client = None
        if self._watchdog is not None and self._watchdog.stdin is not None:
            self._watchdog.stdin.close()
            self._watchdog.wait()
            self._watchdog = None
        return ended

    def _start(self, binaries: Binaries) -> None:
        layout, ports = self.layout, Ports(*processes.free_ports(6))
        (self.root / "logs").mkdir(parents=True)  # the folder is new: an old database would hold old node leases
        layout.empty_log.touch()
        self._write(
            {
                "ready": False,
                "ports": ports.as_json(),
                "processes": [],
                "binaries": _origins(binaries),
                "nodes": self._nodes,
            }
        )
        if not self._survives:
            self._watchdog = _watch(self.root)
        self._spawn("etcd", components.etcd(binaries, layout, ports, self._quota))
        pki.make(layout, self.name, f"https://{HOST}:{ports.apiserver}")
        components.write_audit_policy(layout)
        self._await("etcd", lambda: _healthy(f"http://{HOST}:{ports.etcd}/health"))
        self._spawn("kube-apiserver", components.apiserver(binaries, layout, ports, self._apiserver_flags))
        self._await("kube-apiserver", self._api_ready)
        self._spawn("kube-controller-manager", components.controller_manager(binaries, layout, ports))
        self._spawn("kube-scheduler", components.scheduler(binaries, layout, ports))
        setup = self.setup_client
        cluster.install_kwok(setup, binaries.kwok_config, layout.empty_log)
        nodes = self.default_nodes()
        for node in nodes:
            setup.apply(node)
        self._spawn("kwok", components.kwok(binaries, layout, ports))
        names = [node["metadata"]["name"] for node in nodes]
        self._await("kwok", lambda: all(cluster.node_settled(self.client.get("Node", name)) for name in names))
        self._await("kube-scheduler", lambda: self._leads("kube-scheduler"))
        self._await("kube-controller-manager", self._controllers_ready)
        self._write(self.record() | {"ready": True})

    def _spawn(self, name: str, command: list[str]) -> None:
        process = processes.spawn(name, command, mark=self.root, log=self.layout.log(name))
        record = self.record()
        record["processes"].append(process.as_json())
        self._write(record)

    def _await(self, component: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not holds():
            for process in self.processes():
                if (code := processes.exit_code(process)) is not None:
                    raise StartError(self._failure(process.name, f"ended with exit code {code}"))
            if time.monotonic() > deadline:
                raise StartError(self._failure(component, f"was not ready after {_START_TIMEOUT_S:.0f} s"))
            time.sleep(0.05)

    def _failure(self, component: str, what: str) -> str:
        log = self.layout.log(component)
        return f"lab {self.name}: {component} {what}. The end of {log}:\n{self.log_tail(component)}"

    def _api_ready(self) -> bool:
        try:
            return self.client.request("GET", "/readyz", accept="*/*") == "ok"
        except (ApiError, LabError):
            return False

    def _leads(self, name: str) -> bool:
        lease = self.client.get("Lease", name, "kube-system")
        return bool(lease and lease["spec"].get("holderIdentity"))

    def _controllers_ready(self) -> bool:
        return self._leads("kube-controller-manager") and self.client.get("ServiceAccount", "default") is not None

    def _write(self, record: dict[str, Any]) -> None:
        fresh = self.root / "lab.json.new"
        fresh.write_text(json.dumps({"name": self.name, **record}, indent=1))
        fresh.replace(self.root / "lab.json")

    @contextmanager
    def _lock(self) -> Generator[None]:
        locks = self.root.parent / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        with (locks / self.name).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _healthy(url: str) -> bool:
    try:
        return urllib3.request("GET", url, timeout=2, retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False


def _origins(binaries: Binaries) -> list[dict[str, str]]:
    return [{key: str(value) for key, value in asdict(one).items()} for one in binaries.programs.values()]


def _watch(root: Path) -> subprocess.Popen[bytes]:
    """A process that waits for our end (a pipe that closes) and then stops the lab."""
    return subprocess.Popen(
        [sys.executable, "-m", "evals.lab.watchdog", str(root)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
