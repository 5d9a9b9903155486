"""Workloads of another namespace that are scaled to zero while one in scope waits for them, or dies without them.

The list of a namespace shows only the caller. What its log, or the command of an init container that waits, asks for is
looked up where it is: at most two Services, and the workloads beside each.
"""

from collections.abc import Iterable, Iterator
from itertools import chain

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import backends, hosts, lib
from firstmate_tools.diagnosis.dependencies import asked_for
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact, quote
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, ListWant, Verdicts, Want, rule
from firstmate_tools.diagnosis.rules.initwaits import waiting
from firstmate_tools.fields import Obj
from firstmate_tools.graph import scale_target
from firstmate_tools.loglines import unreached
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

MOST = 2
WORKLOADS = (kinds.DEPLOYMENT, kinds.STATEFUL_SET)
Need = tuple[Ref, Ref, str, str]
"""Who asks, for which Service, where that is said, in which words."""


def elsewhere(facts: Facts) -> Iterable[Want]:
    """The Services of other namespaces that are missed, and the workloads beside those that are there."""
    asked = list(dict.fromkeys(service for _, service, _, _ in facts.derived(_needs)))[:MOST]
    for service in asked:
        yield GetWant(kinds.SERVICE, service)
        if fields.mapping(facts.get(service) or {}, "spec", "selector"):
            yield from (ListWant(kind, service.namespace) for kind in (*WORKLOADS, kinds.HORIZONTAL_POD_AUTOSCALER))


def _needs(facts: Facts) -> tuple[Need, ...]:
    """What is missed in other namespaces than the one asked about; a whole cluster shows both ends anyhow."""
    place = facts.scope.namespace
    if place is None:
        return ()
    every = chain(_of_inits(facts), _of_logs(facts, place))
    return tuple(sorted({need for need in every if need[1].namespace != place}))


def _of_inits(facts: Facts) -> Iterator[Need]:
    for one in waiting(facts):
        lines = (facts.log(one.ref.namespace, one.ref.name, one.container.name) or "").splitlines()
        for service in asked_for(one.workload, one.container.spec, lines):
            field = f"spec.initContainers[{one.container.name}].command"
            yield one.workload, service, field, " ".join(fields.strings(one.container.spec, "command"))


def _of_logs(facts: Facts, place: str) -> Iterator[Need]:
    for pod, container, log in hosts.logs_read(facts, place):
        for line in log.splitlines()[-50:]:
            for peer in unreached([line]):
                service = hosts.service(facts, place, peer.host)
                if service is not None:
                    yield facts.workload(pod), service, f"log[{container}]", line.strip()


@rule(
    causes=("workload-scaled-to-zero",),
    observes=(kinds.POD, kinds.SERVICE, kinds.REPLICA_SET, *WORKLOADS),
    digs=(
        Read(kinds.POD, ("get",), "log"),
        Read(kinds.SERVICE, ("get",)),
        *(Read(kind, ("list",)) for kind in (*WORKLOADS, kinds.HORIZONTAL_POD_AUTOSCALER)),
    ),
    wants=elsewhere,
    explains=BACKENDS,
)
def idle_elsewhere(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#namespaces-of-services"""
    told: set[Ref] = set()
    needs = facts.derived(_needs)
    for _, service, _, _ in needs:
        workload = _at_zero(facts, service)
        if workload is not None and service not in told:
            told.add(service)
            yield _finding(facts, service, workload, [need for need in needs if need[1] == service])


def _at_zero(facts: Facts, service: Ref) -> tuple[Ref, Obj] | None:
    """The workload behind a Service, where all that it selects is asked for no pod. KEDA brings its own back."""
    obj = facts.get(service)
    if obj is None or not all(facts.knows(kind, service.namespace) for kind in WORKLOADS):
        return None
    behind = [
        (ref_of(one, kind), one)
        for kind in WORKLOADS
        for one in facts.all(kind, service.namespace)
        if backends.selects(obj, backends.Backend(ref_of(one, kind), one, backends.template_labels(one), 0))
    ]
    keda = {
        scale_target(one)
        for one in facts.all(kinds.HORIZONTAL_POD_AUTOSCALER, service.namespace)
        if fields.name_of(one).startswith("keda-hpa-")
    }
    if not behind or any(fields.at(one, "spec", "replicas") != 0 or ref in keda for ref, one in behind):
        return None
    return behind[0]


def _finding(facts: Facts, service: Ref, workload: tuple[Ref, Obj], needs: list[Need]) -> Finding:
    ref, obj = workload
    callers = sorted({who for who, _, _, _ in needs})
    who, _, field, words = needs[0]
    return Finding(
        cause="workload-scaled-to-zero",
        object=ref,
        severity=lib.severity(facts, who),
        confidence="certain",
        summary=(
            f"{ref} in namespace {ref.namespace} is scaled to 0 replicas, so that Service {service.name} there has no "
            f"backend, while {lib.some(map(str, callers))} asks for it."
        ),
        evidence=(
            quote(ref, obj, "spec", "replicas"),
            quote(service, facts.get(service) or {}, "spec", "selector"),
            fact(who, field, words),
        ),
        affects=(service,),  # the callers are what it explains: their findings wait for the Service
        next=(
            lib.ask(
                "workload_status",
                "its replicas and what changed them",
                scope=f"{ref.kind.lower()}/{ref.name}",
                namespace=ref.namespace,
            ),
        ),
    )
