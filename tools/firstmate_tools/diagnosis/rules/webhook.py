"""Admission webhooks that must answer and cannot: their Service is gone, or nobody behind it is ready.

A webhook is cluster-scoped: the refusals show in one namespace, the backend stands in another. Whether it is really
gone is read from the configuration, the Service and its EndpointSlices; a refusal's words decide only for webhooks that
are called by URL. Certificates and slow answers are other causes: while somebody is there, nothing is said.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.admission import texts, webhooks
from firstmate_tools.admission.texts import Gate, Told
from firstmate_tools.admission.webhooks import Hook
from firstmate_tools.diagnosis import backends, refused
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, NextStep, RuledOut, fact
from firstmate_tools.diagnosis.lib import ask, some
from firstmate_tools.diagnosis.refusals import UNLISTED, creators_wanted
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, ListWant, Want, rule
from firstmate_tools.diagnosis.unanswered import (
    CONFIGURATIONS,
    Call,
    backend_facts,
    calls,
    concerns,
    hooks,
    named,
    pods_behind,
    state_behind,
)
from firstmate_tools.graph import template_labels
from firstmate_tools.kinds import ENDPOINT_SLICE, EVENT, NAMESPACE, POD, REPLICA_SET, SERVICE
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref

CAUSE = Gate.WEBHOOK.value
SETTLED = timedelta(seconds=60)
"""How old a configuration has to be before a backend that nobody has missed yet counts as gone."""
WORKLOADS = (REPLICA_SET, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.JOB)


def _wants(facts: Facts) -> Iterable[Want]:
    yield from creators_wanted(facts)
    spoken, broad = calls(facts), _broad(facts)
    if not spoken and not broad:
        return
    yield from (ListWant(kind) for kind in CONFIGURATIONS)
    for call in spoken:
        if call.about.namespace:
            yield GetWant(NAMESPACE, Ref("Namespace", "", call.about.namespace))
    unnoticed = [hook for hook in facts.derived(hooks) if _may_surprise(facts, hook)] if broad else []
    if unnoticed:
        yield ListWant(NAMESPACE)
    for hook in (*unnoticed, *(hook for call in spoken for hook in named(facts, call.told.name))):
        if hook.service is not None:
            yield GetWant(SERVICE, hook.service)
            yield ListWant(ENDPOINT_SLICE, hook.service.namespace)
            yield ListWant(POD, hook.service.namespace)


def _broad(facts: Facts) -> bool:
    """Whether the question is about the whole cluster, so that webhooks which nobody has called yet matter too."""
    return facts.scope.namespace is None and facts.scope.object is None


@rule(
    causes=(CAUSE,),
    observes=(POD, EVENT, *WORKLOADS, kinds.DEPLOYMENT),
    digs=(
        *(Read(kind, ("list",)) for kind in CONFIGURATIONS),
        Read(NAMESPACE),
        Read(SERVICE),
        Read(ENDPOINT_SLICE, ("list",)),
        Read(POD, ("list",)),
        *(Read(kind, ("get",)) for kind in UNLISTED),
    ),
    wants=_wants,
    explains=BACKENDS,
    confirms=(POD, REPLICA_SET),
)
def webhook_without_backend(facts: Facts) -> Iterator[Finding | RuledOut]:
    for call in calls(facts):
        verdict = _judged(facts, call)
        if verdict is not None:
            yield verdict
    yield from refused.over(facts, Gate.WEBHOOK)
    if _broad(facts):
        yield from _unnoticed(facts)


def _judged(facts: Facts, call: Call) -> Finding | RuledOut | None:
    """What one unanswered call comes to, now."""
    name = call.told.name
    if not all(facts.knows(kind) for kind in CONFIGURATIONS):
        return None
    found = named(facts, name)
    if not found:
        return RuledOut(CAUSE, f"webhook {name} is not configured any more")
    asked = [hook for hook in found if hook.must_answer and concerns(facts, hook, call)]
    if not asked:
        return RuledOut(CAUSE, f"webhook {name} may be skipped now, or does not concern {call.about}")
    verdicts = [_backend(facts, hook, call) for hook in asked]
    return next((v for v in verdicts if isinstance(v, Finding)), verdicts[0])


def _backend(facts: Facts, hook: Hook, call: Call) -> Finding | RuledOut | None:
    service = hook.service
    if service is None:
        if texts.answers_nobody(call.told) or texts.times_out(call.told):
            words = f"webhook {hook.name}, which must answer, is called at {hook.url}, and nobody answers there"
            return _finding(facts, hook, call, words, certain=False)
        return None
    missing = _missing(facts, hook)
    if missing:
        words = f"webhook {hook.name} must answer, and its Service {service.namespace}/{service.name} {missing}"
        return _finding(facts, hook, call, words, certain=True)
    if missing is None:
        return None
    if texts.answers_nobody(call.told) and _ready_before(facts, hook, call.at):
        words = (
            f"webhook {hook.name} must answer, and nobody listens behind its Service {service.namespace}/"
            f"{service.name}, though its endpoints are ready"
        )
        return _finding(facts, hook, call, words, certain=False)
    return RuledOut(CAUSE, f"the Service {service.namespace}/{service.name} of webhook {hook.name} has ready endpoints")


def _missing(facts: Facts, hook: Hook) -> str | None:
    """Why nobody can answer a webhook, "" where somebody can, None where that could not be read."""
    service = hook.service
    if service is None or facts.exists(service) is None:
        return None
    obj = facts.get(service)
    if obj is not None and not facts.knows(ENDPOINT_SLICE, service.namespace):
        return None
    return webhooks.missing_backend(hook, obj, facts.everywhere(ENDPOINT_SLICE))


def _ready_before(facts: Facts, hook: Hook, at: datetime | None) -> bool:
    """Whether some pod behind a webhook was ready before a call was refused: then the refusal is not of the past."""
    if hook.service is None or at is None:
        return False
    ready = [fields.condition(pod, "Ready") for pod in pods_behind(facts, hook.service) if podstate.ready(pod)]
    since = [fields.time_at(condition, "lastTransitionTime") for condition in ready]
    return any(moment is not None and moment + timedelta(seconds=10) < at for moment in since)


def _finding(facts: Facts, hook: Hook, call: Call, words: str, *, certain: bool) -> Finding:
    return Finding(
        cause=CAUSE,
        object=hook.config,
        severity=call.severity,
        confidence="certain" if certain else "likely",
        summary=f"{call.summary}: {words}{state_behind(facts, hook)}.",
        evidence=(*backend_facts(facts, hook), call.said),
        affects=(*call.sufferers, *_waiting_service(facts, hook)),
        since=call.since,
        culprit=_culprit(hook),
        next=_next(hook),
        awaits=_awaits(facts, hook),
    )


def _culprit(hook: Hook) -> str:
    return f"{hook.service.namespace}/{hook.service.name}" if hook.service else hook.url or hook.config.name


def _waiting_service(facts: Facts, hook: Hook) -> tuple[Ref, ...]:
    """The webhook's Service, where it exists: that it has no endpoints is this same problem."""
    return (hook.service,) if hook.service is not None and facts.get(hook.service) is not None else ()


