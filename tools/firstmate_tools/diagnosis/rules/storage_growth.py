"""Volumes that were to grow, and have not: refused, never taken up, or waiting for a node that does not act.

A claim that asks for more than it has is on its way through resizer and kubelet; how far it is stands in its conditions
and in status.allocatedResourceStatuses (k8s.io/api/core/v1, v0.36). A resize on its way is no fault: only what was
refused, what lasts too long, or what nobody can do.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import claims, drivers
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact
from firstmate_tools.diagnosis.heard import lately
from firstmate_tools.diagnosis.lib import ask, some
from firstmate_tools.diagnosis.rule import GetWant, ListWant, Verdicts, Want, rule
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, STORAGE_CLASS
from firstmate_tools.quantity import milli
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

CAUSE = "volume-expansion-stuck"
REFUSED_STATES = frozenset(
    {"ControllerResizeInfeasible", "NodeResizeInfeasible", "ControllerResizeFailed", "NodeResizeFailed"}
)
ERROR_CONDITIONS = ("ControllerResizeError", "NodeResizeError")
REFUSALS = ("VolumeResizeFailed", "FileSystemResizeFailed")
ON_NODE = timedelta(minutes=2)
"""A kubelet grows the file system of a volume that is mounted within seconds; it looks about once a minute."""
IN_CLOUD = timedelta(minutes=15)
TAKEN_UP = timedelta(minutes=5)
MOST_VOLUMES = 4


def _growing(facts: Facts) -> list[Obj]:
    """The bound claims in scope that ask for more than they have."""
    return [claim for claim in claims.claims(facts, "Bound") if 0 < _size(claim) < claims.asked(claim)]


def _size(claim: Obj) -> int:
    return milli(fields.at(claim, "status", "capacity", "storage")) or 0


def _wants(facts: Facts) -> Iterable[Want]:
    growing = [claim for claim in _growing(facts) if not _taken_up(claim)]
    if not growing:
        return
    yield ListWant(STORAGE_CLASS)
    for claim in growing[:MOST_VOLUMES]:
        yield GetWant(PERSISTENT_VOLUME, Ref("PersistentVolume", "", claims.volume_of(claim)))
    yield from drivers.wanted(facts, sorted({_driver(facts, claim) for claim in growing} - {""}))


def _taken_up(claim: Obj) -> bool:
    states = fields.string_map(claim, "status", "allocatedResourceStatuses")
    conditions = ("Resizing", "FileSystemResizePending", *ERROR_CONDITIONS)
    return "storage" in states or any(fields.condition(claim, name).get("status") == "True" for name in conditions)


def _driver(facts: Facts, claim: Obj) -> str:
    """Who would have to grow a claim's volume, "" where nobody knows."""
    volume = facts.get(Ref("PersistentVolume", "", claims.volume_of(claim))) or {}
    return fields.text(volume, "spec", "csi", "driver") or claims.provisioner(claim, {})


