"""Which mutating webhook or policy may have altered a pod. Pure; called by the rule about altered pods.

A pod does not tell who altered it. What can be told is who may have: whose rules and selectors take in the pod, who
stood before it was made, who has a backend that answers. Several may be left.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from firstmate_tools import fields
from firstmate_tools.admission import webhooks
from firstmate_tools.diagnosis.alterations import Alteration
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.rule import GetWant, ListWant, Want
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import ENDPOINT_SLICE, MUTATING_WEBHOOK, NAMESPACE, POD, SERVICE, Kind
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.selectors import matches

_GROUP = "admissionregistration.k8s.io"
# Served since v1.34 as v1beta1, later as v1: discovery tells which version there is, if any.
POLICY = Kind("MutatingAdmissionPolicy", "mutatingadmissionpolicies", _GROUP, "v1", False)
BINDING = Kind("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", _GROUP, "v1", False)
_PLATFORM = frozenset({"iam-for-pods.amazonaws.com", "mpod.vpc.k8s.aws"})
"""What EKS brings to every cluster: credentials for service accounts, and branch interfaces for security groups."""


@dataclass(frozen=True, slots=True)
class Mutator:
    """Who may have altered a pod.

    Attributes:
        target: the configuration or policy; `name` is the webhook's own.
        spec: what decides whether it takes in a pod.
        conditional: whether conditions that are not evaluated decide as well.
    """

    target: Ref
    name: str
    spec: Obj
    conditional: bool


def wanted(facts: Facts, altered: Iterable[Alteration]) -> Iterator[Want]:
    """What has to be read to tell."""
    places = sorted({one.ref.namespace for one in altered})
    if not places:
        return
    yield ListWant(MUTATING_WEBHOOK)
    yield ListWant(POLICY)
    yield ListWant(BINDING)
    yield from (GetWant(NAMESPACE, Ref("Namespace", "", place)) for place in places)
    for hook in _hooks(facts):
        if hook.service is not None and webhooks.asked_about(hook):
            yield GetWant(SERVICE, hook.service)
            yield ListWant(ENDPOINT_SLICE, hook.service.namespace)


def mutators(facts: Facts, one: Alteration) -> list[Mutator]:
    """Those that may have altered this pod, the likeliest first."""
    namespace = facts.get(Ref("Namespace", "", one.ref.namespace))
    about = fields.labels_of(namespace) if namespace else None
    made = fields.time_at(one.pod, "metadata", "creationTimestamp")
    found = [
        Mutator(hook.config, hook.name, hook.spec, hook.conditional)
        for hook in _hooks(facts)
        if webhooks.asked_about(hook)
        and webhooks.selects(hook, about, one.template)
        and hook.name not in _PLATFORM
        and _answers(facts, hook)
        and _stood(facts.get(hook.config), made)
    ]
    found += [
        Mutator(ref_of(policy, POLICY.kind), fields.name_of(policy), fields.mapping(policy, "spec"), conditional)
        for policy in facts.everywhere(POLICY)
        if (conditional := _policy_takes(facts, policy, about, one.template)) is not None and _stood(policy, made)
    ]
    marks = _marks(one)
    marked = [m for m in found if any(_akin(mark, m) for mark in marks)]
    plain = [m for m in found if not m.conditional]
    return sorted(marked or plain or found, key=lambda m: (m.target, m.name))


def _hooks(facts: Facts) -> list[webhooks.Hook]:
    return list(webhooks.hooks(facts.everywhere(MUTATING_WEBHOOK), MUTATING_WEBHOOK))


def _answers(facts: Facts, hook: webhooks.Hook) -> bool:
    """Whether somebody is there to answer, as far as that is known."""
    service = hook.service
    if service is None or facts.exists(service) is None:
        return True
    obj = facts.get(service)
    if obj is not None and not facts.knows(ENDPOINT_SLICE, service.namespace):
        return True
    return not webhooks.missing_backend(hook, obj, facts.everywhere(ENDPOINT_SLICE))


def _stood(obj: Obj | None, made: object) -> bool:
    """Whether a configuration was there when a pod was made."""
    created = fields.time_at(obj or {}, "metadata", "creationTimestamp")
    return created is None or made is None or not isinstance(made, type(created)) or created <= made


def _policy_takes(facts: Facts, policy: Obj, about: dict[str, str] | None, labels: dict[str, str]) -> bool | None:
    """Whether a MutatingAdmissionPolicy takes in a pod: None for no, else whether conditions decide as well."""
    match = fields.mapping(policy, "spec", "matchConstraints")
    rules = {"rules": fields.items(match, "resourceRules")}
    name = fields.name_of(policy)
    bound = [b for b in facts.everywhere(BINDING) if fields.text(b, "spec", "policyName") == name]
    hook = webhooks.Hook(Ref(POLICY.kind, "", name), name, rules)
    if not webhooks.asked_about(hook, POD) or not _within(match, about, labels):
        return None
    if not any(_within(fields.mapping(b, "spec", "matchResources"), about, labels) for b in bound):
        return None
    return bool(fields.items(policy, "spec", "matchConditions"))


def _within(match: Obj, about: dict[str, str] | None, labels: dict[str, str]) -> bool:
    pairs = (("namespaceSelector", about), ("objectSelector", labels))
    return all(fields.at(match, f) is None or own is None or matches(fields.at(match, f), own) for f, own in pairs)


def _marks(one: Alteration) -> set[str]:
    """The domains of labels that a pod has and its template has not: who alters pods often signs so."""
    own = fields.labels_of(one.pod).keys() - one.template.keys()
    return {key.partition("/")[0] for key in own if "/" in key and not key.partition("/")[0].endswith("kubernetes.io")}


def _akin(mark: str, mutator: Mutator) -> bool:
    return mark.count(".") > 0 and (mutator.name.endswith(mark) or mark.endswith(mutator.name))
