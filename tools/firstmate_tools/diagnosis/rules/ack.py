"""AWS resources that an ACK controller cannot bring to what their spec says.

A terminal condition is never tried again until somebody changes the object; a recoverable one is. A resource that waits
for another one of ACK's is explained by that one. One that AWS is still making is well: a database takes its time.

Source: github.com/aws-controllers-k8s/runtime apis/core/v1alpha1/conditions.go and pkg/condition/condition.go.
"""

import re
from collections.abc import Iterator
from datetime import timedelta

from firstmate_tools import fields, podstate
from firstmate_tools.ackkinds import ACK
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.conditions import lasted, moment, quoted
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact, quote
from firstmate_tools.diagnosis.rule import Verdicts, rule
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.refs import Ref, ref_of

FAILURES = (
    ("ACK.Terminal", "True", "and is not tried again until its spec changes"),
    ("ACK.IAMRoleSelected", "False", "for want of a role to act with"),
    ("ACK.ReferencesResolved", "False", "because something that it refers to is not there or not ready"),
    ("ACK.Recoverable", "True", "and is tried again"),
)
"""Conditions that stand for a fault and their status, the one that decides first."""
LONG = timedelta(minutes=45)
"""Longer than AWS takes for what it makes slowly (databases, brokers, file systems)."""
_GONE = re.compile(r"(?i)not found|does not exist")
"""Of references that are Unknown: those to what is still being made are Unknown too, and pass."""
DEEP = 8
_Entry = tuple[Ref, Obj, Kind]


@rule(causes=("ack-resource-not-synced",), observes=ACK, confirms=ACK)
def ack_resources(facts: Facts) -> Verdicts:
    every = [(ref_of(obj, kind), obj, kind) for kind in ACK for obj in facts.all(kind)]
    bad = {ref: found for ref, obj, _ in every if (found := _failure(facts, obj)) is not None}
    by_name: dict[tuple[str, str], list[Ref]] = {}
    for ref, _, _ in every:
        by_name.setdefault((ref.namespace, ref.name), []).append(ref)
    waiting: dict[Ref, list[Ref]] = {}
    for ref, obj, _ in every:
        if ref in bad and bad[ref][0].get("type") == "ACK.ReferencesResolved":
            for upper in _referred(obj, by_name):
                if upper in bad and upper != ref and not _waits_for(bad, upper, ref):
                    waiting.setdefault(upper, []).append(ref)
    held = {ref for below in waiting.values() for ref in below}
    for ref, obj, kind in every:
        if ref in bad and ref not in held:
            yield _finding(ref, obj, kind, bad[ref], _below(waiting, ref))


def _failure(facts: Facts, obj: Obj) -> tuple[Obj, str] | None:
    if podstate.terminating(obj):
        return None
    for kind, status, words in FAILURES:
        found = fields.condition(obj, kind)
        if found.get("status") == status:
            return found, words
    refers = fields.condition(obj, "ACK.ReferencesResolved")
    said = f"{fields.text(refers, 'reason')} {fields.text(refers, 'message')}"
    if refers.get("status") == "Unknown" and _GONE.search(said):
        return refers, "because something that it refers to is not there"
    synced = fields.condition(obj, "ACK.ResourceSynced")
    made = fields.time_at(obj, "metadata", "creationTimestamp")
    old = made is not None and facts.now - made > LONG and lasted(synced, facts.now, LONG)
    return (synced, "and has not been for long") if synced.get("status") == "False" and old else None


def _referred(obj: Obj, by_name: dict[tuple[str, str], list[Ref]]) -> list[Ref]:
    """The ACK objects that an object refers to (`…Ref.from.name`, `…Refs[].from.name`), by name."""
    found: list[Ref] = []
    place = fields.namespace_of(obj)
    for entry in _references(fields.mapping(obj, "spec"), DEEP):
        found += by_name.get((fields.text(entry, "from", "namespace") or place, fields.text(entry, "from", "name")), [])
    return found


def _references(here: Obj, deep: int) -> Iterator[Obj]:
    """What refers to something, anywhere in a spec."""
    for key in sorted(map(str, here)) if deep else ():
        for entry in fields.items(here, key) or [fields.mapping(here, key)]:
            if key.endswith(("Ref", "Refs")) and fields.text(entry, "from", "name"):
                yield entry
            elif entry:
                yield from _references(entry, deep - 1)


def _waits_for(bad: dict[Ref, tuple[Obj, str]], upper: Ref, ref: Ref) -> bool:
    """Whether both wait for something: of two that refer to each other the first by name is told."""
    return bad[upper][0].get("type") == "ACK.ReferencesResolved" and ref < upper and upper.name == ref.name


def _below(waiting: dict[Ref, list[Ref]], ref: Ref) -> list[Ref]:
    seen: list[Ref] = []
    queue = list(waiting.get(ref, []))
    while queue:
        one = queue.pop(0)
        if one not in seen and one != ref:
            seen.append(one)
            queue += waiting.get(one, [])
    return seen


def _finding(ref: Ref, obj: Obj, kind: Kind, failure: tuple[Obj, str], waiting: list[Ref]) -> Finding:
    condition, words = failure
    service = kind.group.partition(".")[0]
    also = f" {lib.count(len(waiting), 'resource')} that refer to it wait." if waiting else ""
    synced = fields.condition(obj, "ACK.ResourceSynced")
    evidence: list[Evidence] = [quoted(ref, condition)]
    if synced and synced is not condition:
        evidence.append(quoted(ref, synced))
    arn = fields.text(obj, "status", "ackResourceMetadata", "arn")
    evidence.append(fact(ref, "status.ackResourceMetadata.arn", arn or None))
    named = sorted(key for key in fields.mapping(obj, "spec") if key.endswith(("Ref", "Refs")))
    if fields.text(condition, "type") == "ACK.ReferencesResolved":
        evidence += [quote(ref, obj, "spec", key) for key in named[:2]]
    exists = "it exists as it was before" if arn else "it does not exist in AWS"
    return Finding(
        cause="ack-resource-not-synced",
        object=ref,
        severity="warning",
        confidence="certain",
        summary=f"{kind.kind} {ref.name} of AWS {service} is not as its spec says {words}; {exists}.{also}",
        evidence=tuple(evidence),
        affects=tuple(waiting),
        since=moment(condition),
        next=(
            lib.ask(
                "get",
                "its spec and what AWS says",
                kind=f"{kind.plural}.{kind.group}",
                name=ref.name,
                namespace=ref.namespace,
            ),
        ),
    )
