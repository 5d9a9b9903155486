"""Admission policies that refuse: ValidatingAdmissionPolicies, and those of engines behind a webhook. Pure.

Called by the policy rule. Expressions (CEL, Rego, a webhook's own code) are not evaluated: what refuses is taken from
the refusal, and whether it still would from the objects. Sources: k8s.io/apiserver pkg/admission/plugin/policy
(generic/policy_matcher.go, validating/dispatcher.go), v1.36; Kyverno's message is that of pkg/webhooks/utils/block.go,
v1.13.
"""

import re
from collections.abc import Iterable

from firstmate_tools import fields
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.refs import Ref
from firstmate_tools.selectors import matches

_GROUP = "admissionregistration.k8s.io"
# Not among the kinds known by heart: v1.29 serves them as v1beta1 only, and discovery tells which version there is.
VALIDATING = Kind("ValidatingAdmissionPolicy", "validatingadmissionpolicies", _GROUP, "v1", False)
BINDING = Kind("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", _GROUP, "v1", False)
KYVERNO = Kind("ClusterPolicy", "clusterpolicies", "kyverno.io", "v1", False)
KYVERNO_WEBHOOK = re.compile(r"^validate\.kyverno\.svc")
_BLOCKED = re.compile(r"blocked due to the following policies\s*(.*)", re.DOTALL)
_TOP_LEVEL = re.compile(r"(?m)^([a-z0-9][a-z0-9.-]{0,252}):")
_CONSTRAINT = re.compile(r"denied the request: \[([a-z0-9][a-z0-9.-]{0,252})\] ")


def kyverno_policies(message: str) -> list[Ref]:
    """The policies that Kyverno names when it blocks a request."""
    told = _BLOCKED.search(message)
    names = dict.fromkeys(_TOP_LEVEL.findall(told.group(1))) if told else {}
    return [Ref(KYVERNO.kind, "", name) for name in names]


def constraint(message: str) -> str:
    """The Gatekeeper constraint that a denial names, "" where it names none."""
    told = _CONSTRAINT.search(message)
    return told.group(1) if told else ""


def lifted(facts: Facts, policy: Ref, binding: Ref, namespace: str, labels: dict[str, str] | None) -> str | None:
    """Why a ValidatingAdmissionPolicy would not refuse any more, "" where it would, None where that was not read.

    Args:
        namespace: of the object that was refused.
        labels: of that object, None where they are not known.
    """
    for ref in (policy, binding):
        there = facts.exists(ref)
        if there is None:
            return None
        if not there:
            return f"{ref} does not exist any more"
    rule, bound = facts.get(policy) or {}, facts.get(binding) or {}
    if fields.text(bound, "spec", "policyName") not in {"", policy.name}:
        return f"{binding} is bound to another policy now"
    actions = fields.strings(bound, "spec", "validationActions")
    if actions and "Deny" not in actions:
        return f"{binding} only has {', '.join(actions)} now"
    place = facts.get(Ref("Namespace", "", namespace))
    about = (fields.labels_of(place) if place else None, labels)
    for obj, section in ((rule, "matchConstraints"), (bound, "matchResources")):
        if _excluded(fields.mapping(obj, "spec", section), about):
            return f"{policy} does not concern namespace {namespace} or these labels any more"
    return ""


def _excluded(match: Obj, about: tuple[dict[str, str] | None, dict[str, str] | None]) -> bool:
    pairs = zip(("namespaceSelector", "objectSelector"), about, strict=True)
    return any(
        fields.at(match, field) is not None and labels is not None and not matches(fields.at(match, field), labels)
        for field, labels in pairs
    )


def speaking(policy: Obj, message: str) -> tuple[int, Obj] | None:
    """Which validation of a policy has the words of a refusal, None where none has (its words may be computed)."""
    for number, validation in enumerate(fields.items(policy, "spec", "validations")):
        words = fields.text(validation, "message") or fields.text(validation, "expression")
        if words and words.strip() in message:
            return number, validation
    return None


def only_audits(policy: Obj) -> bool:
    """Whether a Kyverno policy blocks nothing any more, in every place where it says so."""
    spec = fields.mapping(policy, "spec")
    whole = fields.text(spec, "validationFailureAction")
    rules = [fields.text(rule, "validate", "failureAction") for rule in _validating(fields.items(spec, "rules"))]
    actions = [action or whole or "Audit" for action in rules] or [whole or "Audit"]
    overrides = fields.items(spec, "validationFailureActionOverrides")
    return not overrides and all(action.lower() == "audit" for action in actions)


def _validating(rules: Iterable[Obj]) -> list[Obj]:
    return [rule for rule in rules if fields.mapping(rule, "validate")]
