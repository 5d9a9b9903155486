"""KEDA triggers that cannot be read: what is to scale keeps its size, or falls back.

KEDA's conditions bear no time. One that is paused on purpose, or idle at zero, is well. Why a trigger fails stands in
KEDA's words; whether what it names is there is looked up.

Source: kedacore/keda v2 (apis/keda/v1alpha1/condition_types.go, scaledobject_types.go, pkg/scaling/scale_handler.go).
"""

import re
from collections.abc import Iterable, Iterator

from firstmate_tools import fields, podstate
from firstmate_tools.customkinds import (
    CLUSTER_TRIGGER_AUTHENTICATION,
    SCALED_JOB,
    SCALED_OBJECT,
    TRIGGER_AUTHENTICATION,
)
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.conditions import outdated, quoted, reason
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact, quote
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.rule import ListWant, Verdicts, Want, explains, rule
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import EVENT, Kind, known
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.text import inline

SCALERS = (SCALED_OBJECT, SCALED_JOB)
LOGINS = (TRIGGER_AUTHENTICATION, CLUSTER_TRIGGER_AUTHENTICATION)
PAUSED = ("autoscaling.keda.sh/paused", "autoscaling.keda.sh/paused-replicas")
_SERVICE = re.compile(
    r"//([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)\.([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.svc|[:/]|$)"
)
"""The Service in an address such as `http://prometheus.monitoring.svc:9090`."""


def wanted(facts: Facts) -> Iterable[Want]:
    """The logins that triggers name, where one does not work."""
    for kind in SCALERS:
        for one in facts.all(kind):
            if _trouble(one) is not None:
                yield ListWant(TRIGGER_AUTHENTICATION, fields.namespace_of(one))
                yield ListWant(CLUSTER_TRIGGER_AUTHENTICATION)


@rule(
    causes=("keda-scaler-error",),
    observes=(*SCALERS, EVENT),
    digs=tuple(Read(kind, ("list",)) for kind in LOGINS),
    wants=wanted,
    explains=explains("hpa-metrics-unavailable", "hpa-target-invalid", along=("owns",)),
    confirms=SCALERS,
)
def keda_scaler(facts: Facts) -> Verdicts:
    for kind in SCALERS:
        for one in facts.all(kind):
            found = _trouble(one)
            if found is not None and not podstate.terminating(one) and not _paused(one):
                yield _failing(facts, one, kind, found)


def _paused(one: Obj) -> bool:
    if fields.condition(one, "Paused").get("status") == "True":
        return True
    marks = fields.string_map(one, "metadata", "annotations")
    return any(marks.get(key, "false") != "false" for key in PAUSED)


def _trouble(one: Obj) -> Obj | None:
    """The condition that says that triggers cannot be read, None where none does."""
    ready, fallback = fields.condition(one, "Ready"), fields.condition(one, "Fallback")
    if ready.get("status") == "False" and not outdated(one, ready):
        return ready
    if fallback.get("status") == "True":
        return fallback
    partly = ready.get("status") == "Unknown" and reason(ready).endswith("TriggerError")
    return ready if partly else None


def _failing(facts: Facts, one: Obj, kind: Kind, condition: Obj) -> Finding:
    ref = ref_of(one, kind)
    target, gone = _target(facts, one, ref), list(_missing(facts, one, ref))
    names = lib.some(fields.text(t, "type") for t in fields.items(one, "spec", "triggers"))
    failing = {
        name: fields.number(entry, "numberOfFailures")
        for name, entry in sorted(fields.mapping(one, "status", "health").items())
        if fields.text(entry, "status") == "Failing"
    }
    ill = f": {lib.some(inline(name) for name in failing)} failed {max(failing.values())} times" if failing else ""
    lacks = f": {gone[0][0].kind} {gone[0][0].name} does not exist" if gone else ill
    fallback = fields.text(condition, "type") == "Fallback"
    effect = f"{target} is kept at its fallback" if fallback and target else ""
    effect = effect or (f"{target} is not scaled" if target else "no Jobs are made")
    rows = [row for row in facts.events(ref, "KEDAScalerFailed", "ScaledObjectCheckFailed") if lately(facts, row)]
    autoscaler = fields.text(one, "status", "hpaName")
    return Finding(
        cause="keda-scaler-error",
        object=ref,
        severity="warning",
        confidence="certain",
        summary=(
            f"{ref.kind} {ref.name} cannot use its triggers ({names or 'none'}; "
            f"{reason(condition) or 'no reason given'}){lacks}. {effect}."
        ),
        evidence=(
            quoted(ref, condition),
            *(evidence for _, evidence in gone[:2]),
            *([said(rows[0])] if rows else []),
            quote(ref, one, "spec", "triggers"),
            *([fact(ref, "status.health", fields.mapping(one, "status", "health"))] if failing else []),
        ),
        affects=(
            *((target,) if target else ()),
            *((Ref("HorizontalPodAutoscaler", ref.namespace, autoscaler),) if autoscaler else ()),
        ),
        since=lib.earliest(row.first for row in rows),
        awaits=tuple(_services(one, ref)),
        next=(
            lib.ask(
                "get",
                "its triggers and logins",
                kind=f"{kind.plural}.{kind.group}",
                name=ref.name,
                namespace=ref.namespace,
            ),
        ),
    )


def _target(facts: Facts, one: Obj, ref: Ref) -> Ref | None:
    named = fields.mapping(one, "spec", "scaleTargetRef")
    name = fields.text(named, "name")
    return Ref(fields.text(named, "kind") or "Deployment", ref.namespace, name) if name else None


def _missing(facts: Facts, one: Obj, ref: Ref) -> Iterator[tuple[Ref, Evidence]]:
    """What it names and does not exist: a login, or what is to scale."""
    for trigger in fields.items(one, "spec", "triggers"):
        named = fields.mapping(trigger, "authenticationRef")
        kind = fields.text(named, "kind") or TRIGGER_AUTHENTICATION.kind
        place = ref.namespace if kind == TRIGGER_AUTHENTICATION.kind else ""
        login = Ref(kind, place, fields.text(named, "name"))
        if login.name and kind in {k.kind for k in LOGINS} and facts.exists(login) is False:
            yield login, fact(login, "metadata.name", "(does not exist)")
    target = _target(facts, one, ref)
    if target is not None and known(target.kind) is not None and facts.exists(target) is False:
        yield target, fact(target, "metadata.name", "(does not exist)")


def _services(one: Obj, ref: Ref) -> Iterator[Ref]:
    """The Services that its triggers ask."""
    for trigger in fields.items(one, "spec", "triggers"):
        for value in fields.string_map(trigger, "metadata").values():
            match = _SERVICE.search(value)
            if match:
                yield Ref("Service", match.group(2), match.group(1))
