"""The lab keeps its word: it starts, shares the machine with other labs, and stops only what is its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evals.lab.errors import ApiError, LabError, StartError
from evals.lab.lab import Lab

REPOSITORY = Path(__file__).parents[2]


def pod(name: str, namespace: str = "default", **labels: str) -> dict[str, object]:
    spec = {"containers": [{"name": "app", "image": "registry.example/app:1"}], "terminationGracePeriodSeconds": 0}
    metadata = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def phase(lab: Lab, name: str) -> str | None:
    found = lab.client.get("Pod", name)
    return found["status"]["phase"] if found else None


def test_default_nodes_are_ready_untainted_and_in_three_zones(lab: Lab) -> None:
    nodes = lab.client.list("Node", selector="sim.firstmate.dev/default")
    assert len(nodes) == 3
    assert {node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in nodes} == {"a", "b", "c"}
    for node in nodes:
        assert "taints" not in node["spec"]
        assert {"cpu": "8", "memory": "32Gi", "pods": "110"}.items() <= node["status"]["allocatable"].items()
        assert node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] == lab.ports.kwok


def test_a_second_start_is_a_no_op(lab: Lab) -> None:
    before = lab.processes()
    with Lab(lab.name):
        pass
    assert lab.processes() == before
    assert all(process.alive() for process in before)


def test_pods_run_by_the_default_stages_unless_they_carry_a_mode(lab: Lab) -> None:
    lab.client.apply(pod("runs"))
    lab.client.apply(pod("waits", **{"sim.firstmate.dev/mode": "nothing-selects-this"}))
    try:
        lab.client.wait_until("the pod runs", lambda: phase(lab, "runs") == "Running", timeout_s=10)
        time.sleep(1)
        assert phase(lab, "waits") == "Pending"
        lab.client.delete("Pod", "runs")
        lab.client.wait_until("the pod is gone", lambda: phase(lab, "runs") is None, timeout_s=10)
    finally:
        lab.client.delete("Pod", "waits", grace_s=0)


def test_logs_current_and_previous_come_through_the_api_server(lab: Lab, tmp_path: Path) -> None:
    for name in ("current", "previous"):
        (tmp_path / name).write_text(f"2026-01-02T03:04:05.000000000Z stdout F the {name} one\n")
    logs = {"logsFile": str(tmp_path / "current"), "previousLogsFile": str(tmp_path / "previous")}
    lab.client.apply(
        {
            "apiVersion": "kwok.x-k8s.io/v1alpha1",
            "kind": "Logs",
            "metadata": {"name": "talks", "namespace": "default"},
            "spec": {"logs": [{"containers": ["app"], **logs}]},
        }
    )
    lab.client.apply(pod("talks"))
    lab.client.apply(pod("silent"))
    try:
        for name in ("talks", "silent"):
            lab.client.wait_until("the pod runs", lambda name=name: phase(lab, name) == "Running", timeout_s=10)
        assert lab.client.logs("default", "talks") == "the current one\n"
        assert lab.client.logs("default", "talks", previous=True) == "the previous one\n"
        assert lab.client.logs("default", "silent") == ""
        with pytest.raises(ApiError):
            lab.client.logs("default", "silent", previous=True)
    finally:
        lab.client.delete("Pod", "talks")
        lab.client.delete("Pod", "silent")
        lab.client.delete("Logs", "talks")


def test_every_request_is_in_the_audit_log(lab: Lab) -> None:
    lab.client.get("ConfigMap", "asked-for-by-the-audit-test")
    lab.client.wait_until(
        "the request is written down",
        lambda: "configmaps/asked-for-by-the-audit-test" in lab.audit_log.read_text(),
        timeout_s=10,
    )
    assert '"stage":"RequestReceived"' not in lab.audit_log.read_text()


def test_a_user_without_rights_is_refused(lab: Lab) -> None:
    from evals.lab.client import LabClient

    client = LabClient(lab.kubeconfig_for("nobody-in-particular"))
    with pytest.raises(ApiError) as refused:
        client.request("GET", "/api/v1/namespaces/default/pods")
    assert refused.value.status == 403
    assert "nobody-in-particular" in refused.value.message


def test_two_labs_live_side_by_side_and_down_ends_only_its_own(lab: Lab) -> None:
    theirs = lab.processes()
    with Lab(f"second-{os.getpid()}") as second:
        mine = second.processes()
        assert not {one.pid for one in mine} & {one.pid for one in theirs}
        assert second.server != lab.server
        second.client.apply(pod("only-here"))
        assert lab.client.get("Pod", "only-here") is None
        ended = second.stop()
        assert sorted(one.pid for one in ended) == sorted(one.pid for one in mine)
        assert not any(process.alive() for process in mine)
    assert not second.root.exists()
    assert all(process.alive() for process in theirs)


def test_a_reused_process_id_is_never_killed(lab: Lab, tmp_path: Path) -> None:
    """The record names a stranger's id, as it would after a reboot: stopping leaves the stranger alone."""
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        old = Lab("old", state=tmp_path)
        old.root.mkdir()
        record = lab.record()
        gone = {"name": "etcd", "pid": stranger.pid, "started": "1", "mark": str(old.root)}
        old._write(record | {"processes": [gone]})  # pyright: ignore[reportPrivateUsage]  # plays the reboot
        assert not old.running
        assert old.stop() == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_killed_test_process_takes_its_lab_along() -> None:
    name = f"orphan-{os.getpid()}"
    code = f"from evals.lab.lab import Lab; import time; Lab({name!r}).start(); print('up', flush=True); time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"up\n"
    lab = Lab(name)
    started = lab.processes()
    assert all(process.alive() for process in started)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while any(process.alive() for process in started) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(process.alive() for process in started)


def test_a_failing_component_shows_the_end_of_its_log(tmp_path: Path) -> None:
    broken = Lab("broken", apiserver_flags=("--no-such-flag",), state=tmp_path)
    with pytest.raises(StartError, match=r"kube-apiserver ended with exit code 1(.|\n)*unknown flag: --no-such-flag"):
        broken.start()
    assert not any(process.alive() for process in broken.processes())


def test_a_lab_that_nobody_started_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"python -m evals.lab up --name nowhere"):
        Lab("nowhere", state=tmp_path).record()
