"""Services without a backend that takes their traffic: wrong selector, wrong target port, no pod ready.

The first two are the Service's own fault. The third is a victim of whatever stops the pods, and stands alone only where
nothing is known that does. A Service of pods that cannot be created yet, of a workload scaled to zero, or without a
purpose to send traffic (headless, ExternalName, without a selector) selects well.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import backends, lib, probing, targets
from firstmate_tools.diagnosis.backends import Near
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, NextStep, RuledOut, fact, quote
from firstmate_tools.diagnosis.heard import heard
from firstmate_tools.diagnosis.peers import awaited
from firstmate_tools.diagnosis.rule import ListWant, Verdicts, Want, rule
from firstmate_tools.diagnosis.targets import Astray
from firstmate_tools.fields import Obj
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Confidence, Severity

OBSERVED = (
    kinds.SERVICE,
    kinds.POD,
    kinds.DEPLOYMENT,
    kinds.REPLICA_SET,
    kinds.STATEFUL_SET,
    kinds.DAEMON_SET,
    kinds.JOB,
    kinds.INGRESS,
    kinds.EVENT,
)
COMPARED = (kinds.SERVICE, kinds.POD)
"""Read once more before a finding: they are compared, and were read at different moments."""
REPEATED = 3
"""Failures of a probe after which a pod is no longer on its way up (the default failureThreshold). That the program
itself says that it is unwell counts at once: it is up."""
GATED = timedelta(seconds=2)
"""How long a pod whose containers are ready may wait for its readiness gates."""
_STANDBY = re.compile(r"(?i)version|slot|track|colou?r|role|release|revision|hash|primary|leader|active|standby|state")
MOST_NAMED = 20


@rule(causes=("service-selector-mismatch",), observes=OBSERVED, confirms=COMPARED)
def service_selector(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/#does-the-service-have-any-endpoints"""
    for service in (*_services(facts), *_governing(facts)):
        namespace, ref = fields.namespace_of(service), ref_of(service, kinds.SERVICE)
        if backends.pods_behind(facts, ref):
            continue
        every = backends.candidates(facts).get(namespace, [])
        of_jobs = any(r.kind == "Job" for r in facts.graph.before(ref, "selects"))
        if of_jobs or any(backends.selects(service, backend) for backend in every):
            continue
        near = backends.nearest(service, every)
        blind = not all(facts.knows(kind, namespace) for kind in backends.WORKLOADS)
        if not (blind and (near is None or not near.strong)):
            yield _mismatch(facts, service, near)


def _services(facts: Facts) -> list[Obj]:
    """Services that send traffic to pods, where all pods are known."""
    every = [s for s in facts.all(kinds.SERVICE) if backends.serves(s) and not podstate.terminating(s)]
    return [s for s in every if facts.knows(kinds.POD, fields.namespace_of(s))]


def _governing(facts: Facts) -> Iterator[Obj]:
    """Headless Services that a StatefulSet names as its own: its pods have names only where the Service selects them.

    https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#stable-network-id
    """
    names = {(fields.namespace_of(s), fields.text(s, "spec", "serviceName")) for s in facts.all(kinds.STATEFUL_SET)}
    for service in facts.all(kinds.SERVICE):
        headless = fields.text(service, "spec", "clusterIP") == "None" and fields.mapping(service, "spec", "selector")
        namespace = fields.namespace_of(service)
        named = (namespace, fields.name_of(service)) in names and facts.knows(kinds.POD, namespace)
        if headless and named and not podstate.terminating(service):
            yield service


def _mismatch(facts: Facts, service: Obj, near: Near | None) -> Finding:
    ref = ref_of(service, kinds.SERVICE)
    confidence: Confidence = "possible" if near is None else "certain" if near.strong else "likely"
    callers = backends.callers(facts, service)
    return Finding(
        cause="service-selector-mismatch",
        object=ref,
        severity=_severity_of_mismatch(facts, service, near, bool(callers)),
        confidence=confidence,
        summary=f"Service {ref.name} selects no pod and no workload's pods{_difference(near)}.",
        evidence=(quote(ref, service, "spec", "selector"), *_near_evidence(near)),
        affects=(*([near.backend.ref] if near else []), *callers[:MOST_NAMED]),
        since=None,
        next=tuple(_next(service, near.backend.ref if near else None)),
    )


def _difference(near: Near | None) -> str:
    if near is None:
        return ", and nothing in its namespace comes near"
    labels = near.backend.labels
    wanted = ", ".join(f"{key}={value}" for key, value in sorted(near.missed.items()))
    has = ", ".join(f"{key}={labels[key]}" for key in sorted(near.missed) if key in labels)
    return f": it wants {wanted}, while {near.backend.ref} has {has or 'no such label'}"


