"""Pods whose grace period is over and whose end no kubelet has confirmed.

The API server keeps a deleted pod until its kubelet says that nothing of it runs any more. Forcing it away does not
stop what may still run on a node that is only cut off, so that the node is what is asked about first.
"""

from collections import defaultdict
from datetime import datetime, timedelta

from firstmate_tools import fields, kinds, nodestate, podstate
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact, quote
from firstmate_tools.diagnosis.heard import heard, said
from firstmate_tools.diagnosis.lib import ask, count, earliest
from firstmate_tools.diagnosis.rule import BACKENDS, Explains, Verdicts, rule
from firstmate_tools.diagnosis.unattended import told
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import NODE, POD
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Severity

CAUSE = "pod-termination-not-confirmed"
STOPS_ENDING = ("FailedKillPod", "FailedUnMount", "FailedUnmapDevice", "FailedUnmountDevice")
"""Reasons of pkg/kubelet/events/event.go, v1.36, by which a kubelet says that it cannot end a pod."""
SILENT = timedelta(seconds=20)
"""How long after its grace period a pod may still be there without a word: its kubelet reports in a moment."""
NEVER_PLACED = timedelta(minutes=2)


@rule(
    causes=(CAUSE,),
    observes=(POD, NODE, kinds.EVENT, kinds.REPLICA_SET, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.DEPLOYMENT),
    explains=(*BACKENDS, Explains(frozenset({"volume-multi-attach", "rwop-volume-in-use"}), ("owns",))),
    confirms=(POD,),
)
def termination_not_confirmed(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination"""
    groups: dict[tuple[Ref, str], list[Obj]] = defaultdict(list)
    for pod in lib.unsettled(facts):
        if _stuck(facts, pod):
            node = fields.text(pod, "spec", "nodeName")
            groups[facts.workload(ref_of(pod, POD)), node].append(pod)
    for key in sorted(groups):
        yield _finding(facts, key[0], key[1], groups[key])


def _over(facts: Facts, pod: Obj) -> timedelta | None:
    """How long its grace period is over, None where it is not, or where something else is waited for."""
    ends = fields.time_at(pod, "metadata", "deletionTimestamp")
    if ends is None or facts.now <= ends or fields.strings(pod, "metadata", "finalizers"):
        return None
    return facts.now - ends


def _stuck(facts: Facts, pod: Obj) -> bool:
    over = _over(facts, pod)
    name = fields.text(pod, "spec", "nodeName")
    if over is None:
        return False
    if not name:  # nobody has to confirm anything: the API server removes it at once
        return over > NEVER_PLACED
    ref = Ref("Node", "", name)
    if facts.exists(ref) is False:  # podgc removes it within a minute
        return over > NEVER_PLACED
    return over > SILENT or _sick(facts, ref) is not None or bool(_words(facts, pod))


def _sick(facts: Facts, ref: Ref) -> Obj | None:
    """The Ready condition of a node whose kubelet is not at work, None where it is."""
    node = facts.get(ref)
    if node is None or podstate.ready(node):
        return None
    return fields.condition(node, "Ready")


def _words(facts: Facts, pod: Obj) -> list[EventRow]:
    """What the kubelet says of a pod that it cannot end, since it was told to."""
    ref, asked = ref_of(pod, POD), _asked(pod)
    rows = [row for reason in STOPS_ENDING for row in heard(facts, ref, pod, "", reason)]
    return [row for row in rows if asked is None or row.last is None or row.last >= asked]


def _asked(pod: Obj) -> datetime | None:
    """When a pod was deleted: its timestamp is the end of its grace period."""
    ends = fields.time_at(pod, "metadata", "deletionTimestamp")
    grace = min(fields.number(pod, "metadata", "deletionGracePeriodSeconds"), 10**6)
    return ends - timedelta(seconds=max(grace, 0)) if ends is not None else None


def _finding(facts: Facts, workload: Ref, node: str, pods: list[Obj]) -> Finding:
    refs = [ref_of(pod, POD) for pod in pods]
    first, ref = pods[0], refs[0]
    over = max(_over(facts, pod) or timedelta(0) for pod in pods)
    host = Ref("Node", "", node)
    sick, rows = _sick(facts, host), [row for pod in pods for row in _words(facts, pod)]
    if not node:
        why = "though it was never placed on a node"
    elif facts.exists(host) is False:
        why = f"and its node {node} does not exist any more"
    elif sick is not None:
        why = f"and the kubelet of node {node} is not at work"
    elif rows:
        why = f"and the kubelet of node {node} says that it cannot end it"
    else:
        why = f"and the kubelet of node {node}, which is ready, has not confirmed its end"
    whose = f"{ref} of {workload}" if ref != workload else str(ref)
    who = whose if len(pods) == 1 else f"{count(len(pods), 'pod')} of {workload}"
    return Finding(
        cause=CAUSE,
        object=ref,
        severity=_severity(facts, workload),
        confidence="certain" if sick is not None or rows else "likely",
        summary=f"{who} should be gone: its grace period is over for {told(over)}, {why}.",
        evidence=(
            quote(ref, first, "metadata", "deletionTimestamp"),
            *_node_facts(facts, host, sick),
            *(said(row) for row in rows[:2]),
            fact(ref, "status", podstate.status_text(first)),
        ),
        affects=(workload, *refs),
        since=earliest(fields.time_at(pod, "metadata", "deletionTimestamp") for pod in pods),
        culprit=f"{workload.namespace} {workload} {node}",
        next=(ask("node_status", "whether its kubelet is at work", name=node),) if node else (),
        awaits=(host,) if node else (),
    )


def _node_facts(facts: Facts, host: Ref, sick: Obj | None) -> list[Evidence]:
    node = facts.get(host)
    if node is None:
        return []
    shown = sick if sick is not None else fields.condition(node, "Ready")
    moment = fields.time_at(shown, "lastTransitionTime")
    return [fact(host, "status.conditions[Ready]", f"{fields.text(shown, 'status')} {nodestate.said(shown)}", moment)]


def _severity(facts: Facts, workload: Ref) -> Severity:
    """A ReplicaSet has made another pod meanwhile; the others wait for the name, or the node, to be free."""
    return lib.severity(facts, workload) if workload.kind in {"StatefulSet", "DaemonSet"} else "warning"
