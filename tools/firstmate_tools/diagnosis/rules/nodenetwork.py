"""Nodes whose network plugin gives pods no network: not ready, without rights in AWS, without addresses.

Decided by the node's conditions and by what is said of pods that have a node and no sandbox. Texts are those of the AWS
VPC CNI 1.18 to 1.20 (cmd/routed-eni-cni-plugin, pkg/ipamd), of the VPC resource controller, and of other plugins; each
is looked for only beside a pod that waits now.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import lib, nodewords, sandboxes, sicknodes
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, NextStep, fact
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.nodefaults import NETWORK, NO_ADDRESSES, faulty
from firstmate_tools.diagnosis.placement import wants as placing
from firstmate_tools.diagnosis.rule import ListWant, ReasonWant, Verdicts, Want, explains, rule
from firstmate_tools.diagnosis.rules.containers import OBSERVED
from firstmate_tools.diagnosis.sandboxes import NoSandbox, Sign
from firstmate_tools.diagnosis.sicknodes import HOSTED, Ill
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

IAM, ADDRESSES, BLOCKS = "cni-iam-permissions-missing", "cni-ip-exhaustion", "cni-prefix-fragmentation"
DENIED, FRAGMENTED = "MissingIAMPermissions", "InsufficientCidrBlocks"
RECENT = timedelta(hours=1)
"""How old such an event may be: ipamd and the resource controller repeat themselves rarely."""
SYSTEM = "kube-system"
AGENTS = frozenset(
    {
        "aws-node",
        "calico-node",
        "canal",
        "cilium",
        "kube-flannel",
        "kube-flannel-ds",
        "weave-net",
        "kube-router",
        "antrea-agent",
        "kindnet",
        "azure-cns",
        "ovnkube-node",
    }
)
"""DaemonSets of network plugins."""

_READS = (Read(kinds.POD, ("list",)), Read(kinds.DAEMON_SET, ("list",)), Read(kinds.EVENT, ("list",)), *placing.READS)


def _network_of_nodes(facts: Facts) -> Iterable[Want]:
    """The plugin's own pods, and what it and AWS' controllers say, where a node's network seems to fail."""
    if not (faulty(facts, NETWORK) or any(one.sign != "runtime" for one in facts.derived(sandboxes.failing))):
        return
    yield ListWant(kinds.POD, SYSTEM)
    yield ListWant(kinds.DAEMON_SET, SYSTEM)
    if facts.scope.namespace is not None:
        yield ReasonWant(DENIED)
        yield ReasonWant(FRAGMENTED)


