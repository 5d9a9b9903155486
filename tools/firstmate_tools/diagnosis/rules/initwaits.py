"""Init containers that run on because what they wait for does not come: no restarts, no events, nothing fails."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import backends, lib, trouble
from firstmate_tools.diagnosis.dependencies import Awaited, awaited_by
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact
from firstmate_tools.diagnosis.lib import Case
from firstmate_tools.diagnosis.rule import BACKENDS, LogWant, Verdicts, Want, rule
from firstmate_tools.diagnosis.rules.containers import LOGS, OBSERVED
from firstmate_tools.loglines import telling
from firstmate_tools.refs import Ref, ref_of

CAUSE = "init-container-waiting"
YOUNG = timedelta(seconds=5)
"""Below this age nothing is said, even where what is awaited is not there: it may come with the next manifest."""


def waiting_logs(facts: Facts) -> Iterable[Want]:
    """What init containers that run say, of one pod for each workload and container."""
    for group in _groups(facts):
        yield LogWant(group[0].ref.namespace, group[0].ref.name, group[0].container.name)


@rule(
    causes=(CAUSE,),
    observes=OBSERVED,
    digs=LOGS,
    wants=waiting_logs,
    explains=BACKENDS,
    confirms=(kinds.SERVICE, kinds.POD),
)
def init_waits(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/tasks/debug/debug-application/debug-init-containers/"""
    for group in _groups(facts):
        one = group[0]
        began = _began(one)
        age = facts.now - began if began else timedelta()
        lines = (facts.log(one.ref.namespace, one.ref.name, one.container.name) or "").splitlines()
        found = awaited_by(facts, one.workload, one.container.spec, lines)
        known = bool(found.missing or found.there or found.says_so)
        if age < YOUNG or (age < podstate.START_UP and not found.missing):
            continue
        yield _finding(facts, group, found, lines, began, known=known)


def waiting(facts: Facts) -> list[Case]:
    """One init container that only waits for each workload and container."""
    return [group[0] for group in _groups(facts)]


def _groups(facts: Facts) -> list[list[Case]]:
    return facts.derived(_grouped)


def _grouped(facts: Facts) -> list[list[Case]]:
    """Init containers that run and are in no other trouble, by workload and name; the longest running first."""
    ailing = {(t.ref, t.container.name) for t in trouble.troubled(facts)}
    groups: dict[tuple[Ref, str], list[Case]] = defaultdict(list)
    for pod in lib.unsettled(facts):
        inits = fields.items(pod, "spec", "initContainers")
        if not inits or podstate.ready(pod) or podstate.finished(pod) or podstate.terminating(pod):
            continue
        ref = ref_of(pod, kinds.POD)
        for container in podstate.containers(pod):
            if container.role == "init" and container.running and (ref, container.name) not in ailing:
                workload = facts.workload(ref)
                groups[workload, container.name].append(Case(workload, ref, pod, container))
    return [sorted(groups[key], key=_start) for key in sorted(groups)]


def _start(one: Case) -> tuple[str, Ref]:
    return fields.text(one.container.status, "state", "running", "startedAt"), one.ref


def _began(one: Case) -> datetime | None:
    return fields.time_at(one.container.status, "state", "running", "startedAt") or podstate.not_ready_since(one.pod)


def _finding(
    facts: Facts, group: list[Case], found: Awaited, lines: list[str], began: datetime | None, *, known: bool
) -> Finding:
    one = group[0]
    minutes = int((facts.now - began).total_seconds()) if began else 0
    for_long = f"{minutes // 60} min" if minutes >= 120 else f"{minutes} s"
    return Finding(
        cause=CAUSE,
        object=one.workload,
        severity=lib.severity(facts, one.workload),
        confidence="certain" if found.missing else "likely" if known else "possible",
        summary=(
            f"Init container {one.container.name} of {one.workload} has run for {for_long} without an end, so that the "
            f"containers after it do not start: {_what(facts, found)}."
        ),
        evidence=tuple(_evidence(one, found, lines, began)),
        affects=(one.workload, *sorted({case.ref for case in group})),
        since=began,
        next=(
            lib.ask_logs(one.ref, one.container.name, "what it waits for", previous=False),
            *(
                lib.ask("diagnose", "why what it waits for is not there", scope=str(ref), namespace=ref.namespace)
                for ref in found.there[:1]
                if ref.kind in {"Service", "Job", "Deployment", "StatefulSet", "DaemonSet", "Pod"}
            ),
        ),
        awaits=found.there,
    )


def _what(facts: Facts, found: Awaited) -> str:
    if found.missing:
        return f"it waits for {lib.some(map(str, found.missing))}, which does not exist"
    if found.there:
        words = [f"{ref}{_state(facts, ref)}" for ref in found.there[:3]]
        return f"it waits for {' and '.join(words)}"
    return "it says that it waits" if found.says_so else "nothing tells what it waits for"


def _state(facts: Facts, ref: Ref) -> str:
    if ref.kind != "Service":
        return ""
    pods = backends.pods_behind(facts, ref)
    ready = sum(1 for pod in pods if podstate.ready(pod))
    return f" ({ready} of {lib.count(len(pods), 'pod')} ready)"


def _evidence(one: Case, found: Awaited, lines: list[str], began: datetime | None) -> Iterator[Evidence]:
    path = f"status.initContainerStatuses[{one.container.name}].state.running"
    yield fact(one.ref, path, "running, not ended", began)
    words = telling(lines)
    if words:
        yield fact(one.ref, f"log[{one.container.name}]", "\n".join(words))
    for key in ("command", "args"):
        if one.container.spec.get(key):
            yield fact(one.ref, f"spec.initContainers[{one.container.name}].{key}", one.container.spec.get(key))
    for ref in found.missing[:1]:
        yield fact(ref, "metadata.name", "(does not exist)")
