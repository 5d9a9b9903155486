"""Why a probe cannot pass, proved: it asks what nobody answers, or what the revision that serves was not asked. Pure.

A failing probe is not yet a wrong one: the program may say itself that it is unwell (503), be slow, or be down. A
mistake needs proof: a port that nobody has, an answer in another protocol, a page that does not exist, or a question
that the revision which serves did not ask. Used by the rules about probes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from firstmate_tools import fields, podstate
from firstmate_tools.diagnosis import lib, probing, revisions, trouble
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, fact
from firstmate_tools.diagnosis.heard import Check, failed_checks, lately
from firstmate_tools.diagnosis.probing import Probe
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.loglines import listening
from firstmate_tools.podstate import Container
from firstmate_tools.results import Confidence

LOOPS = 3
"""Kills after which a probe that is refused is suspected although nothing contradicts it."""
LONG = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Mistake:
    """Why a probe cannot pass."""

    confidence: Confidence
    why: str
    evidence: tuple[Evidence, ...] = ()


def failures(facts: Facts, one: Trouble, check: Check) -> list[EventRow]:
    """What the probe was answered in the run in question, newest first."""
    return [row for row in failed_checks(facts, one.ref, one.pod, one.container, check) if lately(facts, row)]


def refused(rows: list[EventRow]) -> bool:
    return any(probing.answer(row.message) == "refused" for row in rows)


def mistake(facts: Facts, one: Trouble, check: Check) -> Mistake | None:
    probe = probing.read(one.container, check)
    if probe is None:
        return None
    if isinstance(probe.port, str) and probing.number(one.container, probe) is None:
        return Mistake("certain", f"it asks port {probe.port}, and the container has no port of that name", _ports(one))
    if passes_elsewhere(facts, one, check):
        return None
    rows = failures(facts, one, check)
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


def passes_elsewhere(facts: Facts, one: Trouble, check: Check) -> bool:
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
