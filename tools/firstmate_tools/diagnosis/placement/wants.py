"""What the verdict on pods without a node needs to see beyond nodes and the pods of their namespace. Pure.

Asked for step by step: the claims of pods that wait, then the volumes of those, and everybody's claims only where the
number of attached volumes may be why.
"""

from collections.abc import Iterable, Iterator

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.rule import GetWant, ListWant, Want
from firstmate_tools.diagnosis.unplaced import WITHOUT_LOAD, Unplaced, unplaced
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import (
    CSI_NODE,
    NAMESPACE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    STORAGE_CLASS,
    VOLUME_ATTACHMENT,
)
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref
from firstmate_tools.scheduling.fit import Why
from firstmate_tools.scheduling.neighbours import selects_places
from firstmate_tools.scheduling.volumes import claim_names

FEW_VOLUMES = 5
"""Volumes that are read one by one; of more, all are listed."""
READS = (
    Read(POD, ("list",)),
    Read(NAMESPACE, ("list",)),
    Read(PERSISTENT_VOLUME_CLAIM, ("list",)),
    Read(PERSISTENT_VOLUME, ("get", "list")),
    Read(STORAGE_CLASS, ("list",)),
    Read(CSI_NODE, ("list",)),
    Read(VOLUME_ATTACHMENT, ("list",)),
)


def wanted(facts: Facts) -> Iterable[Want]:
    """The next reads that the pods without a node call for."""
    cases = facts.derived(unplaced)
    open_cases = [case for case in cases if case.verdict.why not in WITHOUT_LOAD]
    if open_cases and not facts.knows(POD):
        yield ListWant(POD)
    if any(selects_places(case.pod) for case in cases):
        yield ListWant(NAMESPACE)
    mounting = [case for case in cases if case.verdict.why not in WITHOUT_LOAD and claim_names(case.pod)]
    for namespace in sorted({case.ref.namespace for case in mounting}):
        yield ListWant(PERSISTENT_VOLUME_CLAIM, namespace)
    if mounting:
        yield from _stores(facts, mounting)


def _stores(facts: Facts, mounting: list[Unplaced]) -> Iterator[Want]:
    claims = [claim for case in mounting for claim in claims_of(facts, case.pod)]
    names = sorted({fields.text(claim, "spec", "volumeName") for claim in claims} - {""})
    if len(names) > FEW_VOLUMES:
        yield ListWant(PERSISTENT_VOLUME)
    else:
        yield from (GetWant(PERSISTENT_VOLUME, Ref("PersistentVolume", "", name)) for name in names)
    if any(not fields.text(claim, "spec", "volumeName") for claim in claims):
        yield ListWant(STORAGE_CLASS)
    if claims and not facts.knows(CSI_NODE):
        yield ListWant(CSI_NODE)
    elif any(_may_be_attached_out(case) for case in mounting):
        yield from (ListWant(PERSISTENT_VOLUME_CLAIM), ListWant(PERSISTENT_VOLUME), ListWant(VOLUME_ATTACHMENT))


def _may_be_attached_out(case: Unplaced) -> bool:
    """Whether a driver of the pod's has limits, and nothing that is known by now keeps the pod off."""
    return bool(case.verdict.wish.volumes.limits) and case.verdict.why in {Why.FITS, Why.SLOTS, Why.ELSEWHERE}


def claims_of(facts: Facts, pod: Obj) -> list[Obj]:
    """The claims of a pod that were read."""
    refs = [Ref("PersistentVolumeClaim", fields.namespace_of(pod), name) for name in claim_names(pod)]
    return [claim for ref in refs if (claim := facts.get(ref)) is not None]


def unseen_volumes(facts: Facts, pod: Obj) -> bool:
    """Whether a pod has claims or volumes that nobody could look at."""
    refs = [Ref("PersistentVolumeClaim", fields.namespace_of(pod), name) for name in claim_names(pod)]
    if any(facts.exists(ref) is None for ref in refs):
        return True
    names = {fields.text(claim, "spec", "volumeName") for claim in claims_of(facts, pod)} - {""}
    return any(facts.exists(Ref(kinds.PERSISTENT_VOLUME.kind, "", name)) is None for name in names)
