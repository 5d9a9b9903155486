"""Secrets that the External Secrets Operator does not fetch: the store that fails, or the one secret that does.

Nothing of a Secret itself is read: what the operator says of its own objects is enough.

Source: external-secrets v1 (apis/externalsecrets/v1/externalsecret_types.go, secretstore_types.go).
"""

import re
from collections.abc import Iterator

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.customkinds import CLUSTER_SECRET_STORE, EXTERNAL_SECRET, SECRET_STORE
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.conditions import failing, moment, quoted, reason
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, NextStep, fact, quote
from firstmate_tools.diagnosis.heard import lately
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, explains, rule
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Severity

STORES = (SECRET_STORE, CLUSTER_SECRET_STORE)


@rule(
    causes=("external-secret-sync-failed",),
    observes=(EXTERNAL_SECRET, *STORES, kinds.POD, kinds.EVENT),
    explains=(
        *explains("config-reference-missing", "volume-config-reference-missing", along=("mounts", "owns")),
        *explains("volume-mount-timeout", "image-pull-secret-missing", along=("mounts", "owns")),
        *BACKENDS,
    ),
    confirms=(EXTERNAL_SECRET, *STORES),
)
def external_secrets(facts: Facts) -> Verdicts:
    """One finding for each store that fails, with what it was to give; else one for each secret that fails."""
    hurt: dict[Ref, list[Obj]] = {}
    for one in facts.all(EXTERNAL_SECRET):
        ready = failing(one, "Ready")
        if podstate.terminating(one):
            continue
        stores = list(_stores(one))
        broken = [ref for ref in stores if _failing_store(facts, ref) is not None]
        for ref in broken:
            hurt.setdefault(ref, []).append(one)
        gone = [ref for ref in stores if facts.exists(ref) is False]
        if ready is not None and not broken:
            yield _secret(facts, one, ready, gone)
    for kind in STORES:
        for store in facts.all(kind):
            ref = ref_of(store, kind)
            ready = _failing_store(facts, ref)
            if ready is not None and not podstate.terminating(store):
                yield _store(facts, ref, store, ready, hurt.get(ref, []))


def _failing_store(facts: Facts, ref: Ref) -> Obj | None:
    store = facts.get(ref)
    return failing(store, "Ready") if store is not None else None


def _stores(secret: Obj) -> Iterator[Ref]:
    """The stores that an ExternalSecret reads from."""
    named = [fields.mapping(secret, "spec", "secretStoreRef")]
    for section in ("data", "dataFrom"):
        named += [fields.mapping(entry, "sourceRef", "storeRef") for entry in fields.items(secret, "spec", section)]
    for one in named:
        kind, name = fields.text(one, "kind") or SECRET_STORE.kind, fields.text(one, "name")
        if name and kind in {k.kind for k in STORES}:
            yield Ref(kind, fields.namespace_of(secret) if kind == SECRET_STORE.kind else "", name)


def _target(secret: Obj) -> Ref:
    name = fields.text(secret, "spec", "target", "name") or fields.name_of(secret)
    return Ref("Secret", fields.namespace_of(secret), name)


def _never(secret: Obj) -> bool:
    """Whether it was never fetched, so that the Secret is not there."""
    return not fields.at(secret, "status", "refreshTime") and not fields.at(secret, "status", "syncedResourceVersion")


def _waiting(facts: Facts, secret: Obj) -> list[Ref]:
    """The workloads that wait for the Secret: of one never made all whose pods need it and are not ready, else those
    whose kubelet says that it is not there."""
    pods = [ref for ref in facts.graph.after(_target(secret), "mounts") if ref.kind == "Pod"]
    if not _never(secret):
        named = re.compile(rf'"(?:[a-z0-9.-]+/)?{re.escape(_target(secret).name)}"')
        pods = [ref for ref in pods if _misses(facts, ref, named)]
    return sorted({facts.workload(ref) for ref in pods if not podstate.ready(facts.get(ref) or {})})


