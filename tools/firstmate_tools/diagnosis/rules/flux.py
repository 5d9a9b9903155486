"""Flux objects that are not applied: the first broken one of a chain, and those that are suspended.

Source: see `fluxchain.py`; inventory entries are `<namespace>_<name>_<group>_<kind>`
(github.com/fluxcd/kustomize-controller api/v1/inventory_types.go).
"""

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta

from firstmate_tools import fields, kinds
from firstmate_tools.customkinds import HELM_RELEASE, KUSTOMIZATION
from firstmate_tools.diagnosis import fluxchain, lib
from firstmate_tools.diagnosis.conditions import lasted, moment, quoted, reason
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact, quote
from firstmate_tools.diagnosis.fluxchain import BY_NAME, KINDS, WAITS, Link
from firstmate_tools.diagnosis.rule import GetWant, Verdicts, Want, rule
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref

LONG = timedelta(minutes=10)
"""An object that waits for one that is well is tried again by then."""
_TOO_LATE = re.compile(r"deadline exceeded|timed out|not ready|hooks? failed|InProgress", re.IGNORECASE)
"""What Helm says of a release whose objects did not become ready (helm.sh/helm/v3 pkg/kube)."""
WORKLOADS = frozenset(kind.kind for kind in (kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.JOB))


def wanted(facts: Facts) -> Iterable[Want]:
    """What objects of this namespace wait for in another one."""
    for ref in fluxchain.observed(facts):
        for upper, _ in fluxchain.above(ref, facts.get(ref) or {}):
            if upper.namespace != ref.namespace and facts.exists(upper) is None:
                yield GetWant(BY_NAME[upper.kind], upper)


@rule(
    causes=("flux-not-reconciled",),
    observes=KINDS,
    digs=tuple(Read(kind, ("get",)) for kind in KINDS),
    wants=wanted,
    confirms=KINDS,
)
def flux_chain(facts: Facts) -> Verdicts:
    """One finding for each object that is broken by itself, with all that wait for it.

    What it applies may be why a health check fails: then whoever says why that is not well says why this is not.
    """
    below: dict[Ref, list[Ref]] = {}
    roots: dict[Ref, Link] = {}
    for ref in fluxchain.observed(facts):
        one = fluxchain.link(facts, ref)
        if one.state not in {"failing", "suspended", "busy"}:
            continue
        upper = fluxchain.blockers(facts, ref)
        gone = [above for above in upper if above.state == "gone"]
        others = [above for above in upper if above.state != "gone"]
        if gone and not others:
            roots[ref] = Link(ref, one.obj, "gone", one.condition, gone[0].field)
        elif others and one.state != "suspended":
            for above in others:
                roots.setdefault(above.ref, above)
                below.setdefault(above.ref, []).append(ref)
        elif one.state == "failing" and not _passing(facts, one):
            roots[ref] = one
        elif one.state == "suspended":
            roots.setdefault(ref, one)
    for ref, one in sorted(roots.items()):
        yield from _finding(facts, one, sorted(set(below.get(ref, []))))


def _passing(facts: Facts, one: Link) -> bool:
    """Whether it merely waits for something that has become ready, or is becoming so, since."""
    return reason(one.condition) in WAITS and not lasted(one.condition, facts.now, LONG)


def _finding(facts: Facts, one: Link, waiting: list[Ref]) -> Iterator[Finding]:
    ref, name = one.ref, f"{one.ref.kind} {one.ref.name}"
    also = f"; {lib.count(len(waiting), 'more object')} wait for it ({lib.some(str(w) for w in waiting)})"
    tail = also if waiting else ""
    evidence: list[Evidence] = [quoted(ref, one.condition)] if one.condition else []
    if one.state == "gone":
        missing = next(upper for upper, field in fluxchain.above(ref, one.obj) if _is_gone(facts, upper, field))
        what = f"{name} names {missing.kind} {missing.name}, which does not exist"
        evidence = [
            fact(ref, one.field, fields.at(one.obj, *one.field.split("."))),
            fact(missing, "metadata.name", "(does not exist)"),
            *evidence,
        ]
    elif one.state == "suspended":
        behind = _behind(facts, one)
        what = f"{name} is suspended, so that nothing new is applied"
        what += "; its source is at another revision than the one that it applied last" if behind else ""
        evidence = [quote(ref, one.obj, "spec", "suspend"), *behind, *evidence]
        if not behind and not waiting:
            yield _as_finding(one, f"{what}.", evidence, waiting, info=True)
            return
    else:
        what = f"{name} is not applied ({reason(one.condition) or 'no reason given'})"
        if ref.kind not in {KUSTOMIZATION.kind, HELM_RELEASE.kind}:
            what = f"{name} cannot be fetched ({reason(one.condition) or 'no reason given'})"
        evidence += [quote(ref, one.obj, "spec", key) for key in ("url", "path", "sourceRef") if _has(one, key)]
    yield _as_finding(one, f"{what}{tail}.", evidence, waiting, awaits=tuple(_applied(facts, one)))


def _has(one: Link, key: str) -> bool:
    return bool(fields.at(one.obj, "spec", key))


def _is_gone(facts: Facts, upper: Ref, field: str) -> bool:
    return field != "status.helmChart" and facts.exists(upper) is False


def _as_finding(
    one: Link,
    summary: str,
    evidence: list[Evidence],
    waiting: list[Ref],
    *,
    awaits: tuple[Ref, ...] = (),
    info: bool = False,
) -> Finding:
    group = BY_NAME[one.ref.kind].group
    return Finding(
        cause="flux-not-reconciled",
        object=one.ref,
        severity="info" if info else "warning",
        confidence="certain",
        summary=summary,
        evidence=tuple(evidence),
        affects=tuple(waiting),
        since=moment(one.condition),
        awaits=awaits,
        next=(
            lib.ask(
                "get",
                "what it says and names",
                kind=f"{BY_NAME[one.ref.kind].plural}.{group}",
                name=one.ref.name,
                namespace=one.ref.namespace,
            ),
        ),
    )


def _behind(facts: Facts, one: Link) -> list[Evidence]:
    """The revision of the source and the one that was applied, where they differ."""
    applied = fields.text(one.obj, "status", "lastAppliedRevision")
    for upper, field in fluxchain.above(one.ref, one.obj):
        current = fields.text(facts.get(upper) or {}, "status", "artifact", "revision")
        if (
            one.ref.kind == KUSTOMIZATION.kind
            and field == "spec.sourceRef"
            and applied
            and current not in {"", applied}
        ):
            return [
                fact(one.ref, "status.lastAppliedRevision", applied),
                fact(upper, "status.artifact.revision", current),
            ]
    return []


def _applied(facts: Facts, one: Link) -> Iterator[Ref]:
    """The workloads of which it says that they do not become ready: by inventory, or by Flux's label."""
    if reason(one.condition) != "HealthCheckFailed" and not _TOO_LATE.search(fields.text(one.condition, "message")):
        return
    for entry in fields.items(one.obj, "status", "inventory", "entries"):
        parts = fields.text(entry, "id").split("_")
        if len(parts) == 4 and parts[3] in WORKLOADS:
            yield Ref(parts[3], parts[0], parts[1])
    if one.ref.kind == HELM_RELEASE.kind:
        mark = (one.ref.name, one.ref.namespace)
        for kind in (kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.JOB):
            for obj in facts.everywhere(kind):
                labels = fields.labels_of(obj)
                if (labels.get("helm.toolkit.fluxcd.io/name"), labels.get("helm.toolkit.fluxcd.io/namespace")) == mark:
                    yield Ref(kind.kind, fields.namespace_of(obj), fields.name_of(obj))
