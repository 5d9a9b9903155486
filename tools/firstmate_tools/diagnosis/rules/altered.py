"""Pods that fail for what admission put into them: a LimitRange's default, or what a mutating webhook changed.

The workload's own manifest is right, so that nobody finds the fault there: the pod is compared with the template that
it was made from.
"""

from collections import defaultdict
from collections.abc import Iterable

from firstmate_tools import fields, kinds
from firstmate_tools.admission.defaults import admitted
from firstmate_tools.diagnosis import alterations, lib, mutators
from firstmate_tools.diagnosis.alterations import Alteration
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact, quote
from firstmate_tools.diagnosis.lib import ask, earliest, some
from firstmate_tools.diagnosis.mutators import Mutator
from firstmate_tools.diagnosis.rule import BACKENDS, Explains, ListWant, Verdicts, Want, rule
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import ENDPOINT_SLICE, LIMIT_RANGE, MUTATING_WEBHOOK, NAMESPACE, SERVICE
from firstmate_tools.quantity import milli
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

STARVES, ALTERS = "limitrange-default-too-small", "mutating-webhook-alters-pod"
OBSERVED = (
    kinds.POD,
    kinds.REPLICA_SET,
    kinds.DEPLOYMENT,
    kinds.STATEFUL_SET,
    kinds.DAEMON_SET,
    kinds.JOB,
    kinds.EVENT,
)
SET_BY = "kubernetes.io/limit-ranger"
"""Annotation by which the LimitRanger says what it filled in (plugin/pkg/admission/limitranger, v1.36)."""
MEMORY = frozenset({"oom-killed-container-limit", "memory-limit-too-low-to-start"})
BY_ALTERING = MEMORY | {
    "application-exits-on-error",
    "config-reference-missing",
    "container-command-not-found",
    "container-process-completes",
    "image-architecture-mismatch",
    "image-name-invalid",
    "image-never-pull-absent",
    "image-not-found",
    "image-pull-rate-limited",
    "image-pull-secret-missing",
    "image-pull-unauthorized",
    "image-registry-unreachable",
    "init-container-failing",
    "insufficient-node-resources",
    "liveness-probe-misconfigured",
    "liveness-probe-too-aggressive",
    "node-affinity-unmatched",
    "node-selector-unmatched",
    "pod-larger-than-any-node",
    "readiness-probe-misconfigured",
    "run-as-non-root-violation",
    "scheduler-name-unknown",
    "startup-probe-never-passes",
    "taint-not-tolerated",
    "topology-spread-unsatisfiable",
    "volume-config-reference-missing",
    "volume-permission-denied",
}
"""What a pod shows that was altered."""


def _limited(facts: Facts) -> list[Alteration]:
    """Containers in trouble over a memory limit that their template does not have."""
    return [a for a in alterations.alterations(facts) if a.field.endswith(".limits.memory") and not a.wanted]


def _wants_ranges(facts: Facts) -> Iterable[Want]:
    return [ListWant(LIMIT_RANGE, place) for place in sorted({one.ref.namespace for one in _limited(facts)})]


