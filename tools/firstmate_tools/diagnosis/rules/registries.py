"""Images that do not come for reasons that are not the image's: no way to the registry, its limits, the node's disk.

And the two that never ask a registry: a name that cannot be read, and an image that may not be pulled.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import ended, lib, nodewords, pulling, trouble
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.imagenames import unreadable
from firstmate_tools.diagnosis.pulling import Pull
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, Want, rule
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Confidence

OBSERVED = (kinds.POD, kinds.REPLICA_SET, kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.EVENT)
DISK_WORDS = ("FreeDiskSpaceFailed", "ImageGCFailed")


@rule(causes=("image-never-pull-absent", "image-name-invalid"), observes=OBSERVED, explains=BACKENDS)
def image_never_asked_for(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/containers/images/#image-pull-policy and #image-names"""
    for pull in facts.derived(pulling.pulls):
        image = fact(pull.one.ref, f"{ended.section(pull.one)}.image", pull.image)
        if pull.meaning == "never":
            nodes = lib.some(fields.text(t.pod, "spec", "nodeName") for t in pull.group)
            policy = fact(
                pull.one.ref,
                f"{ended.section(pull.one)}.imagePullPolicy",
                pull.one.container.spec.get("imagePullPolicy"),
            )
            yield pulling.finding(
                facts,
                pull,
                cause="image-never-pull-absent",
                confidence="certain",
                summary=(
                    f"{pull.one.workload} may not pull {pull.image} (imagePullPolicy Never), and the image is not on "
                    f"node {nodes}."
                ),
                evidence=(*pull.words, policy, image),
                culprit=f"{pull.one.workload.namespace}/{pull.image}",
            )
        elif pull.meaning == "invalid":
            yield pulling.finding(
                facts,
                pull,
                cause="image-name-invalid",
                confidence="certain",
                summary=f"The image name of {ended.named(pull.one)} cannot be read: {unreadable(pull.image)}.",
                evidence=(*pull.words, image),
                culprit=f"{pull.one.workload.namespace}/{pull.image}",
            )


@rule(causes=("image-registry-unreachable", "image-pull-rate-limited"), observes=OBSERVED, explains=BACKENDS)
def registry_gives_nothing(facts: Facts) -> Verdicts:
    """A registry that no answer comes from, or that answers 429. What answers "no" is `image_pull`'s."""
    by_registry: dict[tuple[str, str], list[Pull]] = defaultdict(list)
    for pull in facts.derived(pulling.pulls):
        if pull.meaning in {"unreachable", "untrusted", "throttled"}:
            by_registry[pull.parts.registry, pull.meaning].append(pull)
    for (registry, meaning), pulls in sorted(by_registry.items()):
        node = _lone_node(facts, pulls) if meaning != "throttled" else None
        for pull in pulls:
            if meaning == "throttled":
                with_ = f"with the pull secrets {', '.join(pull.secrets)}" if pull.secrets else "without a login"
                text = f"{registry} answers that too much was pulled ({with_}), so that {pull.image} does not come"
                cause = "image-pull-rate-limited"
            else:
                where = f", from node {node.name} alone: other nodes run the same image" if node else ""
                fails = (
                    "cannot be reached" if meaning == "unreachable" else "cannot be spoken to: no TLS that nodes trust"
                )
                text = f"the registry {registry} of {pull.image} {fails}{where}"
                cause = "image-registry-unreachable"
            yield pulling.finding(
                facts,
                pull,
                cause=cause,
                confidence="likely" if node or meaning == "untrusted" else "certain",
                summary=f"{pull.one.workload} does not start: {text}.",
                evidence=(*pull.words, fact(pull.one.ref, f"{ended.section(pull.one)}.image", pull.image)),
                culprit=f"{registry} {node.name if node else ''}",
                at=node,
            )


def _lone_node(facts: Facts, pulls: list[Pull]) -> Ref | None:
    """The only node that cannot pull, where others run the same images of the same workloads."""
    failing = {fields.text(t.pod, "spec", "nodeName") for pull in pulls for t in pull.group}
    if len(failing) != 1 or not all(_runs_elsewhere(facts, pull, failing) for pull in pulls):
        return None
    return Ref("Node", "", failing.pop())


def _runs_elsewhere(facts: Facts, pull: Pull, failing: set[str]) -> bool:
    for pod in lib.pods_of(facts, pull.one.workload):
        if fields.text(pod, "spec", "nodeName") not in failing | {""}:
            for container in podstate.containers(pod):
                if container.running and fields.text(container.spec, "image") == pull.image:
                    return True
    return False


def nodes_of_full_disks(facts: Facts) -> Iterable[Want]:
    """What the kubelets of nodes say on which an image had no room."""
    return nodewords.wanted(facts, sorted(_by_node(facts)))


@rule(
    causes=("image-filesystem-full",),
    observes=(*OBSERVED, kinds.NODE),
    digs=(Read(kinds.EVENT, ("list",)),),
    wants=nodes_of_full_disks,
    explains=BACKENDS,
)
def no_room_for_image(facts: Facts) -> Verdicts:
    """A pull that ends with ENOSPC, or a kubelet that cannot free what it needs (image_gc_manager.go, v1.36)."""
    found = _by_node(facts)
    for name, lacking in sorted(found.items()):
        for trouble_, words in lacking:
            yield _full(facts, name, [trouble_], words, "certain")
    if facts.scope.namespace is None:
        for node in facts.all(kinds.NODE):
            name = fields.name_of(node)
            if name not in found and _cannot_free(facts, name):
                yield _full(facts, name, [], (), "likely")


