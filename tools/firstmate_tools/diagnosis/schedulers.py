"""What is said where no scheduler looks at pods: the cluster's own is not running, or nobody runs the one named. Pure.

Leases, holders and durations are those of kube-scheduler v1.36 (leader election in kube-system, 15 s, renewed every 2).
"""

from collections.abc import Iterator
from datetime import timedelta
from difflib import get_close_matches

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact
from firstmate_tools.diagnosis.lib import ask, count, earliest, severity, some, worst
from firstmate_tools.diagnosis.unattended import (
    BUSY,
    LEASES,
    Leader,
    Waiting,
    leader,
    since_creation,
    told,
    unplaced_open,
)
from firstmate_tools.diagnosis.unplaced import DEFAULT_SCHEDULER
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Confidence
from firstmate_tools.text import plain_word

NOT_RUNNING, UNKNOWN = "scheduler-not-running", "scheduler-name-unknown"
LEASE_NAME = "kube-scheduler"
MANAGED = frozenset({"fargate-scheduler"})
"""Schedulers that a provider runs out of sight (https://docs.aws.amazon.com/eks/latest/userguide/fargate.html), which
give a verdict only once they have made a machine."""
SLOW = timedelta(minutes=5)
WITHOUT_LEASE = timedelta(seconds=5)
"""How long pods without a verdict have to have waited where no Lease tells whether a scheduler runs."""


def default(facts: Facts, groups: list[Waiting]) -> Iterator[Finding | RuledOut]:
    """The verdict on pods that the cluster's own scheduler should have seen."""
    lead = leader(facts, [LEASE_NAME])
    waited = max(since_creation(facts, group) for group in groups)
    whose = _whose(groups)
    pods = [pod for group in groups for pod in group.pods]
    words = (
        f"{whose} {'has' if len(pods) == 1 else 'have'} waited up to {told(waited)} without a verdict of any scheduler"
    )
    if lead is not None and lead.stale and lead.idle is not None:
        yield _not_running(facts, groups, lead, "certain", f"{words}; {_idle(lead)}")
    elif lead is not None and lead.fresh:
        if waited < BUSY:
            yield RuledOut(
                NOT_RUNNING, f"its Lease was renewed {told(lead.idle or timedelta(0))} ago, and pods are new"
            )
        else:
            yield _not_running(facts, groups, lead, "possible", f"{words}, although the Lease of {LEASE_NAME} is fresh")
    elif lead is not None or waited >= WITHOUT_LEASE:
        known = facts.knows(kinds.LEASE, LEASES)
        if lead is not None:
            why = f"Lease {LEASE_NAME} tells no time at which a scheduler could have renewed it"
        else:
            why = f"{LEASES} has no Lease {LEASE_NAME}" if known else "Leases could not be read"
        sure: Confidence = "likely" if known or waited >= BUSY else "possible"
        yield _not_running(facts, groups, lead, sure, f"{words}; {why}")


def _idle(lead: Leader) -> str:
    holder = f" by {lead.holder}" if lead.holder and plain_word(lead.holder) else ""
    return f"Lease {LEASES}/{LEASE_NAME} was last renewed{holder} {told(lead.idle or timedelta(0))} ago"


def _not_running(
    facts: Facts, groups: list[Waiting], lead: Leader | None, confidence: Confidence, words: str
) -> Finding:
    target = lead.ref if lead is not None else groups[0].workload
    evidence: list[Evidence] = []
    if lead is not None:
        evidence.append(
            fact(lead.ref, "spec.renewTime", lead.renewed.isoformat() if lead.renewed else None, lead.renewed)
        )
        evidence.append(fact(lead.ref, "spec.holderIdentity", lead.holder))
    for group in groups[:2]:
        made = fields.time_at(group.pod, "metadata", "creationTimestamp")
        evidence.append(fact(group.pods[0], "status.conditions[PodScheduled]", "not set", made))
    nodes = [
        n for n in facts.everywhere(kinds.NODE) if podstate.ready(n) and not fields.flag(n, "spec", "unschedulable")
    ]
    if nodes:
        names = some(fields.name_of(node) for node in nodes)
        evidence.append(fact(ref_of(nodes[0], kinds.NODE), "ready and open, with others", names))
    stuck = unplaced_open(facts) if confidence == "certain" else ()
    touched = dict.fromkeys(ref for group in groups for ref in (group.workload, *group.pods))
    return Finding(
        cause=NOT_RUNNING,
        object=target,
        severity=worst(severity(facts, group.workload) for group in groups),
        confidence=confidence,
        summary=f"{words}. Pods that have a node run on; no new one gets one.",
        evidence=tuple(evidence),
        affects=tuple(dict.fromkeys((*touched, *stuck))),
        since=lead.renewed if lead is not None and lead.stale else earliest(group.since for group in groups),
        culprit=LEASE_NAME,
        next=(
            ask("get", "who holds the scheduler's Lease", kind="lease", name=LEASE_NAME, namespace=LEASES),
            ask("pod_status", "the scheduler's own pods, where the control plane shows them", namespace=LEASES),
        ),
    )


