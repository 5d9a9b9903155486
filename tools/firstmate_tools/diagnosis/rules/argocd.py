"""Argo CD applications that cannot be rendered or applied, or that are changed back whenever they were applied.

What Argo CD says of an Application is present tense: conditions of an error stay only while it lasts, and the state of
the last operation counts while the application is out of sync or one of its hooks failed. That an application's pods
are not well is no fault of its delivery: nothing is said of that here.

Source: argoproj/argo-cd v3 pkg/apis/application/v1alpha1/types.go (ApplicationConditionType, OperationPhase,
SyncStatusCode), controller/appcontroller.go (autoSync), and ApplicationSet conditions in the same package.
"""

from collections.abc import Iterator
from datetime import timedelta

from firstmate_tools import fields, podstate
from firstmate_tools.customkinds import APPLICATION, APPLICATION_SET
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.conditions import quoted
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, fact, quote
from firstmate_tools.diagnosis.rule import Verdicts, explains, rule
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.text import inline

ERRORS = {
    "InvalidSpecError": "what it names (project, destination, repository) is not valid",
    "ComparisonError": "its manifests cannot be rendered or compared",
    "SyncError": "its sync fails",
    "DeletionError": "it cannot be deleted",
    "UnknownError": "Argo CD fails on it",
}
"""Conditions that stand for a fault, the one that comes first in the work first; the others are warnings."""
SETTLED = timedelta(minutes=3)
"""Argo CD looks again at least this often: what is out of sync that long after a sync stays so."""
HEALED = 3
"""Attempts to heal one revision after which somebody evidently changes it back."""


@rule(
    causes=("argocd-sync-failed",),
    observes=(APPLICATION, APPLICATION_SET),
    explains=explains("argocd-persistent-drift", along=()),
    confirms=(APPLICATION, APPLICATION_SET),
)
def argocd_sync(facts: Facts) -> Verdicts:
    for app in facts.all(APPLICATION):
        found = _erring(app) or _failed(app)
        if found is not None and not (podstate.terminating(app) and found[2] != "DeletionError"):
            yield _not_synced(app, *found)
    for one in facts.all(APPLICATION_SET):
        error, ref = fields.condition(one, "ErrorOccurred"), ref_of(one, APPLICATION_SET)
        if error.get("status") == "True":
            yield Finding(
                cause="argocd-sync-failed",
                object=ref,
                severity="warning",
                confidence="certain",
                summary=f"ApplicationSet {ref.name} cannot make its Applications ({_word(error, 'reason')}).",
                evidence=(quoted(ref, error), quote(ref, one, "spec", "generators")),
                since=fields.time_at(error, "lastTransitionTime"),
                next=(lib.ask("get", "its generators", kind="applicationset", name=ref.name, namespace=ref.namespace),),
            )


def _word(obj: Obj, key: str) -> str:
    return inline(fields.text(obj, key)) or "no reason given"


Failure = tuple[str, list[Evidence], str, str]
"""What fails, the evidence, the kind of failure, and Argo CD's own words (by which equal failures are one)."""


def _erring(app: Obj) -> Failure | None:
    """The conditions that stand for a fault."""
    ref = ref_of(app, APPLICATION)
    present = [c for kind in ERRORS for c in fields.items(app, "status", "conditions") if c.get("type") == kind]
    if not present:
        return None
    shown = [
        fact(
            ref,
            f"status.conditions[{fields.text(c, 'type')}].message",
            fields.text(c, "message"),
            fields.time_at(c, "lastTransitionTime"),
        )
        for c in present[:3]
    ]
    kind = fields.text(present[0], "type")
    return ERRORS[kind], shown, kind, fields.text(present[0], "message")


def _failed(app: Obj) -> Failure | None:
    """The last sync, where it failed and nobody has made up for it."""
    ref, state = ref_of(app, APPLICATION), fields.mapping(app, "status", "operationState")
    phase, retries = fields.text(state, "phase"), fields.number(state, "retryCount")
    results = fields.items(state, "syncResult", "resources")
    broken = [r for r in results if r.get("status") == "SyncFailed" or r.get("hookPhase") in {"Failed", "Error"}]
    hooks = [r for r in broken if r.get("hookPhase") in {"Failed", "Error"}]
    if phase not in {"Failed", "Error"} and not (phase == "Running" and retries and broken):
        return None
    if fields.text(app, "status", "sync", "status") == "Synced" and not hooks:
        return None
    ended = fields.time_at(state, "finishedAt") or fields.time_at(state, "startedAt")
    shown = [
        fact(ref, "status.operationState.phase", phase, ended),
        fact(ref, "status.operationState.message", fields.text(state, "message"), ended),
        *(
            fact(ref, "status.operationState.syncResult", f"{_named(r)}: {fields.text(r, 'message')}", ended)
            for r in broken[:3]
        ),
    ]
    names = lib.some(_named(r) for r in broken)
    what = f"the hook {names} fails" if hooks else f"{names} cannot be applied" if broken else "its sync fails"
    return what, shown, "hook" if hooks else "sync", ""


def _named(resource: Obj) -> str:
    return inline(f"{fields.text(resource, 'kind')} {fields.text(resource, 'name')}")


