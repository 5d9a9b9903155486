"""The cluster's DNS: no server runs, or it is configured wrongly. Every other namespace sees only names that fail.

A question about another namespace looks there only where something in it is in trouble, or says that names fail.
"""

from collections.abc import Iterable, Iterator

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import backends, clusterdns, lib, trouble
from firstmate_tools.diagnosis.clusterdns import PLACE, SERVICE, Mistake
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact, quote
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, ListWant, LogWant, Verdicts, Want, explains, rule
from firstmate_tools.fields import Obj
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

NOT_RUNNING, INVALID = "coredns-not-running", "coredns-config-invalid"
MOST_NAMED = 20
_VICTIMS = (
    "application-exits-on-error",
    "readiness-probe-misconfigured",
    "liveness-probe-misconfigured",
    "init-container-failing",
    "init-container-waiting",
    "service-selector-mismatch",
    "workload-scaled-to-zero",
)
_EXPLAINS = (*BACKENDS, *explains(*_VICTIMS, along=("owns",)))
OBSERVED = (
    kinds.POD,
    kinds.SERVICE,
    kinds.DEPLOYMENT,
    kinds.REPLICA_SET,
    kinds.DAEMON_SET,
    kinds.NODE,
)


def _suspected(facts: Facts) -> bool:
    """Whether something here may be in trouble because names fail."""
    return clusterdns.in_scope(facts) or bool(clusterdns.complaints(facts)) or trouble.has_run(facts)


def servers(facts: Facts) -> Iterable[Want]:
    """The DNS Service and its addresses; what stands behind it only where there are none."""
    if not _suspected(facts) or (facts.knows(kinds.SERVICE, PLACE) and facts.get(SERVICE) is None):
        return
    yield from [GetWant(kinds.SERVICE, SERVICE)] if not facts.knows(kinds.SERVICE, PLACE) else []
    if facts.get(SERVICE) is None:
        return
    known = facts.knows(kinds.POD, PLACE)
    if not known:
        yield ListWant(kinds.ENDPOINT_SLICE, PLACE)
    nobody = known and not any(podstate.ready(pod) for pod in clusterdns.pods(facts))
    if nobody or (facts.knows(kinds.ENDPOINT_SLICE, PLACE) and not _ready_addresses(facts)):
        yield from (ListWant(kind, PLACE) for kind in (kinds.POD, kinds.DEPLOYMENT, kinds.REPLICA_SET))


def _ready_addresses(facts: Facts) -> int:
    mine = [
        one
        for one in facts.all(kinds.ENDPOINT_SLICE, PLACE)
        if fields.labels_of(one).get("kubernetes.io/service-name") == SERVICE.name
    ]
    ends = [end for one in mine for end in fields.items(one, "endpoints")]
    return sum(1 for end in ends if fields.at(end, "conditions", "ready") is not False)


