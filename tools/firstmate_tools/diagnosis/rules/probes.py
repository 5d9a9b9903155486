"""Liveness and readiness probes that cannot pass, so that a working container is killed or kept out.

A failing probe is not yet a wrong one: the program may say itself that it is unwell (503), be slow, or be down. A
finding needs proof that the probe asks the wrong thing: a port that nobody has, an answer in another protocol, a page
that does not exist, or a question that the revision which serves did not ask.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib, probing, revisions, trouble
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact
from firstmate_tools.diagnosis.heard import Check, failed_checks, lately, said
from firstmate_tools.diagnosis.probing import Probe
from firstmate_tools.diagnosis.rule import BACKENDS, LogWant, Verdicts, Want, rule
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.loglines import listening
from firstmate_tools.podstate import Container
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref
from firstmate_tools.results import Confidence

OBSERVED = (kinds.POD, kinds.REPLICA_SET, kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.EVENT)
LOGS = (Read(kinds.POD, ("get",), "log"),)
LOOPS = 3
"""Kills after which a probe that is refused is suspected although nothing contradicts it."""
LONG = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Mistake:
    """Why a probe cannot pass."""

    confidence: Confidence
    why: str
    evidence: tuple[Evidence, ...] = ()


def listening_lines(facts: Facts) -> Iterable[Want]:
    """The log of a container whose probe is refused at a port that the spec alone does not prove wrong."""
    for group in trouble.groups(facts, "liveness", "readiness"):
        one = trouble.worst(group)
        check: Check = "liveness" if one.kind == "liveness" else "readiness"
        found = _mistake(facts, one, check)
        if (found is None or found.confidence == "possible") and _refused(_failures(facts, one, check)):
            yield LogWant(one.ref.namespace, one.ref.name, one.container.name, one.previous)


@rule(
    causes=("liveness-probe-misconfigured",),
    observes=OBSERVED,
    digs=LOGS,
    wants=listening_lines,
    explains=BACKENDS,
)
def liveness_probe(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/"""
    yield from _judged(facts, "liveness", "liveness-probe-misconfigured", "the container is killed and restarted")


