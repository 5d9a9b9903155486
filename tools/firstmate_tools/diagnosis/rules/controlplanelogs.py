"""Faults of the control plane that only logs tell: its own, where it runs as pods, and those of programs that use it.

What managed control planes log is not in the cluster; there only clients tell. A line decides where it repeats, and
where it names what it is about: that a certificate has expired is said of many servers, and of webhooks too.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact
from firstmate_tools.diagnosis.rule import LogWant, Verdicts, Want, explains, rule
from firstmate_tools.diagnosis.rules.containers import LOGS, OBSERVED
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Confidence, Severity

THROTTLED, EXPIRED, DEGRADED, FULL = (
    "client-side-throttling",
    "control-plane-certificate-expired",
    "etcd-degraded",
    "etcd-space-exceeded",
)
COMPONENTS = ("kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler")
SYSTEM = "kube-system"
REPEATED = 3
MOST_PODS = 4
SLOW_S = 1.0
"""Seconds from which a wait of a client for itself counts; client-go tells of them from about one second on."""

_WAITED = re.compile(
    r"Waited (?:for |before sending request\"? delay=\"?)(?:(\d+)m)?(\d+(?:\.\d+)?)(ms|s)\"? "
    r"(?:due to |reason=\"?)client-side throttling"
)
"""Up to v1.32 in one sentence, since then in fields."""
_FULL = re.compile(r"mvcc: database space exceeded|etcdserver: no space|alarm:NOSPACE")
_DEGRADED = re.compile(
    r"etcdserver: (?:request timed out|leader changed|no leader|too many requests)|"
    r"failed to send out heartbeat on time|lost leader|apply request took too long|slow fdatasync|"
    r"waiting for ReadIndex response took too long"
)
_EXPIRED = re.compile(r"x509: certificate has expired or is not yet valid")
_NOT_THE_API = re.compile(r"(?i)webhook|conversion|apiservice|aggregat|metrics\.k8s\.io")
_THE_API = re.compile(r"https://[^/\s\"]+(?::\d+)?/(?:api|apis|healthz|livez|readyz|version)\b")


@dataclass(frozen=True, slots=True)
class Spoken:
    """One container whose log was read.

    Attributes:
        component: which part of the control plane it is, "" for any other program.
    """

    ref: Ref
    container: str
    component: str
    lines: list[str]


def spoken(facts: Facts) -> list[Spoken]:
    """The logs at hand, by pod and container: that of the run before first."""
    lines: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for (namespace, pod, container, _), content in sorted(facts.logs(), key=lambda one: (one[0][:3], not one[0][3])):
        lines[namespace, pod, container] += content.splitlines()
    found: list[Spoken] = []
    for (namespace, name, container), said in lines.items():
        pod = facts.get(Ref(kinds.POD.kind, namespace, name))
        if pod is not None and facts.scope.namespace in {None, namespace}:
            found.append(Spoken(ref_of(pod, kinds.POD), container, _component(pod), said))
    return found


def _component(pod: Obj) -> str:
    """Which part of the control plane a pod is: the label of static pods, else how its name begins."""
    if fields.namespace_of(pod) != SYSTEM:
        return ""
    label, name = fields.labels_of(pod).get("component", ""), fields.name_of(pod)
    return next((c for c in COMPONENTS if label == c or (not label and name.startswith(f"{c}-"))), "")


def _logs(facts: Facts) -> Iterable[Want]:
    """The control plane's own logs, where it runs as pods and the question is about it or the cluster."""
    if facts.scope.namespace not in {None, SYSTEM} or (facts.scope.object and facts.scope.object.kind != "Node"):
        return
    found = [pod for pod in facts.all(kinds.POD) if _component(pod) in COMPONENTS[:2]]
    for pod in sorted(found, key=lambda p: (COMPONENTS.index(_component(p)), fields.name_of(p)))[:MOST_PODS]:
        for container in podstate.containers(pod)[:1]:
            yield LogWant(SYSTEM, fields.name_of(pod), container.name, aside=True)


@rule(
    causes=(FULL, DEGRADED),
    observes=OBSERVED,
    digs=LOGS,
    wants=_logs,
    explains=explains("application-exits-on-error", along=("owns",)),
)
def etcd(facts: Facts) -> Verdicts:
    """https://etcd.io/docs/v3.6/op-guide/maintenance/#space-quota, https://etcd.io/docs/v3.6/faq/"""
    for cause, pattern, words, least in (
        (FULL, _FULL, "etcd is full and refuses writes", 1),
        (DEGRADED, _DEGRADED, "etcd answers late or has no leader", REPEATED),
    ):
        told = [(one, lines) for one in facts.derived(spoken) if (lines := _matching(one, pattern))]
        told = [pair for pair in told if len(pair[1]) >= least or pair[0].component]
        if sum(len(lines) for _, lines in told) >= least:
            severity: Severity = "critical" if cause == FULL else "warning"
            yield _finding(facts, cause, told, words, severity)


