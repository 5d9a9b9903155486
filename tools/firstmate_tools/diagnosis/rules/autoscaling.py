"""Horizontal autoscalers that get no metrics, cannot reach their target, or are at their end.

What an autoscaler says of itself (its conditions) is the signal; why is told from what there is: whether the metrics
API is registered, which container has no request, whether the target exists, who else scales it. Reasons are those of
pkg/controller/podautoscaler/horizontal.go, v1.36.
"""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact, quote
from firstmate_tools.diagnosis.rule import GetWant, Verdicts, Want, rule
from firstmate_tools.fields import Obj
from firstmate_tools.graph import scale_target
from firstmate_tools.podresources import container_requests
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

HPA = kinds.HORIZONTAL_POD_AUTOSCALER
OBSERVED = (HPA, kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.REPLICA_SET, kinds.POD)
NEW = timedelta(minutes=2)
"""How long metrics of new pods may be on their way (the HPA's own initial readiness delay and CPU warm-up are less)."""
_METRICS = {
    "FailedGetResourceMetric": "metrics.k8s.io",
    "FailedGetContainerResourceMetric": "metrics.k8s.io",
    "FailedGetPodsMetric": "custom.metrics.k8s.io",
    "FailedGetObjectMetric": "custom.metrics.k8s.io",
    "FailedGetExternalMetric": "external.metrics.k8s.io",
}
"""Which API an autoscaler could not read, by its reason."""
_VERSIONS = {"metrics.k8s.io": "v1beta1", "custom.metrics.k8s.io": "v1beta2", "external.metrics.k8s.io": "v1beta1"}


def autoscalers(facts: Facts) -> list[Obj]:
    """Those in scope that have spoken of their present spec."""
    return [hpa for hpa in facts.all(HPA) if not fields.text(hpa, "metadata", "deletionTimestamp")]


def blind(hpa: Obj) -> str:
    """The API that an autoscaler cannot read, "" where it can."""
    active = fields.condition(hpa, "ScalingActive")
    return _METRICS.get(fields.text(active, "reason"), "") if active.get("status") == "False" else ""


def api_of(group: str) -> Ref:
    """The APIService through which the metrics of a group come."""
    return Ref("APIService", "", f"{_VERSIONS[group]}.{group}")


def metrics_apis(facts: Facts) -> Iterable[Want]:
    """The APIServices that blind autoscalers need."""
    return [
        GetWant(kinds.API_SERVICE, api_of(group)) for group in sorted({blind(h) for h in autoscalers(facts)} - {""})
    ]


