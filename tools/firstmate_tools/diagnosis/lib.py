"""What rules share: grouping pods by what a person edits, and saying how much it hurts. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import NextStep
from firstmate_tools.fields import Obj
from firstmate_tools.podstate import Container
from firstmate_tools.refs import Ref, controller_of, ref_of
from firstmate_tools.results import Severity


@dataclass(frozen=True, slots=True)
class Case:
    """One container of one pod that shows a symptom.

    Attributes:
        workload: what a person edits.
        ref: the pod's address.
    """

    workload: Ref
    ref: Ref
    pod: Obj
    container: Container


def cases(facts: Facts, shows: Callable[[Obj, Container], bool]) -> Iterator[list[Case]]:
    """The containers that show a symptom, grouped by workload and container name, pods by name.

    Finished and terminating pods are left out. Groups come by workload and container name.
    """
    groups: dict[tuple[Ref, str], list[Case]] = defaultdict(list)
    for pod in facts.all(kinds.POD):
        if podstate.finished(pod) or podstate.terminating(pod):
            continue
        ref = ref_of(pod, kinds.POD)
        for container in podstate.containers(pod):
            if shows(pod, container):
                workload = facts.workload(ref)
                groups[workload, container.name].append(Case(workload, ref, pod, container))
    for key in sorted(groups):
        yield groups[key]


def pods_of(facts: Facts, workload: Ref) -> list[Obj]:
    """The observed pods below a workload (or the pod itself), by name, finished and terminating ones left out."""
    below = facts.graph.reach([workload], "owns")
    found = [facts.get(ref) for ref in sorted(below) if ref.kind == "Pod"]
    return [pod for pod in found if pod is not None and not podstate.finished(pod) and not podstate.terminating(pod)]


def unsettled(facts: Facts) -> list[Obj]:
    """The pods in scope that do not plainly run well, by namespace and name: few where there are thousands."""
    return facts.derived(_unsettled)


def _unsettled(facts: Facts) -> list[Obj]:
    return [pod for pod in facts.all(kinds.POD) if not podstate.runs_well(pod)]


def lone(facts: Facts) -> list[Obj]:
    """The pods in scope that no controller has made, by namespace and name."""
    return facts.derived(_lone)


def _lone(facts: Facts) -> list[Obj]:
    return [pod for pod in facts.all(kinds.POD) if controller_of(pod) is None]


def serving(facts: Facts, workload: Ref) -> int:
    """How many pods of a workload are ready now."""
    return sum(1 for pod in pods_of(facts, workload) if podstate.ready(pod))


def severity(facts: Facts, workload: Ref) -> Severity:
    """How much a broken workload hurts: critical where nothing of it serves, warning where some of it does.

    Jobs and CronJobs, which serve nobody, are a warning.
    """
    if workload.kind in {"Job", "CronJob"}:
        return "warning"
    return "warning" if serving(facts, workload) else "critical"


def worst(severities: Iterable[Severity]) -> Severity:
    """The most severe of some."""
    found = set(severities)
    return "critical" if "critical" in found else "warning" if "warning" in found else "info"


def earliest(moments: Iterable[datetime | None]) -> datetime | None:
    """The earliest of those that are known."""
    return min((m for m in moments if m is not None), default=None)


def named_template(facts: Facts, workload: Ref) -> Obj:
    """The pod template of a workload, {} where there is none (a lone pod, a workload that was not observed)."""
    obj = facts.get(workload) or {}
    return fields.mapping(obj, "spec", "jobTemplate", "spec", "template") or fields.mapping(obj, "spec", "template")


def ask(tool: str, why: str, **arguments: object) -> NextStep:
    """The next question worth asking: `ask("events", "what the kubelet says", namespace=…, scope=…)`."""
    return NextStep(tool, tuple(sorted(arguments.items())), why)


def ask_logs(pod: Ref, container: str, why: str, *, previous: bool) -> NextStep:
    """The question for one container's log, of the run before where that is the one that tells."""
    run = {"previous": "only"} if previous else {}
    return ask("logs", why, scope=f"pod/{pod.name}", namespace=pod.namespace, container=container, **run)


def count(number: int, noun: str) -> str:
    """`1 pod`, `3 pods`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def some(names: Iterable[str], most: int = 3) -> str:
    """`a, b and 4 more`: the first of some names, sorted, each once."""
    found = sorted(set(names))
    more = len(found) - most
    return ", ".join(found[:most]) + (f" and {more} more" if more > 0 else "")
