"""Admission webhooks that are there and are not trusted, or that together take longer than a request may.

`webhook` judges those whose backend is missing; here somebody is there. A certificate that a webhook serves cannot be
read from objects (it lies in a Secret): the refusal says that it is not trusted, the configuration what is trusted.
"""

from collections.abc import Iterable, Iterator

from firstmate_tools import fields, kinds
from firstmate_tools.admission import texts, webhooks
from firstmate_tools.admission.texts import Gate, Told
from firstmate_tools.admission.webhooks import Hook
from firstmate_tools.diagnosis import refused, trust
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, NextStep, RuledOut, fact
from firstmate_tools.diagnosis.lib import ask, count, some
from firstmate_tools.diagnosis.refusals import UNLISTED, Refusal, creators_wanted, of
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, ListWant, Verdicts, Want, rule
from firstmate_tools.diagnosis.unanswered import CONFIGURATIONS, Call, calls, concerns, hooks, named
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import ENDPOINT_SLICE, EVENT, MUTATING_WEBHOOK, NAMESPACE, POD, REPLICA_SET, SERVICE
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref
from firstmate_tools.text import inline

TLS = "webhook-tls-invalid"
OBSERVED = (
    POD,
    EVENT,
    REPLICA_SET,
    kinds.STATEFUL_SET,
    kinds.DAEMON_SET,
    kinds.JOB,
    kinds.DEPLOYMENT,
)
DIGS = (
    *(Read(kind, ("list",)) for kind in CONFIGURATIONS),
    Read(NAMESPACE),
    *(Read(kind, ("get",)) for kind in UNLISTED),
)
DEFAULT_TIMEOUT = 10
"""Seconds that a webhook may take unless it says otherwise (admissionregistration.k8s.io/v1, timeoutSeconds)."""
WHOLE_REQUEST = 34
"""Seconds that the API server gives a request that creates (requestTimeoutUpperBound, handlers/rest.go, v1.36)."""


def _distrusted(facts: Facts) -> list[Call]:
    return [call for call in calls(facts) if texts.distrusts(call.told)]


def _wants_trust(facts: Facts) -> Iterable[Want]:
    yield from creators_wanted(facts)
    for call in _distrusted(facts):
        yield from (ListWant(kind) for kind in CONFIGURATIONS)
        if call.about.namespace:
            yield GetWant(NAMESPACE, Ref("Namespace", "", call.about.namespace))
        for hook in named(facts, call.told.name):
            if hook.service is not None:
                yield GetWant(SERVICE, hook.service)
                yield ListWant(ENDPOINT_SLICE, hook.service.namespace)