@rule(
    causes=(NETWORK,),
    observes=(*OBSERVED, kinds.NODE),
    digs=_READS,
    wants=_network_of_nodes,
    explains=(*HOSTED, *explains("application-exits-on-error", "readiness-probe-misconfigured", along=("owns",))),
    confirms=(kinds.NODE,),
)
def plugins(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/network-plugins/"""
    ready, waiting = faulty(facts, NETWORK), _by_node(facts, "plugin")
    ills = [Ill(ill.node, (*ill.words, *_said(waiting.get(ill.name, ()))), ill.since) for ill, _ in ready]
    known = {ill.name for ill in ills}
    ills += [ill for name in sorted(waiting.keys() - known) for ill in _waited_for(facts, name, waiting[name])]
    if not ills:
        return
    agents, words, beside = _agents(facts, {ill.name for ill in ills})
    not_ready = sorted({words for _, words in ready})
    what = not_ready[0] if not_ready else "cannot set up the network of new pods: its network plugin fails"
    victims = None if ready else [one.ref for found in waiting.values() for one in found]
    ills[0] = Ill(ills[0].node, (*ills[0].words[:1], *words, *ills[0].words[1:]), ills[0].since)
    yield sicknodes.finding(
        facts,
        NETWORK,
        ills,
        what + agents,
        confidence="certain" if ready else "likely",
        victims=victims,
        beside=beside,
        following=_look_at_plugin(beside),
    )


def _waited_for(facts: Facts, name: str, found: Iterable[NoSandbox]) -> list[Ill]:
    """A node by what is said of its pods; nothing of one that may not be there any more."""
    node = facts.get(Ref(kinds.NODE.kind, "", name))
    if node is None and facts.knows(kinds.NODE):
        return []
    since = lib.earliest(one.row.first for one in found)
    return [Ill(node or {"kind": "Node", "metadata": {"name": name}}, _said(found), since)]


def _said(found: Iterable[NoSandbox]) -> tuple[Evidence, ...]:
    return tuple(said(one.row) for one in list(found)[:1])


def _by_node(facts: Facts, *signs: Sign) -> dict[str, list[NoSandbox]]:
    found: dict[str, list[NoSandbox]] = defaultdict(list)
    for one in facts.derived(sandboxes.failing):
        if one.sign in signs:
            found[one.node].append(one)
    return dict(sorted(found.items()))


def _agents(facts: Facts, names: set[str]) -> tuple[str, tuple[Evidence, ...], list[Ref]]:
    """How the network plugin's own pods stand on some nodes: in words, as evidence, and whose they are."""
    every = [ref_of(d, kinds.DAEMON_SET) for d in facts.everywhere(kinds.DAEMON_SET) if fields.name_of(d) in AGENTS]
    for daemon_set in sorted(every):
        pods = [facts.get(ref) for ref in facts.graph.after(daemon_set, "owns")]
        here = [pod for pod in pods if pod is not None and fields.text(pod, "spec", "nodeName") in names]
        missing = names - {fields.text(pod, "spec", "nodeName") for pod in here}
        bad = [pod for pod in here if fields.condition(pod, "Ready").get("status") != "True"]
        if bad:
            shown = ref_of(bad[0], kinds.POD)
            why = sandboxes.standing(bad[0])
            words = f"; {lib.count(len(bad), 'pod')} of {daemon_set} there {'is' if len(bad) == 1 else 'are'} not ready"
            told = fact(shown, "status", why)
            return f"{words} ({why})", (told,), [daemon_set, *(ref_of(pod, kinds.POD) for pod in bad)]
        if missing and facts.knows(kinds.POD, daemon_set.namespace):
            told = fact(daemon_set, "status.desiredNumberScheduled", _desired(facts, daemon_set))
            return f"; {daemon_set} has no pod on {lib.some(missing)}", (told,), [daemon_set]
    return "", (), []


def _desired(facts: Facts, daemon_set: Ref) -> object:
    return fields.at(facts.get(daemon_set) or {}, "status", "desiredNumberScheduled")


def _look_at_plugin(beside: list[Ref]) -> tuple[NextStep, ...]:
    pods = [ref for ref in beside if ref.kind == "Pod"][:1]
    return tuple(
        lib.ask("logs", "what the network plugin says", scope=f"pod/{ref.name}", namespace=ref.namespace)
        for ref in pods
    )


@rule(
    causes=(ADDRESSES, BLOCKS),
    observes=(*OBSERVED, kinds.NODE),
    digs=_READS,
    wants=_network_of_nodes,
    explains=HOSTED,
)
def addresses(facts: Facts) -> Verdicts:
    """https://docs.aws.amazon.com/eks/latest/best-practices/ip-opt.html

    That a subnet has no free block of 16 is told apart from a subnet without addresses: there addresses are left.
    """
    blocks = {row.about.name for row in _seldom(facts, FRAGMENTED) if row.about.kind == "Node"}
    waiting = _by_node(facts, "addresses", "blocks")
    for cause in (ADDRESSES, BLOCKS):
        mine = {
            name: found
            for name, found in waiting.items()
            if (name in blocks or any(one.sign == "blocks" for one in found)) == (cause == BLOCKS)
        }
        ills = [ill for name, found in mine.items() for ill in _waited_for(facts, name, found)]
        ills += [ill for ill in _agents_word(facts) if cause == ADDRESSES and ill.name not in waiting]
        if not ills:
            continue
        rows = [row for row in _seldom(facts, FRAGMENTED) if row.about.name in mine] if cause == BLOCKS else []
        if rows:
            ills[0] = Ill(ills[0].node, (said(rows[0]), *ills[0].words), ills[0].since)
        refs = [one.ref for found in mine.values() for one in found]
        what = "has no address left for new pods"
        if cause == BLOCKS:
            what = "gets no block of addresses: its subnet has no free /28, though it may have single addresses"
        elif len(ills) > 1:
            what = "no address is left for new pods, as it is where a subnet is used up"
        yield sicknodes.finding(
            facts,
            cause,
            ills,
            what,
            confidence="likely",
            victims=refs,
            following=tuple(
                lib.ask("events", "how many pods get no address", namespace=ref.namespace) for ref in refs[:1]
            ),
        )


def _agents_word(facts: Facts) -> list[Ill]:
    """Nodes of which EKS' node monitoring agent says that there are no addresses left, by a condition or an event."""
    found: list[Ill] = []
    for node in sicknodes.concerned(facts):
        rows = nodewords.of_node(facts, fields.name_of(node), NO_ADDRESSES)
        if any(lately(facts, row) for row in rows):
            found.append(Ill(node, (said(rows[0]),), rows[0].first))
            continue
        entry = fields.condition(node, "NetworkingReady")
        if entry.get("status") == "False" and fields.text(entry, "reason") == NO_ADDRESSES:
            turned = fields.time_at(entry, "lastTransitionTime")
            words = f"False: {fields.text(entry, 'reason')} {fields.text(entry, 'message')}"
            path = "status.conditions[NetworkingReady]"
            found.append(Ill(node, (fact(ref_of(node, kinds.NODE), path, words, turned),), turned))
    return found


def _seldom(facts: Facts, reason: str) -> list[EventRow]:
    """Events of a reason about objects that may still be there, within the hour, newest first."""
    rows = [row for row in facts.every_event() if row.reason == reason and facts.exists(row.about) is not False]
    return [row for row in rows if row.last is not None and facts.now - row.last < RECENT]


@rule(
    causes=(IAM,),
    observes=(*OBSERVED, kinds.NODE),
    digs=_READS,
    wants=_network_of_nodes,
    explains=(
        *HOSTED,
        *explains(NETWORK, ADDRESSES, BLOCKS, "pod-sandbox-creation-failed", along=("owns",)),
        *explains("application-exits-on-error", "readiness-probe-misconfigured", along=("owns",)),
    ),
)
def permissions(facts: Facts) -> Verdicts:
    """https://github.com/aws/amazon-vpc-cni-k8s/blob/master/docs/iam-policy.md

    The plugin's own event, beside something that fails now: a node that is not ready, a pod without a sandbox, or the
    plugin's pod itself. A pod's failed sandbox may also name the refusal.
    """
    rows = [row for row in _seldom(facts, DENIED) if row.about.kind == "Pod"]
    refused = [one for one in facts.derived(sandboxes.failing) if one.sign == "rights"]
    failing = [one for one in facts.derived(sandboxes.failing) if one.sign != "runtime"]
    ill = [ill for ill, _ in faulty(facts, NETWORK)]
    plugin = {row.about for row in rows}
    unready = [ref for ref in plugin if fields.condition(facts.get(ref), "Ready").get("status") == "False"]
    if not (refused or (rows and (failing or ill or unready))):
        return
    owners = sorted({facts.workload(ref) for ref in plugin if facts.get(ref) is not None})
    hosts = sorted({one.node for one in failing} | {node.name for node in ill})
    nodes = [Ref("Node", "", name) for name in hosts if name]
    pods = sorted({one.ref for one in failing})
    hurt = sorted({facts.workload(ref) for ref in pods})
    words = [said(row) for row in rows[:2]] + [said(one.row) for one in refused[:1]]
    where = f" on {lib.some(ref.name for ref in nodes)}" if nodes else ""
    target = owners[0] if owners else nodes[0] if nodes else rows[0].about
    yield Finding(
        cause=IAM,
        object=target,
        severity=lib.worst(["warning", *(lib.severity(facts, workload) for workload in hurt)]),
        confidence="certain" if rows and (failing or ill) else "likely",
        summary=f"AWS refuses the network plugin{where} what it needs to give pods addresses; "
        f"{lib.count(len(pods), 'pod')} {'waits' if len(pods) == 1 else 'wait'} for a network.",
        evidence=(*words, *(said(one.row) for one in failing[:1])),
        affects=tuple(dict.fromkeys([*owners, *sorted(plugin), *nodes, *hurt, *pods])),
        since=lib.earliest([*(row.first for row in rows), *(one.row.first for one in failing)]),
        culprit=IAM,
        next=(lib.ask("events", "what the plugin is refused", namespace=SYSTEM),),
    )
