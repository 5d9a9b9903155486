"""Why a claim got none of the volumes that there are, and no class makes it one. Pure; called by the storage rules."""

import re
from dataclasses import dataclass

from firstmate_tools import fields, podstate
from firstmate_tools.diagnosis import claims, volumes
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, NextStep, fact, quote
from firstmate_tools.diagnosis.heard import lately
from firstmate_tools.diagnosis.lib import ask, some
from firstmate_tools.diagnosis.volumes import Candidate
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import PERSISTENT_VOLUME, STORAGE_CLASS
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Confidence

MISSING, NO_DEFAULT, MISMATCH = "storageclass-missing", "no-default-storageclass", "static-pv-mismatch"
NOT_RUNNING, WAITS = "csi-provisioner-not-running", "pvc-waiting-for-unschedulable-pod"
CLAIMED, UNAUTHORIZED = "pv-claimed-by-another-pvc", "csi-provisioner-unauthorized"

UNAUTHORIZED_WORDS = re.compile(
    r"UnauthorizedOperation|AccessDenied|AuthFailure|not authorized to perform|InvalidIdentityToken|ExpiredToken|"
    r"InvalidClientTokenId|AssumeRoleWithWebIdentity|NoCredentialProviders|no EC2 IMDS role found|"
    r"failed to (?:retrieve|refresh cached) credentials|code = (?:PermissionDenied|Unauthenticated)|AuthorizationFailed"
)
"""How AWS SDKs (and gRPC, and Azure) say that rights or credentials are missing."""
REFUSALS = ("ProvisioningFailed", "FailedBinding", "VolumeMismatch")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one claim has no volume.

    Attributes:
        words: in our own words, without a full stop.
        culprit: what several claims may share.
        target: what has to be mended, where that is not the claim.
        awaits: what else may be the reason behind this one.
    """

    cause: str
    words: str
    evidence: tuple[Evidence, ...]
    culprit: str
    confidence: Confidence = "certain"
    target: Ref | None = None
    awaits: tuple[Ref, ...] = ()
    following: tuple[NextStep, ...] = ()


def no_class(facts: Facts, claim: Obj) -> Reason | None:
    """No class and no default one: a volume made by hand was meant where one nearly fits, else a class."""
    classes = facts.everywhere(STORAGE_CLASS)
    if facts.knows(PERSISTENT_VOLUME) and _by_hand(facts, claim, any(not claims.is_static(c) for c in classes)):
        return static(facts, claim)
    names = some(fields.name_of(c) for c in classes)
    there = f"there are {names}, none of them marked as default" if names else "there is no StorageClass at all"
    marks = [fact(ref_of(c, STORAGE_CLASS), f"metadata.annotations[{claims.DEFAULTS[0]}]", None) for c in classes[:3]]
    return Reason(
        NO_DEFAULT,
        f"it names no StorageClass, and no class is the default ({there})",
        (quote(claims.ref(claim), claim, "spec", "storageClassName"), *marks),
        "default",
        following=(ask("get", "the StorageClasses that there are", kind="storageclass"),),
    )


def _by_hand(facts: Facts, claim: Obj, dynamic: bool) -> bool:
    """Whether a claim without a class looks for a volume that was made by hand."""
    if fields.mapping(claim, "spec", "selector"):
        return True
    near = volumes.meant(facts, claim)
    if near is None:
        return False
    if near.named or (not near.taken and near.distance < volumes.UNLIKE):
        return True
    only_class = not near.taken and [gap.of_volume for gap in near.gaps] == ["spec.storageClassName"]
    return not dynamic and (only_class or (near.taken and near.distance < volumes.UNLIKE))


def class_missing(facts: Facts, claim: Obj, name: str) -> Reason | None:
    """The class does not exist. Volumes made by hand need none: where some bear its name, they were meant."""
    if facts.knows(PERSISTENT_VOLUME):
        near = volumes.meant(facts, claim)
        if near is not None and volumes.same_class(near):
            return static(facts, claim)
    ref = claims.ref(claim)
    default = claims.default_classes(facts)
    names = [
        fields.name_of(c) + (" (default)" if claims.is_default(c) else "") for c in facts.everywhere(STORAGE_CLASS)
    ]
    there = f"there are {some(names, 5)}" if names else "there is none at all"
    return Reason(
        MISSING,
        f"its StorageClass {name} does not exist ({there})",
        (
            quote(ref, claim, "spec", "storageClassName"),
            fact(Ref("StorageClass", "", name), "metadata.name", "no such StorageClass"),
            *(
                fact(Ref("StorageClass", "", one), "metadata.annotations", "is the default class")
                for one in default[:1]
            ),
        ),
        name,
        following=(ask("get", "the StorageClasses that there are", kind="storageclass"),),
    )


def static(facts: Facts, claim: Obj) -> Reason | None:
    """Why no volume that was made by hand is bound to a claim that can get no other."""
    if not facts.knows(PERSISTENT_VOLUME):
        return by_words(facts, claim)
    ref, name = claims.ref(claim), claims.volume_of(claim)
    one = volumes.meant(facts, claim)
    if one is None or one.distance >= volumes.FAR:
        wants = f"{claims.shown_size(claims.asked(claim))} {', '.join(volumes.modes(claim))}"
        words = f"it names volume {name}, which does not exist" if name else f"no volume made by hand fits it ({wants})"
        evidence = [quote(ref, claim, "spec", "volumeName" if name else "storageClassName")]
        if name:
            evidence.append(fact(Ref("PersistentVolume", "", name), "metadata.name", "no such PersistentVolume"))
        return Reason(MISMATCH, words, tuple(evidence), name or f"{ref.namespace}/{ref.name}")
    if one.hold == "former" or (one.hold == "other" and (one.named or not one.gaps)):
        return _held(facts, claim, one)
    if one.gaps:
        return _differs(claim, one)
    if podstate.terminating(one.volume):
        words = f"volume {one.ref.name} is being deleted"
        return Reason(MISMATCH, words, (quote(one.ref, one.volume, "metadata", "deletionTimestamp"),), one.ref.name)
    return None


def _differs(claim: Obj, one: Candidate) -> Reason:
    ref = claims.ref(claim)
    told = "; ".join(gap.words.format(gap.has, gap.wants) for gap in one.gaps)
    evidence = [
        e for gap in one.gaps for e in (fact(one.ref, gap.of_volume, gap.has), fact(ref, gap.of_claim, gap.wants))
    ]
    certain = one.named or one.distance < volumes.UNLIKE
    nearest = "the volume that it names" if one.named else "the nearest free volume"
    return Reason(
        MISMATCH,
        f"{nearest}, {one.ref.name}, does not fit: {told}",
        tuple(evidence),
        f"{ref.namespace}/{ref.name}",
        confidence="certain" if certain else "likely",
        following=(ask("get", "the volume", kind="persistentvolume", name=one.ref.name),),
    )


def _held(facts: Facts, claim: Obj, one: Candidate) -> Reason:
    ref, holder = claims.ref(claim), volumes.holder_of(one.volume)
    uid = fields.text(one.volume, "spec", "claimRef", "uid")
    if one.hold == "former":
        whose = f"an earlier claim of the same name (uid {uid[:8]}…)"
    else:
        whose = f"claim {holder.name} in {holder.namespace}"
    gone = one.phase == "Released"
    state = "; that one is gone, and nobody cleared claimRef" if gone else ""
    return Reason(
        CLAIMED,
        f"volume {one.ref.name} belongs to {whose}{state}",
        (
            fact(one.ref, "spec.claimRef", f"{holder.namespace}/{holder.name} {uid}".strip()),
            quote(one.ref, one.volume, "status", "phase"),
            fact(ref, "metadata.uid", fields.uid_of(claim)),
        ),
        one.ref.name,
        following=(ask("get", "who holds the volume", kind="persistentvolume", name=one.ref.name),),
    )


def misbound(facts: Facts, claim: Obj) -> Reason | None:
    """A claim that lost its volume because the volume names another claim, or is no more."""
    ref = Ref("PersistentVolume", "", claims.volume_of(claim))
    volume = facts.get(ref)
    if ref.name and facts.exists(ref) is False:
        return Reason(
            cause=VANISHED,
            words=f"volume {ref.name}, to which it was bound, does not exist any more: it has to be restored, or the "
            "claim made anew",
            evidence=(quote(claims.ref(claim), claim, "status", "phase"), fact(ref, "metadata.name", "does not exist")),
            culprit=ref.name,
            following=(
                ask(
                    "get",
                    "the claim as it is",
                    kind="pvc",
                    name=fields.name_of(claim),
                    namespace=fields.namespace_of(claim),
                ),
            ),
        )
    if volume is None or volumes.hold(volume, claim) not in {"other", "former"}:
        return None
    one = volumes.meant(facts, claim)
    return _held(facts, claim, one) if one is not None else None


VANISHED = "volume-missing-in-cloud"
NOT_FOUND = re.compile(r'storageclass\.storage\.k8s\.io "([^"]+)" not found')


def by_words(facts: Facts, claim: Obj) -> Reason | None:
    """What the controller's words alone tell, where classes or volumes may not be read."""
    rows = [row for row in claims.told(facts, claim, *REFUSALS) if lately(facts, row)]
    if not rows:
        return None
    row, name = rows[0], claims.class_name(claim)
    missing = NOT_FOUND.search(row.message)
    cause, words = "", ""
    if row.reason == "VolumeMismatch":
        cause, words = MISMATCH, f"volume {claims.volume_of(claim)} does not fit"
    elif "already bound to a different claim" in row.message:
        cause, words = CLAIMED, f"volume {claims.volume_of(claim)} belongs to another claim"
    elif missing and missing.group(1) == name:
        cause, words = MISSING, f"its StorageClass {name} does not exist"
    elif "no storage class is set" in row.message and not name:
        cause, words = (NO_DEFAULT if name is None else MISMATCH), "no volume fits, and no StorageClass is set"
    elif UNAUTHORIZED_WORDS.search(row.message):
        cause, words = UNAUTHORIZED, "its driver is refused by the cloud what it needs to make it"
    ref = claims.ref(claim)
    unread = " (StorageClasses or volumes could not be read)"
    said = (claims.said(row),)
    return Reason(cause, words + unread, said, f"{ref.namespace}/{ref.name}", confidence="likely") if cause else None
