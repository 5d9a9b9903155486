"""Pods that an admission policy refuses: a ValidatingAdmissionPolicy, or an engine that answers through a webhook.

The refusal names the policy; whether it is still there, still denies and still concerns the namespace is read.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from firstmate_tools import fields, kinds
from firstmate_tools.admission import webhooks
from firstmate_tools.admission.texts import Gate, Told, read
from firstmate_tools.diagnosis import policies, refused
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, NextStep, RuledOut, fact
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.lib import ask
from firstmate_tools.diagnosis.policies import BINDING, KYVERNO, KYVERNO_WEBHOOK, VALIDATING
from firstmate_tools.diagnosis.refusals import REASONS, UNLISTED, Refusal, creators_wanted, of
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, ListWant, Verdicts, Want, rule
from firstmate_tools.diagnosis.unanswered import CONFIGURATIONS, named
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import EVENT, NAMESPACE, POD, REPLICA_SET
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.text import inline

CAUSE = Gate.POLICY.value
OBSERVED = (POD, EVENT, REPLICA_SET, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.JOB, kinds.DEPLOYMENT)


def _others(facts: Facts) -> Iterator[tuple[EventRow, Told]]:
    """Recent Warning events about something else than a refused creation that tell of a policy's denial."""
    seen: set[Ref] = set()
    for row in facts.every_event():
        if row.type == "Warning" and row.reason not in REASONS and row.about not in seen and lately(facts, row):
            told = read(row.message)
            if told.gate is Gate.POLICY:
                seen.add(row.about)
                yield row, told


def _wants(facts: Facts) -> Iterable[Want]:
    yield from creators_wanted(facts)
    spoken = [(one.message, told, one.creator.namespace) for one, told in of(facts, Gate.POLICY)]
    spoken += [(row.message, told, row.about.namespace) for row, told in _others(facts)]
    for message, told, namespace in spoken:
        if namespace:
            yield GetWant(NAMESPACE, Ref("Namespace", "", namespace))
        if told.detail:
            yield GetWant(VALIDATING, Ref(VALIDATING.kind, "", told.name))
            yield GetWant(BINDING, Ref(BINDING.kind, "", told.detail))
        else:
            yield from (ListWant(kind) for kind in CONFIGURATIONS)
            if KYVERNO_WEBHOOK.search(told.name):
                yield from (GetWant(KYVERNO, ref) for ref in policies.kyverno_policies(message)[:3])


