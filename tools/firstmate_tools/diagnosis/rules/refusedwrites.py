"""Writes that the API server refuses for what is written: a field that cannot change, an object that is too large.

Mostly only the client sees these. Here they show where the client is a controller (a GitOps tool, an operator, a Helm
controller) that says so in an event, or a program in the cluster that dies of it and logs it. The event is hearsay: an
object that was made anew since, or a later success, ends it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from firstmate_tools import fields, kinds
from firstmate_tools.admission.texts import Gate, read
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact, quote
from firstmate_tools.diagnosis.heard import said
from firstmate_tools.diagnosis.lib import ask
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, explains, rule
from firstmate_tools.diagnosis.rules.containers import LOGS
from firstmate_tools.diagnosis.rules.containers import OBSERVED as CONTAINERS
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref
from firstmate_tools.text import inline

IMMUTABLE, TOO_LARGE = "immutable-field-changed", Gate.TOO_LARGE.value
OBSERVED = (*CONTAINERS, kinds.STATEFUL_SET, kinds.SERVICE, kinds.PERSISTENT_VOLUME_CLAIM)
RECENT = timedelta(hours=1)
LONGEST = 4000
"""Characters of a line of a log that are read."""
_REFUSED = re.compile(
    r"field is immutable|updates to statefulset spec for fields other than|may not be changed once set"
    r"|spec is immutable after creation|may not change once set"
)
_INVALID = re.compile(r'(?P<kind>[A-Z][A-Za-z]+)(?:\.[a-z0-9.-]+)? "(?P<name>[a-z0-9][a-z0-9.-]*)" is invalid')
_PATCHING = re.compile(r'cannot patch "(?P<name>[a-z0-9][a-z0-9.-]*)" with kind (?P<kind>[A-Z][A-Za-z]+)')
_FIELD = re.compile(r"(?:is invalid: |\* )(?:\[)?(?P<field>[a-zA-Z][a-zA-Z0-9.\[\]]*): (?:Invalid value|Forbidden)")


@dataclass(frozen=True, slots=True)
class _Told:
    """A refusal that an event tells of: what was to be changed, and which field of it ("" where that is not said)."""

    row: EventRow
    target: Ref
    field: str


def _told(facts: Facts) -> Iterator[_Told]:
    """The newest such refusal of each object that was to be changed."""
    seen: set[Ref] = set()
    for row in facts.every_event():
        if (
            row.type != "Warning"
            or row.last is None
            or facts.now - row.last > RECENT
            or not _REFUSED.search(row.message)
        ):
            continue
        match = _INVALID.search(row.message) or _PATCHING.search(row.message)
        namespace = facts.scope.namespace or row.about.namespace
        target = Ref(match["kind"], namespace, match["name"]) if match else row.about
        if target not in seen:
            seen.add(target)
            field = _FIELD.search(row.message)
            yield _Told(row, target, field["field"] if field else "")


@rule(
    causes=(IMMUTABLE,),
    observes=OBSERVED,
    digs=LOGS,
    explains=(*BACKENDS, *explains("application-exits-on-error", "init-container-failing", along=("owns",))),
)
def immutable_field(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#rolling-updates and its like."""
    for one in _told(facts):
        about, target = facts.get(one.row.about), facts.get(one.target)
        if about is not None and one.row.about_uid not in {"", fields.uid_of(about)}:
            continue
        if facts.exists(one.target) is False:
            yield RuledOut(IMMUTABLE, f"{one.target} does not exist any more, so that it can be made anew")
            continue
        if target is not None and _made_since(target, one.row):
            yield RuledOut(IMMUTABLE, f"{one.target} was made anew after the refusal")
            continue
        yield _immutable(facts, one, target)
    yield from _logged(facts)


def _logged(facts: Facts) -> Iterator[Finding]:
    """What programs that died said of it: a Job that applies manifests, a deployer."""
    seen: set[tuple[Ref, Ref]] = set()
    for (namespace, name, container, _), content in facts.logs():
        pod = Ref(kinds.POD.kind, namespace, name)
        client = facts.workload(pod)
        for line in content.splitlines():
            refused = _REFUSED.search(line[:LONGEST])
            match = _INVALID.search(line[:LONGEST]) or _PATCHING.search(line[:LONGEST])
            if refused is None or match is None:
                continue
            target = Ref(match["kind"], namespace, match["name"])
            there = facts.get(target)
            if (client, target) in seen or client == target:
                continue
            seen.add((client, target))
            field = _FIELD.search(line[:LONGEST])
            what = inline(field["field"]) if field else "a field"
            yield Finding(
                cause=IMMUTABLE,
                object=target if there is not None else client,
                severity="warning",
                confidence="likely",
                summary=f"{client} tries to change {what} of {target}, which the API server does not allow: it has to "
                "be made anew, or the change taken back.",
                evidence=(fact(pod, f"log[{container}]", line.strip()),),
                affects=(client, target) if there is not None else (client,),
                next=(ask("get", "what it has now", kind=target.kind.lower(), name=target.name, namespace=namespace),),
            )


def _made_since(target: Obj, row: EventRow) -> bool:
    made = fields.time_at(target, "metadata", "creationTimestamp")
    return made is not None and row.last is not None and made > row.last


def _immutable(facts: Facts, one: _Told, target: Obj | None) -> Finding:
    what = inline(one.field) if one.field else "a field of it"
    if "statefulset spec for fields other than" in one.row.message:
        what = "fields of its spec that a StatefulSet cannot change"
    evidence: list[Evidence] = [said(one.row)]
    path = one.field.split(".") if one.field and "[" not in one.field else []
    if target is not None and path and fields.at(target, *path) is not None:
        evidence.append(quote(one.target, target, *path))
    kind = one.target.kind.lower()
    return Finding(
        cause=IMMUTABLE,
        object=one.target,
        severity="warning",
        confidence="likely" if target is not None else "possible",
        summary=f"{one.row.about} tries to change {what} of {one.target}, which the API server does not allow: it has "
        f"to be made anew, or the change taken back ({one.row.count} times so far).",
        evidence=tuple(evidence),
        affects=(facts.workload(one.target),) if facts.workload(one.target) != one.target else (),
        since=one.row.first,
        next=(ask("get", "what it has now", kind=kind, name=one.target.name, namespace=one.target.namespace),),
    )


@rule(causes=(TOO_LARGE,), observes=(kinds.EVENT,))
def object_too_large(facts: Facts) -> Verdicts:
    """https://etcd.io/docs/v3.6/dev-guide/limit/ (1.5 MiB a request), and the API server's own 3 MiB."""
    seen: set[Ref] = set()
    for row in facts.every_event():
        recent = row.last is not None and facts.now - row.last <= RECENT
        if row.type != "Warning" or not recent or row.about in seen or read(row.message).gate is not Gate.TOO_LARGE:
            continue
        seen.add(row.about)
        there = facts.get(row.about)
        if facts.exists(row.about) is False or (there and row.about_uid not in {"", fields.uid_of(there)}):
            yield RuledOut(TOO_LARGE, f"{row.about} does not exist any more")
            continue
        yield Finding(
            cause=TOO_LARGE,
            object=row.about,
            severity="warning",
            confidence="likely",
            summary=f"What is to be written for {row.about} is larger than the API server takes ({inline(row.reason)}, "
            f"{row.count} times): one object may have about 1.5 MiB.",
            evidence=(said(row),),
            affects=(facts.workload(row.about),) if facts.workload(row.about) != row.about else (),
            since=row.first,
        )
