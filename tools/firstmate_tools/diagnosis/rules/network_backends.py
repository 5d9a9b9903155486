"""Services whose pods are the wrong ones, none on purpose, or speak another protocol. Pure; more in `services`.

A workload at zero is a fault only where somebody needs it, and two programs behind one Service only where they are not
two versions of one.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import backends, hosts, lib, programs, targets, trouble
from firstmate_tools.diagnosis.backends import Backend
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact, quote
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, explains, rule
from firstmate_tools.fields import Obj
from firstmate_tools.graph import scale_target
from firstmate_tools.loglines import unreached
from firstmate_tools.refs import Ref, ref_of

OBSERVED = (
    kinds.SERVICE,
    kinds.POD,
    kinds.DEPLOYMENT,
    kinds.REPLICA_SET,
    kinds.STATEFUL_SET,
    kinds.DAEMON_SET,
    kinds.JOB,
    kinds.CRON_JOB,
    kinds.INGRESS,
    kinds.HORIZONTAL_POD_AUTOSCALER,
)
COMPARED = (kinds.SERVICE, kinds.POD)
MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Idle:
    """A Service of which everything behind it is scaled to zero.

    Attributes:
        users: workloads that name it, with the setting that does.
        complaining: those of them that are in trouble, or whose log cannot reach it.
    """

    service: Obj
    ref: Ref
    workload: Ref
    obj: Obj
    ingresses: list[Ref]
    users: list[tuple[hosts.Client, hosts.Host]]
    complaining: list[Ref]


@rule(
    causes=("workload-scaled-to-zero",),
    observes=OBSERVED,
    explains=BACKENDS,
    confirms=(kinds.SERVICE, kinds.POD, kinds.DEPLOYMENT, kinds.STATEFUL_SET),
)
def scaled_to_zero(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/tasks/debug/debug-application/debug-service/: no pod works, for none is asked for."""
    for service in facts.all(kinds.SERVICE):
        idle = _idle(facts, service)
        if idle is None:
            continue
        outside = fields.text(service, "spec", "type") in {"LoadBalancer", "NodePort"}
        if not (idle.ingresses or idle.users or idle.complaining or outside):
            why = f"{idle.workload} is scaled to zero, and nothing here calls Service {idle.ref.name}"
            yield RuledOut("workload-scaled-to-zero", why)
            continue
        yield _scaled(facts, idle)


def _idle(facts: Facts, service: Obj) -> Idle | None:
    ref = ref_of(service, kinds.SERVICE)
    if podstate.terminating(service) or fields.text(service, "spec", "type") == "ExternalName":
        return None
    if not facts.knows(kinds.POD, ref.namespace) or not fields.mapping(service, "spec", "selector"):
        return None
    if any(one.kind == "Pod" for one in facts.graph.before(ref, "selects")):
        return None
    behind = [b for b in backends.candidates(facts).get(ref.namespace, []) if backends.selects(service, b)]
    workloads = [b for b in behind if b.ref.kind in {"Deployment", "StatefulSet", "ReplicaSet"}]
    if not workloads or len(workloads) < len(behind) or any(b.wanted for b in workloads):
        return None
    zero = next((b for b in workloads if fields.at(b.obj, "spec", "replicas") == 0), None)
    if zero is None or _on_demand(facts, zero.ref):
        return None
    users = hosts.users(facts, ref)
    return Idle(service, ref, zero.ref, zero.obj, backends.routed(facts, ref), users, _complaining(facts, ref, users))


def _on_demand(facts: Facts, workload: Ref) -> bool:
    """Whether KEDA scales it, which takes it to zero where nothing is to do (its autoscalers are named so)."""
    return any(
        scale_target(one) == workload and fields.name_of(one).startswith("keda-hpa-")
        for one in facts.all(kinds.HORIZONTAL_POD_AUTOSCALER, workload.namespace)
    )


def _complaining(facts: Facts, service: Ref, users: list[tuple[hosts.Client, hosts.Host]]) -> list[Ref]:
    """Those who name it and are in trouble, and whoever says that it cannot be reached."""
    ailing = {one.workload for one in trouble.troubled(facts)}
    found = {client.ref for client, _ in users} & ailing
    for pod, _, log in hosts.logs_read(facts, service.namespace):
        if service in {hosts.service(facts, service.namespace, peer.host) for peer in unreached(log.splitlines())}:
            found.add(facts.workload(pod))
    return sorted(found)


def _scaled(facts: Facts, idle: Idle) -> Finding:
    callers = sorted({*(client.ref for client, _ in idle.users), *idle.complaining})
    needs = [
        *([f"{lib.some(map(str, idle.ingresses))} sends to it"] if idle.ingresses else []),
        *([f"{lib.some(map(str, callers))} calls it"] if callers else []),
    ]
    # An open door says nothing of anybody who comes.
    needed = " and ".join(needs) or f"it is of type {fields.text(idle.service, 'spec', 'type')}"
    hurt = bool(idle.ingresses or idle.complaining)
    return Finding(
        cause="workload-scaled-to-zero",
        object=idle.workload,
        severity="critical" if hurt else "warning" if callers else "info",
        confidence="certain" if hurt else "likely" if callers else "possible",
        summary=(
            f"{idle.workload} is scaled to 0 replicas, so that Service {idle.ref.name} has no backend, while {needed}."
        ),
        evidence=tuple(_scaled_evidence(facts, idle)),
        affects=(idle.ref, *idle.ingresses, *callers[:MOST_NAMED]),
        next=(
            lib.ask(
                "workload_status",
                "its replicas and what changed them",
                scope=f"{idle.workload.kind.lower()}/{idle.workload.name}",
                namespace=idle.ref.namespace,
            ),
        ),
    )


