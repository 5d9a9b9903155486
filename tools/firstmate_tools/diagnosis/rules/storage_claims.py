"""Claims that stay without a volume: who should give them one, and why nobody does.

The pod's text (`pod has unbound immediate PersistentVolumeClaims`) is the same for all of these; what decides is the
claim, its StorageClass, the volumes that there are and whether the driver runs. Only what the cloud refuses is known by
the provisioner's words alone.
"""

from collections.abc import Iterable, Iterator

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import claims, drivers, provisioning, unbound
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, RuledOut
from firstmate_tools.diagnosis.lib import ask, some
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, ListWant, Verdicts, Want, rule
from firstmate_tools.diagnosis.unbound import (
    CLAIMED,
    MISMATCH,
    MISSING,
    NO_DEFAULT,
    NOT_FOUND,
    NOT_RUNNING,
    REFUSALS,
    UNAUTHORIZED,
    VANISHED,
    WAITS,
    Reason,
)
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, STORAGE_CLASS
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref

MOST_LOST = 4


def _wants(facts: Facts) -> Iterable[Want]:
    for claim in claims.claims(facts, "Lost")[:MOST_LOST]:
        yield GetWant(PERSISTENT_VOLUME, Ref("PersistentVolume", "", claims.volume_of(claim)))
    pending = claims.waiting(facts)
    if not pending:
        return
    yield ListWant(STORAGE_CLASS)
    sought: set[str] = set()
    for claim in pending:
        one = claims.storage_class(facts, claim)
        known = facts.knows(STORAGE_CLASS)
        by_hand = not claims.class_name(claim) or claims.volume_of(claim) or fields.mapping(claim, "spec", "selector")
        if by_hand or (known and (one is None or claims.is_static(one))):
            yield ListWant(PERSISTENT_VOLUME)
        elif one is not None and not claims.idle(facts, claim):
            sought.add(claims.provisioner(claim, one))
    yield from drivers.wanted(facts, sorted(sought))


@rule(
    causes=(MISSING, NO_DEFAULT, MISMATCH, CLAIMED, NOT_RUNNING, UNAUTHORIZED, WAITS, VANISHED),
    observes=(PERSISTENT_VOLUME_CLAIM, kinds.POD, kinds.EVENT, kinds.REPLICA_SET, kinds.STATEFUL_SET, kinds.JOB),
    digs=(Read(STORAGE_CLASS, ("list",)), Read(PERSISTENT_VOLUME, ("get", "list")), *drivers.READS),
    wants=_wants,
    explains=BACKENDS,
    confirms=(PERSISTENT_VOLUME_CLAIM, kinds.POD),
)
def claims_without_volume(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/storage/persistent-volumes/#binding"""
    for claim in claims.waiting(facts):
        reason = _reason(facts, claim)
        if reason is not None:
            yield _finding(facts, claim, reason)
    for claim in claims.claims(facts, "Lost"):
        reason = unbound.misbound(facts, claim)
        if reason is not None:
            yield _finding(facts, claim, reason)
    yield from _over(facts)


def _finding(facts: Facts, claim: Obj, reason: Reason) -> Finding:
    ref = claims.ref(claim)
    rows = claims.told(facts, claim, *REFUSALS)[:1]
    quoted = {e.value for e in reason.evidence}
    evidence = (*reason.evidence, *(said for row in rows if (said := claims.said(row)).value not in quoted))
    return Finding(
        cause=reason.cause,
        object=reason.target or ref,
        severity=claims.hurts(facts, ref),
        confidence=reason.confidence,
        summary=f"Claim {ref.name} has no volume: {reason.words}; {claims.who_waits(facts, ref)}.",
        evidence=evidence,
        affects=tuple(dict.fromkeys((*claims.sufferers(facts, ref), ref))),
        since=fields.time_at(claim, "metadata", "creationTimestamp"),
        culprit=reason.culprit,
        next=(
            *reason.following,
            ask("events", "what is said about the claim", scope=f"pvc/{ref.name}", namespace=ref.namespace),
        ),
        awaits=reason.awaits,
    )


def _reason(facts: Facts, claim: Obj) -> Reason | None:
    """Why a pending claim has no volume, None where it is well or nobody can tell."""
    if not facts.knows(STORAGE_CLASS):
        return unbound.by_words(facts, claim)
    name, one = claims.class_name(claim), claims.storage_class(facts, claim)
    if claims.volume_of(claim):
        return unbound.static(facts, claim)
    if name is None:
        return None if claims.default_classes(facts) else unbound.no_class(facts, claim)
    if not name:
        return unbound.static(facts, claim)
    if one is None:
        return unbound.class_missing(facts, claim, name)
    if claims.idle(facts, claim):
        return None
    if claims.is_static(one):
        blocked = not claims.waits_for_consumer(one) or provisioning.unplaced(facts, claim)
        return (unbound.static(facts, claim) or provisioning.waits(facts, claim, one)) if blocked else None
    return provisioning.dynamic(facts, claim, one)


def _over(facts: Facts) -> Iterator[RuledOut]:
    """What events still tell of claims that have their volume now, or need none yet."""
    for claim in claims.claims(facts, "Bound"):
        rows = claims.told(facts, claim, "ProvisioningFailed", "FailedBinding")
        if any(NOT_FOUND.search(row.message) for row in rows):
            yield RuledOut(MISSING, f"claim {fields.name_of(claim)} is bound now")
        elif any("no storage class is set" in row.message for row in rows):
            yield RuledOut(NO_DEFAULT, f"claim {fields.name_of(claim)} is bound now")
    if facts.knows(STORAGE_CLASS):
        names = [fields.name_of(claim) for claim in claims.waiting(facts) if claims.idle(facts, claim)]
        if names:
            why = f"claims that wait for their first pod, as their class wants it: {some(names)}"
            yield RuledOut(NOT_RUNNING, why)