def _awaits(facts: Facts, hook: Hook) -> tuple[Ref, ...]:
    """What would have to work for the webhook to answer: its Service and the workloads behind it.

    A Service behind which nothing stands, nor anything that its selector may have meant, is no reason of its own: the
    webhook's owner is gone.
    """
    service = facts.get(hook.service) if hook.service is not None else None
    if hook.service is None or service is None:
        return ()
    behind = {facts.workload(ref) for ref in facts.graph.before(hook.service, "selects")}
    meant = backends.nearest(service, backends.candidates(facts).get(hook.service.namespace, []))
    return (hook.service, *sorted(behind)) if behind or meant else ()


def _next(hook: Hook) -> tuple[NextStep, ...]:
    config = ask("get", "what the webhook matches", kind=hook.config.kind.lower(), name=hook.config.name)
    if hook.service is None:
        return (config,)
    return (ask("diagnose", "why its backend is not there", scope=f"namespace/{hook.service.namespace}"), config)


def _unnoticed(facts: Facts) -> Iterator[Finding]:
    """Webhooks that would refuse the next pod of some namespace, though nobody has tried yet."""
    for hook in facts.derived(hooks):
        missing = _missing(facts, hook) if facts.knows(NAMESPACE) and _may_surprise(facts, hook) else ""
        places = _places(facts, hook) if missing else []
        if places:
            words = f"webhook {hook.name} must answer when pods are created in {some(places)}, and its Service "
            yield _warning(facts, hook, f"{words}{_culprit(hook)} {missing}{state_behind(facts, hook)}.")


def _may_surprise(facts: Facts, hook: Hook) -> bool:
    """Whether a webhook certainly has a say in pods, and has stood long enough for its backend to have come up."""
    created = fields.time_at(facts.get(hook.config) or {}, "metadata", "creationTimestamp")
    settled = created is not None and facts.now - created >= SETTLED
    return settled and hook.must_answer and not hook.conditional and webhooks.asked_about(hook)


def _places(facts: Facts, hook: Hook) -> list[str]:
    """The namespaces in which the next pod of some workload would be refused."""
    running = facts.derived(_running)
    found = [(fields.name_of(namespace), fields.labels_of(namespace)) for namespace in facts.all(NAMESPACE)]
    return sorted(
        name for name, labels in found if any(webhooks.selects(hook, labels, own) for own in running.get(name, []))
    )


def _running(facts: Facts) -> dict[str, list[dict[str, str]]]:
    """The pod labels of the workloads that keep pods running, by namespace."""
    found: dict[str, list[dict[str, str]]] = {}
    for kind in (kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET):
        for obj in facts.all(kind):
            if kind == kinds.DAEMON_SET or fields.number(obj, "spec", "replicas", default=1):
                found.setdefault(fields.namespace_of(obj), []).append(template_labels(obj))
    return found


def _warning(facts: Facts, hook: Hook, words: str) -> Finding:
    nobody = Call(hook.config, (), "warning", None, None, Told(Gate.WEBHOOK), fact(hook.config, "", ""), None, None, "")
    return replace(
        _finding(facts, hook, nobody, "", certain=True),
        summary=words[0].upper() + words[1:],
        evidence=tuple(backend_facts(facts, hook)),
    )
