"""What is said of pods that a scheduling gate holds. Pure.

A gate is somebody's to lift; that it is there is no fault, that nobody lifts it is. Kueue says itself why a pod has to
wait (Workload of kueue.x-k8s.io: conditions QuotaReserved and Admitted); of other owners nothing is known but time.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact
from firstmate_tools.diagnosis.lib import ask, count, severity
from firstmate_tools.diagnosis.rule import ListWant
from firstmate_tools.diagnosis.unattended import Waiting, since_creation, told, waiting
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Severity
from firstmate_tools.text import plain_word

SLUG = "scheduling-gate-not-removed"
KUEUE = "kueue.x-k8s.io/"
KUEUE_WORKLOAD = Kind("Workload", "workloads", "kueue.x-k8s.io", "v1beta1")
GROUP_LABEL = "kueue.x-k8s.io/pod-group-name"
SOON = timedelta(seconds=30)
"""Whoever lifts a gate after looking at a pod has done so by then; queues may take longer."""


def wanted(facts: Facts) -> Iterable[ListWant]:
    """Kueue's Workloads, where it gates pods."""
    held = [group for group in facts.derived(waiting) if group.how == "gated" and KUEUE in group.what]
    for namespace in sorted({group.pods[0].namespace for group in held}):
        yield ListWant(KUEUE_WORKLOAD, namespace)


def verdict(facts: Facts, group: Waiting) -> Iterator[Finding]:
    """The finding about pods of one workload that the same gates hold."""
    if KUEUE in group.what and facts.knows(KUEUE_WORKLOAD, group.pods[0].namespace):
        yield _queued(facts, group)
        return
    waited = since_creation(facts, group)
    why = "nobody has lifted it" if "," not in group.what else "nobody has lifted them"
    yield _finding(facts, group, why, [], sure=waited >= SOON, awaits=_owners(facts, group))


def _queued(facts: Facts, group: Waiting) -> Finding:
    """Kueue's own word: waiting for its turn is no fault, waiting for nothing is."""
    found = _workload_of(facts, group)
    if found is None:
        why = "no Kueue Workload stands for it, so that nobody will lift the gate"
        return _finding(facts, group, why, [], sure=True, awaits=_owners(facts, group))
    ref = ref_of(found, KUEUE_WORKLOAD.kind)
    reserved, admitted = fields.condition(found, "QuotaReserved"), fields.condition(found, "Admitted")
    evidence = [_said(ref, condition) for condition in (reserved, admitted) if condition]
    reason = fields.text(reserved, "reason")
    reason = reason if plain_word(reason) else ""
    if admitted.get("status") == "True":
        why = f"Kueue has admitted {ref.name}, and the gate is still there"
        return _finding(facts, group, why, evidence, sure=True, awaits=_owners(facts, group))
    if not reserved or reason == "Inadmissible":
        why = f"Kueue does not admit {ref.name} ({reason or 'no queue has taken it up'})"
        return _finding(facts, group, why, evidence, sure=bool(reserved), awaits=_owners(facts, group))
    why = f"{ref.name} waits for its turn in Kueue ({reason or 'no quota yet'})"
    return _finding(facts, group, why, evidence, sure=True, hurt="info")


def _said(ref: Ref, condition: Obj) -> Evidence:
    words = (
        f"{fields.text(condition, 'status')} {fields.text(condition, 'reason')}: {fields.text(condition, 'message')}"
    )
    name = fields.text(condition, "type")
    return fact(ref, f"status.conditions[{name}]", words, fields.time_at(condition, "lastTransitionTime"))


def _workload_of(facts: Facts, group: Waiting) -> Obj | None:
    """The Kueue Workload of a pod, of the group that its label names, or of what owns the pod."""
    names = {group.workload.name, *(pod.name for pod in group.pods)}
    labelled = fields.labels_of(group.pod).get(GROUP_LABEL)
    for found in facts.all(KUEUE_WORKLOAD, group.pods[0].namespace):
        owners = {fields.text(owner, "name") for owner in fields.items(found, "metadata", "ownerReferences")}
        if fields.name_of(found) == labelled or owners & names:
            return found
    return None


def _owners(facts: Facts, group: Waiting) -> tuple[Ref, ...]:
    """Deployments that by their name may be the gate's owner (`kueue` of kueue.x-k8s.io), where they are known."""
    words = {gate.split("/")[0].split(".")[0] for gate in group.what.split(", ") if "/" in gate}
    named = [ref_of(d, kinds.DEPLOYMENT) for d in facts.everywhere(kinds.DEPLOYMENT)]
    return tuple(r for r in named if r != group.workload and any(len(w) > 3 and w in r.name.split("-") for w in words))


def _finding(
    facts: Facts,
    group: Waiting,
    why: str,
    evidence: list[Evidence],
    *,
    sure: bool,
    hurt: Severity | None = None,
    awaits: tuple[Ref, ...] = (),
) -> Finding:
    number = len(group.pods)
    lone = group.workload.kind == "Pod"
    whose = str(group.workload) if lone else f"{count(number, 'pod')} of {group.workload}"
    named = ", ".join(gate for gate in group.what.split(", ") if plain_word(gate)) or "of odd names"
    plural = "gates" if "," in group.what else "gate"
    verb = "is" if lone or number == 1 else "are"
    return Finding(
        cause=SLUG,
        object=group.workload,
        severity=hurt or severity(facts, group.workload),
        confidence="likely" if sure else "possible",
        summary=f"{whose} {verb} held back by scheduling {plural} {named} for "
        f"{told(since_creation(facts, group))}: {why}.",
        evidence=(
            fact(group.pods[0], "spec.schedulingGates", fields.at(group.pod, "spec", "schedulingGates"), group.since),
            *evidence,
        ),
        affects=tuple(dict.fromkeys((group.workload, *group.pods))),
        since=group.since,
        culprit=f"{group.what} {group.workload.namespace}/{group.workload}",
        awaits=awaits,
        next=(
            ask("workload_status", "whether whoever owns the gate runs"),
            ask(
                "get",
                "the pod and who last wrote it",
                kind="pod",
                name=group.pods[0].name,
                namespace=group.pods[0].namespace,
            ),
        ),
    )