@rule(
    causes=(EXPIRED,),
    observes=OBSERVED,
    digs=LOGS,
    wants=_logs,
    explains=explains("application-exits-on-error", along=("owns",)),
)
def certificates(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/

    Lines of the control plane's own parts, or such that name an address of the API; not those about webhooks.
    """
    told: list[tuple[Spoken, list[str]]] = []
    for one in facts.derived(spoken):
        lines = [line for line in _matching(one, _EXPIRED) if not _NOT_THE_API.search(line)]
        lines = lines if one.component else [line for line in lines if _THE_API.search(line)]
        if len(lines) >= REPEATED:
            told.append((one, lines))
    if told:
        yield _finding(facts, EXPIRED, told, "a certificate of the control plane has expired", "critical")


def _matching(one: Spoken, pattern: re.Pattern[str]) -> list[str]:
    return [line for line in one.lines if pattern.search(line[:2000])]


def _finding(facts: Facts, cause: str, told: list[tuple[Spoken, list[str]]], words: str, severity: Severity) -> Finding:
    """One finding about a part of the control plane; where it cannot be seen, about who tells of it."""
    parts = COMPONENTS if cause == EXPIRED else ("etcd", "kube-apiserver")
    pods = sorted(
        (parts.index(part), ref_of(pod, kinds.POD))
        for pod in facts.everywhere(kinds.POD)
        if (part := _component(pod)) in parts
    )
    speakers = sorted(told, key=lambda pair: (not pair[0].component, pair[0].ref))
    first, lines = speakers[0]
    own = first.component == "etcd" or (bool(first.component) and cause == EXPIRED)
    target = first.ref if own or not pods else pods[0][1]
    strangers = any("authenticate" in line for line in lines)  # whose certificate it is, the line does not say
    sure: Confidence = "likely" if first.component and not strangers else "possible"
    who = first.component or str(facts.workload(first.ref))
    return Finding(
        cause=cause,
        object=facts.workload(target),
        severity=severity if first.component else "warning",
        confidence=sure,
        summary=f"By the log of {who} ({lib.count(len(lines), 'line')} of its last {len(first.lines)}), {words}.",
        evidence=tuple(fact(one.ref, f"log[{one.container}]", mine[-1]) for one, mine in speakers[:3]),
        affects=tuple(dict.fromkeys(facts.workload(one.ref) for one, _ in speakers)),
        culprit=cause,
        next=(lib.ask_logs(first.ref, first.container, "how long it has been so", previous=False),),
    )


@rule(causes=(THROTTLED,), observes=OBSERVED, digs=LOGS)
def throttled_clients(facts: Facts) -> Verdicts:
    """client-go's own rate limit (rest/request.go): the API server refuses nothing.

    A burst at the start is usual; so the waits have to be many among the last lines, and long.
    """
    for one in facts.derived(spoken):
        waits = list(_waits(one.lines))
        if len(waits) < REPEATED:
            continue
        workload = facts.workload(one.ref)
        longest = max(seconds for seconds, _ in waits)
        yield Finding(
            cause=THROTTLED,
            object=workload,
            severity="warning",
            confidence="likely",
            summary=(
                f"Container {one.container} of {workload} holds its own requests to the API server back: "
                f"{lib.count(len(waits), 'wait')} of up to {longest:g} s in its last "
                f"{lib.count(len(one.lines), 'line')}; its limit of queries a second is too low for what it does."
            ),
            evidence=(fact(one.ref, f"log[{one.container}]", waits[-1][1]),),
            affects=(one.ref,),
            culprit=f"{workload} {workload.namespace}",
            next=(lib.ask_logs(one.ref, one.container, "which requests wait", previous=False),),
        )


def _waits(lines: list[str]) -> Iterator[tuple[float, str]]:
    for line in lines:
        match = _WAITED.search(line[:2000])
        if match:
            minutes, number, unit = match.groups()
            seconds = float(number) / (1000 if unit == "ms" else 1) + 60 * int(minutes or 0)
            if seconds >= SLOW_S:
                yield seconds, line
