"""Pods refused because their service account is missing, or because their namespace's Pod Security level forbids them.

The refusal says where to look; the account is looked for, and the level's controls are evaluated on the pod template.
"""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from firstmate_tools import fields, kinds
from firstmate_tools.admission import podsecurity
from firstmate_tools.admission.podsecurity import ENFORCE, ENFORCE_VERSION, Enforced, Violation
from firstmate_tools.admission.texts import Gate, Told
from firstmate_tools.diagnosis import refused
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact
from firstmate_tools.diagnosis.lib import ask, some
from firstmate_tools.diagnosis.refusals import UNLISTED, Refusal, creators_wanted, of
from firstmate_tools.diagnosis.rule import BACKENDS, GetWant, ListWant, Want, rule
from firstmate_tools.kinds import EVENT, NAMESPACE, POD, REPLICA_SET, SERVICE_ACCOUNT
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref

OBSERVED = (POD, EVENT, REPLICA_SET, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.JOB, kinds.DEPLOYMENT)
CREATORS = tuple(Read(kind, ("get",)) for kind in UNLISTED)


def _wants_accounts(facts: Facts) -> Iterable[Want]:
    yield from creators_wanted(facts)
    for refusal, _ in of(facts, Gate.SERVICE_ACCOUNT):
        yield ListWant(SERVICE_ACCOUNT, refusal.creator.namespace)


@rule(
    causes=(Gate.SERVICE_ACCOUNT.value,),
    observes=OBSERVED,
    digs=(Read(SERVICE_ACCOUNT, ("list",)), *CREATORS),
    wants=_wants_accounts,
    explains=BACKENDS,
    confirms=(POD, REPLICA_SET, SERVICE_ACCOUNT),
)
def missing_service_account(facts: Facts) -> Iterator[Finding | RuledOut]:
    yield from refused.verdicts(facts, Gate.SERVICE_ACCOUNT, _missing)


def _missing(facts: Facts, refusal: Refusal, told: Told) -> Finding | RuledOut | None:
    spec = fields.mapping(refusal.template, "spec")
    name = fields.text(spec, "serviceAccountName") or fields.text(spec, "serviceAccount") or "default"
    account = Ref("ServiceAccount", refusal.creator.namespace, name)
    there = facts.exists(account)
    if there:
        return RuledOut(Gate.SERVICE_ACCOUNT.value, f"service account {name} exists; {refusal.creator} is retried soon")
    if there is None and name != told.name:
        return None
    names = [fields.name_of(one) for one in facts.all(SERVICE_ACCOUNT, account.namespace)]
    near = get_close_matches(name, names, n=1)
    hint = f"; one of a similar name is {near[0]}" if near else f"; there is only {some(names)}" if names else ""
    unread = " (service accounts could not be read)" if there is None else ""
    return refused.finding(
        facts,
        refusal,
        Gate.SERVICE_ACCOUNT,
        refusal.workload,
        f"its service account {name} does not exist in namespace {account.namespace}{hint}{unread}",
        [fact(account, "metadata.name", "does not exist" if there is False else "not read")],
        confidence="certain" if there is False else "likely",
        culprit=f"{account.namespace}/{name}",
        following=ask("get", "which service accounts there are", kind="serviceaccount", namespace=account.namespace),
    )


def _wants_levels(facts: Facts) -> Iterable[Want]:
    yield from creators_wanted(facts)
    for refusal, _ in of(facts, Gate.POD_SECURITY):
        yield GetWant(NAMESPACE, Ref("Namespace", "", refusal.creator.namespace))


@rule(
    causes=(Gate.POD_SECURITY.value,),
    observes=OBSERVED,
    digs=(Read(NAMESPACE, ("get",)), *CREATORS),
    wants=_wants_levels,
    explains=BACKENDS,
    confirms=(POD, REPLICA_SET),
)
def pod_security_forbids(facts: Facts) -> Iterator[Finding | RuledOut]:
    yield from refused.verdicts(facts, Gate.POD_SECURITY, _forbidden)


def _forbidden(facts: Facts, refusal: Refusal, told: Told) -> Finding | RuledOut | None:
    ref = Ref("Namespace", "", refusal.creator.namespace)
    namespace = facts.get(ref)
    level = podsecurity.enforced(namespace) if namespace else Enforced(told.name, podsecurity.minor_of(told.detail))
    found = podsecurity.violations(refusal.template, level.level, level.minor)
    if not found and level.level != told.name:
        return RuledOut(
            Gate.POD_SECURITY.value,
            f"namespace {ref.name} enforces {level.level} now, which allows the pods of {refusal.workload}",
        )
    summary = f"namespace {ref.name} enforces Pod Security level {level.level}, and the pod breaks "
    broken = [f"{violation.control} ({violation.where})" for violation in found]
    summary += "; ".join(broken) if broken else "it as it is created, though not as its template is written"
    return refused.finding(
        facts,
        refusal,
        Gate.POD_SECURITY,
        refusal.workload,
        summary,
        _shown(facts, refusal, ref, told, found),
        confidence="certain" if namespace and found else "likely",
        culprit=f"namespace {ref.name}",
        following=ask("get", "the namespace's labels", kind="namespace", name=ref.name),
    )


def _shown(facts: Facts, refusal: Refusal, ref: Ref, told: Told, found: list[Violation]) -> list[Evidence]:
    labels = fields.labels_of(facts.get(ref) or {})
    shown = [fact(ref, f"metadata.labels[{key}]", labels[key]) for key in (ENFORCE, ENFORCE_VERSION) if key in labels]
    if not shown:
        shown = [fact(ref, "level that refused", f"{told.name}:{told.detail}")]
    breaks = "; ".join(f"{violation.control}: {violation.where}" for violation in found)
    return [*shown, fact(refusal.workload, "spec.template breaks", breaks)] if found else shown
