"""Programs that change what others own: a job that sets limits, a delivery tool that sets an autoscaler's replicas.

The victim shows the symptom; who acts is told by managed fields, and by which Job ran at that moment.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import changed, ended, lib, revisions, trouble
from firstmate_tools.diagnosis.changed import CONTROLLERS, Change
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact, quote
from firstmate_tools.diagnosis.heard import said
from firstmate_tools.diagnosis.rule import BACKENDS, ReasonWant, Verdicts, Want, explains, rule
from firstmate_tools.diagnosis.trouble import Trouble
from firstmate_tools.fields import Obj
from firstmate_tools.graph import scale_target
from firstmate_tools.refs import Ref, ref_of

LIMITS, FIGHT = "limits-changed-by-automation", "hpa-conflicts-with-gitops"
HPA = kinds.HORIZONTAL_POD_AUTOSCALER
OBSERVED = (kinds.POD, kinds.REPLICA_SET, kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET)
STARVED: tuple[trouble.Kind, ...] = ("oom", "lowmem")
BY_HAND = frozenset({"kubectl-edit"})
SLACK = timedelta(seconds=5)
LATELY = timedelta(minutes=30)
RESCALED = "SuccessfulRescale"
_SIZE = re.compile(r"New size: (\d+)\b")


@rule(
    causes=(LIMITS,),
    observes=(*OBSERVED, kinds.JOB, kinds.CRON_JOB),
    explains=(
        *BACKENDS,
        *explains("oom-killed-container-limit", "memory-limit-too-low-to-start", along=("owns",)),
    ),
)
def limits_changed(facts: Facts) -> Verdicts:
    """A container that starves at a limit which somebody else than its owner set.

    https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers
    """
    for group in trouble.groups(facts, *STARVED):
        one = trouble.worst(group)
        by = _meddler(facts.get(one.workload) or {}, one.container.name) or _revised(facts, one)
        if by is None or by.at is None:
            continue
        began = ended.since(facts, group)
        if began is not None and began < by.at - SLACK:
            continue  # it starved before
        actor = _actor(facts, one.workload, by.at)
        if actor is None and by.manager in (*BY_HAND, ""):
            continue
        yield _changed(facts, group, one, by, by.at, actor)


def _meddler(workload: Obj, container: str) -> Change | None:
    """Who set a container's memory limit without owning anything else of it, where somebody else owns its image."""
    limit, image = f"containers[{container}].resources.limits.memory", f"containers[{container}].image"
    known = changed.changes(workload)
    by = next((c for c in known if limit in c.paths and c.manager not in CONTROLLERS), None)
    owner = next((c for c in known if image in c.paths), None)
    if by is None or owner is None or owner.manager == by.manager:
        return None
    alone = all(re.match(r"(?:initContainers|containers)\[[^\]]*\]\.resources\.|replicas$", p) for p in by.paths)
    return by if alone else None


def _revised(facts: Facts, one: Trouble) -> Change | None:
    """A revision that lowered a container's memory limit and changed resources only: by whom, only a Job can tell."""
    pair = revisions.newest_two(facts, one.workload) if one.workload.kind == "Deployment" else None
    found = revisions.changed(facts, one.workload)
    resources = [c for c in found if ".resources" in c.field]
    if pair is None or not resources or len(resources) < len(found):
        return None
    if not any(f"[{one.container.name}].resources" in c.field for c in resources):
        return None
    at = fields.time_at(pair[0][1], "metadata", "creationTimestamp")
    return Change("", "", at, (f"containers[{one.container.name}].resources.limits.memory",))


def _changed(facts: Facts, group: list[Trouble], one: Trouble, by: Change, at: datetime, actor: Ref | None) -> Finding:
    path = f"spec.template.spec.containers[{one.container.name}].resources.limits.memory"
    was = next(
        (c.before for c in revisions.changed(facts, one.workload) if f"[{one.container.name}].resources" in c.field), ""
    )
    limit = fields.at(one.container.spec, "resources", "limits", "memory")
    who = f"{actor}, which ran then," if actor else "something other than its owner"
    return Finding(
        cause=LIMITS,
        object=actor or one.workload,
        severity=ended.severity(facts, one),
        confidence="likely" if actor or was else "possible",
        summary=(
            f"{ended.named(one).capitalize()} starves at a memory limit that {who} set"
            f"{f' by the name of {by.manager}' if by.manager else ''}{f': it was {was}, it is {limit}' if was else ''}."
        ),
        evidence=(
            fact(one.workload, "metadata.managedFields", f"{by.manager} set {', '.join(by.paths[:6])}", at)
            if by.manager
            else fact(one.workload, "newest revision", "changed resources only", at),
            fact(one.workload, path, limit),
            *(_ran(facts, actor) if actor else ()),
            *([ended.end_evidence(one)] if one.end else []),
        ),
        affects=trouble.affected(group),
        since=at,
        next=(
            lib.ask(
                "get",
                "what it runs, and how often",
                kind=(actor or one.workload).kind,
                name=(actor or one.workload).name,
                namespace=one.workload.namespace,
            ),
        ),
    )


