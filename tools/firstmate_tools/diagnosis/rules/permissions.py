"""Programs that the API server refuses what they need, for want of a Role or binding.

A program's own words are the signal; whether it may now, and why not, is worked out from Roles and bindings where they
may be read (`authorization`). What is allowed by now is ruled out.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from firstmate_tools import fields, kinds
from firstmate_tools.authorization import (
    Account,
    Attempt,
    Bound,
    allows,
    elsewhere,
    names_subject,
    nearest,
    role_of,
)
from firstmate_tools.diagnosis import denials, lib
from firstmate_tools.diagnosis.denials import Denial
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, Finding, RuledOut, fact, quote
from firstmate_tools.diagnosis.rule import BACKENDS, ListWant, Verdicts, Want, explains, rule
from firstmate_tools.diagnosis.rules.containers import LOGS, OBSERVED
from firstmate_tools.fields import Obj
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref
from firstmate_tools.results import Severity

CAUSE = "rbac-forbidden"
NAMESPACED, WIDE = (kinds.ROLE, kinds.ROLE_BINDING), (kinds.CLUSTER_ROLE, kinds.CLUSTER_ROLE_BINDING)
DEFAULTS = "kubernetes.io/bootstrapping"
"""Label of the roles that an API server brings itself: nobody edits those."""
Said = tuple[Ref, str, list[Evidence]]
"""What has to be mended, why, and what proves it."""


def roles_and_bindings(facts: Facts) -> Iterable[Want]:
    """The logs that may hold refusals, and the roles and bindings that decide on those that are known."""
    yield from denials.wants(facts)
    known = denials.denials(facts)
    places = {place for d in known for place in (d.account.namespace, d.attempt.namespace) if place}
    for place in sorted(places)[:4]:
        yield from (ListWant(kind, place) for kind in NAMESPACED)
    if known:
        yield from (ListWant(kind) for kind in WIDE)


@rule(
    causes=(CAUSE,),
    observes=OBSERVED,
    digs=(*LOGS, *(Read(kind, ("list",)) for kind in (*NAMESPACED, *WIDE))),
    wants=roles_and_bindings,
    explains=(
        *BACKENDS,
        *explains(
            "application-exits-on-error",
            "init-container-failing",
            "container-process-completes",
            "readiness-probe-misconfigured",
            "liveness-probe-misconfigured",
            "liveness-probe-too-aggressive",
            along=("owns",),
        ),
    ),
)
def forbidden(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/reference/access-authn-authz/rbac/"""
    by_account: dict[tuple[Account, Ref], list[Denial]] = {}
    for one in denials.denials(facts):
        if not all(facts.knows(kind, one.account.namespace) for kind in NAMESPACED):
            by_account.setdefault((one.account, one.workload), []).append(one)
            continue
        if any(bound.gives(one.attempt) for bound in bounds(facts, one.account, one.attempt)):
            yield RuledOut(CAUSE, f"service account {one.account.name} may {one.attempt} by now")
        else:
            by_account.setdefault((one.account, one.workload), []).append(one)
    for several in by_account.values():
        yield _finding(facts, several)


def bounds(facts: Facts, account: Account, attempt: Attempt) -> list[Bound]:
    """The bindings that are for an account, in its own namespace, where it tries, and in the whole cluster."""
    return [_bound(facts, binding) for binding in _bindings(facts, account, attempt) if names_subject(binding, account)]


def _bindings(facts: Facts, account: Account, attempt: Attempt) -> list[Obj]:
    places = {account.namespace, attempt.namespace}
    near = [b for b in facts.everywhere(kinds.ROLE_BINDING) if fields.namespace_of(b) in places]
    return [*near, *facts.everywhere(kinds.CLUSTER_ROLE_BINDING)]


def _bound(facts: Facts, binding: Obj) -> Bound:
    role = role_of(binding)
    return Bound(binding, role, facts.get(role), facts.exists(role) is not None)


def _finding(facts: Facts, several: list[Denial]) -> Finding:
    first = several[0]
    target, why, evidence = _why(facts, first)
    tried = list(dict.fromkeys(str(d.attempt) for d in several))
    more = f" and {len(tried) - 1} more" if len(tried) > 1 else ""
    readable = all(facts.knows(kind, first.account.namespace) for kind in NAMESPACED)
    account = Ref("ServiceAccount", first.account.namespace, first.account.name)
    return Finding(
        cause=CAUSE,
        object=target,
        severity=_severity(facts, first),
        confidence="certain" if readable else "likely",
        summary=f"{first.workload} runs as {account.name}, which may not {tried[0]}{more}: {why}.",
        evidence=(first.evidence, *evidence),
        affects=tuple(dict.fromkeys((first.workload, first.pod, account))),
        culprit=f"{first.account} {target}",
        next=(
            lib.ask("get", "what is bound to it", kind="rolebinding", namespace=account.namespace),
            lib.ask("logs", "what else it is refused", scope=str(first.pod), namespace=first.pod.namespace),
        ),
    )


