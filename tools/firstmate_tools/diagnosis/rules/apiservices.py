"""Aggregated APIs that do not answer: metrics-server and its like, whose APIService has nobody behind it.

While one is down its objects cannot be read: autoscalers get no figures, and a namespace cannot be emptied, for nobody
knows whether it still holds something of that group.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from firstmate_tools import fields, kinds
from firstmate_tools.admission import webhooks
from firstmate_tools.admission.webhooks import Hook
from firstmate_tools.diagnosis import backends, leaving
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact
from firstmate_tools.diagnosis.lib import ask
from firstmate_tools.diagnosis.rule import GetWant, ListWant, Verdicts, Want, rule
from firstmate_tools.diagnosis.unanswered import pods_behind, state_behind
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import API_SERVICE, ENDPOINT_SLICE, NAMESPACE, POD, SERVICE
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.text import inline

CAUSE = "apiservice-unavailable"
UNREACHABLE = "unable to handle the request"
"""What clients of an API that does not answer are told (k8s.io/apimachinery pkg/api/errors, v0.36)."""
FLAPS = timedelta(seconds=60)
"""How long a condition may still say what a backend that is ready by now has mended."""


def _wants(facts: Facts) -> Iterable[Want]:
    if (facts.scope.namespace is None and facts.scope.object is None) or any(
        row.type == "Warning" and UNREACHABLE in row.message for row in facts.every_event()
    ):
        yield ListWant(API_SERVICE)
    for api in _down(facts):
        service = _hook(api).service
        if service is not None:
            yield GetWant(SERVICE, service)
            yield ListWant(ENDPOINT_SLICE, service.namespace)
            yield ListWant(POD, service.namespace)


def _down(facts: Facts) -> list[Obj]:
    """Those that are known, are served by somebody else, and are not available."""
    return [
        api
        for api in facts.everywhere(API_SERVICE)
        if fields.condition(api, "Available").get("status") == "False"
        and fields.mapping(api, "spec", "service")
        and not fields.text(api, "metadata", "deletionTimestamp")
    ]


def _hook(api: Obj) -> Hook:
    """An APIService as a call to a Service, which is what it shares with webhooks."""
    name = fields.name_of(api)
    client = {"service": fields.mapping(api, "spec", "service")}
    return Hook(Ref(API_SERVICE.kind, "", name), name, {"clientConfig": client})


@rule(
    causes=(CAUSE,),
    observes=(kinds.EVENT, POD, kinds.REPLICA_SET, kinds.DEPLOYMENT),
    digs=(
        Read(API_SERVICE, ("get", "list")),
        Read(SERVICE),
        Read(ENDPOINT_SLICE, ("list",)),
        Read(POD, ("list",)),
        Read(NAMESPACE),
    ),
    wants=_wants,
)
def apiservice_down(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/apiserver-aggregation/"""
    for api in _down(facts):
        verdict = _judged(facts, api)
        if verdict is not None:
            yield verdict


def _judged(facts: Facts, api: Obj) -> Finding | RuledOut | None:
    hook, ref = _hook(api), ref_of(api, API_SERVICE)
    service, available = hook.service, fields.condition(api, "Available")
    if service is None:
        return None
    since = fields.time_at(available, "lastTransitionTime")
    known = facts.exists(service) is not None and facts.knows(ENDPOINT_SLICE, service.namespace)
    missing = webhooks.missing_backend(hook, facts.get(service), facts.everywhere(ENDPOINT_SLICE)) if known else None
    if missing == "" and since is not None and facts.now - since < FLAPS:
        return RuledOut(CAUSE, f"the Service {service.namespace}/{service.name} behind {ref} has ready endpoints again")
    reason = fields.text(available, "reason")
    where = f"Service {service.namespace}/{service.name}"
    if missing:
        why = f"its {where} {missing}{state_behind(facts, hook)}"
    elif "x509" in fields.text(available, "message"):
        why = f"the API server does not trust the certificate of its {where}"
    else:
        why = f"its {where} has ready endpoints and gives no answer ({inline(reason)})"
    group = fields.text(api, "spec", "group")
    return Finding(
        cause=CAUSE,
        object=ref,
        severity="warning",
        confidence="certain" if missing else "likely",
        summary=f"The API {inline(group or fields.name_of(api))} is registered and not available: {why}.",
        evidence=(
            fact(ref, "status.conditions[Available]", f"False {reason}: {fields.text(available, 'message')}", since),
            *_backend(facts, hook),
        ),
        affects=(*_waiting(facts, service), *_namespaces(facts)),
        since=since,
        culprit=f"{service.namespace}/{service.name}",
        next=(ask("diagnose", "why its backend is not there", scope=f"namespace/{service.namespace}"),),
        awaits=_awaits(facts, hook),
    )


def _backend(facts: Facts, hook: Hook) -> Iterator[Evidence]:
    service = hook.service
    if service is None:
        return
    if facts.exists(service) is False:
        yield fact(service, "metadata.name", "does not exist")
        return
    for pod in pods_behind(facts, service)[:2]:
        yield fact(ref_of(pod, POD), "status", fields.text(pod, "status", "phase"))


def _waiting(facts: Facts, service: Ref) -> tuple[Ref, ...]:
    """Its Service, where that exists: that it has no endpoints is this same problem."""
    return (service,) if facts.get(service) is not None else ()


def _namespaces(facts: Facts) -> tuple[Ref, ...]:
    """Namespaces that cannot go because their content cannot be looked for."""
    return tuple(
        ref_of(one, NAMESPACE)
        for one in leaving.namespaces(facts)
        if leaving.says(one, "NamespaceDeletionDiscoveryFailure")
    )


def _awaits(facts: Facts, hook: Hook) -> tuple[Ref, ...]:
    """What would have to work for the API to answer; nothing where nothing stands behind its Service."""
    service = facts.get(hook.service) if hook.service is not None else None
    if hook.service is None or service is None:
        return ()
    behind = {facts.workload(ref) for ref in facts.graph.before(hook.service, "selects")}
    meant = backends.nearest(service, backends.candidates(facts).get(hook.service.namespace, []))
    return (hook.service, *sorted(behind)) if behind or meant else ()
