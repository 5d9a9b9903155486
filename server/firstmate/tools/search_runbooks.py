"""The `search_runbooks` tool: from what somebody sees, pastes or suspects to the runbook for it, and why that one.

Without a scope no cluster is asked. With one, `diagnose` is asked as by any caller, and runbooks whose causes the
cluster shows move up; where it cannot be asked, the answer says so and stands on the question alone.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, cast

from pydantic import Field

from firstmate.runbooks.library import Library
from firstmate_tools.diagnose import rule_reads
from firstmate_tools.errors import ReadError, UsageError
from firstmate_tools.results import Answer, Coverage, Model, NotChecked
from firstmate_tools.text import Words, inline
from firstmate_tools.toolspec import tool

if TYPE_CHECKING:  # search loads SQLite, which a server that starts does not need
    from firstmate.runbooks.search.engine import Found

_SHOWN = 2.0
"""What a cause that the cluster shows adds to its runbook's score: more than any known error text."""


class Asking(Protocol):
    """What asks other tools; see `firstmate.calls.Asking`."""

    @property
    def runbooks(self) -> Library: ...
    async def ask(self, tool: str, arguments: Mapping[str, object], cluster: str | None) -> dict[str, Any]: ...


class Hit(Model):
    """A runbook that fits."""

    slug: str
    title: Words
    score: float = Field(description="How probable it is that this is the one, 0 to 1")
    why: list[Words]


class NearMiss(Model):
    """A runbook that comes near and does not fit."""

    slug: str
    title: Words
    why_not: Words


class RunbookHits(Answer):
    """Runbooks for a question, best first."""

    lists: ClassVar[tuple[str, ...]] = ("near_misses", "runbooks")

    runbooks: list[Hit] = Field(default_factory=list[Hit])
    none_fits: bool = Field(description="No runbook is for this: say so, and do not take a near miss")
    because: Words | None = Field(default=None, description="Why none fits")
    near_misses: list[NearMiss] = Field(default_factory=list[NearMiss])
    searched: Words = Field(description="By what")


@tool(title="Find a runbook", given="calls", reads=rule_reads, deadline_s=60.0, tokens=1500)
async def search_runbooks(
    asking: Asking,
    query: Annotated[str, Field(description="Error, event, alert, symptom: as it is", max_length=1_000_000)],
    limit: Annotated[int, Field(ge=1, le=20)] = 5,
    scope: Annotated[str | None, Field(description="What it shows ranks, too", max_length=400)] = None,
    namespace: Annotated[str | None, Field(max_length=253)] = None,
    cluster: Annotated[str | None, Field(max_length=1000)] = None,
) -> RunbookHits:
    """Which runbook is for this? Finds them by names, error texts, words and meaning. Where the cluster can be asked,
    `diagnose` names the runbook with proof."""
    coverage = Coverage(checked=["runbooks"])
    shown: dict[str, tuple[float, str]] = {}
    if scope is not None or namespace is not None:
        shown, left = await _shown(asking, scope, namespace, cluster)
        checked = ["runbooks"] if left else ["runbooks", "what the cluster shows"]
        coverage = coverage.model_copy(update={"checked": checked, "not_checked": left})
    return await asyncio.to_thread(_answer, asking.runbooks, query, shown, limit, coverage)


async def _shown(
    asking: Asking, scope: str | None, namespace: str | None, cluster: str | None
) -> tuple[dict[str, tuple[float, str]], list[NotChecked]]:
    """What a diagnosis adds to runbooks, with the words for it; or why there was none."""
    given = {name: value for name, value in (("scope", scope), ("namespace", namespace)) if value is not None}
    try:
        tree = await asking.ask("diagnose", given, cluster)
    except UsageError:
        raise
    except ReadError as error:
        return {}, [NotChecked.of("what the cluster shows", error)]
    added: dict[str, tuple[float, str]] = {}
    for root in cast("list[dict[str, Any]]", tree.get("root_causes", [])):
        if root["severity"] != "info":
            words = f"the cluster shows {root['cause']} now: {_object(root['object'])}"
            added.setdefault(str(root["runbook"]), (_SHOWN, words))
    return added, []


def _object(ref: Mapping[str, Any]) -> str:
    place = f"{ref['namespace']}/" if ref.get("namespace") else ""
    return f"{ref['kind']} {inline(place + str(ref['name']))}"


def _answer(
    books: Library, query: str, shown: Mapping[str, tuple[float, str]], limit: int, coverage: Coverage
) -> RunbookHits:
    from firstmate.runbooks.search.engine import engine
    from firstmate.runbooks.search.reasons import Reasons

    searching = engine(books)
    found = searching.search(query, {slug: one[0] for slug, one in shown.items()})
    reasons = Reasons(searching, found)
    first = [*found.ranked.scores][:limit]
    left = [*coverage.not_checked, *_unheard(found)]
    whole = coverage.model_copy(update={"not_checked": left, "returned": len(first), "total": len(found.heard.slugs)})
    searched = f"by words and by meaning ({found.model})" if found.mode == "fused" else "by words, not by meaning"
    if found.ranked.none_fits:
        misses = (
            [NearMiss(slug=slug, title=searching.title(slug), why_not=reasons.why_not(slug)) for slug in first[:3]]
            if query.strip()
            else []
        )
        return RunbookHits(
            none_fits=True,
            because=reasons.none(query),
            near_misses=misses,
            searched=searched,
            coverage=whole.model_copy(update={"returned": 0}),
        )
    hits = [
        Hit(
            slug=slug,
            title=searching.title(slug),
            score=round(found.ranked.shares[slug], 3),
            why=[*([shown[slug][1]] if slug in shown else []), *reasons.why(slug)],
        )
        for slug in first
    ]
    return RunbookHits(runbooks=hits, none_fits=False, searched=searched, coverage=whole)


def _unheard(found: "Found") -> Sequence[NotChecked]:
    """Why meaning was not asked, where it was not."""
    what = "meaning of the question"
    if found.mode == "fused" or not found.heard.words.terms:
        return []
    if found.meaning == "loading":
        return [NotChecked(what=what, why="not_collected", how_to_enable="The model is being loaded: ask again soon.")]
    if found.meaning == "failed":
        return [NotChecked(what=what, why="failed", how_to_enable="The log on stderr says why.")]
    return [NotChecked(what=what, why="not_installed", how_to_enable="pip install 'firstmate[semantic]'")]
