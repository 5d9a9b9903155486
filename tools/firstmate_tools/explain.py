"""The `explain` tool: from an error text to the causes that write it, and which of them hold in the cluster now."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from firstmate_tools.cluster.base import Cluster
from firstmate_tools.diagnose import rule_reads
from firstmate_tools.diagnosis.causes import CAUSES
from firstmate_tools.diagnosis.engine import diagnose as run
from firstmate_tools.diagnosis.errortexts import Match, likely, match
from firstmate_tools.diagnosis.report import Diagnosis, RootCause
from firstmate_tools.diagnosis.rule import all_rules
from firstmate_tools.diagnosis.scope import Scope, parse_scope
from firstmate_tools.diagnosis.telling import SIGNS
from firstmate_tools.errors import UsageError
from firstmate_tools.results import Coverage, Model, Namespace, ObjectRef, Outcome, Result
from firstmate_tools.text import FreeText, Words, untrusted
from firstmate_tools.toolspec import tool

MOST_CAUSES = 12


class Candidate(Model):
    """A cause that writes such a text."""

    cause: str
    title: Words
    text: FreeText = Field(description="The part of the error that it writes")
    author: Words = Field(description="Who writes it")
    sign: Words | None = Field(default=None, description="By what it is told from the others")
    now: Literal["found", "not_found", "not_checked"] = Field(
        description="Whether the cluster shows it at this moment; not_checked is unknown"
    )
    objects: list[ObjectRef] = Field(default_factory=list[ObjectRef], description="Where it was found")
    runbook: str


class Explanation(Result):
    """What an error means: its causes, those that the cluster shows now first."""

    lists: ClassVar[tuple[str, ...]] = ("causes", "root_causes")

    known: bool = Field(description="False: no text is known that reads like this error")
    scope: Words = Field(description="Where was looked")
    outcome: Outcome = Field(description="Of the diagnosis of that scope")
    causes: list[Candidate] = Field(default_factory=list[Candidate])
    root_causes: list[RootCause] = Field(
        default_factory=list[RootCause],
        description="What is at the root of what was found, with evidence; where no text is known, of anything",
    )


@tool(title="Explain an error text", reads=rule_reads, deadline_s=60.0, tokens=2500)
async def explain(
    cluster: Cluster,
    error: Annotated[
        str, Field(description="Log line, event, kubectl or API error, as it is", min_length=3, max_length=20_000)
    ],
    scope: Annotated[
        str | None, Field(description="Where it was seen: namespace/NAME or KIND/NAME", max_length=400)
    ] = None,
    namespace: Namespace = None,
) -> Explanation:
    """What does this error mean? The causes that produce such a text, by what they are told apart, and which of them
    hold now. For an error without a place; with one, `diagnose` says more. Give scope or namespace where known."""
    found = await _diagnosis(cluster, error, scope, namespace)
    candidates = [_candidate(cause, by, found) for cause, by in likely(match(error)).items()]
    candidates.sort(key=lambda one: one.now != "found")
    present = {one.cause for one in candidates if one.now == "found"}
    roots = [root for root in found.root_causes if {root.cause, *(e.cause for e in root.explains)} & present]
    return Explanation(
        cluster=found.cluster,
        observed_at=found.observed_at,
        known=bool(candidates),
        scope=found.scope,
        outcome=found.outcome,
        causes=candidates[:MOST_CAUSES],
        root_causes=roots if candidates else found.root_causes,
        coverage=_coverage(found.coverage, len(candidates)),
    )


_NAMESPACE = re.compile(
    r"system:serviceaccount:([a-z0-9-]{1,63}):|in (?:the )?namespace:? \"?([a-z0-9-]{1,63})\b|\bns/([a-z0-9-]{1,63})\b"
)


async def _diagnosis(cluster: Cluster, error: str, scope: str | None, namespace: str | None) -> Diagnosis:
    """Of what the caller names; else of the namespace that the error names, where there is one; else of the cluster."""
    if scope is not None or namespace is not None:
        return await run(cluster, parse_scope(scope, namespace, cluster.default_namespace))
    named = _NAMESPACE.search(error)
    if named is not None:
        try:
            return await run(cluster, Scope(namespace=next(filter(None, named.groups()))))
        except UsageError:
            pass  # the error is of another cluster, or the word was none
    return await run(cluster, Scope())


def _candidate(cause: str, by: Match, found: Diagnosis) -> Candidate:
    row = CAUSES[cause]
    objects = [root.object for root in found.root_causes if root.cause == cause]
    objects += [e.object for root in found.root_causes for e in root.explains if e.cause == cause]
    state: Literal["found", "not_found", "not_checked"] = "found" if objects else "not_found"
    if not objects and not _looked(cause, found.coverage):
        state = "not_checked"
    return Candidate(
        cause=cause,
        title=row.title,
        text=untrusted(by.part),
        author=by.text.author,
        sign=SIGNS.get(cause),
        now=state,
        objects=objects[:5],
        runbook=row.runbook,
    )


def _looked(cause: str, coverage: Coverage) -> bool:
    """Whether a rule judges this cause, and nothing that the rule reads was left unread.

    What only a log tells is never known to be absent: few logs are read, and the one that tells may have been cut.
    """
    if CAUSES[cause].source == "logs":
        return False
    unread = {entry.what for entry in coverage.not_checked}
    rules = [rule for rule in all_rules() if cause in rule.causes]
    return bool(rules) and not any(read.resource in unread for rule in rules for read in rule.reads())


def _coverage(given: Coverage, candidates: int) -> Coverage:
    cut = list(given.cut)
    if candidates > MOST_CAUSES:
        cut.append(f"{candidates - MOST_CAUSES} less likely causes; give less of the error to see them")
    return given.model_copy(update={"cut": cut})
