"""Pods that stop while a proxy still sends to them: 502s at every rollout, and all probes green.

A pod that is deleted gets its signal at the same moment as the proxies hear of it; one that ends at once refuses what
is still on its way. What the template lacks is half of it, and hurts nobody by itself: errors in the minutes in which
pods stopped, and in no others, are the other half.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact
from firstmate_tools.diagnosis.metrics import told
from firstmate_tools.diagnosis.questions import GATEWAY_ERRORS, HOUR_S, METRICS_KNOWN
from firstmate_tools.diagnosis.rule import MetricWant, Verdicts, Want, rule
from firstmate_tools.diagnosis.rules.containers import OBSERVED
from firstmate_tools.fields import Obj
from firstmate_tools.prometheus.answers import Series
from firstmate_tools.refs import Ref, ref_of

CAUSE = "pod-stops-before-deregistration"
STEADY = (kinds.DEPLOYMENT, kinds.STATEFUL_SET)
AFTER = timedelta(minutes=4)
"""How long after a pod's end its errors may show: a counter's window of two minutes, and a scrape on either side."""
STOPPED = "Stopping container"
"""As opposed to one that a probe kills (kubelet v1.36, pkg/kubelet/kuberuntime/kuberuntime_container.go)."""
FEW, MOST_OF = 5, 0.8
"""Errors in an hour that are no accident, and the share of them that has to fall into those minutes. Our choice."""


@dataclass(frozen=True, slots=True)
class Hasty:
    """A workload behind a Service that ends its pods at once, and when it last did.

    Attributes:
        container: one that serves and has no preStop hook.
        patient: whether it has a readiness probe: without one, errors may be those of pods that have only just begun.
        stops: moments of the last hour, sorted.
    """

    workload: Ref
    service: Ref
    container: str
    patient: bool
    stops: tuple[datetime, ...]


def hasty(facts: Facts) -> list[Hasty]:
    """Those in scope whose pods stopped within the last hour, and that are well now."""
    found: list[Hasty] = []
    stops = facts.derived(_stops)
    for kind in STEADY:
        for obj in facts.all(kind):
            ref = ref_of(obj, kind)
            moments = tuple(sorted(stops.get(ref, ())))
            container = _serving(obj)
            if not moments or container is None or not _well(obj):
                continue
            pods = [ref_of(pod, kinds.POD) for pod in lib.pods_of(facts, ref)]
            services = sorted({s for pod in pods for s in facts.graph.after(pod, "selects") if s.kind == "Service"})
            patient = "readinessProbe" in container
            found += [Hasty(ref, service, fields.text(container, "name"), patient, moments) for service in services]
    return found


def _serving(workload: Obj) -> Obj | None:
    """The first container with a port, where it has no preStop hook."""
    containers = fields.items(workload, "spec", "template", "spec", "containers")
    first = next((c for c in containers if fields.items(c, "ports")), None)
    return None if first is None or fields.mapping(first, "lifecycle", "preStop") else first


def _well(workload: Obj) -> bool:
    wanted = fields.number(workload, "spec", "replicas", default=1)
    return wanted > 0 and fields.number(workload, "status", "readyReplicas") >= wanted


def _stops(facts: Facts) -> dict[Ref, set[datetime]]:
    """When pods of each workload stopped within the last hour: by what the kubelet said, and by new revisions."""
    found: dict[Ref, set[datetime]] = defaultdict(set)
    sets: dict[Ref, list[datetime]] = defaultdict(list)
    by_name: dict[tuple[str, str], Ref] = {}
    for one in facts.all(kinds.REPLICA_SET):
        ref = ref_of(one, kinds.REPLICA_SET)
        workload = facts.workload(ref)
        by_name[ref.namespace, ref.name] = workload
        made = fields.time_at(one, "metadata", "creationTimestamp")
        if workload != ref and made is not None:
            sets[workload].append(made)
    for one in facts.all(kinds.STATEFUL_SET):
        by_name[fields.namespace_of(one), fields.name_of(one)] = ref_of(one, kinds.STATEFUL_SET)
    for row in facts.every_event():
        if (
            row.reason == "Killing"
            and STOPPED in row.message
            and row.about.kind == kinds.POD.kind
            and row.last is not None
        ):
            workload = by_name.get((row.about.namespace, row.about.name.rpartition("-")[0]))
            if workload is not None:
                found[workload].add(row.last)
    for workload, moments in sets.items():
        found[workload].update(sorted(moments)[1:])  # the first revision of all stopped nothing
    return {ref: kept for ref, every in found.items() if (kept := {at for at in every if _lately(facts, at)})}


def _lately(facts: Facts, at: datetime) -> bool:
    return timedelta(0) <= facts.now - at <= timedelta(seconds=HOUR_S)


def _wants(facts: Facts) -> Iterable[Want]:
    if facts.derived(hasty):
        yield MetricWant(METRICS_KNOWN)
        yield MetricWant(GATEWAY_ERRORS)


@rule(causes=(CAUSE,), observes=(*OBSERVED, kinds.INGRESS), digs=(METRICS_KNOWN, GATEWAY_ERRORS), wants=_wants)
def stops_too_soon(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination-flow"""
    errors: dict[Ref, list[Series]] = defaultdict(list)
    for series in facts.series(GATEWAY_ERRORS):
        errors[_service(series)].append(series)
    for one in facts.derived(hasty):
        yield from _judged(facts, one, errors.get(one.service, []))


def _service(series: Series) -> Ref:
    """The Service that a proxy could not reach; labels of its own come first where Prometheus has renamed them."""
    namespace = series.label("destination_service_namespace") or series.label("exported_namespace")
    name = series.label("destination_service_name") or series.label("exported_service")
    return Ref("Service", namespace or series.label("namespace"), name or series.label("service"))


def _judged(facts: Facts, one: Hasty, found: list[Series]) -> Iterator[Finding]:
    points = [point for series in found for point in series.points]
    total = sum(value for _, value in points)
    near = sum(value for at, value in points if any(stop <= at <= stop + AFTER for stop in one.stops))
    # Windows of two minutes every minute see each error twice.
    if near / 2 < FEW or near < total * MOST_OF:
        return
    worst = max(found, key=lambda series: max(value for _, value in series.points))
    at, _ = max(worst.points, key=lambda point: point[1])
    yield Finding(
        cause=CAUSE,
        object=one.workload,
        severity="warning",
        confidence="likely" if one.patient else "possible",
        summary=(
            f"About {near / 2:.0f} requests to service {one.service.name} failed with 502, 503 or 504 within the last "
            f"hour, in the minutes after pods of {one.workload} stopped ({lib.count(len(one.stops), 'time')}), and "
            f"hardly any at other times: container {one.container} has no preStop hook, and ends before the proxies "
            "let go of it."
        ),
        evidence=(
            fact(one.service, "prometheus requests that failed, near stops", f"{near / 2:.0f} of {total / 2:.0f}", at),
            fact(one.workload, f"spec.template.spec.containers[{one.container}].lifecycle.preStop", None),
            told(worst, one.service, "last failure", f"{worst.value / 2:.0f} in a minute"),
            fact(one.workload, "pods stopped", one.stops[-1].strftime("%H:%M:%S"), one.stops[-1]),
        ),
        affects=(one.service,),
        culprit=f"{one.workload.namespace}/{one.workload}",
        next=(
            lib.ask("events", "when its pods were stopped", scope=str(one.workload), namespace=one.workload.namespace),
        ),
    )