@rule(
    causes=(CAUSE,),
    observes=(PERSISTENT_VOLUME_CLAIM, POD, kinds.EVENT),
    digs=(Read(STORAGE_CLASS, ("list",)), Read(PERSISTENT_VOLUME, ("get",)), *drivers.READS),
    wants=_wants,
    confirms=(PERSISTENT_VOLUME_CLAIM,),
)
def volume_does_not_grow(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/storage/persistent-volumes/#expanding-persistent-volumes-claims"""
    on_their_way: list[str] = []
    for claim in _growing(facts):
        reason = next(_reasons(facts, claim), None)
        if reason is None:
            on_their_way.append(fields.name_of(claim))
        else:
            yield _finding(facts, claim, *reason)
    if on_their_way:
        yield RuledOut(CAUSE, f"a resize is on its way, and not for long: {some(on_their_way)}")


Reason = tuple[str, list[Evidence]]


def _reasons(facts: Facts, claim: Obj) -> Iterator[Reason]:
    """Why a claim does not get what it asks for, the surest first; nothing while the resize is on its way."""
    ref = claims.ref(claim)
    state = fields.string_map(claim, "status", "allocatedResourceStatuses").get("storage", "")
    rows = _refusals(facts, claim)
    quoted = [claims.said(row) for row in rows[:1]]
    if state in REFUSED_STATES:
        where = "the node's driver" if state.startswith("Node") else "the storage driver"
        yield f"{where} refuses it", [fact(ref, "status.allocatedResourceStatuses[storage]", state), *quoted]
    for name in ERROR_CONDITIONS:
        found = fields.condition(claim, name)
        if found.get("status") == "True":
            where = "on the node" if name.startswith("Node") else "at the storage driver"
            yield f"it failed {where}", [_of_condition(ref, name, found), *quoted]
    if rows:
        yield f"it was refused {rows[0].count} times", quoted
    yield from _too_long(facts, claim)
    if not _taken_up(claim):
        yield from _nobody(facts, claim)


def _refusals(facts: Facts, claim: Obj) -> list[EventRow]:
    """What resizer and kubelets said lately about growing a claim's volume."""
    ref, name = claims.ref(claim), claims.volume_of(claim)
    rows = claims.told(facts, claim, *REFUSALS)
    for pod in claims.users(facts, ref):
        spoken = facts.events(ref_of(pod, POD), *REFUSALS)
        rows += [row for row in spoken if row.about_uid in {"", fields.uid_of(pod)} and name in row.message]
    return [row for row in rows if lately(facts, row)]


def _of_condition(ref: Ref, name: str, found: Obj) -> Evidence:
    words = fields.text(found, "message") or fields.text(found, "status")
    return fact(ref, f"status.conditions[{name}].message", words, fields.time_at(found, "lastTransitionTime"))


def _too_long(facts: Facts, claim: Obj) -> Iterator[Reason]:
    ref = claims.ref(claim)
    running = [pod for pod in claims.users(facts, ref) if podstate.ready(pod)]
    for name, patience, words in (
        ("FileSystemResizePending", ON_NODE, "the volume has grown, and its file system has not on the node"),
        ("Resizing", IN_CLOUD, "the storage driver has not finished"),
    ):
        found = fields.condition(claim, name)
        since = fields.time_at(found, "lastTransitionTime")
        if found.get("status") != "True" or since is None or facts.now - since <= patience:
            continue
        if name == "Resizing" or running:
            minutes = int((facts.now - since).total_seconds() // 60)
            yield f"{words}, for {minutes} minutes", [_of_condition(ref, name, found)]


def _nobody(facts: Facts, claim: Obj) -> Iterator[Reason]:
    """Whether there is nobody who would take the wish up."""
    volume_ref = Ref("PersistentVolume", "", claims.volume_of(claim))
    volume, name = facts.get(volume_ref), _driver(facts, claim)
    if volume is not None and not name:
        kinds_of = sorted(set(fields.mapping(volume, "spec")) & _SOURCES)
        if kinds_of:
            yield f"nothing can grow a volume of kind {kinds_of[0]}", [fact(volume_ref, "spec", kinds_of[0])]
        return
    driver = drivers.driver(facts, name) if name else None
    if driver is not None and driver.state in {"down", "absent"} and not drivers.may_run_elsewhere(driver):
        ref = driver.workloads[0][0] if driver.workloads else Ref("CSIDriver", "", name)
        yield (
            f"the driver {name} does not run: {drivers.how_it_is(driver)}",
            [fact(ref, "status", drivers.how_it_is(driver))],
        )
    rows = [row for row in claims.told(facts, claim, "ExternalExpanding") if row.first]
    if rows and rows[0].first and facts.now - rows[0].first > TAKEN_UP:
        yield "no resizer has taken it up", [claims.said(rows[0])]


_SOURCES = frozenset({"nfs", "hostPath", "local", "iscsi", "fc", "cephfs", "rbd", "glusterfs"})
"""Sources of volumes that no controller of Kubernetes grows any more (rbd and glusterfs are gone since v1.31)."""


def _finding(facts: Facts, claim: Obj, words: str, evidence: list[Evidence]) -> Finding:
    ref = claims.ref(claim)
    has, wants = claims.shown_size(_size(claim)), claims.shown_size(claims.asked(claim))
    return Finding(
        cause=CAUSE,
        object=ref,
        severity="warning",
        confidence="certain",
        summary=f"Claim {ref.name} asks for {wants} and still has {has}: {words}.",
        evidence=(
            *evidence,
            fact(ref, "spec.resources.requests.storage", wants),
            fact(ref, "status.capacity.storage", has),
        ),
        affects=claims.sufferers(facts, ref),
        awaits=() if _taken_up(claim) else tuple(r for r, _ in drivers.driver(facts, _driver(facts, claim)).workloads),
        next=(
            ask("events", "what resizer and kubelet say", scope=f"pvc/{ref.name}", namespace=ref.namespace),
            ask("get", "the volume itself", kind="persistentvolume", name=claims.volume_of(claim)),
        ),
    )
