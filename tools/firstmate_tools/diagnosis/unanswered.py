"""Requests that an admission webhook left unanswered, and the webhooks that there are. Pure; for the webhook rule.

Besides controllers that are refused what they create, any Warning event may tell of such a request.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from firstmate_tools import fields, podstate
from firstmate_tools.admission import texts, webhooks
from firstmate_tools.admission.texts import Gate, Told
from firstmate_tools.admission.webhooks import Hook
from firstmate_tools.diagnosis import refused
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, fact, quote
from firstmate_tools.diagnosis.lib import severity, some
from firstmate_tools.diagnosis.refusals import REASONS, Refusal, of, resolved
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import (
    ENDPOINT_SLICE,
    MUTATING_WEBHOOK,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    VALIDATING_WEBHOOK,
    Kind,
)
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Severity
from firstmate_tools.selectors import matches_map
from firstmate_tools.text import inline

CONFIGURATIONS = (MUTATING_WEBHOOK, VALIDATING_WEBHOOK)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that a webhook left unanswered.

    Attributes:
        about: the object that the refusal is told about, `sufferers` those that suffer from it.
        kind: of the object that was to be created, None where that is not known.
        labels: of that object, None where they are not known.
    """

    about: Ref
    sufferers: tuple[Ref, ...]
    severity: Severity
    kind: Kind | None
    labels: dict[str, str] | None
    told: Told
    said: Evidence
    at: datetime | None
    since: datetime | None
    summary: str


def calls(facts: Facts) -> list[Call]:
    """Everything in scope that was refused for want of a webhook's answer, and is still not there."""
    return facts.derived(_calls)


def _calls(facts: Facts) -> list[Call]:
    found = [_refused_call(facts, refusal, told) for refusal, told in of(facts, Gate.WEBHOOK)]
    known = {call.about for call in found} | {past.creator for past in resolved(facts)}
    for row in facts.every_event():
        if row.type != "Warning" or row.about in known or row.reason in REASONS:
            continue
        told = texts.read(row.message)
        if told.gate is Gate.WEBHOOK:
            known.add(row.about)
            said = fact(row.about, f"event {inline(row.reason)}", row.message, row.last)
            words = f"{row.about} could not be served ({row.reason})"
            found.append(Call(row.about, (row.about,), "warning", None, None, told, said, row.last, row.first, words))
    return found


def _refused_call(facts: Facts, refusal: Refusal, told: Told) -> Call:
    workload = refusal.workload
    of_pods = refusal.kind == POD and not refusal.of_claims
    return Call(
        about=refusal.creator,
        sufferers=tuple(dict.fromkeys((workload, refusal.creator))),
        severity=severity(facts, workload),
        kind=PERSISTENT_VOLUME_CLAIM if refusal.of_claims else refusal.kind,
        labels=fields.labels_of(refusal.template) if of_pods else None,
        told=told,
        said=refused.said(refusal),
        at=refusal.at,
        since=refusal.since,
        summary=refused.who(facts, refusal),
    )


def concerns(facts: Facts, hook: Hook, call: Call) -> bool:
    """Whether a webhook still takes in the refused request, as far as that is known."""
    if call.kind is not None and not webhooks.asked_about(hook, call.kind):
        return False
    namespace = facts.get(Ref("Namespace", "", call.about.namespace))
    return webhooks.selects(hook, fields.labels_of(namespace) if namespace else None, call.labels)


def hooks(facts: Facts) -> list[Hook]:
    return [hook for kind in CONFIGURATIONS for hook in webhooks.hooks(facts.everywhere(kind), kind)]


def named(facts: Facts, name: str) -> list[Hook]:
    return [hook for hook in facts.derived(hooks) if hook.name == name]


def pods_behind(facts: Facts, service: Ref) -> list[Obj]:
    selector = fields.string_map(facts.get(service) or {}, "spec", "selector")
    pods = [p for p in facts.everywhere(POD) if fields.namespace_of(p) == service.namespace]
    return [p for p in pods if matches_map(selector, fields.labels_of(p)) and not podstate.finished(p)]


def state_behind(facts: Facts, hook: Hook) -> str:
    """How the pods behind a webhook are, in words."""
    if hook.service is None or facts.get(hook.service) is None or not facts.knows(POD, hook.service.namespace):
        return ""
    states = [podstate.status_text(pod) for pod in pods_behind(facts, hook.service) if not podstate.ready(pod)]
    return f" (pods behind it: {some(states)})" if states else " (there is no pod behind it)"


def backend_facts(facts: Facts, hook: Hook) -> Iterator[Evidence]:
    yield fact(hook.config, f"webhooks[{hook.name}].failurePolicy", fields.text(hook.spec, "failurePolicy") or "Fail")
    service = hook.service
    if service is None:
        yield fact(hook.config, f"webhooks[{hook.name}].clientConfig.url", hook.url)
        return
    obj = facts.get(service)
    if obj is None:
        yield fact(service, "metadata.name", "does not exist")
        return
    yield quote(service, obj, "spec", "selector")
    slices = [s for s in facts.everywhere(ENDPOINT_SLICE) if fields.namespace_of(s) == service.namespace]
    ports = [p for p in fields.items(obj, "spec", "ports") if fields.number(p, "port") == hook.port]
    ready = webhooks.ready_endpoints(service, slices, fields.text(ports[0], "name")) if ports else 0
    yield fact(service, "ready endpoints", ready)
    for pod in pods_behind(facts, service)[:2]:
        yield fact(ref_of(pod, POD), "status", podstate.status_text(pod))