def _whose(groups: list[Waiting]) -> str:
    pods = sum(len(group.pods) for group in groups)
    names = {group.workload for group in groups}
    if len(names) == 1 and groups[0].workload.kind == "Pod":
        return str(groups[0].workload)
    return f"{count(pods, 'pod')} of {some(str(name) for name in names)}"


def named(facts: Facts, name: str, groups: list[Waiting]) -> Iterator[Finding | RuledOut]:
    """The verdict on pods that name a scheduler of their own."""
    lead = leader(facts, [name, f"{name}-lock", f"{name}-leader-election"])
    servers = _servers(facts, name, groups)
    serving = [ref for ref, obj in servers if ref.kind == "Pod" and podstate.ready(obj)]
    waited = max(since_creation(facts, group) for group in groups)
    used = {
        fields.text(p, "spec", "schedulerName")
        for p in facts.everywhere(kinds.POD)
        if fields.text(p, "spec", "nodeName")
    }
    proof = some(map(str, serving)) or ("its Lease is fresh" if lead is not None and lead.fresh else "")
    proof = proof or ("pods of it have nodes" if name in used else "")
    if (proof and waited < BUSY) or (name in MANAGED and waited < SLOW):
        yield RuledOut(UNKNOWN, f"the scheduler that is named may yet answer ({proof or 'the provider runs it'})")
        return
    called = name if plain_word(name) else "of a name that is none"
    near = get_close_matches(name, sorted({DEFAULT_SCHEDULER, *used} - {name, ""}), n=1)
    if serving:
        why = f"{some(map(str, serving))} runs, and has given no verdict for {told(waited)}"
    elif servers:
        why = f"{some(str(ref) for ref, _ in servers)} should serve it, and no pod of it is ready"
    else:
        why = "nobody runs a scheduler of that name, as far as pods, Deployments and Leases tell"
    hint = f"; pods that run use {near[0]}" if near and not servers else ""
    for group in groups:
        path = "spec.schedulerName" if group.workload.kind == "Pod" else "spec.template.spec.schedulerName"
        evidence = [fact(group.workload, path, name), fact(group.pods[0], "status.conditions[PodScheduled]", "not set")]
        evidence += [fact(ref, "status", _state(ref, obj)) for ref, obj in servers[:2]]
        if lead is not None:
            evidence.append(
                fact(lead.ref, "spec.renewTime", lead.renewed.isoformat() if lead.renewed else None, lead.renewed)
            )
        evidence += _own_leader(facts)
        yield Finding(
            cause=UNKNOWN,
            object=group.workload,
            severity=severity(facts, group.workload),
            confidence="possible" if serving else "likely",
            summary=f"{_whose([group])} {'asks' if len(group.pods) == 1 else 'ask'} for scheduler {called}: "
            f"{why}{hint}.",
            evidence=tuple(evidence),
            affects=tuple(dict.fromkeys((group.workload, *group.pods))),
            since=group.since,
            culprit=f"scheduler {name}",
            awaits=tuple(ref for ref, _ in servers),
            next=(ask("get", "which schedulers hold a Lease", kind="lease", namespace=LEASES),),
        )


def _own_leader(facts: Facts) -> list[Evidence]:
    """The cluster's own scheduler, where it is seen to run: it is not what is missing."""
    own = leader(facts, [LEASE_NAME])
    if own is None or not own.fresh or own.renewed is None:
        return []
    return [fact(own.ref, "spec.renewTime", own.renewed.isoformat(), own.renewed)]


def _servers(facts: Facts, name: str, groups: list[Waiting]) -> list[tuple[Ref, Obj]]:
    """Deployments and pods that by their name, or a label of theirs, run the scheduler of this name."""
    asking = {ref for group in groups for ref in (group.workload, *group.pods)}
    found: list[tuple[Ref, Obj]] = []
    for kind in (kinds.DEPLOYMENT, kinds.POD):
        for obj in facts.everywhere(kind):
            ref = ref_of(obj, kind)
            named_so = ref.name == name or ref.name.startswith(f"{name}-") or name in fields.labels_of(obj).values()
            if named_so and ref not in asking and facts.workload(ref) not in asking:
                found.append((ref, obj))
    return found


def _state(ref: Ref, obj: Obj) -> str:
    if ref.kind == "Pod":
        return podstate.status_text(obj)
    ready = fields.number(obj, "status", "readyReplicas")
    return f"{ready} of {fields.number(obj, 'spec', 'replicas', default=1)} ready"