def _misses(facts: Facts, pod: Ref, named: re.Pattern[str]) -> bool:
    """Whether a pod's containers, or the kubelet lately, say that something of a name is missing."""
    said = [row.message for row in facts.events(pod, "Failed", "FailedMount") if lately(facts, row)]
    said += [fields.text(c.waiting, "message") for c in podstate.containers(facts.get(pod) or {})]
    return any("not found" in words and named.search(words) for words in said)


def _severity(facts: Facts, workloads: list[Ref]) -> Severity:
    return lib.worst(["warning", *(lib.severity(facts, one) for one in workloads)])


def _secret(facts: Facts, one: Obj, ready: Obj, gone: list[Ref]) -> Finding:
    ref, target = ref_of(one, EXTERNAL_SECRET), _target(one)
    workloads = _waiting(facts, one)
    why = f"it names {gone[0].kind} {gone[0].name}, which does not exist" if gone else ""
    why = why or f"its store is ready, and what it asks for cannot be had ({reason(ready) or 'no reason given'})"
    absent = _never(one) or bool(workloads)
    state = f"Secret {target.name} keeps its old value"
    if absent:
        state = f"Secret {target.name} {'was never made' if _never(one) else 'is not there'}"
    proof: list[Evidence] = [fact(gone[0], "metadata.name", "(does not exist)")] if gone else []
    keys = [fields.text(entry, "remoteRef", "key") for entry in fields.items(one, "spec", "data")]
    return Finding(
        cause="external-secret-sync-failed",
        object=ref,
        severity=_severity(facts, workloads),
        confidence="certain",
        summary=f"ExternalSecret {ref.name} is not fetched: {why}. {state}.",
        evidence=(
            quoted(ref, ready),
            quote(ref, one, "spec", "secretStoreRef"),
            *proof,
            *([fact(ref, "spec.data", ", ".join(filter(None, keys)))] if any(keys) else []),
            quote(ref, one, "status", "refreshTime"),
        ),
        affects=(*workloads, *((target,) if absent else ())),
        since=moment(ready),
        next=(_ask(ref),),
    )


def _ask(ref: Ref) -> NextStep:
    kind = next(k for k in (EXTERNAL_SECRET, *STORES) if k.kind == ref.kind)
    place = {"namespace": ref.namespace} if ref.namespace else {}
    return lib.ask("get", "what it says and names", kind=f"{kind.plural}.{kind.group}", name=ref.name, **place)


def _store(facts: Facts, ref: Ref, store: Obj, ready: Obj, secrets: list[Obj]) -> Finding:
    workloads = sorted({w for one in secrets for w in _waiting(facts, one)})
    names = lib.some(fields.name_of(one) for one in secrets)
    what = (
        f"{lib.count(len(secrets), 'ExternalSecret')} cannot be fetched ({names})" if secrets else "nothing uses it yet"
    )
    account = fields.mapping(store, "spec", "provider", "aws", "auth", "jwt", "serviceAccountRef")
    accounts = (
        (
            Ref(
                kinds.SERVICE_ACCOUNT.kind,
                fields.text(account, "namespace") or ref.namespace,
                fields.text(account, "name"),
            ),
        )
        if fields.text(account, "name")
        else ()
    )
    return Finding(
        cause="external-secret-sync-failed",
        object=ref,
        severity=_severity(facts, workloads),
        confidence="certain",
        summary=f"{ref.kind} {ref.name} is not ready ({reason(ready) or 'no reason given'}); {what}.",
        evidence=(
            quoted(ref, ready),
            quote(ref, store, "spec", "provider"),
            *(quoted(ref_of(one, EXTERNAL_SECRET), fields.condition(one, "Ready")) for one in secrets[:2]),
        ),
        affects=(
            *(ref_of(one, EXTERNAL_SECRET) for one in secrets),
            *workloads,
            *(_target(one) for one in secrets if _never(one) or _waiting(facts, one)),
        ),
        since=moment(ready),
        awaits=tuple(one for one in accounts if one.namespace),
        next=(_ask(ref),),
    )
