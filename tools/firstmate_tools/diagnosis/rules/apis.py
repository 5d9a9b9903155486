"""Versions of the API that are going, and such as are gone: who still asks for them.

What was asked for an API server counts itself since it started; that costs a megabyte, and is asked of the whole
cluster alone, where the right to it was given. That a version is gone shows where somebody tries to apply it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from firstmate_tools import fields, kinds
from firstmate_tools.customkinds import APPLICATION, HELM_RELEASE, KUSTOMIZATION
from firstmate_tools.diagnosis import lib, trouble
from firstmate_tools.diagnosis.apiremovals import REMOVED
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact
from firstmate_tools.diagnosis.heard import said
from firstmate_tools.diagnosis.rule import BACKENDS, TextWant, Verdicts, Want, explains, rule
from firstmate_tools.diagnosis.rules.containers import LOGS, OBSERVED
from firstmate_tools.fields import Obj
from firstmate_tools.reads import NonResource
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Severity

DEPRECATED, GONE = "deprecated-api-in-use", "removed-api-in-manifest"
METRICS, METRIC = "/metrics", "apiserver_requested_deprecated_apis"
TRIED_LATELY = timedelta(hours=1)
"""Delivery tools try again every ten minutes or so, and many hold back the same event."""
_LABEL = re.compile(r'(\w+)="([^"\\]{0,253})"')
_Q = r'\\{0,3}"'
_NO_MATCH = re.compile(rf"no matches for kind {_Q}([A-Za-z]{{1,63}}){_Q} in version {_Q}([a-z0-9./-]{{1,120}}){_Q}")

_OTHER_VERSION = re.compile(
    rf"could not find version {_Q}([a-z0-9]{{1,30}}){_Q} of ([a-z0-9.-]{{0,120}})/([A-Za-z]{{1,63}}) for requested"
)
"""Argo CD's words where the kind is there in another version (pkg/sync of argoproj/gitops-engine)."""
_NO_VERSION = re.compile("no matches for kind|could not find version")
DELIVERY = (APPLICATION, KUSTOMIZATION, HELM_RELEASE)


def metrics(facts: Facts) -> Iterable[Want]:
    """The API server's own count of deprecated requests."""
    if facts.scope.namespace is None and facts.scope.object is None:
        yield TextWant(METRICS, METRIC)