@rule(
    causes=(STARVES,),
    observes=OBSERVED,
    digs=(Read(LIMIT_RANGE, ("list",)),),
    wants=_wants_ranges,
    explains=(Explains(MEMORY, ("owns",)), *BACKENDS),
)
def default_limit_starves(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/policy/limit-range/"""
    for one in _limited(facts):
        giver = _giver(facts, one)
        if giver is None:
            continue
        ref, now = giver
        same = now is not None and milli(str(now)) == milli(str(one.got))
        today = "" if same else f" (it gives {now} to new pods now)" if now else " (it gives no limit any more)"
        yield Finding(
            cause=STARVES,
            object=ref,
            severity=lib.severity(facts, one.workload),
            confidence="certain" if same else "likely",
            summary=f"Container {one.container} of {one.workload} has no memory limit of its own; LimitRange "
            f"{ref.name} gave it {one.got}{today}, which is too little for it.",
            evidence=(
                fact(one.ref, one.field, one.got),
                fact(one.workload, f"template {one.field}", None),
                *_default_shown(facts, ref),
            ),
            affects=(one.workload, one.ref),
            since=fields.time_at(one.pod, "metadata", "creationTimestamp"),
            culprit=f"{ref.namespace} {ref}",
            next=(ask("get", "what it gives by default", kind="limitrange", name=ref.name, namespace=ref.namespace),),
        )


def _giver(facts: Facts, one: Alteration) -> tuple[Ref, object] | None:
    """The LimitRange that gave a limit, with the limit that it gives now; None where none can have."""
    ranges = facts.all(LIMIT_RANGE, one.ref.namespace)
    words = {f"memory limit for {kind} {one.container}" for kind in ("container", "init container")}
    told = bool(words & _told(one.pod))
    for limit_range in ranges:
        name = one.container
        bare: Obj = {"spec": {"containers": [{"name": name}]}}
        (filled,) = fields.items(admitted(bare, one.ref.namespace, [limit_range]), "spec", "containers")
        now = fields.at(filled, "resources", "limits", "memory")
        if now is not None and (told or milli(str(now)) == milli(str(one.got))):
            return ref_of(limit_range, LIMIT_RANGE), now
    return (ref_of(ranges[0], LIMIT_RANGE), None) if told and ranges else None


def _told(pod: Obj) -> set[str]:
    """The LimitRanger's words (`cpu, memory limit for container app; …`), one for each resource."""
    words = fields.string_map(pod, "metadata", "annotations").get(SET_BY, "")
    parts: set[str] = set()
    for part in words.partition(":")[2].split(";"):
        resources, _, rest = part.strip().partition(" limit for ")
        parts |= {f"{resource.strip()} limit for {rest}" for resource in resources.split(",") if rest}
    return parts


def _default_shown(facts: Facts, ref: Ref) -> list[Evidence]:
    limit_range = facts.get(ref)
    return [quote(ref, limit_range, "spec", "limits")] if limit_range is not None else []


def _altered(facts: Facts) -> list[Alteration]:
    """What somebody else than a LimitRange altered."""
    limited = {(one.ref, one.container) for one in _limited(facts) if _giver(facts, one) is not None}
    return [one for one in alterations.alterations(facts) if (one.ref, one.container) not in limited]


def _wants_mutators(facts: Facts) -> Iterable[Want]:
    return mutators.wanted(facts, _altered(facts))


@rule(
    causes=(ALTERS,),
    observes=OBSERVED,
    digs=(
        Read(MUTATING_WEBHOOK, ("list",)),
        Read(mutators.POLICY, ("list",)),
        Read(mutators.BINDING, ("list",)),
        Read(NAMESPACE, ("get",)),
        Read(SERVICE, ("get",)),
        Read(ENDPOINT_SLICE, ("list",)),
    ),
    wants=_wants_mutators,
    explains=(Explains(frozenset(BY_ALTERING), ("owns",)), *BACKENDS),
)
def pods_altered(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#mutatingadmissionwebhook"""
    if not facts.knows(MUTATING_WEBHOOK):
        return
    groups: dict[tuple[Ref, str], list[Alteration]] = defaultdict(list)
    for one in _altered(facts):
        groups[one.workload, one.field].append(one)
    for key in sorted(groups):
        group = groups[key]
        candidates = mutators.mutators(facts, group[0])
        if candidates:
            yield _alteration(facts, group, candidates)


def _alteration(facts: Facts, group: list[Alteration], candidates: list[Mutator]) -> Finding:
    one, first = group[0], candidates[0]
    alone = len({m.target for m in candidates}) == 1
    by = f"{first.target} ({first.name})" if first.name != first.target.name else str(first.target)
    who = by if alone else f"one of {some(str(m.target) for m in candidates)}"
    got = "adds" if one.wanted is None else "changes"
    return Finding(
        cause=ALTERS,
        object=first.target,
        severity=lib.severity(facts, one.workload),
        confidence="likely" if alone and not first.conditional else "possible",
        summary=f"Pods of {one.workload} are not as its template says, and fail for it: {who} {got} {one.field} when "
        "they are created.",
        evidence=(
            fact(one.ref, one.field, one.got),
            fact(one.workload, f"template {one.field}", one.wanted),
            *(fact(m.target, f"{m.name} takes in", _takes(m)) for m in candidates[:3]),
        ),
        affects=(one.workload, *sorted({a.ref for a in group})),
        since=earliest(fields.time_at(a.pod, "metadata", "creationTimestamp") for a in group),
        culprit=f"{first.target} {one.field}",
        next=(ask("get", "what it takes in", kind=first.target.kind.lower(), name=first.target.name),),
    )


def _takes(mutator: Mutator) -> Obj:
    spec = mutator.spec
    match = fields.mapping(spec, "matchConstraints") or spec
    shown = ("namespaceSelector", "objectSelector", "rules", "resourceRules")
    return {key: match[key] for key in shown if match.get(key)}
