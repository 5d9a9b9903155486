"""Volumes that a pod's node cannot attach or mount: held by another node, one too many, gone, or out of reach.

Who holds a volume is read from VolumeAttachments and pods. What a cloud or a file server answers is known by its words
alone: the attachment's own error where there is one, else what is said about the pod lately.
"""

import re
from collections.abc import Iterable, Iterator

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, NextStep, RuledOut, fact, quote
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.held import (
    WRAPPER,
    Held,
    attached,
    attachments,
    held,
    node_of,
    others,
    single_node,
    waiting_pods,
)
from firstmate_tools.diagnosis.lib import ask, earliest, severity, some
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, ListWant, Verdicts, Want, rule
from firstmate_tools.diagnosis.unbound import UNAUTHORIZED, UNAUTHORIZED_WORDS
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import CSI_NODE, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, VOLUME_ATTACHMENT
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Confidence

MULTI, LIMIT, GONE = "volume-multi-attach", "volume-attach-limit-exceeded", "volume-missing-in-cloud"
UNREACHABLE, GAVE_UP = "efs-mount-unreachable", "volume-mount-timeout"
MOST_VOLUMES = 4
RESOURCE_EXHAUSTED = 8
"""gRPC's code, as drivers give it for a full instance (VolumeError.errorCode, k8s.io/api/storage/v1, v0.36)."""

TRIED_AGAIN = 3
_LIMIT = re.compile(
    r"(?i)attachment ?limit ?exceeded|max(?:imum)?(?: allowed)? number of (?:volumes|disk)|code = ResourceExhausted"
)
_GONE = re.compile(r"(?i)InvalidVolume\.NotFound|\bvolume [\"']?[\w.-]+[\"']? (?:was )?(?:not found|does not exist)")
_NETWORK_DRIVERS = re.compile(r"efs|nfs|fsx|filestore|smb")
_UNREACHABLE = re.compile(
    r"(?i)timed out|deadline ?exceeded|no route to host|connection (?:refused|reset)|network is unreachable|"
    r"failed to resolve|name or service not known|could not resolve|no mount target|unable to find mount target"
)


def _wants(facts: Facts) -> Iterable[Want]:
    volumes = [one for one in facts.derived(held) if one.claim is not None]
    if volumes or any(row.reason == "FailedAttachVolume" for _, _, rows in waiting_pods(facts) for row in rows):
        yield ListWant(VOLUME_ATTACHMENT)
    for name in sorted({one.name for one in volumes})[:MOST_VOLUMES]:
        yield GetWant(PERSISTENT_VOLUME, Ref("PersistentVolume", "", name))
    for node in sorted({one.node for one in volumes if (told := _told(facts, one)) and _is_limit(told[0])})[:1]:
        yield GetWant(CSI_NODE, Ref("CSINode", "", node))