@rule(
    causes=(NOT_RUNNING,),
    observes=OBSERVED,
    digs=(
        Read(kinds.SERVICE, ("get",)),
        Read(kinds.ENDPOINT_SLICE, ("list",)),
        Read(kinds.POD, ("list",)),
        Read(kinds.DEPLOYMENT, ("list",)),
        Read(kinds.REPLICA_SET, ("list",)),
    ),
    wants=servers,
    explains=_EXPLAINS,
    confirms=(kinds.POD, kinds.SERVICE),
)
def coredns_down(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/tasks/administer-cluster/dns-debugging-resolution/#check-if-the-dns-pod-is-running"""
    service = facts.get(SERVICE)
    if service is None or not fields.mapping(service, "spec", "selector"):
        return
    pods = clusterdns.pods(facts)
    if not facts.knows(kinds.POD, PLACE):
        return
    ready = sum(podstate.ready(pod) for pod in pods)
    if ready:
        if clusterdns.complaints(facts):
            yield RuledOut(NOT_RUNNING, f"{lib.count(ready, 'pod')} of the cluster's DNS is ready")
        return
    above = clusterdns.workload(facts)
    if _settling(facts, pods, above) or (above is None and _on_nodes(facts)):
        return
    yield _down(facts, service, pods, above)


def _on_nodes(facts: Facts) -> bool:
    """Whether nodes bring DNS themselves, as those of EKS Auto Mode do."""
    auto = "eks.amazonaws.com/compute-type"
    return any(fields.labels_of(node).get(auto) == "auto" for node in facts.everywhere(kinds.NODE))


def _settling(facts: Facts, pods: list[Obj], above: Ref | None) -> bool:
    """Whether its pods may simply be starting."""
    if pods:
        return all(podstate.healthy(pod, facts.now) for pod in pods)
    obj = facts.get(above) if above else None
    made = fields.time_at(obj or {}, "metadata", "creationTimestamp")
    asleep = fields.at(obj or {}, "spec", "replicas") == 0
    return not asleep and made is not None and facts.now - made < podstate.START_UP


def _down(facts: Facts, service: Obj, pods: list[Obj], above: Ref | None) -> Finding:
    obj = facts.get(above) if above else None
    complaints = clusterdns.complaints(facts)
    if obj is None or above is None:
        state = "its Service selects no workload"
    elif fields.at(obj, "spec", "replicas") == 0:
        state = f"{above} is scaled to 0 replicas"
    elif not pods:
        state = f"{above} wants {lib.count(fields.number(obj, 'spec', 'replicas', default=1), 'pod')} and has none"
    else:
        state = f"none of {lib.count(len(pods), 'pod')} of {above} is ready"
    told = f" {lib.count(len(complaints), 'workload')} here could not look names up." if complaints else ""
    return Finding(
        cause=NOT_RUNNING,
        object=above or SERVICE,
        severity="critical",
        confidence="certain",
        summary=f"The cluster's DNS does not answer: {state}. Names of Services resolve nowhere.{told}",
        evidence=(
            *((quote(above, obj, "spec", "replicas"),) if above and obj is not None else ()),
            fact(SERVICE, "ready endpoints", 0),
            quote(SERVICE, service, "spec", "selector"),
            *(fact(ref_of(pod, kinds.POD), "status", podstate.status_text(pod)) for pod in pods[:2]),
            *_said(complaints),
        ),
        affects=(SERVICE, *(ref_of(pod, kinds.POD) for pod in pods[:MOST_NAMED]), *sorted(complaints)[:MOST_NAMED]),
        since=lib.earliest(podstate.not_ready_since(pod) for pod in pods),
        next=(lib.ask("diagnose", "why its pods do not run", scope=f"namespace/{PLACE}"),),
    )


def _said(complaints: dict[Ref, str]) -> Iterator[Evidence]:
    for ref in sorted(complaints)[:2]:
        yield fact(ref, "log", complaints[ref])


def configuration(facts: Facts) -> Iterable[Want]:
    """The Corefile, and what one server says; from another namespace only where names fail there."""
    if not (clusterdns.in_scope(facts) or clusterdns.complaints(facts)):
        return
    if facts.get(SERVICE) is None:
        yield from [GetWant(kinds.SERVICE, SERVICE)] if not facts.knows(kinds.SERVICE, PLACE) else []
        return
    yield GetWant(kinds.CONFIG_MAP, clusterdns.config(facts))
    yield ListWant(kinds.POD, PLACE)
    pods = sorted(clusterdns.pods(facts), key=lambda pod: (podstate.ready(pod), fields.name_of(pod)))
    for pod in pods[:1]:
        for container in podstate.containers(pod)[:1]:
            if container.running or container.restarts:
                well = container.running and container.ready
                yield LogWant(PLACE, fields.name_of(pod), container.name, not container.running, aside=well)


@rule(
    causes=(INVALID,),
    observes=OBSERVED,
    digs=(
        Read(kinds.SERVICE, ("get",)),
        Read(kinds.CONFIG_MAP, ("get",)),
        Read(kinds.POD, ("list",)),
        Read(kinds.POD, ("get",), "log"),
    ),
    wants=configuration,
    explains=(*_EXPLAINS, *explains(NOT_RUNNING, "service-host-reference-invalid", along=("owns",))),
)
def coredns_config(facts: Facts) -> Verdicts:
    """https://coredns.io/plugins/loop/#troubleshooting and https://coredns.io/manual/configuration/"""
    if facts.get(SERVICE) is None:
        return
    found = clusterdns.mistakes(facts)
    if not found:
        return
    first = min(found, key=lambda one: not one.sure)
    ref, above = clusterdns.config(facts), clusterdns.workload(facts)
    pods, complaints = clusterdns.pods(facts), clusterdns.complaints(facts)
    ready = sum(podstate.ready(pod) for pod in pods)
    yield Finding(
        cause=INVALID,
        object=ref,
        severity="critical" if complaints or not ready else "warning",
        confidence="certain" if first.sure else "likely" if complaints or first.often else "possible",
        summary=(
            f"The configuration of the cluster's DNS is wrong: the Corefile in {ref} {first.why}. "
            f"{ready} of {lib.count(len(pods), 'DNS pod')} ready."
        ),
        evidence=(*(_shown(ref, one) for one in found[:3]), *_said(complaints)),
        affects=(
            *([above] if above else []),
            *(backends.workloads_behind(facts, SERVICE)),
            SERVICE,
            *sorted(complaints)[:MOST_NAMED],
        ),
        next=(
            lib.ask("get", "the Corefile as it is", kind="configmap", name=ref.name, namespace=PLACE),
            *(lib.ask("logs", "what CoreDNS says", scope=str(above), namespace=PLACE) for above in [above] if above),
        ),
    )


def _shown(ref: Ref, mistake: Mistake) -> Evidence:
    return fact(mistake.at or ref, mistake.field, mistake.value)