def _near_evidence(near: Near | None) -> Iterator[Evidence]:
    if near is not None:
        path = "metadata.labels" if near.backend.ref.kind == "Pod" else "spec.template.metadata.labels"
        yield fact(near.backend.ref, path, near.backend.labels)


def _severity_of_mismatch(facts: Facts, service: Obj, near: Near | None, called: bool) -> Severity:
    """Critical where somebody may be sent there; a leftover that nobody calls, or a stand-by, hurts nobody yet."""
    ref = ref_of(service, kinds.SERVICE)
    if backends.routed(facts, ref) or fields.text(service, "spec", "type") in {"LoadBalancer", "NodePort"}:
        return "critical"
    if near is None or _stands_by(facts, service, near):
        return "warning" if called else "info"
    return "critical" if near.strong and near.backend.wanted else "warning"


def _stands_by(facts: Facts, service: Obj, near: Near) -> bool:
    """Whether a sister Service serves those pods, which differs only in the value of a label for versions or roles.

    So stand the idle side of a blue-green pair, a canary without pods, and the replica Service of a lone primary.
    """
    own = fields.string_map(service, "spec", "selector")
    if not all(_STANDBY.search(key) for key in near.missed):
        return False
    for ref in facts.graph.after(near.backend.ref, "selects"):
        sister = fields.string_map(facts.get(ref) or {}, "spec", "selector")
        if sister.keys() == own.keys() and {k for k in own if own[k] != sister[k]} == set(near.missed):
            return True
    return False


def port_slices(facts: Facts) -> Iterable[Want]:
    """The EndpointSlices of Services whose target port seems to be wrong."""
    for astray in facts.derived(_astray):
        yield ListWant(kinds.ENDPOINT_SLICE, fields.namespace_of(astray.service))


@rule(
    causes=("service-target-port-mismatch",),
    observes=OBSERVED,
    digs=(Read(kinds.ENDPOINT_SLICE, ("list",)),),
    wants=port_slices,
    confirms=COMPARED,
)
def service_target_port(facts: Facts) -> Verdicts:
    """FindPort (k8s.io/endpointslice utils.go, v0.36): a name is looked up among the containers and native sidecars; a
    number is taken as it is, so that only what the containers declare can contradict it."""
    for astray in facts.derived(_astray):
        ref = ref_of(astray.service, kinds.SERVICE)
        behind = backends.workloads_behind(facts, ref)
        sure = astray.named or astray.plausible
        yield Finding(
            cause="service-target-port-mismatch",
            object=ref,
            severity=_severity_of_astray(facts, astray) if sure else "info",
            confidence="certain" if astray.named else "likely" if sure else "possible",
            summary=f"Service {ref.name} sends {targets.told(astray)}.",
            evidence=(
                quote(ref, astray.service, "spec", "ports"),
                fact(astray.pod, f"{astray.prefix}containers[].ports", targets.shown(astray.declared)),
                *_slice_evidence(facts, ref),
            ),
            affects=tuple(behind),
            next=tuple(_next(astray.service, behind[0] if behind else None)),
        )


def _severity_of_astray(facts: Facts, astray: Astray) -> Severity:
    """Critical where nothing that is sent to the Service, or what an Ingress may send, arrives."""
    whole = len(astray.ports) == len(fields.items(astray.service, "spec", "ports"))
    routed = backends.routed(facts, ref_of(astray.service, kinds.SERVICE))
    return "critical" if astray.everywhere and (whole or routed) else "warning"


def _astray(facts: Facts) -> list[Astray]:
    return [found for service in _services(facts) if (found := targets.astray(facts, service)) is not None]


def _slice_evidence(facts: Facts, service: Ref) -> Iterator[Evidence]:
    for found in facts.all(kinds.ENDPOINT_SLICE, service.namespace):
        mine = fields.labels_of(found).get("kubernetes.io/service-name") == service.name
        if mine and fields.items(found, "endpoints") and not fields.items(found, "ports"):
            yield fact(ref_of(found, kinds.ENDPOINT_SLICE), "ports", None)
            return