@rule(causes=(DEPRECATED,), observes=(), digs=(NonResource(METRICS, optional=True),), wants=metrics)
def deprecated_in_use(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/reference/using-api/deprecation-policy/ (API deprecations in metrics)"""
    asked: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for line in (facts.text(METRICS) or "").splitlines():
        name, _, value = line.rpartition(" ")
        labels = dict(_LABEL.findall(name))
        if line.startswith(METRIC + "{") and value not in {"0", ""} and labels.get("version"):
            asked[labels.get("group", ""), labels["version"]].append(labels)
    for (group, version), rows in sorted(asked.items()):
        removed = sorted({row.get("removed_release", "") for row in rows} - {""}, key=_order)
        names = sorted({row.get("resource", "") for row in rows} - {""})
        if not removed and not _custom(group):
            what = lib.some(names)
            yield RuledOut(DEPRECATED, f"{what} of {_version(group, version)} is deprecated, and no release removes it")
            continue
        yield _asked(group, version, names, removed[0] if removed else "")


def _order(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split(".") if part.isascii() and part.isdigit())


def _version(group: str, version: str) -> str:
    return f"{group}/{version}" if group else version


def _custom(group: str) -> bool:
    """Whether a group is that of a custom resource: those of Kubernetes have no dot, or end so."""
    return "." in group and not group.endswith(".k8s.io")


def _asked(group: str, version: str, names: list[str], removed: str) -> Finding:
    custom = _custom(group) and len(names) == 1
    target = (
        Ref("CustomResourceDefinition", "", f"{names[0]}.{group}")
        if custom
        else Ref("APIService", "", f"{version}.{group}")
    )
    until = f"Kubernetes {removed} no longer has it" if removed else "its definition marks that version as deprecated"
    return Finding(
        cause=DEPRECATED,
        object=target,
        severity="info",
        confidence="certain",
        summary=(
            f"Since this API server started, somebody has asked for {lib.some(names)} in version "
            f"{_version(group, version)}, and {until}. The audit log names the client."
        ),
        evidence=(
            fact(
                target,
                f"{METRICS} {METRIC}",
                f"group {group or 'core'}, version {version}, resources {', '.join(names[:6])}, "
                f"removed_release {removed or '(none)'}",
            ),
        ),
        next=(lib.ask("get", "what it is", kind=target.kind.lower(), name=target.name),),
    )


@rule(
    causes=(GONE,),
    observes=(*OBSERVED, *DELIVERY),
    digs=LOGS,
    explains=(
        *BACKENDS,
        *explains(
            "application-exits-on-error",
            "init-container-failing",
            "argocd-sync-failed",
            "flux-not-reconciled",
            along=("owns",),
        ),
    ),
)
def removed_in_manifest(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/reference/using-api/deprecation-guide/"""
    found: dict[tuple[Ref, str, str], list[Evidence]] = defaultdict(list)
    for target, kind, version, evidence in (*_in_states(facts), *_in_events(facts), *_in_logs(facts)):
        found[target, kind, version].append(evidence)
    for (target, kind, version), evidence in sorted(found.items(), key=lambda entry: entry[0]):
        removal = REMOVED.get((version, kind))
        if removal is None:
            gone = "the cluster does not have, and it has another version of that kind"
        else:
            instead = f"{removal.successor} has it" if removal.successor else "it has no successor"
            gone = f"Kubernetes has not had since {removal.since}: {instead}"
        yield Finding(
            cause=GONE,
            object=target,
            severity=_severity(facts, target),
            confidence="likely",
            summary=f"{target} applies a {kind} in version {version}, which {gone}.",
            evidence=tuple(evidence[:2]),
            affects=(target,),
            culprit=f"{target} {target.namespace}",
            next=(lib.ask("get", "what it applies", kind=target.kind, name=target.name, namespace=target.namespace),),
        )


def _severity(facts: Facts, target: Ref) -> Severity:
    ailing = any(one.workload == target for one in trouble.troubled(facts))
    return lib.severity(facts, target) if ailing else "warning"


Tried = tuple[Ref, str, str, Evidence]


def _known(text: str) -> Iterator[tuple[str, str]]:
    """Kinds and versions that are gone, by a text; of a kind that is not there at all nobody knows."""
    for kind, version in dict.fromkeys(_NO_MATCH.findall(text)):
        if (version, kind) in REMOVED:
            yield kind, version
    for version, group, kind in dict.fromkeys(_OTHER_VERSION.findall(text)):
        yield kind, _version(group, version)


def _in_states(facts: Facts) -> Iterator[Tried]:
    """What delivery tools say of their present state."""
    for holder in DELIVERY:
        for obj in facts.all(holder):
            ref = ref_of(obj, holder)
            for path, text, at in _states(obj):
                yield from ((ref, kind, version, fact(ref, path, text, at)) for kind, version in _known(text[:8000]))


def _states(obj: Obj) -> Iterator[tuple[str, str, datetime | None]]:
    for condition in fields.items(obj, "status", "conditions"):
        kind = fields.text(condition, "type")
        if condition.get("status") == "False" or kind.endswith("Error"):
            at = fields.time_at(condition, "lastTransitionTime")
            yield f"status.conditions[{kind}].message", fields.text(condition, "message"), at
    state = fields.mapping(obj, "status", "operationState")
    if fields.text(state, "phase") in {"Failed", "Error", "Running"}:
        at = fields.time_at(state, "finishedAt")
        yield "status.operationState.message", fields.text(state, "message"), at
        for one in fields.items(state, "syncResult", "resources"):
            if fields.text(one, "status") == "SyncFailed":
                yield "status.operationState.syncResult", fields.text(one, "message"), at


def _in_events(facts: Facts) -> Iterator[Tried]:
    place = facts.scope.namespace
    for row in facts.every_event():
        lately = row.last is None or facts.now - row.last <= TRIED_LATELY
        if lately and _NO_VERSION.search(row.message) and place in {None, row.about.namespace}:
            target = facts.workload(row.about)
            yield from ((target, kind, version, said(row)) for kind, version in _known(row.message[:8000]))


def _in_logs(facts: Facts) -> Iterator[Tried]:
    for (namespace, name, container, _), content in facts.logs():
        if not _NO_VERSION.search(content):
            continue
        pod = Ref(kinds.POD.kind, namespace, name)
        for line in content.splitlines():
            for kind, version in _known(line[:4000]):
                yield facts.workload(pod), kind, version, fact(pod, f"log[{container}]", line.strip())
