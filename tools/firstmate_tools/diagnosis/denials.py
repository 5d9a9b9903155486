"""What programs say that the API server has refused them, in their logs and in events about them. Pure.

A line counts only where it names the service account that the pod runs as: what is said of others is hearsay. The words
are those of k8s.io/apiserver pkg/endpoints/handlers/responsewriters/errors.go (v1.36, unchanged since v1.8), quoted
once more where the log is JSON.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.authorization import Account, Attempt
from firstmate_tools.diagnosis import lib, trouble
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, fact
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.rule import LogWant
from firstmate_tools.loglines import telling
from firstmate_tools.refs import Ref, ref_of

MOST_LOGS = 3
"""Logs of workloads that look well, where nothing in the namespace is in trouble: a controller that is refused stops in
silence."""
MOST_TELLING = 5
_Q = r'\\{0,3}"'
_DENIED = re.compile(
    rf"(?:{_Q}([^\"\\\s]{{1,253}}){_Q} is forbidden: )?"
    rf"User {_Q}system:serviceaccount:([a-z0-9-]{{1,63}}):([a-z0-9.-]{{1,253}}){_Q} "
    rf"cannot ([a-z]{{1,20}}) resource {_Q}([a-z0-9./-]{{1,120}}){_Q} in API group {_Q}([a-z0-9.-]{{0,120}}){_Q}"
    rf"(?: in the namespace {_Q}([a-z0-9-]{{1,63}}){_Q})?"
)


@dataclass(frozen=True, slots=True)
class Denial:
    """One refusal that a workload reports.

    Attributes:
        pod: whose log it is, or what the event is about.
        container: "" for an event.
        decides: whether it is among the lines that tell why the program is as it is.
        ailing: whether the workload is in trouble at all.
    """

    account: Account
    attempt: Attempt
    workload: Ref
    pod: Ref
    container: str
    evidence: Evidence
    decides: bool
    ailing: bool


def denials(facts: Facts) -> tuple[Denial, ...]:
    """Every refusal that is known, those that decide first."""
    return facts.derived(_denials)


def wants(facts: Facts) -> Iterator[LogWant]:
    """Logs of workloads with service accounts of their own, where a namespace looks well as a whole."""
    if facts.scope.namespace is None or facts.scope.object is not None or trouble.troubled(facts):
        return
    seen: set[Ref] = set()
    for pod in facts.all(kinds.POD):
        ref = ref_of(pod, kinds.POD)
        workload = facts.workload(ref)
        running = [c for c in podstate.containers(pod) if c.running and c.role == "app"]
        if account_of(facts, ref).name in {"", "default"} or workload in seen or not running:
            continue
        seen.add(workload)
        if len(seen) > MOST_LOGS:
            return
        yield LogWant(ref.namespace, ref.name, running[0].name, aside=True)


def account_of(facts: Facts, pod: Ref) -> Account:
    """The service account that a pod runs as; its name is "" where that was not observed."""
    return Account(pod.namespace, fields.text(facts.get(pod) or {}, "spec", "serviceAccountName"))


def parsed(line: str) -> tuple[Account, Attempt] | None:
    """Who was refused what, by one line."""
    match = _DENIED.search(line)
    if match is None:
        return None
    name, namespace, account, verb, resource, group, where = match.groups()
    return Account(namespace, account), Attempt(verb, group, resource, where or "", name or "")


def _denials(facts: Facts) -> tuple[Denial, ...]:
    ailing = {one.workload for one in trouble.troubled(facts)}
    found = [*_in_logs(facts, ailing), *_in_events(facts, ailing)]
    return tuple(sorted(found, key=lambda d: (not d.decides, d.workload, d.account, d.attempt, d.pod)))


def _in_logs(facts: Facts, ailing: set[Ref]) -> Iterator[Denial]:
    for (namespace, name, container, _), content in facts.logs():
        if "cannot" not in content:
            continue
        pod = Ref("Pod", namespace, name)
        lines = [line for line in content.splitlines() if line.strip()]
        deciding = set(telling(lines, MOST_TELLING))
        newest: dict[Attempt, str] = {}
        for line in lines:
            refusal = parsed(line[:4000])
            if refusal is not None and refusal[0] == account_of(facts, pod):
                newest[refusal[1]] = line.strip()
        workload = facts.workload(pod)
        for attempt, line in newest.items():
            quoted = fact(pod, f"log[{container}]", line)
            decides = line in deciding
            yield Denial(account_of(facts, pod), attempt, workload, pod, container, quoted, decides, workload in ailing)


def _in_events(facts: Facts, ailing: set[Ref]) -> Iterator[Denial]:
    for row in facts.every_event():
        refusal = parsed(row.message[:4000]) if "cannot" in row.message else None
        if refusal is None or not lately(facts, row):
            continue
        workload = facts.workload(row.about)
        below = {account_of(facts, ref_of(pod, kinds.POD)) for pod in lib.pods_of(facts, workload)}
        if refusal[0] in below:
            yield Denial(*refusal, workload, row.about, "", said(row), True, workload in ailing)