def _severity(facts: Facts, one: Denial) -> Severity:
    """A refusal among other noise of a workload that fails for another reason is a weakness, and explains nothing."""
    if one.ailing:
        return lib.severity(facts, one.workload) if one.decides else "info"
    return "warning" if one.decides else "info"


def _why(facts: Facts, one: Denial) -> Said:
    account, attempt = one.account, one.attempt
    bound = bounds(facts, account, attempt)
    for each in bound:
        if each.reaches(attempt) and each.role is None and each.read:
            words = f"{each.ref} gives it {each.role_ref}, which does not exist"
            return each.ref, words, [quote(each.ref, each.binding, "roleRef"), _absent(each.role_ref)]
    for each in elsewhere(bound, attempt):
        place = "its own namespace" if not attempt.namespace else f"namespace {each.ref.namespace}"
        evidence = [quote(each.ref, each.binding, "metadata", "namespace"), quote(each.ref, each.binding, "roleRef")]
        return each.ref, f"{each.ref} gives it that in {place} alone", evidence
    return _for_another(facts, one) or _lacking(facts, one, bound) or _unbound(one)


def _absent(ref: Ref) -> Evidence:
    return fact(ref, "metadata.name", "(does not exist)")


def _for_another(facts: Facts, one: Denial) -> Said | None:
    """A binding that gives the right to somebody whose name is nearly that of the account."""
    account, attempt = one.account, one.attempt
    for binding in _bindings(facts, account, attempt):
        each = _bound(facts, binding)
        if each.role is None or not each.reaches(attempt) or not allows(each.role, attempt) or _own(each.role):
            continue
        for subject in fields.items(binding, "subjects"):
            name = fields.text(subject, "name")
            place = fields.text(subject, "namespace") or fields.namespace_of(binding)
            if fields.text(subject, "kind") != "ServiceAccount":
                continue
            if account.name == "default" and place == account.namespace:
                words = f"{each.ref} gives that to service account {name}, as which {one.workload} does not run"
                path = "spec.template.spec.serviceAccountName" if one.workload.kind != "Pod" else "spec"
                return one.workload, words, [fact(one.workload, path, "default"), fact(each.ref, "subjects", subject)]
            close = bool(get_close_matches(account.name, [name], n=1, cutoff=0.75))
            if (name == account.name) != (place == account.namespace) and close:
                words = f"{each.ref} gives that to {name} of namespace {place}, which is another"
                return each.ref, words, [fact(each.ref, "subjects", subject), quote(each.ref, binding, "roleRef")]
    return None


def _own(role: Obj) -> bool:
    """Whether a role is one of those that an API server brings itself."""
    return DEFAULTS in fields.labels_of(role)


def _lacking(facts: Facts, one: Denial, bound: list[Bound]) -> Said | None:
    """A role of the account's that lacks the right."""
    attempt = one.attempt
    granted = [b for b in bound if b.role is not None and b.reaches(attempt) and _for_it(b, one.account)]
    near = nearest(granted, attempt)
    chosen = near.bound if near else granted[0] if len(granted) == 1 else None
    if chosen is None or chosen.role is None:
        return None
    target = chosen.ref if _own(chosen.role) else chosen.role_ref
    if near is None:
        return target, f"{chosen.role_ref} does not give it that", [quote(chosen.role_ref, chosen.role, "rules")]
    verbs, groups = fields.strings(near.rule, "verbs"), fields.strings(near.rule, "apiGroups")
    resources, names = fields.strings(near.rule, "resources"), fields.strings(near.rule, "resourceNames")
    if "verb" in near.missing:
        gives = f"{', '.join(verbs[:8]) or 'nothing'} on {attempt.resource}, not {attempt.verb}"
    elif "name" in near.missing:
        gives = f"that on {lib.some(names)} alone"
    elif "group" in near.missing:
        gives = f"that in API group {lib.some(repr(g) for g in groups)}, not in {attempt.group!r}"
    else:
        gives = f"{attempt.verb} on {lib.some(resources)}, not on {attempt.resource}"
    return target, f"{chosen.role_ref} gives it {gives}", [fact(chosen.role_ref, "rules", near.rule)]


def _for_it(bound: Bound, account: Account) -> bool:
    """Whether a binding was made for this account, not for everybody."""
    groups = {fields.text(s, "name") for s in fields.items(bound.binding, "subjects")}
    return not groups & {"system:authenticated", "system:serviceaccounts"}


def _unbound(one: Denial) -> Said:
    ref = Ref("ServiceAccount", one.account.namespace, one.account.name)
    return ref, "no Role or ClusterRole that is bound to it gives that", []
