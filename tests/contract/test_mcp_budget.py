"""Token budgets: little is cut, the least important first, and what was cut is said with the way to get it."""

from functools import reduce
from typing import ClassVar

import pytest
from builders import NOW, obj
from contract.server_doubles import Clusters
from doubles import FakeCluster
from pydantic import Field

from firstmate.answers import compact
from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.mcp import egress
from firstmate.runbooks.library import library
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.diagnosis.report import Diagnosis, Evidence, Explained, RootCause, RuledOut
from firstmate_tools.results import Answer, ClusterIdentity, Coverage, Cursor, Limit, Namespace, ObjectRef
from firstmate_tools.text import FreeText, untrusted
from firstmate_tools.toolspec import ToolSpec, spec_of, tool

pytestmark = pytest.mark.anyio


class Rows(Answer):
    lists: ClassVar[tuple[str, ...]] = ("lesser", "rows")

    lesser: list[str] = Field(default_factory=list)
    rows: list[str] = Field(default_factory=list)
    text: FreeText = untrusted("")


@tool(title="Paged", tokens=500)
async def paged(cluster: Cluster, limit: Limit = 50, cursor: Cursor = None) -> Rows:
    """Pages."""
    return Rows()


@tool(title="Scoped", tokens=2500)
async def scoped(cluster: Cluster, scope: str | None = None, namespace: Namespace = None) -> Diagnosis:
    """Diagnoses."""
    raise NotImplementedError


def spec_for(function: object) -> ToolSpec:
    found = spec_of(function)
    assert found is not None
    return found


def tokens(tree: dict[str, object]) -> int:
    return -(-len(compact(tree)) // 4)


def test_what_fits_is_left_alone() -> None:
    left = egress.answer(Rows(rows=["a"] * 50), spec_for(paged))
    assert left["rows"] == ["a"] * 50 and left["coverage"]["cut"] == []


def test_lists_are_shortened_from_their_end_the_least_important_first() -> None:
    left = egress.answer(Rows(lesser=["x" * 40] * 60, rows=[f"row-{n}" for n in range(60)]), spec_for(paged))
    assert tokens(left) <= 500
    assert left["rows"] == [f"row-{n}" for n in range(60)]
    assert 5 <= len(left["lesser"]) < 60
    assert left["coverage"]["cut"][0].startswith(f"lesser: the first {len(left['lesser'])} of 60")


def test_a_shortened_page_says_how_to_page_on_and_gives_no_cursor_that_would_skip() -> None:
    coverage = Coverage(returned=200, total=900, cursor="next-page")
    left = egress.answer(Rows(rows=["r" * 30] * 200, coverage=coverage), spec_for(paged))
    kept = len(left["rows"])
    assert 0 < kept < 200 and tokens(left) <= 500
    assert (
        f"rows: the first {kept} of 200; ask again with limit={kept} and follow coverage.cursor"
        in left["coverage"]["cut"]
    )
    assert "cursor" not in left["coverage"]
    assert (left["coverage"]["returned"], left["coverage"]["total"]) == (kept, 900)


def test_one_huge_text_loses_its_middle_and_stays_fenced() -> None:
    left = egress.answer(Rows(text=untrusted("begin " + "x" * 20_000 + " end")), spec_for(paged))
    mark = left["untrusted"][1:6]
    assert tokens(left) <= 500
    assert left["text"].startswith(f"<{mark}>begin ") and left["text"].endswith(f" end</{mark}>")
    assert any("characters" in note for note in left["coverage"]["cut"])


WIDE: dict[str, dict[str, object]] = {
    "many keys": {f"key-{n}": f"v{n}" for n in range(6000)},
    "many texts": {f"key-{n}": "some words " * 20 for n in range(900)},
    "long keys": {f"{n}" + "k" * 50_000: "v" for n in range(4)},
    "keys that are sentences": {f"some words {n} " * 50: "v" for n in range(400)},
    "many entries": {"list": [{"a": n, "b": [n] * 50} for n in range(2000)]},
    "a broad tree": reduce(lambda inner, _: {f"k{n}": inner for n in range(6)}, range(5), dict[str, object]()),
    "a deep one": reduce(lambda inner, _: {"further": inner}, range(150), {"x": "y " * 9000}),
}


@pytest.mark.parametrize("detail", ["concise", "detailed"])
@pytest.mark.parametrize("data", WIDE.values(), ids=WIDE)
async def test_an_object_of_any_shape_stays_within_the_budget_and_says_how_to_see_the_rest(
    data: dict[str, object], detail: str
) -> None:
    thing = {**obj("Thing", "wide", "shop", api="shop.example/v1"), "spec": data}
    calls = Calls(Clusters(prod=FakeCluster(thing)), all_tools())
    answer = await calls.call("get", {"kind": "things", "name": "wide", "namespace": "shop", "detail": detail})
    left = egress.answer(answer, calls.find("get"))
    assert tokens(left) <= calls.find("get").tokens
    assert left["object"]["metadata"]["name"] == "wide"
    assert any("shows more" in note or "prints the whole" in note for note in left["coverage"]["cut"])


async def test_every_runbook_leaves_whole() -> None:
    calls = Calls(Clusters(), all_tools())
    for slug in library().slugs:
        left = egress.answer(await calls.call("get_runbook", {"runbook": slug}), calls.find("get_runbook"))
        assert left["coverage"]["cut"] == [] and left["text"] == library().find(slug).text, slug


def diagnosis(roots: int) -> Diagnosis:
    at = ObjectRef(kind="Deployment", namespace="shop", name="cart")
    root = RootCause(
        cause="image-not-found",
        object=at,
        severity="critical",
        confidence="certain",
        summary="It has no image.",
        evidence=[Evidence(object=at, field="spec.image", value=untrusted("m" * 200))] * 6,
        affects=[at] * 10,
        explains=[Explained(cause="x", object=at)] * 40,
        runbook="image-pull-not-found",
    )
    return Diagnosis(
        cluster=ClusterIdentity(name="prod"),
        observed_at=NOW,
        scope="cluster",
        outcome="problems_found",
        root_causes=[root] * roots,
        ruled_out=[RuledOut(cause="c", why="w" * 50)] * 10,
    )


def test_many_root_causes_keep_their_names_before_their_details() -> None:
    left = egress.answer(diagnosis(8), spec_for(scoped))
    assert tokens(left) <= 2500
    assert len(left["root_causes"]) == 8
    assert "at most" in " ".join(left["coverage"]["cut"])


def test_fifty_root_causes_stay_within_the_budget_and_say_what_is_missing() -> None:
    left = egress.answer(diagnosis(50), spec_for(scoped))
    assert tokens(left) <= 2500
    kept = len(left["root_causes"])
    notes = left["coverage"]["cut"]
    assert 5 <= kept < 50
    assert f"root_causes: the first {kept} of 50; ask again with a narrower `scope` or `namespace`" in notes


def test_the_answer_itself_is_not_changed() -> None:
    given = diagnosis(50)
    egress.answer(given, spec_for(scoped))
    assert len(given.root_causes) == 50 and len(given.root_causes[0].explains) == 40
