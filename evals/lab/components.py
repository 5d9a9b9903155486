"""The command lines of the five programs, and why each flag is there.

Called by `lab.Lab` when it starts. Pure: takes folders and ports, gives lists of words. Every address is 127.0.0.1; a
component must never listen elsewhere.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from evals.lab.binaries import Binaries

HOST = "127.0.0.1"
SERVICE_RANGE = "10.96.0.0/16"
FIRST_SERVICE_IP = "10.96.0.1"
POD_RANGE = "10.244.0.0/16"
# Above 0, or kwok never lets go of a node whose lease a scenario takes.
NODE_LEASE_S = 40
KWOK_KINDS = ("Stage", "Logs", "ClusterLogs", "Exec", "ClusterExec")

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


@dataclass(frozen=True, slots=True)
class Ports:
    """One free port for each listener."""

    etcd: int
    etcd_peer: int
    apiserver: int
    controller_manager: int
    scheduler: int
    kwok: int

    def as_json(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Layout:
    """The folder of one lab, and what lies where in it."""

    root: Path

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def audit_log(self) -> Path:
        return self.root / "audit.log"

    @property
    def audit_policy(self) -> Path:
        return self.root / "audit-policy.json"

    def kubeconfig(self, who: str) -> Path:
        return self.root / f"{who}.kubeconfig"

    def log(self, component: str) -> Path:
        return self.root / "logs" / f"{component}.log"

    @property
    def empty_log(self) -> Path:
        """What a container logs for which nobody gave a log."""
        return self.root / "logs" / "empty-container.log"


def etcd(binaries: Binaries, layout: Layout, ports: Ports, quota_bytes: int | None) -> list[str]:
    client, peer = f"http://{HOST}:{ports.etcd}", f"http://{HOST}:{ports.etcd_peer}"
    return [
        binaries.path("etcd"),
        f"--data-dir={layout.root / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync=true",  # the data lives as long as the lab
        "--log-level=warn",
        *([f"--quota-backend-bytes={quota_bytes}"] if quota_bytes else []),
    ]


def apiserver(binaries: Binaries, layout: Layout, ports: Ports, more: tuple[str, ...]) -> list[str]:
    pki = layout.pki
    return [
        binaries.path("kube-apiserver"),
        f"--etcd-servers=http://{HOST}:{ports.etcd}",
        f"--bind-address={HOST}",
        f"--advertise-address={HOST}",
        f"--secure-port={ports.apiserver}",
        "--endpoint-reconciler-type=none",  # a loopback address is refused as an endpoint
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        # A webhook's backend is looked up in the endpoints, as on EKS. A cluster IP would be dialled on this machine's
        # own network, and what answers there is chance: a timeout, a refusal, or a proxy's certificate.
        "--enable-aggregator-routing=true",
        "--authorization-mode=RBAC",
        "--allow-privileged=true",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki / 'service-account.pub'}",
        f"--service-account-signing-key-file={pki / 'service-account.key'}",
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki / 'front-proxy.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy.key'}",
        f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}",
        # Logs of every node come from kwok. A node may bear any InternalIP; its InternalDNS leads to 127.0.0.1.
        "--kubelet-preferred-address-types=InternalDNS,InternalIP",
        "--kubelet-timeout=5s",
        f"--audit-policy-file={layout.audit_policy}",
        f"--audit-log-path={layout.audit_log}",
        "--audit-log-format=json",
        "--audit-log-maxsize=1000",
        "--event-ttl=6h",
        "--profiling=true",  # serves /debug/api_priority_and_fairness/*
        *more,
    ]


def controller_manager(binaries: Binaries, layout: Layout, ports: Ports) -> list[str]:
    pki = layout.pki
    return [
        binaries.path("kube-controller-manager"),
        *_common(layout, "controller-manager", ports.controller_manager),
        "--use-service-account-credentials=true",
        f"--service-account-private-key-file={pki / 'service-account.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        f"--cluster-signing-cert-file={pki / 'ca.crt'}",
        f"--cluster-signing-key-file={pki / 'ca.key'}",
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def scheduler(binaries: Binaries, layout: Layout, ports: Ports) -> list[str]:
    return [
        binaries.path("kube-scheduler"),
        *_common(layout, "scheduler", ports.scheduler),
        "--kube-api-qps=200",
        "--kube-api-burst=400",
    ]


def kwok(binaries: Binaries, layout: Layout, ports: Ports) -> list[str]:
    # No --config file: stages come as objects, and a configuration document would replace every default.
    return [
        binaries.path("kwok"),
        f"--kubeconfig={layout.kubeconfig('kwok')}",
        "--config=",
        "--manage-all-nodes=true",
        f"--enable-crds={','.join(KWOK_KINDS)}",
        f"--cidr={POD_RANGE}",
        f"--node-ip={HOST}",
        f"--node-port={ports.kwok}",
        f"--server-address={HOST}:{ports.kwok}",
        f"--tls-cert-file={layout.pki / 'kwok-server.crt'}",
        f"--tls-private-key-file={layout.pki / 'kwok-server.key'}",
        f"--node-lease-duration-seconds={NODE_LEASE_S}",
    ]


def write_audit_policy(layout: Layout) -> None:
    layout.audit_policy.write_text(json.dumps(AUDIT_POLICY, indent=1))


def _common(layout: Layout, who: str, port: int) -> list[str]:
    config = layout.kubeconfig(who)
    return [
        f"--kubeconfig={config}",
        f"--authentication-kubeconfig={config}",
        f"--authorization-kubeconfig={config}",
        f"--bind-address={HOST}",
        f"--secure-port={port}",
        # Left on: without a fresh Lease the cluster looks as if this component were down.
        "--leader-elect=true",
    ]
