"""Helm releases that an interrupted run left pending, so that every further run is refused.

Helm keeps its releases in Secrets, which are not listed: a right to list them is a right to read them all. What shows
is what a controller that runs Helm says in an event of its own object, and what a Job that runs it logs before it dies;
a run from somebody's shell leaves no trace.
"""

import re
from collections.abc import Iterator
from datetime import timedelta

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import Finding, fact
from firstmate_tools.diagnosis.heard import said
from firstmate_tools.diagnosis.lib import ask
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, explains, rule
from firstmate_tools.diagnosis.rules.containers import LOGS, OBSERVED
from firstmate_tools.refs import Ref

CAUSE = "helm-release-pending"
RECENT = timedelta(minutes=30)
"""Controllers that run Helm try again every few minutes; older words are history."""
_IN_PROGRESS = re.compile(r"another operation \(install/upgrade/rollback\) is in progress")


def _told(facts: Facts) -> Iterator[EventRow]:
    """The newest such words about each object."""
    seen: set[Ref] = set()
    for row in facts.every_event():
        recent = row.last is not None and facts.now - row.last <= RECENT
        if row.type == "Warning" and recent and row.about not in seen and _IN_PROGRESS.search(row.message):
            seen.add(row.about)
            yield row


@rule(
    causes=(CAUSE,),
    observes=OBSERVED,
    digs=LOGS,
    explains=(*BACKENDS, *explains("application-exits-on-error", "init-container-failing", along=("owns",))),
)
def helm_release_pending(facts: Facts) -> Verdicts:
    """The words are Helm's own (pkg/action/action.go, errPending, v3.18)."""
    for row in _told(facts):
        there = facts.get(row.about)
        if facts.exists(row.about) is False or (there and row.about_uid not in {"", fields.uid_of(there)}):
            continue
        yield Finding(
            cause=CAUSE,
            object=row.about,
            severity="warning",
            confidence="likely",
            summary=f"Helm refuses to touch the release of {row.about} ({row.count} times so far): an earlier run was "
            "interrupted and left it pending. It has to be rolled back first.",
            evidence=(said(row),),
            since=row.first,
            next=(
                ask(
                    "get",
                    "which release it means, and in which namespace",
                    kind=row.about.kind.lower(),
                    name=row.about.name,
                    namespace=row.about.namespace,
                ),
            ),
        )
    for workload, pod, container, line in _logged(facts):
        yield Finding(
            cause=CAUSE,
            object=workload,
            severity="warning",
            confidence="likely",
            summary=f"Helm, which {workload} runs, refuses to touch its release: an earlier run was interrupted and "
            "left it pending. It has to be rolled back first.",
            evidence=(fact(pod, f"log[{container}]", line),),
            affects=(workload,),
            next=(ask("logs", "which release it means", pod=pod.name, container=container, namespace=pod.namespace),),
        )


def _logged(facts: Facts) -> Iterator[tuple[Ref, Ref, str, str]]:
    """Workloads whose container ended with such words: the workload, the pod, the container, the line."""
    seen: set[Ref] = set()
    for (namespace, name, container, _), content in facts.logs():
        pod = Ref(kinds.POD.kind, namespace, name)
        line = next((one.strip() for one in reversed(content.splitlines()) if _IN_PROGRESS.search(one[:4000])), "")
        if line and facts.workload(pod) not in seen:
            seen.add(facts.workload(pod))
            yield facts.workload(pod), pod, container, line
