"""Recordings of replay cases: what a cut keeps, that it answers as the whole does, that it is made the same twice."""

import asyncio
from pathlib import Path

import pytest

from evals.lab.runbooks import parameters_for
from evals.lab.scenario import load
from evals.replay.cutting import cut, everything, without_system
from evals.replay.noting import NotingSource
from firstmate.cli.recordings import tools_over
from firstmate.runbooks.library import library
from firstmate_tools.cluster.archive import open_files
from firstmate_tools.cluster.files import Limits
from firstmate_tools.cluster.snapshot import SnapshotSource
from firstmate_tools.errors import FirstmateError

DEMO = Path(__file__).parents[1] / "server" / "firstmate" / "data" / "demo.tar.gz"
SCENARIOS = Path(__file__).parents[1] / "evals" / "scenarios"


async def _asked(source: SnapshotSource, tool: str, **arguments: object) -> object:
    async with tools_over(source) as tools:
        return await tools(tool, arguments)


def _noted() -> NotingSource:
    source = NotingSource("replay", DEMO)
    asyncio.run(_asked(source, "diagnose", namespace="storefront"))
    return source


def test_a_cut_answers_the_question_that_it_was_made_for_as_the_whole_does(tmp_path: Path) -> None:
    to = tmp_path / "demo.tar.gz"
    size = cut(DEMO, to, _noted().notes)
    whole, small = (
        asyncio.run(_asked(SnapshotSource("replay", path), "diagnose", namespace="storefront")) for path in (DEMO, to)
    )
    assert whole["root_causes"]
    assert small == whole
    assert size == to.stat().st_size < DEMO.stat().st_size


def test_what_was_cut_away_is_not_there_to_be_asked_and_never_empty(tmp_path: Path) -> None:
    to = tmp_path / "demo.tar.gz"
    cut(DEMO, to, _noted().notes)
    assert asyncio.run(_asked(SnapshotSource("replay", DEMO), "pod_status", namespace="orders"))["pods"]
    with pytest.raises(FirstmateError, match="holds no pods"):
        asyncio.run(_asked(SnapshotSource("replay", to), "pod_status", namespace="orders"))


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "1.tar.gz", tmp_path / "2.tar.gz"
    cut(DEMO, first, _noted().notes)
    cut(DEMO, second, _noted().notes)
    assert first.read_bytes() == second.read_bytes()


def test_roles_of_the_system_go_and_those_of_people_stay(tmp_path: Path) -> None:
    notes = _noted().notes
    notes.lists.add(("clusterroles.rbac.authorization.k8s.io", None))
    held = {}
    for name, keeps in (("all", everything), ("some", without_system)):
        cut(DEMO, tmp_path / f"{name}.tar.gz", notes, keeps)
        files = open_files(tmp_path / f"{name}.tar.gz", Limits())
        held[name] = files.read("objects/clusterroles.rbac.authorization.k8s.io/_cluster.jsonl")
        files.close()
    assert b'"name":"system:node"' in held["all"]
    assert b'"name":"system:' not in held["some"]
    assert b'"name":"cluster-admin"' in held["some"]


def test_a_scenario_gives_a_runbook_its_object_and_where_that_is() -> None:
    one = load(SCENARIOS / "oom-crashloop-search")
    book = library().get("oomkilled")
    assert parameters_for(book, one, None) == {"namespace": "search"}
    assert parameters_for(book, one, "oom-killed-container-limit") == {
        "namespace": "search",
        "workload": "deployment/search-api",
    }