@rule(
    causes=(MULTI, LIMIT, GONE, UNREACHABLE, GAVE_UP),
    observes=(POD, PERSISTENT_VOLUME_CLAIM, kinds.EVENT, kinds.NODE, kinds.REPLICA_SET, kinds.STATEFUL_SET),
    digs=(Read(VOLUME_ATTACHMENT, ("list",)), Read(PERSISTENT_VOLUME, ("get",)), Read(CSI_NODE, ("get",))),
    wants=_wants,
    explains=BACKENDS,
    confirms=(POD,),
)
def volumes_out_of_reach(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/storage/persistent-volumes/#access-modes"""
    for one in facts.derived(held):
        yield from _multi_attach(facts, one)
        told = _told(facts, one)
        if told is not None:
            yield from _refused(facts, one, told)
        yield from _unreachable(facts, one)
    yield from _gave_up(facts)


@rule(
    causes=(UNAUTHORIZED,),
    observes=(POD, PERSISTENT_VOLUME_CLAIM, kinds.EVENT, kinds.REPLICA_SET, kinds.STATEFUL_SET),
    explains=BACKENDS,
    confirms=(POD,),
)
def attaching_unauthorized(facts: Facts) -> Verdicts:
    """The driver may not attach what it was able to make."""
    for one in facts.derived(held):
        told = _told(facts, one)
        if told is not None and UNAUTHORIZED_WORDS.search(told[0]):
            words = f"the driver is refused by the cloud what it needs to attach volume {one.name} to node {one.node}"
            yield _finding(facts, one, UNAUTHORIZED, words, told[1:], "likely", target=one.target)


def _finding(
    facts: Facts,
    one: Held,
    cause: str,
    words: str,
    evidence: Iterable[Evidence],
    confidence: Confidence,
    *,
    target: Ref,
    culprit: str = "",
    awaits: tuple[Ref, ...] = (),
    following: tuple[NextStep, ...] = (),
) -> Finding:
    place = one.ref.namespace
    return Finding(
        cause=cause,
        object=target,
        severity=severity(facts, one.workload),
        confidence=confidence,
        summary=f"{one.workload}: pod {one.ref.name} cannot start: {words}.",
        evidence=tuple(evidence),
        affects=(one.workload, one.ref),
        since=earliest([*(row.first for row in one.said), podstate.not_ready_since(one.pod)]),
        culprit=culprit or one.name,
        next=(*following, ask("events", "what is said about the pod", scope=f"pod/{one.ref.name}", namespace=place)),
        awaits=awaits,
    )


def _multi_attach(facts: Facts, one: Held) -> Iterator[Finding | RuledOut]:
    if not single_node(facts, one):
        return
    every = attachments(facts, one.name)
    if any(attached(a) and node_of(a) == one.node for a in every):
        return
    said_so = [row for row in one.said if "Multi-Attach" in row.message]
    elsewhere = [a for a in every if attached(a) and node_of(a) != one.node]
    twins = others(facts, one)
    staying = [pod for pod in twins if not podstate.terminating(pod)]
    since = podstate.not_ready_since(one.pod)
    long = since is not None and facts.now - since > podstate.START_UP
    known = facts.knows(VOLUME_ATTACHMENT)
    # Nobody can detach it on a node that is gone or silent, and it was tried again: this is no move on its way.
    lost = any(_ailing(facts, node_of(a)) for a in elsewhere) and any(row.count >= TRIED_AGAIN for row in said_so)
    if elsewhere and ((said_so and (staying or lost)) or long):
        yield _in_two_places(facts, one, elsewhere, twins, said_so, "certain")
    elif said_so and not elsewhere and (staying if known else (staying or long)):
        yield _in_two_places(facts, one, [], twins, said_so, "likely")
    elif said_so and known and not elsewhere:
        yield RuledOut(MULTI, f"volume {one.name} is attached to no other node now")


def _in_two_places(
    facts: Facts, one: Held, elsewhere: list[Obj], twins: list[Obj], said_so: list[EventRow], confidence: Confidence
) -> Finding:
    nodes = sorted(
        {*map(node_of, elsewhere), *(fields.text(pod, "spec", "nodeName") for pod in twins)} - {one.node, ""}
    )
    users = [ref_of(pod, POD) for pod in twins]
    owners = sorted({facts.workload(user) for user in users})
    same = one.workload in owners or not owners
    held_by = f", where {some(user.name for user in users)} uses it" if users else ", though no pod there uses it"
    states = [f"node {name} {why}" for name in nodes if (why := _ailing(facts, name))]
    mend = "" if same else f" ({some(str(owner) for owner in owners)} shares the claim)"
    what = f"claim {one.claim.name} " if one.claim else ""
    words = (
        f"its volume {one.name} ({what}may be attached to one node at a time) is still attached to "
        f"{some(nodes) or 'another node'}{held_by}{mend}, and the pod is on {one.node}"
        f"{'; ' + '; '.join(states) if states else ''}"
    )
    evidence = [
        *(fact(ref_of(a, VOLUME_ATTACHMENT), "status.attached", f"true, on {node_of(a)}") for a in elsewhere[:2]),
        *(said(row) for row in said_so[:1]),
        *(quote(ref, pod, "spec", "nodeName") for ref, pod in zip(users[:2], twins, strict=False)),
    ]
    if one.claim is not None and (claim := facts.get(one.claim)) is not None:
        evidence.append(quote(one.claim, claim, "spec", "accessModes"))
    return _finding(
        facts,
        one,
        MULTI,
        words,
        evidence,
        confidence,
        target=one.workload if same else one.target,
        awaits=tuple(Ref("Node", "", name) for name in nodes),
        following=(ask("get", "where the volume is attached", kind="volumeattachment"),),
    )


def _ailing(facts: Facts, name: str) -> str:
    node = facts.get(Ref("Node", "", name))
    if node is None:
        return "does not exist any more" if facts.exists(Ref("Node", "", name)) is False else ""
    return "is not ready" if fields.condition(node, "Ready").get("status") != "True" else ""


Told = tuple[str, Evidence]
"""Words in full, and as they are quoted."""


def _told(facts: Facts, one: Held) -> Told | None:
    """What the driver answers to the wish to attach a volume: its attachment's error, else what is said lately."""
    for attachment in attachments(facts, one.name):
        if node_of(attachment) != one.node:
            continue
        if attached(attachment):
            return None
        error = fields.mapping(attachment, "status", "attachError")
        if fields.text(error, "message") or error.get("errorCode"):
            code = fields.number(error, "errorCode")
            words = f"{fields.text(error, 'message')}{f' (errorCode {code})' if code else ''}"
            moment = fields.time_at(error, "time")
            return words, fact(ref_of(attachment, VOLUME_ATTACHMENT), "status.attachError.message", words, moment)
    row = next((row for row in one.errors if "Multi-Attach" not in row.message), None)
    return (row.message, said(row)) if row is not None else None


def _is_limit(words: str) -> bool:
    return bool(_LIMIT.search(words)) or words.endswith(f"(errorCode {RESOURCE_EXHAUSTED})")


def _refused(facts: Facts, one: Held, told: Told) -> Iterator[Finding]:
    said_so, quoted = told
    if _is_limit(said_so):
        yield _limit(facts, one, quoted)
    elif _GONE.search(said_so):
        volume = facts.get(one.volume)
        handle = fields.text(volume or {}, "spec", "csi", "volumeHandle")
        evidence = [quoted, *([quote(one.volume, volume, "spec", "csi", "volumeHandle")] if volume and handle else [])]
        what = f"volume {handle}, which {one.name} stands for," if handle else f"what volume {one.name} stands for"
        words = f"{what} does not exist any more, says the driver; claim and volume still look bound"
        look = ask("get", "what the volume stands for", kind="persistentvolume", name=one.name)
        yield _finding(facts, one, GONE, words, evidence, "likely", target=one.target, following=(look,))


def _limit(facts: Facts, one: Held, told: Evidence) -> Finding:
    node = Ref("Node", "", one.node)
    here = [a for a in facts.everywhere(VOLUME_ATTACHMENT) if node_of(a) == one.node and attached(a)]
    driver = fields.text(facts.get(one.volume) or {}, "spec", "csi", "driver")
    csi_node = facts.get(Ref("CSINode", "", one.node)) or {}
    entries = [d for d in fields.items(csi_node, "spec", "drivers") if not driver or fields.text(d, "name") == driver]
    allows = next((fields.number(d, "allocatable", "count") for d in entries), 0)
    promised = f"; CSINode says that it takes {allows}" if allows else "; its CSINode names no limit"
    counted = f"{len(here)} are attached there{promised}" if facts.knows(VOLUME_ATTACHMENT) else "it is full"
    evidence = [told, fact(node, "volumes attached", len(here))]
    if allows:
        evidence.append(fact(Ref("CSINode", "", one.node), "spec.drivers[].allocatable.count", allows))
    return _finding(
        facts,
        one,
        LIMIT,
        f"node {one.node} can attach no more volumes ({counted})",
        evidence,
        "likely",
        target=node,
        culprit=one.node,
        following=(ask("get", "what the node takes", kind="csinode", name=one.node),),
    )


def _unreachable(facts: Facts, one: Held) -> Iterator[Finding]:
    volume = facts.get(one.volume) or {}
    server = fields.text(volume, "spec", "nfs", "server") or fields.text(one.spec, "nfs", "server")
    driver = fields.text(volume, "spec", "csi", "driver")
    handle = fields.text(volume, "spec", "csi", "volumeHandle")
    networked = bool(server or _NETWORK_DRIVERS.search(driver))
    for row in one.errors:
        by_words = "mount.nfs" in row.message or "mount.efs" in row.message
        if row.reason != "FailedMount" or not (networked or by_words) or not _UNREACHABLE.search(row.message):
            continue
        what = server or (f"{handle} ({driver})" if handle else f"the server of volume {one.name}")
        words = f"the file system {what} cannot be reached from node {one.node} (network, name or mount target)"
        source = fact(one.volume, "spec", handle or server) if volume else fact(one.ref, "spec.volumes", one.spec)
        culprit = handle or server
        yield _finding(
            facts, one, UNREACHABLE, words, (said(row), source), "likely", target=one.target, culprit=culprit
        )
        return


def _gave_up(facts: Facts) -> Iterator[Finding]:
    for ref, pod, rows in waiting_pods(facts):
        recent = [row for row in rows if lately(facts, row)]
        wrapper = next((row for row in recent if row.message.startswith(WRAPPER)), None)
        if wrapper is None:
            continue
        workload, node = facts.workload(ref), fields.text(pod, "spec", "nodeName")
        names = re.search(r"unmounted volumes=\[([^\]]*)\]", wrapper.message)
        which = f" ({', '.join(names.group(1).split())})" if names and names.group(1) else ""
        real = [row for row in recent if not row.message.startswith(WRAPPER)]
        hint = "" if real else "; nothing says why"
        yield Finding(
            cause=GAVE_UP,
            object=workload,
            severity=severity(facts, workload),
            confidence="certain",
            summary=f"{workload}: pod {ref.name} waits on node {node} for volumes{which} that do not come{hint}.",
            evidence=(*(said(row) for row in real[:2]), said(wrapper)),
            affects=(workload, ref),
            since=podstate.not_ready_since(pod),
            next=(ask("events", "what else is said", scope=f"pod/{ref.name}", namespace=ref.namespace),),
        )