@rule(
    causes=("readiness-probe-misconfigured",),
    observes=OBSERVED,
    digs=LOGS,
    wants=listening_lines,
    explains=BACKENDS,
)
def readiness_probe(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/"""
    yield from _judged(facts, "readiness", "readiness-probe-misconfigured", "the pod never gets ready")


Judged = Literal["liveness", "readiness"]


def _judged(facts: Facts, check: Judged, cause: str, effect: str) -> Verdicts:
    for group in trouble.groups(facts, check):
        one = trouble.worst(group)
        mistake = _mistake(facts, one, check)
        if mistake is not None:
            yield _finding(facts, group, check, cause, effect, mistake)
        elif any(probing.answer(row.message) == "unwell" for row in _failures(facts, one, check)):
            yield RuledOut(cause, f"container {one.container.name} of {one.workload} answers its {check} probe itself")


def _finding(facts: Facts, group: list[Trouble], check: Check, cause: str, effect: str, mistake: Mistake) -> Finding:
    one = trouble.worst(group)
    rows = _failures(facts, one, check)
    restarts = f" ({lib.count(one.container.restarts, 'restart')})" if check == "liveness" else ""
    section = "containers" if one.container.role == "app" else "initContainers"
    probe_path = f"spec.{section}[{one.container.name}].{check}Probe"
    return Finding(
        cause=cause,
        object=one.workload,
        severity=lib.severity(facts, one.workload),
        confidence=mistake.confidence,
        summary=(
            f"The {check} probe of container {one.container.name} of {one.workload} cannot pass: {mistake.why}; "
            f"{effect}{restarts}."
        ),
        evidence=(
            fact(one.ref, probe_path, one.container.spec.get(f"{check}Probe")),
            *mistake.evidence,
            *(said(row) for row in rows[:1]),
        ),
        affects=trouble.affected(group),
        since=lib.earliest(
            [
                *(row.first for row in rows),
                *(podstate.not_ready_since(t.pod) for t in group if not podstate.ready(t.pod)),
            ]
        ),
        next=(
            lib.ask("workload_status", "what the last revision changed", **_scope(one.workload)),
            lib.ask_logs(one.ref, one.container.name, "the port on which it listens", previous=one.previous),
        ),
    )


def _scope(ref: Ref) -> dict[str, str]:
    return {"scope": f"{ref.kind.lower()}/{ref.name}", "namespace": ref.namespace}


def _failures(facts: Facts, one: Trouble, check: Check) -> list[EventRow]:
    """What the probe was answered in the run in question, newest first."""
    return [row for row in failed_checks(facts, one.ref, one.pod, one.container, check) if lately(facts, row)]


def _refused(rows: list[EventRow]) -> bool:
    return any(probing.answer(row.message) == "refused" for row in rows)


def _mistake(facts: Facts, one: Trouble, check: Check) -> Mistake | None:
    probe = probing.read(one.container, check)
    if probe is None:
        return None
    if isinstance(probe.port, str) and probing.number(one.container, probe) is None:
        return Mistake("certain", f"it asks port {probe.port}, and the container has no port of that name", _ports(one))
    if _passes_elsewhere(facts, one, check):
        return None
    rows = _failures(facts, one, check)
    host = fields.text(probe.spec, "host")
    if (
        host
        and rows
        and not fields.flag(one.pod, "spec", "hostNetwork")
        and host != fields.text(one.pod, "status", "podIP")
    ):
        return Mistake("likely", f"it asks {probe} of host {host} instead of the pod")
    found = [m for row in rows for m in _of_answer(facts, one, check, probe, row)]
    return (
        next(iter(found), None)
        or _of_change(facts, one, check)
        or (None if rows else _unheard(facts, one, check, probe))
    )


def _of_answer(facts: Facts, one: Trouble, check: Check, probe: Probe, row: EventRow) -> Iterator[Mistake]:
    answer = probing.answer(row.message)
    if answer == "protocol":
        sure: Confidence = "likely" if "statuscode" in row.message else "certain"
        yield Mistake(sure, f"it asks {probe}, and what answers there speaks another protocol", _ports(one))
    elif answer == "path":
        yield Mistake("likely", f"it asks {probe}, and the program has no such page")
    elif answer == "rights":
        yield Mistake("likely", f"it asks {probe}, and the program wants credentials there")
    elif answer == "command":
        yield Mistake("certain", f"it runs {probe}, and the image has no such command")
    elif answer == "file" and probe.method == "exec":
        yield Mistake("possible", f"it runs {probe}, which does not find its file")
    elif answer == "refused":
        found = _of_port(facts, one, check, probe)
        if found is not None:
            yield found


def _of_port(facts: Facts, one: Trouble, check: Check, probe: Probe) -> Mistake | None:
    """A refused connection proves a wrong port where the container says that it listens elsewhere."""
    number, own = probing.number(one.container, probe), probing.declared(one.container)
    if number is None:
        return None
    undeclared = number not in probing.declared_anywhere(one.pod)
    if own and undeclared:
        why = f"it asks {probe}, where nothing listens; the container declares {lib.some(map(str, own.values()))}"
        return Mistake("certain", why, _ports(one))
    heard_at = listening((trouble.log_of(facts, one) or "").splitlines())
    if heard_at and number not in heard_at:
        ports = lib.some(map(str, heard_at))
        evidence = fact(one.ref, f"log[{one.container.name}]", f"listens on {ports}")
        return Mistake("likely", f"it asks {probe}, where nothing listens; the log names {ports}", (evidence,))
    other = _other_port(facts, one, check, number)
    if other is not None:
        return Mistake("likely", f"it asks {probe}, where nothing listens, while {other}")
    if undeclared and _long_enough(facts, one, check):
        return Mistake("possible", f"it asks {probe}, where nothing listens; the container declares no port")
    return None


def _other_port(facts: Facts, one: Trouble, check: Check, number: int) -> str | None:
    """Another probe of the container that passes at another port."""
    checks: dict[Check, bool] = {
        "readiness": one.container.ready,
        "liveness": check == "readiness" and not one.container.restarts and _long_enough(facts, one, check),
        "startup": fields.flag(one.container.status, "started"),
    }
    for other, passes in checks.items():
        probe = probing.read(one.container, other)
        asked = probing.number(one.container, probe) if probe else None
        if passes and other != check and asked is not None and asked != number:
            return f"the {other} probe passes at port {asked}"
    return None


def _long_enough(facts: Facts, one: Trouble, check: Check) -> bool:
    """Whether a slow start is no longer the likelier reason."""
    if check == "liveness":
        return one.container.restarts >= LOOPS
    since = fields.time_at(one.container.status, "state", "running", "startedAt")
    return since is not None and facts.now - since > LONG


def _of_change(facts: Facts, one: Trouble, check: Check) -> Mistake | None:
    """A probe that asks something else than that of the older revision, whose pods are ready."""
    older = revisions.before(facts, one.ref)
    if older is None or not revisions.serves(older[1]):
        return None
    ref, replica_set = older
    template = fields.mapping(replica_set, "spec", "template")
    before = next((c for c in podstate.containers(template) if c.name == one.container.name), None)
    change = probing.changed(before, one.container, check)
    if change is None:
        return None
    was, now = change
    section = "containers" if one.container.role == "app" else "initContainers"
    path = f"spec.template.spec.{section}[{one.container.name}].{check}Probe"
    why = f"it asks {now}, while the revision that serves was asked {was}"
    return Mistake("likely", why, (fact(ref, path, before.spec.get(f"{check}Probe") if before else None),))


def _unheard(facts: Facts, one: Trouble, check: Check, probe: Probe) -> Mistake | None:
    """Where no event tells what was answered: a port that only the probe knows."""
    number, own = probing.number(one.container, probe), probing.declared(one.container)
    starting = check == "readiness" and podstate.healthy(one.pod, facts.now)
    if starting or not own or number is None or number in probing.declared_anywhere(one.pod):
        return None
    why = f"it asks {probe}; the container declares {lib.some(map(str, own.values()))}"
    return Mistake("likely" if check == "liveness" else "possible", why, _ports(one))


def _passes_elsewhere(facts: Facts, one: Trouble, check: Check) -> bool:
    """Whether the same probe of the same template passes in another pod, so that it can pass."""
    above = next(facts.graph.owners(one.ref), None)
    for ref in facts.graph.after(above, "owns") if above else []:
        pod = facts.get(ref)
        if pod is None or ref == one.ref or ref.kind != "Pod" or podstate.finished(pod) or not _same(one, pod):
            continue
        for container in podstate.containers(pod):
            well = container.name == one.container.name and container.ready and container.running
            if well and (check == "readiness" or _survives(facts, one, container)):
                return True
    return False


def _same(one: Trouble, pod: fields.Obj) -> bool:
    """Whether a pod of the same owner has the same revision (StatefulSets and DaemonSets label it)."""
    label = "controller-revision-hash"
    return fields.labels_of(one.pod).get(label) == fields.labels_of(pod).get(label)


def _survives(facts: Facts, one: Trouble, container: Container) -> bool:
    """Whether a container has outlived the time after which its liveness probe would have killed it."""
    budget = probing.patience(one.container, "liveness") + timedelta(seconds=60)
    began = fields.time_at(container.status, "state", "running", "startedAt")
    return not container.restarts and began is not None and facts.now - began > budget


def _ports(one: Trouble) -> tuple[Evidence, ...]:
    section = "containers" if one.container.role == "app" else "initContainers"
    return (fact(one.ref, f"spec.{section}[{one.container.name}].ports", one.container.spec.get("ports")),)