@rule(
    causes=("hpa-metrics-unavailable",),
    observes=OBSERVED,
    digs=(Read(kinds.API_SERVICE, ("get", "list")),),  # recordings need the list
    wants=metrics_apis,
)
def hpa_without_metrics(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#support-for-metrics-apis"""
    for hpa in autoscalers(facts):
        group = blind(hpa)
        if not group or (group == "metrics.k8s.io" and _lacking(facts, hpa)):
            continue
        verdict = _without_metrics(facts, hpa, group)
        if verdict is not None:
            yield verdict


def _without_metrics(facts: Facts, hpa: Obj, group: str) -> Finding | RuledOut | None:
    ref, target, api = ref_of(hpa, HPA), scale_target(hpa), api_of(group)
    active = fields.condition(hpa, "ScalingActive")
    since = fields.time_at(active, "lastTransitionTime")
    there = facts.exists(api)
    registered = facts.get(api) or {}
    available = fields.condition(registered, "Available")
    evidence = [_condition(ref, active)]
    if there is False:
        words = f"no metrics API {group} is registered: nothing serves what it scales by"
        evidence.append(fact(api, "metadata.name", "(does not exist)"))
    elif available.get("status") == "False":
        reason = fields.text(available, "reason")
        words = f"the metrics API {group} is registered and does not answer ({reason or 'not available'})"
        evidence.append(_condition(api, available))
    elif since is not None and facts.now - since < NEW:
        return None  # the first metrics of new pods take a moment
    else:
        words = f"it gets no metrics from {group} for what it scales"
    return Finding(
        cause="hpa-metrics-unavailable",
        object=ref,
        severity="warning",
        confidence="certain" if there is False or available else "likely",
        summary=f"HorizontalPodAutoscaler {ref.name} does not scale {target}: {words}.",
        evidence=tuple(evidence),
        affects=(target,) if target else (),
        since=since,
        culprit=group if there is False or available.get("status") == "False" else "",
        next=(lib.ask("get", "the API behind it", kind="apiservice", name=api.name),),
        awaits=(api,),
    )


@rule(causes=("hpa-missing-requests",), observes=OBSERVED)
def hpa_without_requests(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details"""
    for hpa in autoscalers(facts):
        lacking, target = _lacking(facts, hpa), scale_target(hpa)
        active = fields.condition(hpa, "ScalingActive")
        if not lacking or target is None or active.get("status") == "True":
            continue
        ref = ref_of(hpa, HPA)
        told = "; ".join(f"{resource} in {lib.some(names)}" for resource, names in sorted(lacking.items()))
        yield Finding(
            cause="hpa-missing-requests",
            object=target,
            severity="warning",
            confidence="certain",
            summary=(
                f"HorizontalPodAutoscaler {ref.name} scales {target} by a share of its requests, "
                f"and the pods do not request all of it: no {told}."
            ),
            evidence=(
                *(
                    fact(target, f"spec.template.spec.containers[{name}].resources.requests.{resource}", None)
                    for resource, names in sorted(lacking.items())
                    for name in names[:3]
                ),
                quote(ref, hpa, "spec", "metrics"),
                *([_condition(ref, active)] if active else []),
            ),
            affects=(ref,),
            since=fields.time_at(active, "lastTransitionTime"),
            next=(lib.ask("get", "the autoscaler", kind="hpa", name=ref.name, namespace=ref.namespace),),
        )


def _lacking(facts: Facts, hpa: Obj) -> dict[str, list[str]]:
    """Resources by whose utilisation an autoscaler scales, and the containers that do not request them."""
    target = scale_target(hpa)
    if target is None:
        return {}
    template = lib.named_template(facts, target)
    pod_level = fields.mapping(template, "spec", "resources", "requests")
    containers = fields.items(template, "spec", "containers")
    found: dict[str, list[str]] = {}
    for metric in fields.items(hpa, "spec", "metrics"):
        source = fields.mapping(metric, "resource") or fields.mapping(metric, "containerResource")
        resource = fields.text(source, "name")
        if fields.text(source, "target", "type") != "Utilization" or resource in pod_level:
            continue
        only = fields.text(metric, "containerResource", "container")
        names = [
            fields.text(c, "name")
            for c in containers
            if (not only or fields.text(c, "name") == only) and not container_requests(c).get(resource)
        ]
        if names:
            found[resource] = names
    return found


@rule(causes=("hpa-at-max-replicas",), observes=OBSERVED)
def hpa_at_its_end(facts: Facts) -> Verdicts:
    """TooFewReplicas, at the minimum, is where an idle autoscaler rests."""
    for hpa in autoscalers(facts):
        limited, active = fields.condition(hpa, "ScalingLimited"), fields.condition(hpa, "ScalingActive")
        most = fields.number(hpa, "spec", "maxReplicas")
        now = fields.number(hpa, "status", "currentReplicas")
        if limited.get("status") != "True" or fields.text(limited, "reason") != "TooManyReplicas":
            continue
        if active.get("status") == "False" or not most or now < most:
            continue  # what it said of the limit is older than its blindness, or it is still on its way
        ref, target = ref_of(hpa, HPA), scale_target(hpa)
        yield Finding(
            cause="hpa-at-max-replicas",
            object=ref,
            severity="warning",
            confidence="certain",
            summary=(
                f"HorizontalPodAutoscaler {ref.name} wants more than the {lib.count(most, 'replica')} that it may give "
                f"{target}{_load(hpa)}."
            ),
            evidence=(
                quote(ref, hpa, "spec", "maxReplicas"),
                quote(ref, hpa, "status", "currentReplicas"),
                _condition(ref, limited),
            ),
            affects=(target,) if target else (),
            since=fields.time_at(limited, "lastTransitionTime"),
            next=(
                lib.ask(
                    "workload_status", "whether the pods keep up", scope=str(target or ref), namespace=ref.namespace
                ),
            ),
        )


def _load(hpa: Obj) -> str:
    """How far its metrics are from their targets, in words; "" where it does not say."""
    wanted = {
        fields.text(metric, "resource", "name"): fields.number(metric, "resource", "target", "averageUtilization")
        for metric in fields.items(hpa, "spec", "metrics")
    }
    told = [
        f"{name} {value} % of requests, target {wanted[name]} %"
        for metric in fields.items(hpa, "status", "currentMetrics")
        if (name := fields.text(metric, "resource", "name"))
        and (value := fields.number(metric, "resource", "current", "averageUtilization"))
        and wanted.get(name)
    ]
    return f": {'; '.join(told)}" if told else ""


@rule(causes=("hpa-target-invalid",), observes=OBSERVED)
def hpa_without_target(facts: Facts) -> Verdicts:
    """A target that is not there, or two autoscalers for one target."""
    yield from _missing_targets(facts)
    yield from _contested(facts)


def _missing_targets(facts: Facts) -> Iterator[Finding]:
    for hpa in autoscalers(facts):
        ref, target = ref_of(hpa, HPA), scale_target(hpa)
        able = fields.condition(hpa, "AbleToScale")
        failed = able.get("status") == "False" and fields.text(able, "reason") == "FailedGetScale"
        gone = target is not None and facts.exists(target) is False
        if not failed and not gone:
            continue
        kind = kinds.known(fields.text(hpa, "spec", "scaleTargetRef", "kind"))
        near = _nearest(facts, target) if gone and target is not None and kind is not None else ""
        named = fields.mapping(hpa, "spec", "scaleTargetRef")
        words = f"{fields.text(named, 'kind')} {fields.text(named, 'name')}"
        why = f"there is none{near}" if gone else "it cannot be read or has no scale"
        yield Finding(
            cause="hpa-target-invalid",
            object=ref,
            severity="warning",
            confidence="certain" if gone else "likely",
            summary=f"HorizontalPodAutoscaler {ref.name} is to scale {words}: {why}.",
            evidence=(
                quote(ref, hpa, "spec", "scaleTargetRef"),
                *([_condition(ref, able)] if able else []),
                *([fact(target, "metadata.name", "(does not exist)")] if gone and target is not None else []),
            ),
            since=fields.time_at(able, "lastTransitionTime"),
        )


def _nearest(facts: Facts, target: Ref) -> str:
    """A workload of the namespace that no autoscaler scales and whose name is much like the missing one's."""
    from difflib import get_close_matches

    kind = kinds.known(target.kind)
    names = [fields.name_of(o) for o in facts.all(kind, target.namespace)] if kind is not None else []
    close = get_close_matches(target.name, names, n=1, cutoff=0.6)
    return f"; {close[0]} is there" if close else ""


def _contested(facts: Facts) -> Iterator[Finding]:
    by_target: dict[Ref, list[Obj]] = {}
    for hpa in autoscalers(facts):
        target = scale_target(hpa)
        if target is not None:
            by_target.setdefault(target, []).append(hpa)
    for target, several in sorted(by_target.items()):
        if len(several) < 2:
            continue
        several.sort(key=lambda h: (fields.text(h, "metadata", "creationTimestamp"), fields.name_of(h)))
        names = [fields.name_of(hpa) for hpa in several]
        last = several[-1]
        ref = ref_of(last, HPA)
        yield Finding(
            cause="hpa-target-invalid",
            object=ref,
            severity="warning",
            confidence="certain",
            summary=f"{' and '.join(names)} both scale {target}, so that neither does.",
            evidence=tuple(quote(ref_of(hpa, HPA), hpa, "spec", "scaleTargetRef") for hpa in several[:3]),
            affects=(target,),
            since=fields.time_at(last, "metadata", "creationTimestamp"),
        )


def _condition(ref: Ref, condition: Obj) -> Evidence:
    text = f"{condition.get('status')} {fields.text(condition, 'reason')}: {fields.text(condition, 'message')}"
    kind = fields.text(condition, "type")
    return fact(ref, f"status.conditions[{kind}]", text, fields.time_at(condition, "lastTransitionTime"))