@rule(
    causes=(CAUSE,),
    observes=OBSERVED,
    digs=(
        Read(VALIDATING, ("get", "list")),  # recordings need the lists
        Read(BINDING, ("get", "list")),
        Read(KYVERNO, ("get", "list")),
        *(Read(kind, ("list",)) for kind in CONFIGURATIONS),
        Read(NAMESPACE),
        *(Read(kind, ("get",)) for kind in UNLISTED),
    ),
    wants=_wants,
    explains=BACKENDS,
    confirms=(POD, REPLICA_SET),
)
def policy_denies(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/"""
    yield from refused.verdicts(facts, Gate.POLICY, _refused)
    for row, told in _others(facts):
        verdict = _other(facts, row, told)
        if verdict is not None:
            yield verdict


@dataclass(frozen=True, slots=True)
class _Denial:
    """What denied, as it stands now.

    Attributes:
        target: the policy, or the webhook that answered.
        words: what refuses.
        lifted: why it would not refuse again, "" where it would, None where that could not be read.
    """

    target: Ref
    words: str
    evidence: list[Evidence]
    lifted: str | None


def _denial(facts: Facts, told: Told, message: str, namespace: str, labels: dict[str, str] | None) -> _Denial:
    if told.detail:
        return _by_policy(facts, told, message, namespace, labels)
    return _by_webhook(facts, told, message, namespace, labels)


def _by_policy(facts: Facts, told: Told, message: str, namespace: str, labels: dict[str, str] | None) -> _Denial:
    policy, binding = Ref(VALIDATING.kind, "", told.name), Ref(BINDING.kind, "", told.detail)
    lifted = policies.lifted(facts, policy, binding, namespace, labels)
    evidence: list[Evidence] = []
    speaking = policies.speaking(facts.get(policy) or {}, message)
    if speaking is not None:
        number, validation = speaking
        evidence.append(fact(policy, f"spec.validations[{number}].expression", fields.text(validation, "expression")))
    bound = facts.get(binding)
    if bound is not None:
        evidence.append(fact(binding, "spec.validationActions", fields.at(bound, "spec", "validationActions")))
    unread = " (the policy could not be read)" if lifted is None else ""
    words = (
        f"ValidatingAdmissionPolicy {inline(told.name)}, bound by {inline(told.detail)}, refuses the request{unread}"
    )
    return _Denial(policy, words, evidence, lifted)


def _by_webhook(facts: Facts, told: Told, message: str, namespace: str, labels: dict[str, str] | None) -> _Denial:
    if not all(facts.knows(kind) for kind in CONFIGURATIONS):
        target = Ref(kinds.VALIDATING_WEBHOOK.kind, "", told.name)
        return _Denial(target, f"admission webhook {inline(told.name)} refuses the request", [], None)
    found = named(facts, told.name)
    if not found:
        gone = f"webhook {inline(told.name)} is not configured any more"
        return _Denial(Ref(kinds.VALIDATING_WEBHOOK.kind, "", told.name), "", [], gone)
    place = facts.get(Ref("Namespace", "", namespace))
    about = fields.labels_of(place) if place else None
    asked = [hook for hook in found if webhooks.selects(hook, about, labels)]
    hook = (asked or found)[0]
    lifted = "" if asked else f"webhook {inline(told.name)} does not concern namespace {namespace} any more"
    evidence = [fact(hook.config, f"webhooks[{hook.name}].rules", fields.at(hook.spec, "rules"))]
    words = f"admission webhook {inline(told.name)} refuses the request"
    engines = [ref for ref in policies.kyverno_policies(message) if facts.get(ref) is not None]
    if engines:
        blocking = [ref for ref in engines if not policies.only_audits(facts.get(ref) or {})]
        target = (blocking or engines)[0]
        names = ", ".join(ref.name for ref in engines)
        lifted = lifted or ("" if blocking else f"Kyverno's {names} only audits now")
        action = fields.at(facts.get(target) or {}, "spec", "validationFailureAction")
        evidence.insert(0, fact(target, "spec.validationFailureAction", action))
        return _Denial(target, f"Kyverno refuses the request by its policy {names}", evidence, lifted)
    constraint = policies.constraint(message)
    if constraint:
        words = f"Gatekeeper's constraint {constraint} refuses the request (webhook {inline(told.name)})"
    return _Denial(hook.config, words, evidence, lifted)


def _refused(facts: Facts, refusal: Refusal, told: Told) -> Finding | RuledOut | None:
    labels = fields.labels_of(refusal.template) if refusal.kind == POD and not refusal.of_claims else None
    denial = _denial(facts, told, refusal.message, refusal.creator.namespace, labels)
    if denial.lifted:
        return RuledOut(CAUSE, denial.lifted)
    return refused.finding(
        facts,
        refusal,
        Gate.POLICY,
        denial.target,
        denial.words,
        denial.evidence,
        confidence="likely" if denial.lifted is None else "certain",
        culprit=str(denial.target),
        following=_look(denial.target),
    )


def _look(target: Ref) -> NextStep:
    return ask("get", "what the policy asks for", kind=target.kind.lower(), name=target.name)


def _other(facts: Facts, row: EventRow, told: Told) -> Finding | RuledOut | None:
    """A denial of something else than a creation: an update, a scale, a claim."""
    about: Obj | None = facts.get(row.about)
    if about is None or row.about_uid not in {"", fields.uid_of(about)}:
        return None
    denial = _denial(facts, told, row.message, row.about.namespace, None)
    if denial.lifted:
        return RuledOut(CAUSE, denial.lifted)
    ref = ref_of(about, row.about.kind)
    return Finding(
        cause=CAUSE,
        object=denial.target,
        severity="warning",
        confidence="likely",
        summary=f"{ref} could not do what it wanted ({inline(row.reason)}): {denial.words}.",
        evidence=(*denial.evidence, said(row)),
        affects=tuple(dict.fromkeys((facts.workload(ref), ref))),
        since=row.first,
        culprit=str(denial.target),
        next=(_look(denial.target),),
    )