def _actor(facts: Facts, workload: Ref, at: datetime) -> Ref | None:
    """The CronJob or Job that ran at a moment; of several the one whose pods are told of the workload or of limits."""
    found: dict[Ref, bool] = {}
    for job in facts.all(kinds.JOB):
        began = fields.time_at(job, "status", "startTime")
        over = fields.time_at(job, "status", "completionTime") or facts.now
        if began is None or not began - SLACK <= at <= over + SLACK:
            continue
        ref = ref_of(job, kinds.JOB)
        words = repr([_commands(c) for c in fields.items(job, "spec", "template", "spec", "containers")]).lower()
        named = workload.name.lower() in words or any(w in words for w in ("set resources", "resources", "limits"))
        found[facts.workload(ref)] = found.get(facts.workload(ref), False) or named
    likely = [ref for ref, named in sorted(found.items()) if named]
    return likely[0] if len(likely) == 1 else None


def _commands(container: Obj) -> list[str]:
    values = [fields.text(entry, "value") for entry in fields.items(container, "env")]
    return [*fields.strings(container, "command"), *fields.strings(container, "args"), *values]


def _ran(facts: Facts, actor: Ref) -> Iterator[Evidence]:
    obj = facts.get(actor) or {}
    for path in ("lastScheduleTime", "startTime"):
        if at := fields.time_at(obj, "status", path):
            yield quote(actor, obj, "status", path, at=at)


def rescales(facts: Facts) -> Iterable[Want]:
    """What autoscalers say that they did, where Normal events were not read."""
    if facts.scope.namespace is None and any(_acted(facts, hpa) for hpa in facts.all(HPA)):
        yield ReasonWant(RESCALED)


def _acted(facts: Facts, hpa: Obj) -> bool:
    at = fields.time_at(hpa, "status", "lastScaleTime")
    return at is not None and facts.now - at <= LATELY


@rule(causes=(FIGHT,), observes=(HPA, kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.EVENT), wants=rescales)
def contested_replicas(facts: Facts) -> Verdicts:
    """An autoscaler that gives the same size again and again without ever taking it back: somebody else does.

    https://argo-cd.readthedocs.io/en/stable/user-guide/best_practices/#leaving-room-for-imperativeness
    """
    for hpa in facts.all(HPA):
        ref, target = ref_of(hpa, HPA), scale_target(hpa)
        obj = facts.get(target) if target else None
        if target is None or obj is None or not _acted(facts, hpa):
            continue
        again = _same_size_again(facts, ref, obj)
        over = _overwritten(hpa, obj)
        if again is None and over is None:
            continue
        setter = over or _declares(obj)
        name = setter.manager if setter else "something else"
        times = f"gave it {_size(again)} replicas {again.count} times" if again else "scaled it"
        yield Finding(
            cause=FIGHT,
            object=target,
            severity="warning",
            confidence="likely",
            summary=(
                f"HorizontalPodAutoscaler {ref.name} {times}, and {name} sets the replicas of {target} back: both "
                "own the same field."
            ),
            evidence=(
                *([said(again)] if again else []),
                quote(ref, hpa, "status", "lastScaleTime"),
                *([fact(target, "metadata.managedFields", f"{name} set spec.replicas", setter.at)] if setter else []),
                quote(target, obj, "spec", "replicas"),
            ),
            affects=(ref,),
            since=again.first if again else setter.at if setter else None,
            next=(lib.ask("get", "what the autoscaler wants", kind="hpa", name=ref.name, namespace=ref.namespace),),
        )


def _size(row: EventRow) -> str:
    match = _SIZE.search(row.message)
    return match.group(1) if match else "the same"


def _same_size_again(facts: Facts, ref: Ref, target: Obj) -> EventRow | None:
    """The newest event by which one size was given at least twice, where the autoscaler never went below it between."""
    made = fields.time_at(target, "metadata", "creationTimestamp")
    rows = [
        row
        for row in facts.events(ref, RESCALED)
        if _SIZE.search(row.message)
        and row.last is not None
        and facts.now - row.last <= LATELY
        and (made is None or row.first is None or row.first >= made)
    ]
    sizes = {int(_size(row)) for row in rows}
    repeated = [row for row in rows if row.count > 1 and "All metrics below target" not in row.message]
    lowest = min(sizes, default=0)
    return next((row for row in repeated if int(_size(row)) == lowest), None)


def _overwritten(hpa: Obj, target: Obj) -> Change | None:
    """Who set the replicas after the autoscaler last did, to something else than it wants."""
    scaled = fields.time_at(hpa, "status", "lastScaleTime")
    setter = _declares(target)
    if scaled is None or setter is None or setter.at is None or setter.at <= scaled:
        return None
    wanted, has = fields.number(hpa, "status", "desiredReplicas"), fields.number(target, "spec", "replicas", default=1)
    return setter if wanted and wanted != has else None


def _declares(target: Obj) -> Change | None:
    """Who else than an autoscaler or a controller set the replicas last."""
    return next(
        (
            c
            for c in changed.changes(target)
            if "replicas" in c.paths and c.subresource != "scale" and c.manager not in CONTROLLERS
        ),
        None,
    )