def _not_synced(app: Obj, what: str, shown: list[Evidence], kind: str, words: str) -> Finding:
    ref = ref_of(app, APPLICATION)
    sync, health = fields.text(app, "status", "sync", "status"), fields.text(app, "status", "health", "status")
    tries = fields.number(app, "status", "operationState", "retryCount")
    again = f" It was tried again {lib.count(tries, 'time')}." if tries and kind in {"sync", "SyncError"} else ""
    stands = f" It is {inline(sync) or 'Unknown'} and {inline(health) or 'Unknown'}."
    return Finding(
        cause="argocd-sync-failed",
        object=ref,
        severity="critical" if health == "Missing" else "warning",
        confidence="certain",
        summary=f"Argo CD does not apply Application {ref.name}: {what}.{again}{stands}",
        evidence=(*shown, quote(ref, app, "status", "sync", "status"), *_source(ref, app)),
        affects=tuple(target for target in _targets(app) if target != ref),
        since=min((e.at for e in shown if e.at), default=None),
        culprit=f"{kind} {words}" if words else "",
        awaits=tuple(_hooks(app)) if kind == "hook" else (),
        next=(lib.ask("get", "what it says and names", kind="application", name=ref.name, namespace=ref.namespace),),
    )


def _source(ref: Ref, app: Obj) -> Iterator[Evidence]:
    for key in ("source", "sources"):
        if fields.at(app, "spec", key):
            yield quote(ref, app, "spec", key)


def _targets(app: Obj) -> Iterator[Ref]:
    """What of the application is not as it should be; at most ten objects."""
    for one in fields.items(app, "status", "resources")[:200]:
        if one.get("status") == "OutOfSync":
            yield Ref(fields.text(one, "kind"), fields.text(one, "namespace"), fields.text(one, "name"))


def _hooks(app: Obj) -> Iterator[Ref]:
    for one in fields.items(app, "status", "operationState", "syncResult", "resources"):
        if one.get("hookPhase") in {"Failed", "Error"}:
            yield Ref(fields.text(one, "kind"), fields.text(one, "namespace"), fields.text(one, "name"))


@rule(causes=("argocd-persistent-drift",), observes=(APPLICATION,), confirms=(APPLICATION,))
def argocd_drift(facts: Facts) -> Verdicts:
    """Out of sync with the very revision that was applied last: no commit explains it, somebody changes it.

    A sync that runs, a new revision that waits for a person or its turn, and objects that only wait to be pruned are
    no drift.
    """
    for app in facts.all(APPLICATION):
        state = fields.mapping(app, "status", "operationState")
        drifted = [
            one
            for one in fields.items(app, "status", "resources")
            if one.get("status") == "OutOfSync" and not fields.flag(one, "requiresPruning")
        ]
        out = fields.text(app, "status", "sync", "status") == "OutOfSync" and not podstate.terminating(app)
        ended = fields.time_at(state, "finishedAt")
        tries = fields.number(state, "operation", "sync", "autoHealAttemptsCount")
        settled = ended is not None and facts.now - ended > SETTLED
        done = state.get("phase") == "Succeeded" and (settled or tries >= HEALED)
        if out and drifted and done and _same_revision(app, state) and _erring(app) is None:
            yield _drift(app, drifted, tries)


def _same_revision(app: Obj, state: Obj) -> bool:
    """Whether the last sync applied what is wanted now."""
    sync = fields.mapping(app, "status", "sync")
    applied = fields.text(state, "syncResult", "revision") or fields.strings(state, "syncResult", "revisions")
    return bool(applied) and applied in (fields.text(sync, "revision"), fields.strings(sync, "revisions"))


def _drift(app: Obj, drifted: list[Obj], tries: int) -> Finding:
    ref, heals = ref_of(app, APPLICATION), fields.flag(app, "spec", "syncPolicy", "automated", "selfHeal")
    names = lib.some(_named(one) for one in drifted)
    state = fields.mapping(app, "status", "operationState")
    how = f"Argo CD put it right {lib.count(tries, 'time')}, and it was changed back" if tries else ""
    how = how or ("Argo CD applies it, and it is changed back" if heals else "somebody changed it beside git")
    return Finding(
        cause="argocd-persistent-drift",
        object=ref,
        severity="warning",
        confidence="certain" if tries >= HEALED else "likely",
        summary=(
            f"Application {ref.name} is out of sync with the revision that was applied last: {names} "
            f"{'differs' if len(drifted) == 1 else 'differ'} from git with no commit between; {how}."
        ),
        evidence=(
            quote(ref, app, "status", "sync", "status"),
            quote(ref, app, "status", "sync", "revision"),
            fact(
                ref,
                "status.operationState.syncResult.revision",
                fields.text(state, "syncResult", "revision"),
                fields.time_at(state, "finishedAt"),
            ),
            fact(ref, "status.resources", list(drifted[:3])),
            quote(ref, app, "spec", "syncPolicy"),
        ),
        affects=tuple(_targets(app))[:10],
        since=fields.time_at(state, "finishedAt"),
        next=tuple(
            lib.ask(
                "get",
                "which manager wrote what differs",
                kind=fields.text(one, "kind").lower(),
                name=fields.text(one, "name"),
                namespace=fields.text(one, "namespace"),
            )
            for one in drifted[:1]
        ),
    )
