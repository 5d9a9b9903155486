"""Kernel parameters that a pod sets and its kubelet forbids: the pod fails before anything of it starts."""

import re
from collections import defaultdict

from firstmate_tools import fields
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact
from firstmate_tools.diagnosis.gone import Gone, gone
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, rule
from firstmate_tools.diagnosis.rules.containers import OBSERVED
from firstmate_tools.refs import Ref

SAFE = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    }
)
"""What every kubelet allows, the newer ones on new kernels only (pkg/kubelet/sysctl/safe_sysctls.go, v1.36)."""
_NAMED = re.compile(r"\"([a-z0-9][\w./-]*)\"")


@rule(causes=("unsafe-sysctl-forbidden",), observes=OBSERVED, explains=BACKENDS)
def forbidden_sysctl(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/#enabling-unsafe-sysctls"""
    groups: dict[Ref, list[Gone]] = defaultdict(list)
    for one in gone(facts, "SysctlForbidden"):
        groups[one.workload].append(one)
    for workload, found in sorted(groups.items()):
        if workload.kind in {"Pod", "Job", "CronJob"} or not _overcome(facts, workload, found):
            yield _finding(facts, workload, found)


def _overcome(facts: Facts, workload: Ref, found: list[Gone]) -> bool:
    """Whether the workload serves and its template sets none of the parameters any more."""
    template = lib.named_template(facts, workload)
    return bool(lib.serving(facts, workload)) and bool(template) and not _set(template) & _forbidden(found[0])


def _set(pod: fields.Obj) -> set[str]:
    return {
        fields.text(entry, "name").replace("/", ".")
        for entry in fields.items(pod, "spec", "securityContext", "sysctls")
    }


def _forbidden(one: Gone) -> set[str]:
    """The parameters that the kubelet names, else those that are not safe."""
    named = {name.replace("/", ".") for name in _NAMED.findall(one.message)} & _set(one.spec)
    return named or _set(one.spec) - SAFE


def _finding(facts: Facts, workload: Ref, found: list[Gone]) -> Finding:
    newest = max(found, key=lambda one: (one.at.timestamp() if one.at else 0.0, one.ref))
    names, host = _forbidden(newest), "not allowed with host" in newest.message
    what = lib.some(names) or "a kernel parameter"
    why = (
        "which no pod on the host's network may" if host else "which its kubelet does not allow (allowedUnsafeSysctls)"
    )
    pods = sorted({one.ref for one in found})
    return Finding(
        cause="unsafe-sysctl-forbidden",
        object=workload,
        severity="warning" if workload.kind == "Pod" else lib.severity(facts, workload),
        confidence="certain" if names else "likely",
        summary=f"{workload} sets {what}, {why}: {lib.count(len(pods), 'pod')} failed before starting.",
        evidence=(
            newest.words,
            fact(
                newest.ref, "spec.securityContext.sysctls", fields.at(newest.spec, "spec", "securityContext", "sysctls")
            ),
        ),
        affects=(workload, *pods),
        since=lib.earliest(one.at for one in found),
        next=(
            lib.ask(
                "get", "its security context", kind=workload.kind, name=workload.name, namespace=workload.namespace
            ),
        ),
    )