def _by_node(facts: Facts) -> dict[str, list[tuple[Trouble, tuple[Evidence, ...]]]]:
    found: dict[str, list[tuple[Trouble, tuple[Evidence, ...]]]] = defaultdict(list)
    for group in trouble.groups(facts, "image"):
        for one in group:
            meaning, words = pulling.decided(facts, one, fields.text(one.container.spec, "image"))
            if meaning == "disk":
                found[fields.text(one.pod, "spec", "nodeName")].append((one, words))
    return found


def _cannot_free(facts: Facts, node: str) -> list[EventRow]:
    """What a kubelet said lately of space that it could not free; its first words after a start are something else."""
    rows = [row for row in nodewords.of_node(facts, node, *DISK_WORDS) if lately(facts, row)]
    return [row for row in rows if row.reason == DISK_WORDS[0] or "garbage collect required" in row.message]


def _full(
    facts: Facts, name: str, group: list[Trouble], words: tuple[Evidence, ...], confidence: Confidence
) -> Finding:
    node = Ref("Node", "", name)
    rows = _cannot_free(facts, name)
    image = fields.text(group[0].container.spec, "image") if group else ""
    what = f"for the image {image}" if image else "for images, and its kubelet cannot free any"
    one = group[0] if group else None
    return Finding(
        cause="image-filesystem-full",
        object=node if name else one.workload if one else node,
        severity=lib.severity(facts, one.workload) if one else "warning",
        confidence=confidence,
        summary=f"The disk of node {name} has no room {what}{_size(facts, node)}.",
        evidence=(*words, *(said(row) for row in rows[:2])),
        affects=trouble.affected(group) if group else (),
        since=lib.earliest([*(podstate.not_ready_since(t.pod) for t in group), *(row.first for row in rows)]),
        culprit=name,
        next=(lib.ask("node_status", "its conditions and its disk", name=name),),
    )


def _size(facts: Facts, node: Ref) -> str:
    room = fields.text(facts.get(node) or {}, "status", "capacity", "ephemeral-storage")
    return f" (its capacity is {room})" if room else ""


PLATFORM = "image-architecture-mismatch"


@rule(causes=(PLATFORM,), observes=(*OBSERVED, kinds.NODE), explains=BACKENDS)
def wrong_architecture(facts: Facts) -> Verdicts:
    """An image without the node's architecture: refused at the pull, or a program that the node cannot run.

    https://kubernetes.io/docs/reference/labels-annotations-taints/#kubernetes-io-arch
    """
    for pull in facts.derived(pulling.pulls):
        if pull.meaning == "platform":
            yield pulling.finding(
                facts,
                pull,
                cause=PLATFORM,
                confidence="certain",
                summary=f"{pull.image} of {pull.one.workload} has no variant for {_where(facts, pull.group)}.",
                evidence=(*pull.words, *_architectures(facts, pull.group)),
                culprit=pull.image,
            )
    for group in trouble.groups(facts, "arch"):
        one = trouble.worst(group)
        others = _runs_on_others(facts, group)
        also = f" It runs on {others}." if others else " Or its script lacks a first line that names an interpreter."
        yield ended.finding(
            facts,
            group,
            cause=PLATFORM,
            confidence="certain" if others else "likely",
            summary=(
                f"The program of {ended.named(one)} is not made for {_where(facts, group)}{ended.so_far(group)}.{also}"
            ),
            evidence=(*_format_error(facts, one), *_architectures(facts, group)),
            culprit=f"{one.workload.namespace}/{fields.text(one.container.spec, 'image')}",
        )


def _format_error(facts: Facts, one: Trouble) -> Iterator[Evidence]:
    for line in (trouble.log_of(facts, one) or "").splitlines():
        if "exec format error" in line:
            yield ended.log_line(one, line)
            return
    message = fields.text(one.end, "message") or fields.text(one.container.waiting, "message")
    if message:
        yield fact(one.ref, ended.status_path(one), message)


def _nodes(group: list[Trouble]) -> list[str]:
    return sorted({fields.text(t.pod, "spec", "nodeName") for t in group} - {""})


def _architecture(facts: Facts, node: str) -> str:
    found = facts.get(Ref("Node", "", node)) or {}
    return fields.text(found, "status", "nodeInfo", "architecture") or fields.labels_of(found).get(
        "kubernetes.io/arch", ""
    )


def _where(facts: Facts, group: list[Trouble]) -> str:
    nodes = _nodes(group)
    kinds_ = lib.some({_architecture(facts, node) for node in nodes} - {""})
    return f"{kinds_ or 'the architecture'} (node {lib.some(nodes)})"


def _architectures(facts: Facts, group: list[Trouble]) -> Iterator[Evidence]:
    for node in _nodes(group)[:1]:
        found = _architecture(facts, node)
        if found:
            yield fact(Ref("Node", "", node), "status.nodeInfo.architecture", found)


def _runs_on_others(facts: Facts, group: list[Trouble]) -> str:
    """The architectures on which the same image of the workload runs, where they are none of those that it fails on."""
    one, failing = trouble.worst(group), {_architecture(facts, node) for node in _nodes(group)}
    found: set[str] = set()
    for pod in lib.pods_of(facts, one.workload):
        node = fields.text(pod, "spec", "nodeName")
        well = any(
            c.name == one.container.name
            and c.running
            and c.ready
            and c.spec.get("image") == one.container.spec.get("image")
            for c in podstate.containers(pod)
        )
        if well and ref_of(pod, kinds.POD) not in {t.ref for t in group}:
            found.add(_architecture(facts, node))
    return lib.some(found - failing - {""})