@rule(
    causes=(TLS,),
    observes=OBSERVED,
    digs=(*DIGS, Read(SERVICE), Read(ENDPOINT_SLICE, ("list",))),
    wants=_wants_trust,
    explains=BACKENDS,
    confirms=(POD, REPLICA_SET),
)
def webhook_not_trusted(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#contacting-the-webhook"""
    for call in _distrusted(facts):
        if not all(facts.knows(kind) for kind in CONFIGURATIONS):
            continue
        found = named(facts, call.told.name)
        asked = [hook for hook in found if hook.must_answer and concerns(facts, hook, call)]
        if not asked:
            gone = (
                "is not configured any more" if not found else f"may be skipped now, or does not concern {call.about}"
            )
            yield RuledOut(TLS, f"webhook {inline(call.told.name)} {gone}")
            continue
        verdict = _trust(facts, asked[0], call)
        if verdict is not None:
            yield verdict


def _trust(facts: Facts, hook: Hook, call: Call) -> Finding | None:
    service = hook.service
    looked = service and facts.exists(service) is not None and facts.knows(ENDPOINT_SLICE, service.namespace)
    if service and looked and webhooks.missing_backend(hook, facts.get(service), facts.everywhere(ENDPOINT_SLICE)):
        return None  # nobody there at all, by now
    client = fields.mapping(hook.spec, "clientConfig")
    authorities = trust.bundle(client)
    reason, certain = _why(facts, hook, call.told, authorities)
    where = f"Service {service.namespace}/{service.name}" if service is not None else hook.url
    field = f"webhooks[{hook.name}].clientConfig.caBundle"
    shown = fact(hook.config, field, _shown(authorities), None)
    policy = fields.text(hook.spec, "failurePolicy") or "Fail"
    return Finding(
        cause=TLS,
        object=hook.config,
        severity=call.severity,
        confidence="certain" if certain else "likely",
        summary=f"{call.summary}: webhook {hook.name} ({inline(where)}) must answer, and the API server does not trust "
        f"it: {reason}.",
        evidence=(call.said, shown, fact(hook.config, f"webhooks[{hook.name}].failurePolicy", policy)),
        affects=call.sufferers,
        since=call.since,
        culprit=f"{hook.config} {hook.name}",
        next=_next(hook),
    )


def _why(facts: Facts, hook: Hook, told: Told, authorities: trust.Bundle) -> tuple[str, bool]:
    """Why it is not trusted, and whether the configuration alone proves it."""
    if not authorities.given and hook.service is not None:
        return "its configuration has no caBundle, so that nothing but public authorities is trusted", True
    if authorities.ends is not None and authorities.ends < facts.now:
        return f"every authority of its caBundle has ended, the last at {authorities.ends.isoformat()}", True
    words = told.detail
    if "has expired" in words:
        return "the certificate that it serves has expired or is not yet valid", False
    if "certificate is valid for" in words or "not valid for any names" in words or "Common Name" in words:
        host = f"{hook.service.name}.{hook.service.namespace}.svc" if hook.service else "the host of its address"
        return f"the certificate that it serves is not made for {host}", False
    if "unknown authority" in words:
        names = f" ({', '.join(inline(name) for name in authorities.names[:2])})" if authorities.names else ""
        return f"what it serves was not signed by the authority of its caBundle{names}", False
    return "the TLS handshake fails", False


def _shown(authorities: trust.Bundle) -> str:
    if not authorities.given:
        return "(not set)"
    names = ", ".join(authorities.names[:3]) or "(no authority could be read)"
    return f"{names}, until {authorities.ends.isoformat()}" if authorities.ends else names


def _next(hook: Hook) -> tuple[NextStep, ...]:
    config = ask("get", "who keeps its caBundle up to date", kind=hook.config.kind.lower(), name=hook.config.name)
    if hook.service is None:
        return (config,)
    return (config, ask("diagnose", "whether its owner is well", scope=f"namespace/{hook.service.namespace}"))


def _wants_slow(facts: Facts) -> Iterable[Want]:
    for refusal, _ in of(facts, Gate.SLOW):
        yield from (ListWant(kind) for kind in CONFIGURATIONS)
        yield GetWant(NAMESPACE, Ref("Namespace", "", refusal.creator.namespace))


@rule(
    causes=(Gate.SLOW.value,),
    observes=OBSERVED,
    digs=DIGS,
    wants=_wants_slow,
    explains=BACKENDS,
    confirms=(POD, REPLICA_SET),
)
def webhooks_too_slow(facts: Facts) -> Verdicts:
    """Mutating webhooks are called one after the other, validating ones at the same time."""
    yield from refused.verdicts(facts, Gate.SLOW, _slow)


def _slow(facts: Facts, refusal: Refusal, told: Told) -> Finding | RuledOut | None:
    if not all(facts.knows(kind) for kind in CONFIGURATIONS):
        return None
    asked = list(_asked(facts, refusal))
    if not asked:
        return RuledOut(Gate.SLOW.value, f"no webhook has a say in the pods of {refusal.workload} any more")
    in_turn = sum(_timeout(hook) for hook in asked if hook.config.kind == MUTATING_WEBHOOK.kind)
    at_once = max((_timeout(hook) for hook in asked if hook.config.kind != MUTATING_WEBHOOK.kind), default=0)
    together = in_turn + at_once
    slowest = sorted(asked, key=lambda hook: (-_timeout(hook), hook.config, hook.name))
    names = some((hook.name for hook in slowest), 4)
    words = (
        f"the request took longer than the API server waits, and no webhook is named; {count(len(asked), 'webhook')} "
        f"({names}) may take {together} s together, of {WHOLE_REQUEST} s"
    )
    return refused.finding(
        facts,
        refusal,
        Gate.SLOW,
        slowest[0].config,
        words,
        _timeouts(slowest),
        confidence="likely" if together >= WHOLE_REQUEST else "possible",
        culprit="webhooks",
        following=ask("get", "what it waits for", kind=slowest[0].config.kind.lower(), name=slowest[0].config.name),
    )


def _asked(facts: Facts, refusal: Refusal) -> Iterator[Hook]:
    """The webhooks that have a say in a pod of a refused controller."""
    namespace: Obj | None = facts.get(Ref("Namespace", "", refusal.creator.namespace))
    about = fields.labels_of(namespace) if namespace else None
    for hook in facts.derived(hooks):
        if webhooks.asked_about(hook) and webhooks.selects(hook, about, fields.labels_of(refusal.template)):
            yield hook


def _timeout(hook: Hook) -> int:
    return fields.number(hook.spec, "timeoutSeconds", default=DEFAULT_TIMEOUT)


def _timeouts(found: list[Hook]) -> list[Evidence]:
    return [
        fact(
            hook.config,
            f"webhooks[{hook.name}].timeoutSeconds",
            f"{_timeout(hook)}, failurePolicy {fields.text(hook.spec, 'failurePolicy') or 'Fail'}",
        )
        for hook in found[:4]
    ]
