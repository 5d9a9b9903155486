"""`search_runbooks` and `firstmate runbooks search`: hits with reasons, none where none fits, no cluster unasked."""

import asyncio
import stat
from pathlib import Path
from typing import Any

import pytest
from contract.cli import run
from contract.server_doubles import Clusters, shop

from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.runbooks.library import library
from firstmate.runbooks.search import engine as searching
from firstmate.runbooks.search.corpus import ASKED, ELSEWHERE, phrases
from firstmate.runbooks.search.engine import Engine
from firstmate.runbooks.search.store import Store
from firstmate.tools.search_runbooks import RunbookHits
from firstmate_tools.text import without_quotes

PULL = 'Failed to pull image "registry.shop.example/cart:2": registry.shop.example/cart:2: not found'


@pytest.fixture(scope="module", autouse=True)
def words_only(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Search as without the extra, in a cache of its own."""
    engine = Engine(library(), Store(tmp_path_factory.mktemp("cache") / "search"), encoder="")
    patched = pytest.MonkeyPatch()
    patched.setattr(searching, "engine", lambda books=None: engine)
    yield engine
    patched.undo()


class Forbidden(Clusters):
    """Clusters that nobody may ask."""

    def source(self, name: str | None = None) -> Any:
        raise AssertionError("a cluster was asked")


def search(query: str, clusters: Clusters | None = None, **more: object) -> RunbookHits:
    calls = Calls(clusters or Forbidden(), all_tools())
    answer = asyncio.run(calls.call("search_runbooks", {"query": query, **more}))
    assert isinstance(answer, RunbookHits)
    return answer


@pytest.mark.parametrize(
    ("query", "slug"),
    [
        ("Last State: Terminated, Reason: OOMKilled, Exit Code: 137", "oomkilled"),
        (
            'Error creating: pods "x" is forbidden: exceeded quota: team, requested: limits.cpu=2',
            "resourcequota-exceeded",
        ),
        ("AccessDenied: Not authorized to perform sts:AssumeRoleWithWebIdentity", "irsa-assume-role-denied"),
        ("coredns-config-invalid", "coredns-resolution-failure"),
        ("rollout-stuck", "rollout-stuck"),
        ("databse has no space left, its persistent volme is 100% full", "volume-expansion-full"),
    ],
)
def test_the_runbook_for_it_comes_first_and_says_why(query: str, slug: str) -> None:
    found = search(query)
    assert not found.none_fits and found.runbooks[0].slug == slug
    assert found.runbooks[0].why and 0 < found.runbooks[0].score <= 1
    assert found.runbooks[0].title == library().get(slug).title
    scores = [hit.score for hit in found.runbooks]
    assert scores == sorted(scores, reverse=True) and len(scores) == 5


def test_a_known_error_text_is_told_with_its_cause() -> None:
    why = search(PULL).runbooks[0].why
    assert any("does not exist in the registry" in without_quotes(one) for one in why)


def test_as_many_as_are_asked_for() -> None:
    assert len(search("pod is Pending", limit=2).runbooks) == 2


@pytest.mark.parametrize("query", ["terraform state lock cannot be acquired", "a recipe for apple cake", "zxqv wvut"])
def test_where_none_fits_it_says_so_with_near_misses(query: str) -> None:
    found = search(query)
    assert found.none_fits and not found.runbooks and found.because
    assert all(near.why_not for near in found.near_misses)


@pytest.mark.parametrize("query", ["", "  \n", "🙂🙂", "\x00\x1b[31m\u202e", "\"'(*^{}:-", "?"])
def test_what_holds_no_words_gets_a_clear_answer(query: str) -> None:
    found = search(query)
    assert found.none_fits and found.because


def test_a_large_paste_is_no_error() -> None:
    paste = (
        "I0101 some line of a log that says nothing\n" * 1200 + "kernel: Memory cgroup out of memory: Killed process"
    )
    assert search(paste).runbooks[0].slug in {"oomkilled", "node-memory-pressure-oom"}


def test_without_meaning_it_searches_by_words_and_says_so() -> None:
    found = search("OOMKilled")
    assert found.searched == "by words, not by meaning"
    assert [(one.what, one.why) for one in found.coverage.not_checked] == [("meaning of the question", "not_installed")]


def test_what_the_cluster_shows_ranks_too_where_it_is_asked_for() -> None:
    vague = "deployment does not come up"
    alone = {hit.slug: hit.score for hit in search(vague, limit=20).runbooks}
    shown = search(vague, Clusters(prod=shop()), namespace="shop", limit=20)
    hit = next(hit for hit in shown.runbooks if hit.slug == "image-pull-not-found")
    assert hit.score > alone.get(hit.slug, 0.0)
    assert "the cluster shows image-not-found now: Deployment" in without_quotes(hit.why[0])
    assert "what the cluster shows" in shown.coverage.checked


def test_every_runbook_has_ways_of_asking_for_it() -> None:
    asked = phrases(ASKED)
    assert set(library().slugs) <= set(asked)
    assert all(len(each) >= 4 for each in asked.values()) and phrases(ELSEWHERE)


def test_what_was_made_is_kept_for_this_user_alone_and_used_again(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    Engine(library(), Store(place), encoder="").search("x")
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    before = {path.name: path.stat().st_mtime_ns for path in place.iterdir()}
    assert len(before) == 2
    first = Engine(library(), Store(place), encoder="").search("OOMKilled").ranked
    assert {path.name: path.stat().st_mtime_ns for path in place.iterdir()} == before
    for path in place.iterdir():
        path.write_bytes(b"damaged")
    assert Engine(library(), Store(place), encoder="").search("OOMKilled").ranked == first


def test_a_folder_that_others_may_write_is_not_used(tmp_path: Path) -> None:
    place = tmp_path / "cache"
    place.mkdir()
    place.chmod(0o777)
    store = Store(place)
    assert not store.keep("index", "k", b"x") and store.read("index", "k") is None


def test_the_command_finds_and_explains() -> None:
    done = run("runbooks", "search", "OOMKilled exit 137", "--snapshot", "demo")
    assert done.code == 0 and done.out.startswith("oomkilled  ")
    assert "Searched by words" in done.out
    none = run("runbooks", "search", "recipe for apple cake", "--snapshot", "demo")
    assert none.code == 0 and none.out.startswith("No runbook fits.")