def _scaled_evidence(facts: Facts, idle: Idle) -> Iterator[Evidence]:
    yield quote(idle.workload, idle.obj, "spec", "replicas")
    yield quote(idle.ref, idle.service, "spec", "selector")
    for ingress in idle.ingresses[:1]:
        yield fact(ingress, "spec.rules", f"sends to Service {idle.ref.name}")
    for client, host in idle.users[:2]:
        yield fact(host.holder or client.ref, host.field, host.value)
    for autoscaler in facts.all(kinds.HORIZONTAL_POD_AUTOSCALER, idle.ref.namespace):
        if scale_target(autoscaler) == idle.workload:
            ref = ref_of(autoscaler, kinds.HORIZONTAL_POD_AUTOSCALER)
            yield fact(
                ref,
                "spec.minReplicas",
                f"{fields.number(autoscaler, 'spec', 'minReplicas', default=1)}; it rests at zero",
            )


@rule(
    causes=("service-selector-too-broad",),
    observes=OBSERVED,
    explains=explains("service-target-port-mismatch", along=()),
    confirms=COMPARED,
)
def selector_too_broad(facts: Facts) -> Verdicts:
    """Every pod that a selector matches takes its share, whatever it is.

    https://kubernetes.io/docs/concepts/services-networking/service/#defining-a-service
    """
    for service in facts.all(kinds.SERVICE):
        ref = ref_of(service, kinds.SERVICE)
        if not backends.serves(service) or podstate.terminating(service) or not facts.knows(kinds.POD, ref.namespace):
            continue
        mixed = programs.mixed(facts, service)
        if mixed is not None:
            yield _too_broad(facts, service, mixed)


def _too_broad(facts: Facts, service: Obj, mixed: programs.Mixed) -> Finding:
    ref = ref_of(service, kinds.SERVICE)
    serving = bool(backends.routed(facts, ref) or hosts.users(facts, ref))
    return Finding(
        cause="service-selector-too-broad",
        object=ref,
        severity="info" if not mixed.sure else "critical" if mixed.refused and serving else "warning",
        confidence="possible" if not mixed.sure else "certain" if mixed.refused else "likely",
        summary=(
            f"Service {ref.name} selects {lib.some(str(b.ref) for b in mixed.foreign)} beside "
            f"{lib.some(str(b.ref) for b in mixed.own)}, {mixed.why}, so that a share of its traffic goes astray."
        ),
        evidence=(
            quote(ref, service, "spec", "selector"),
            *(fact(b.ref, _labels_at(b), b.labels) for b in (*mixed.own[:1], *mixed.foreign[:2])),
            *(fact(b.ref, "image and ports", programs.shown(b)) for b in (*mixed.own[:1], *mixed.foreign[:1])),
        ),
        affects=tuple(sorted({b.ref for b in (*mixed.own, *mixed.foreign)})[:MOST_NAMED]),
        next=(lib.ask("get", "the Service as it is", kind="service", name=ref.name, namespace=ref.namespace),),
    )


def _labels_at(backend: Backend) -> str:
    return "metadata.labels" if backend.ref.kind == "Pod" else "spec.template.metadata.labels"


@rule(
    causes=("service-protocol-mismatch",),
    observes=OBSERVED,
    explains=explains("service-target-port-mismatch", along=()),
    confirms=COMPARED,
)
def protocol_mismatch(facts: Facts) -> Verdicts:
    """A Service forwards by protocol: https://kubernetes.io/docs/reference/networking/service-protocols/. A name is
    looked up together with the protocol (FindPort, k8s.io/endpointslice utils.go), so that the slice has no port."""
    for service in facts.all(kinds.SERVICE):
        ref = ref_of(service, kinds.SERVICE)
        if not backends.serves(service) or podstate.terminating(service) or not facts.knows(kinds.POD, ref.namespace):
            continue
        for other in targets.other_protocols(facts, service)[:1]:
            behind = backends.workloads_behind(facts, ref)
            port, number = fields.number(other.port, "port"), other.number
            yield Finding(
                cause="service-protocol-mismatch",
                object=ref,
                severity="critical",
                confidence="certain" if other.named else "likely",
                summary=(
                    f"Service {ref.name} forwards port {port} as {other.protocol} to {number}, while the container "
                    f"speaks {'/'.join(other.declared)} there: nothing that is sent arrives."
                ),
                evidence=(
                    quote(ref, service, "spec", "ports"),
                    fact(other.pod, f"{other.prefix}containers[].ports", f"{number}/{'/'.join(other.declared)}"),
                ),
                affects=tuple(behind),
                next=(lib.ask("get", "the Service as it is", kind="service", name=ref.name, namespace=ref.namespace),),
            )
