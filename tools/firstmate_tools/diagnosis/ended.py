"""How a finding about a container that ended, or never started, is put: its words, its evidence, since when. Pure.

Shared by the rules that start from `trouble`.
"""

from collections.abc import Iterator
from datetime import datetime

from firstmate_tools import fields, podstate
from firstmate_tools.diagnosis import lib, trouble
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, NextStep, fact
from firstmate_tools.diagnosis.heard import heard, said
from firstmate_tools.diagnosis.peers import awaited
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.results import Confidence, Severity

SIGNALS = {134: "SIGABRT", 135: "SIGBUS", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}


def finding(
    facts: Facts,
    group: list[Trouble],
    *,
    cause: str,
    summary: str,
    confidence: Confidence,
    evidence: tuple[Evidence, ...] = (),
    culprit: str = "",
    next_: tuple[NextStep, ...] = (),
) -> Finding:
    """A finding about the workload of a group, with how its worst container ended.

    Args:
        evidence: what decides, before the end itself.
    """
    one = trouble.worst(group)
    lines = (trouble.log_of(facts, one) or "").splitlines()
    ended = (end_evidence(one),) if one.end else ()
    return Finding(
        cause=cause,
        object=one.workload,
        severity=severity(facts, one),
        confidence=confidence,
        summary=summary,
        evidence=(*evidence, *ended, *backing_off(facts, one)),
        affects=trouble.affected(group),
        since=since(facts, group),
        culprit=culprit,
        next=next_ or tuple(follow_up(facts, one)),
        awaits=awaited(facts, one.workload, lines),
    )


def severity(facts: Facts, one: Trouble) -> Severity:
    """As `lib.severity`; a pod without a controller that has ended serves nobody any more."""
    if one.workload.kind == "Pod" and podstate.finished(one.pod):
        return "warning"
    return lib.severity(facts, one.workload)


def since(facts: Facts, group: list[Trouble]) -> datetime | None:
    """When the pods were last well, or the first backing off that is still known; nothing is older than its pod."""
    return lib.earliest([_began(facts, t) for t in group])


def _began(facts: Facts, one: Trouble) -> datetime | None:
    well = podstate.not_ready_since(one.pod) if not podstate.ready(one.pod) else None
    backing = [row.first for row in heard(facts, one.ref, one.pod, one.container.name, "BackOff")]
    first = lib.earliest([well, *backing, fields.time_at(one.end, "finishedAt")])
    made = fields.time_at(one.pod, "metadata", "creationTimestamp")
    return max(first, made) if first is not None and made is not None else first


def exit_words(code: int) -> str:
    """`exit code 137 (SIGKILL)`."""
    return f"exit code {code}" + (f" ({SIGNALS[code]})" if code in SIGNALS else "")


def so_far(group: list[Trouble]) -> str:
    """` (5 restarts in 3 pods)`, "" where it happened once in one pod."""
    restarts = max(t.container.restarts for t in group)
    pods = len({t.ref for t in group})
    words = [lib.count(restarts, "restart")] if restarts else []
    words += [f"in {lib.count(pods, 'pod')}"] if pods > 1 else []
    return f" ({' '.join(words)})" if words else ""


def named(one: Trouble) -> str:
    """`container app of deployment/cart`, `init container …`."""
    role = "init container" if one.container.role == "init" else "container"
    return f"{role} {one.container.name} of {one.workload}"


def section(one: Trouble) -> str:
    """Where the pod's spec has the container: `spec.containers[app]`."""
    return f"spec.{'containers' if one.container.role == 'app' else 'initContainers'}[{one.container.name}]"


def status_path(one: Trouble) -> str:
    """Where the pod's status has the container."""
    part = "containerStatuses" if one.container.role == "app" else "initContainerStatuses"
    return f"status.{part}[{one.container.name}]"


def end_evidence(one: Trouble) -> Evidence:
    """How the run ended."""
    state = "lastState" if one.previous else "state"
    reason = fields.text(one.end, "reason") or "no reason given"
    value = f"{reason}, exit code {fields.number(one.end, 'exitCode')}, {lib.count(one.container.restarts, 'restart')}"
    return fact(one.ref, f"{status_path(one)}.{state}.terminated", value, fields.time_at(one.end, "finishedAt"))


def backing_off(facts: Facts, one: Trouble) -> Iterator[Evidence]:
    """The newest event about starting it again later."""
    for row in heard(facts, one.ref, one.pod, one.container.name, "BackOff")[:1]:
        yield said(row)


def log_line(one: Trouble, line: str) -> Evidence:
    """A line of the log of the run that ended."""
    return fact(one.ref, f"log[{one.container.name}]", line, fields.time_at(one.end, "finishedAt"))


def ask_logs(one: Trouble, why: str) -> NextStep:
    """The question for the log of the run that ended."""
    return lib.ask_logs(one.ref, one.container.name, why, previous=one.previous)


def follow_up(facts: Facts, one: Trouble) -> Iterator[NextStep]:
    """The log, and what the new revision changed where the old one serves."""
    yield ask_logs(one, "all that it said before it ended")
    if one.workload.kind == "Deployment" and lib.serving(facts, one.workload):
        scope = f"deployment/{one.workload.name}"
        yield lib.ask("workload_status", "what the new revision changed", scope=scope, namespace=one.workload.namespace)


def spec_step(one: Trouble, why: str) -> NextStep:
    """The question for the workload's own spec."""
    return lib.ask("get", why, kind=one.workload.kind, name=one.workload.name, namespace=one.workload.namespace)
