"""Which certificates and kubeconfigs a lab has, and for whom.

Called when a lab starts; `certs` knows how they are made. Everything lies in the lab's folder and goes with it.
"""

from __future__ import annotations

from evals.lab.certs import Authority, service_account_keys, write_kubeconfig
from evals.lab.components import FIRST_SERVICE_IP, HOST, Layout

_SERVICE = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
_CLIENTS = (
    ("admin", "kubernetes-admin", ("system:masters",)),
    ("controller-manager", "system:kube-controller-manager", ()),
    ("scheduler", "system:kube-scheduler", ()),
    ("kwok", "kwok", ("system:masters",)),
)


def make(layout: Layout, name: str, server: str) -> None:
    """Makes all of them for the lab of this name, whose API server answers at this address."""
    authority, front = Authority(layout.pki), Authority(layout.pki, "front-proxy-ca")
    authority.server("apiserver", "kube-apiserver", (HOST, FIRST_SERVICE_IP, "localhost", *_SERVICE))
    authority.server("kwok-server", "kwok", (HOST, "localhost"))
    authority.client("kubelet-client", "kube-apiserver-kubelet-client", ("system:masters",))
    front.client("front-proxy", "front-proxy")
    service_account_keys(layout.pki)
    for who, user, groups in _CLIENTS:
        client = authority.client(who, user, groups)
        write_kubeconfig(layout.kubeconfig(who), name=name, server=server, authority=authority, client=client)
