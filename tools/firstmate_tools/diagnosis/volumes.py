"""PersistentVolumes against a claim, field by field: which one was meant, and what keeps the two apart. Pure.

What has to agree follows checkVolumeSatisfyClaim and findMatchingVolume of Kubernetes v1.36 (pkg/controller/volume/
persistentvolume, k8s.io/component-helpers/storage/volume). Where a volume can be reached from is not judged here.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import claims
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.fields import Obj
from firstmate_tools.quantity import milli
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.selectors import as_query, matches

PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


@dataclass(frozen=True, slots=True)
class Gap:
    """One field in which a volume and a claim differ: where it stands in each, and the two values in words."""

    of_volume: str
    of_claim: str
    has: str
    wants: str
    words: str


Hold = Literal["free", "mine", "former", "other"]
"""Whom a volume's claimRef names: nobody, this claim, one of the same name before it, or another claim."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A volume that a claim could have been meant for.

    Attributes:
        gaps: in what the two differ.
        hold: whom it is reserved for.
        named: whether claim or volume names the other.
        distance: how far it is from the claim; below `UNLIKE` it was plausibly meant.
    """

    volume: Obj
    gaps: tuple[Gap, ...]
    hold: Hold
    named: bool
    distance: int

    @property
    def ref(self) -> Ref:
        return ref_of(self.volume, kinds.PERSISTENT_VOLUME)

    @property
    def phase(self) -> str:
        return fields.text(self.volume, "status", "phase")

    @property
    def taken(self) -> bool:
        return self.hold in {"former", "other"}


def modes(obj: Obj) -> list[str]:
    """The access modes of a volume or a claim, as people abbreviate them."""
    return [MODES.get(mode, mode) for mode in fields.strings(obj, "spec", "accessModes")]


def mode(obj: Obj) -> str:
    return fields.text(obj, "spec", "volumeMode") or "Filesystem"


def size(volume: Obj) -> int:
    """A volume's size, in thousandths of a byte."""
    return milli(fields.at(volume, "spec", "capacity", "storage")) or 0


def volume_class(volume: Obj) -> str:
    old = fields.string_map(volume, "metadata", "annotations").get(claims.CLASS_ANNOTATION)
    return old if old is not None else fields.text(volume, "spec", "storageClassName")


def made_by_hand(volume: Obj) -> bool:
    """Whether no driver made a volume for one claim of its own."""
    return PROVISIONED_BY not in fields.string_map(volume, "metadata", "annotations")


def gaps(volume: Obj, claim: Obj) -> tuple[Gap, ...]:
    """In what a volume and a claim differ, though they would have to agree."""
    return tuple(_gaps(volume, claim))


def _gaps(volume: Obj, claim: Obj) -> Iterable[Gap]:
    has, wants = size(volume), claims.asked(claim)
    if has < wants:
        pair = claims.shown_size(has), claims.shown_size(wants)
        yield Gap("spec.capacity.storage", "spec.resources.requests.storage", *pair, "it has {} and {} is asked for")
    of_volume, of_claim = volume_class(volume), claims.class_name(claim) or ""
    if of_volume != of_claim:
        names = "spec.storageClassName", "spec.storageClassName", of_volume or "none", of_claim or "none"
        yield Gap(*names, "its class is {} and the claim's {}")
    lacking = [one for one in modes(claim) if one not in modes(volume)]
    if lacking:
        pair = ", ".join(modes(volume)) or "none", ", ".join(modes(claim))
        yield Gap("spec.accessModes", "spec.accessModes", *pair, "its access modes are {} and the claim wants {}")
    if mode(volume) != mode(claim):
        yield Gap("spec.volumeMode", "spec.volumeMode", mode(volume), mode(claim), "its mode is {} and the claim's {}")
    attributes = [fields.text(one, "spec", "volumeAttributesClassName") for one in (volume, claim)]
    if attributes[0] != attributes[1]:
        path = "spec.volumeAttributesClassName"
        yield Gap(path, path, attributes[0] or "none", attributes[1] or "none", "its attributes class is {}, not {}")
    selector = fields.mapping(claim, "spec", "selector")
    if selector and not claims.volume_of(claim) and not matches(selector, fields.labels_of(volume)):
        labels = ", ".join(f"{k}={v}" for k, v in sorted(fields.labels_of(volume).items())) or "none"
        yield Gap(
            "metadata.labels", "spec.selector", labels, as_query(selector) or "its selector", "it has labels {}, not {}"
        )


def hold(volume: Obj, claim: Obj) -> Hold:
    """Whom a volume is reserved for, as this claim sees it."""
    holder = fields.mapping(volume, "spec", "claimRef")
    if not holder:
        return "free"
    named = fields.text(holder, "namespace"), fields.text(holder, "name")
    if named != (fields.namespace_of(claim), fields.name_of(claim)):
        return "other"
    uid = fields.text(holder, "uid")
    return "mine" if not uid or uid == fields.uid_of(claim) else "former"


def holder_of(volume: Obj) -> Ref:
    """The claim that a volume names."""
    holder = fields.mapping(volume, "spec", "claimRef")
    return Ref("PersistentVolumeClaim", fields.text(holder, "namespace"), fields.text(holder, "name"))


def meant(facts: Facts, claim: Obj) -> Candidate | None:
    """The volume that a claim was most probably meant for, None where nobody can have meant one.

    First the one that claim or volume names; then one that would do, were it not still held for a claim that is gone;
    then a free one that nearly fits; then one that would do and belongs to somebody.
    """
    every = [_candidate(facts, volume, claim) for volume in facts.everywhere(kinds.PERSISTENT_VOLUME)]
    wanted = claims.volume_of(claim)
    if wanted:
        return next((one for one in every if fields.name_of(one.volume) == wanted), None)
    found = [one for one in every if one.named or _could_be(one)]
    return min(found, key=lambda one: (one.distance, fields.name_of(one.volume)), default=None)


def _could_be(one: Candidate) -> bool:
    """Whether a volume that nobody named may be meant: one made by hand, and if it is taken, one that fits."""
    if podstate.terminating(one.volume) or not made_by_hand(one.volume):
        return False
    return not (one.taken and one.gaps)


UNLIKE, FAR = 15, 30
"""Distances from which a volume was not plainly meant, and from which it was not meant at all."""


def _candidate(facts: Facts, volume: Obj, claim: Obj) -> Candidate:
    held = hold(volume, claim)
    differs = gaps(volume, claim)
    named = held in {"mine", "former"} or fields.name_of(volume) == claims.volume_of(claim)
    return Candidate(volume, differs, held, named, 0 if named else _distance(facts, volume, claim, held, differs))


def _distance(facts: Facts, volume: Obj, claim: Obj, held: Hold, differs: tuple[Gap, ...]) -> int:
    if held == "other":
        return 1 if fields.text(volume, "status", "phase") == "Released" else 20
    name, of_claim = fields.name_of(volume), fields.name_of(claim)
    near = 5 if of_claim and (of_claim in name or name in of_claim) else 0
    named_class = volume_class(volume)
    if named_class == (claims.class_name(claim) or ""):
        return 10 * len(differs) - near
    # A volume of a class that exists was most probably made for claims of that class.
    existing = facts.get(Ref("StorageClass", "", named_class)) is not None
    return 10 * len(differs) - near + (20 if existing else 5)


def same_class(one: Candidate) -> bool:
    return not any(gap.of_volume == "spec.storageClassName" for gap in one.gaps)