@rule(causes=("service-endpoints-not-ready",), observes=OBSERVED, confirms=COMPARED)
def service_endpoints(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions"""
    for service in _services(facts):
        ref = ref_of(service, kinds.SERVICE)
        pods = backends.pods_behind(facts, ref)
        if fields.flag(service, "spec", "publishNotReadyAddresses") or any(podstate.ready(pod) for pod in pods):
            continue
        wanted = _wanted(facts, service)
        settling = all(_on_its_way(facts, pod) for pod in pods) if pods else _is_young(facts, ref)
        if (pods or wanted) and not settling:
            yield _not_ready(facts, service, pods, wanted)
            what = f"it selects {lib.count(len(pods), 'pod')}" if pods else "it selects what a workload would make"
            yield RuledOut("service-selector-mismatch", f"Service {ref.name} has no backend, but {what}")


def _wanted(facts: Facts, service: Obj) -> int:
    """How many pods the workloads that a Service selects should have."""
    every = backends.candidates(facts).get(fields.namespace_of(service), [])
    return sum(b.wanted for b in every if b.ref.kind != "Pod" and backends.selects(service, b))


def _on_its_way(facts: Facts, pod: Obj) -> bool:
    """Whether a pod that is not ready may simply be starting."""
    if fields.condition(pod, "ContainersReady").get("status") == "True":
        since = podstate.not_ready_since(pod)
        return since is not None and facts.now - since < GATED
    ref = ref_of(pod, kinds.POD)
    failing = any(
        row.count >= REPEATED or probing.answer(row.message) == "unwell"
        for container in podstate.containers(pod)
        for row in heard(facts, ref, pod, container.name, "Unhealthy")
    )
    return not failing and podstate.healthy(pod, facts.now)


def _is_young(facts: Facts, service: Ref) -> bool:
    """Whether the workloads behind a Service without pods have only just been made."""
    made = [
        fields.time_at(facts.get(ref) or {}, "metadata", "creationTimestamp")
        for ref in backends.workloads_behind(facts, service)
    ]
    return any(moment is not None and facts.now - moment < podstate.START_UP for moment in made)


def _not_ready(facts: Facts, service: Obj, pods: list[Obj], wanted: int) -> Finding:
    ref = ref_of(service, kinds.SERVICE)
    behind = backends.workloads_behind(facts, ref)
    state = (
        f"none of its {lib.count(len(pods), 'pod')} is ready" if pods else f"none of {lib.count(wanted, 'pod')} exists"
    )
    return Finding(
        cause="service-endpoints-not-ready",
        object=ref,
        severity="critical",
        confidence="certain",
        summary=f"Service {ref.name} has no backend: {state}.",
        evidence=(quote(ref, service, "spec", "selector"), *_pod_evidence(facts, pods)),
        affects=(*behind, *(ref_of(pod, kinds.POD) for pod in pods[:MOST_NAMED])),
        since=lib.earliest(podstate.not_ready_since(pod) for pod in pods),
        culprit=" ".join(f"{r.kind}/{r.namespace}/{r.name}" for r in behind),
        next=tuple(_next(service, behind[0] if behind else None)),
        awaits=_awaits(facts, service, behind, pods),
    )


def _pod_evidence(facts: Facts, pods: list[Obj]) -> Iterator[Evidence]:
    for pod in pods[:2]:
        ref, ready = ref_of(pod, kinds.POD), fields.condition(pod, "Ready")
        said = f"False: {fields.text(ready, 'reason')} {fields.text(ready, 'message')}".rstrip(": ")
        yield fact(ref, "status.conditions[Ready]", said, fields.time_at(ready, "lastTransitionTime"))
        for container in podstate.containers(pod):
            for row in heard(facts, ref, pod, container.name, "Unhealthy")[:1]:
                yield fact(ref, "events[Unhealthy].message", row.message, row.last)


def _awaits(facts: Facts, service: Obj, behind: list[Ref], pods: list[Obj]) -> tuple[Ref, ...]:
    """Other Services that the unready pods need: their settings name them, or their log cannot reach them."""
    namespace = fields.namespace_of(service)
    found: set[Ref] = set()
    for other in facts.all(kinds.SERVICE, namespace):
        for workload in behind:
            if backends.calls(facts.get(workload) or {}, fields.name_of(other), namespace):
                found.add(ref_of(other, kinds.SERVICE))
    for pod in pods:
        for container in podstate.containers(pod):
            log = facts.log(namespace, fields.name_of(pod), container.name) or ""
            found |= {ref for workload in behind for ref in awaited(facts, workload, log.splitlines())}
    own = facts.graph.reach(behind, "owns", "selects")
    return tuple(sorted(found - own))


def _next(service: Obj, workload: Ref | None) -> Iterator[NextStep]:
    namespace = fields.namespace_of(service)
    yield lib.ask("get", "the Service as it is", kind="service", name=fields.name_of(service), namespace=namespace)
    if workload is not None:
        scope = f"{workload.kind.lower()}/{workload.name}"
        yield lib.ask("workload_status", "how its backend stands", scope=scope, namespace=namespace)
