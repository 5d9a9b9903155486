"""How Flux's objects hang together: which one waits for which, and how each of them is. Pure; for the Flux rule.

A Kustomization or HelmRelease waits for its source and for what it depends on; a HelmChart for its repository. The
first in the chain that is broken is the one to mend, the others only say that they wait.

Source: https://fluxcd.io/flux/components/ (API references of source, kustomize and helm controller, v2), and
github.com/fluxcd/pkg apis/meta/conditions.go for reasons.
"""

from dataclasses import dataclass
from typing import Literal

from firstmate_tools import fields, podstate
from firstmate_tools.customkinds import (
    BUCKET,
    GIT_REPOSITORY,
    HELM_CHART,
    HELM_RELEASE,
    HELM_REPOSITORY,
    KUSTOMIZATION,
    OCI_REPOSITORY,
)
from firstmate_tools.diagnosis.conditions import outdated
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.refs import Ref, ref_of

SOURCES = (GIT_REPOSITORY, OCI_REPOSITORY, HELM_REPOSITORY, HELM_CHART, BUCKET)
APPLIERS = (KUSTOMIZATION, HELM_RELEASE)
KINDS = (*SOURCES, *APPLIERS)
BY_NAME: dict[str, Kind] = {kind.kind: kind for kind in KINDS}
WAITS = frozenset({"DependencyNotReady", "SourceNotReady"})
"""Reasons by which an object says that it waits for another one."""

State = Literal["well", "busy", "failing", "suspended", "gone", "unknown"]


@dataclass(frozen=True, slots=True)
class Link:
    """One object and how it is.

    Attributes:
        condition: what says that it fails.
        field: where the object below it names it.
    """

    ref: Ref
    obj: Obj
    state: State
    condition: Obj
    field: str = ""


def link(facts: Facts, ref: Ref, field: str = "") -> Link:
    """How an object is; `gone` where it certainly does not exist."""
    obj = facts.get(ref)
    if obj is None:
        return Link(ref, {}, "gone" if facts.exists(ref) is False else "unknown", {}, field)
    ready, stalled = fields.condition(obj, "Ready"), fields.condition(obj, "Stalled")
    bad = ready if ready.get("status") == "False" and not outdated(obj, ready) else {}
    if not bad and stalled.get("status") == "True" and not outdated(obj, stalled):
        bad = stalled
    state: State = "failing" if bad else "well" if ready.get("status") == "True" else "busy"
    if podstate.terminating(obj):
        state = "busy"
    elif fields.flag(obj, "spec", "suspend"):
        state = "suspended"
    elif not ready and ref.kind == HELM_REPOSITORY.kind and fields.text(obj, "spec", "type") == "oci":
        state = "well"  # no controller reconciles these; they only hold an address
    return Link(ref, obj, state, bad, field)


def above(ref: Ref, obj: Obj) -> list[tuple[Ref, str]]:
    """What an object waits for, and where it says so: its source first."""
    found: list[tuple[Ref, str]] = []
    path = {"HelmRelease": ("spec", "chart", "spec", "sourceRef")}.get(ref.kind, ("spec", "sourceRef"))
    for way in (("spec", "chartRef"), path):
        named = fields.mapping(obj, *way)
        if fields.text(named, "name") and fields.text(named, "kind") in BY_NAME:
            found.append((_ref(named, fields.text(named, "kind"), ref.namespace), ".".join(way)))
    if ref.kind in {kind.kind for kind in APPLIERS}:
        needed = [named for named in fields.items(obj, "spec", "dependsOn") if fields.text(named, "name")]
        found += [(_ref(named, ref.kind, ref.namespace), "spec.dependsOn") for named in needed]
    namespace, _, name = fields.text(obj, "status", "helmChart").partition("/")
    if ref.kind == HELM_RELEASE.kind and name:
        found.append((Ref(HELM_CHART.kind, namespace, name), "status.helmChart"))
    return found


def _ref(named: Obj, kind: str, namespace: str) -> Ref:
    return Ref(kind, fields.text(named, "namespace") or namespace, fields.text(named, "name"))


def observed(facts: Facts) -> list[Ref]:
    """Every Flux object in scope."""
    return [ref_of(obj, kind) for kind in KINDS for obj in facts.all(kind)]


def blockers(facts: Facts, ref: Ref, seen: frozenset[Ref] = frozenset()) -> list[Link]:
    """The first broken ones above an object, that object left out; nothing where everything above is well."""
    obj = facts.get(ref) or {}
    found: dict[Ref, Link] = {}
    for upper, field in above(ref, obj):
        if upper in seen or upper == ref:
            continue
        one = link(facts, upper, field)
        if one.state == "gone" and field != "status.helmChart":
            found[upper] = one
        elif one.state in {"failing", "busy"} or (one.state == "suspended" and not _served(one)):
            higher = [link for link in blockers(facts, upper, seen | {ref}) if link.state != "gone"]
            found.update((link.ref, link) for link in higher)
            if not higher and one.state != "busy":
                found[upper] = one
    return list(found.values())


def _served(one: Link) -> bool:
    """Whether a suspended object still gives those below it what they need."""
    ready = fields.condition(one.obj, "Ready").get("status") == "True"
    return ready or bool(fields.mapping(one.obj, "status", "artifact"))
