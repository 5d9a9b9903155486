"""`firstmate runbooks test`: the cases of evals/replay pass and take most ways, and a case that is wrong is told."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from contract.cli import run

from firstmate.runbooks.expressions import compiled
from firstmate.runbooks.library import library
from firstmate.runbooks.outcome import End, Visited
from firstmate.runbooks.replay.cases import CaseError, cases_in
from firstmate.runbooks.replay.coverage import taken, ways_of
from firstmate.runbooks.replay.ending import cause_of
from firstmate.runbooks.runner import begin

REPLAY = Path(__file__).parents[2] / "evals" / "replay"
DEMO = Path(__file__).parents[2] / "server" / "firstmate" / "data" / "demo.tar.gz"
FOUNDATION = (
    "unschedulable-resources",
    "unschedulable-taints-affinity",
    "resourcequota-exceeded",
    "limitrange-violation",
    "service-account-missing",
    "pod-security-violation",
    "admission-webhook-failure",
    "image-pull-not-found",
    "image-pull-auth",
    "crashloop-container-exits",
    "oomkilled",
    "init-container-stuck",
    "config-reference-missing",
    "liveness-probe-killing",
    "readiness-probe-failing",
    "service-no-endpoints",
)
ONE_WAY = {
    ("admission-webhook-failure", "is_a_hook"),
    ("config-reference-missing", "since_when"),
    ("image-pull-auth", "since_when"),
    ("liveness-probe-killing", "since_when"),
    ("oomkilled", "since_when"),
    ("unschedulable-resources", "asks_for_more"),
    ("unschedulable-taints-affinity", "since_when"),
}
"""Decisions whose other way no recorded scenario takes: mostly a change of the template just before the fault."""
NO_SCENARIO = {
    "cpu-throttling",
    "dns-latency-ndots-conntrack",
    "instance-network-allowance",
    "nlb-hairpin-timeout",
    "pod-identity-failure",
    "workload-availability-gaps",
}
"""No recorded diagnosis names a cause of theirs: they want Prometheus, AWS, or a scenario that nobody has written."""
GOOD = {
    "snapshot": "snapshots/demo.tar.gz",
    "scenario": "demo",
    "params": {"namespace": "storefront"},
    "must_reach": ["go_back"],
    "ends": "proposed",
    "cause": "image-not-found",
}


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """A folder of cases with the recording of the demo."""
    (tmp_path / "snapshots").mkdir()
    shutil.copy(DEMO, tmp_path / "snapshots" / "demo.tar.gz")
    (tmp_path / "image-pull-not-found").mkdir()
    return tmp_path


def write(cases: Path, name: str = "one", **changes: object) -> None:
    fields = {key: value for key, value in {**GOOD, **changes}.items() if value is not None}
    (cases / "image-pull-not-found" / f"{name}.yaml").write_text(yaml.safe_dump(fields, sort_keys=False))


def played(cases: Path, *more: str) -> tuple[int, dict[str, object]]:
    done = run("runbooks", "test", "--cases", str(cases), "--format", "json", *more)
    return done.code, json.loads(done.out)


def test_every_bundled_case_passes_and_most_ways_are_taken() -> None:
    code, found = played(REPLAY, "--floor", "0.75")
    assert code == 0, [one for one in found["cases"] if not one["passed"]] or found["share"]
    one_way: set[tuple[str, str]] = set()
    for slug in FOUNDATION:
        gone = _taken(found, slug)
        decides = [placed.step.id for placed in library().get(slug).steps if placed.step.kind == "decide"]
        one_way |= {(slug, id_) for id_ in decides if sum(way == id_ for way, _ in gone) < 2}
    assert one_way == ONE_WAY


def _taken(found: dict[str, object], slug: str) -> set[tuple[str, str]]:
    never = set(found["runbooks"][slug]["never"])
    return {(id_, key) for id_, key in ways_of(library().get(slug)) if f"{id_}.{key}" not in never}


def test_snapshots_are_small_and_each_is_used() -> None:
    used = {name for one in cases_in(REPLAY) for name in (one.case.snapshot, one.case.then_on) if name}
    held = {f"snapshots/{path.name}": path.stat().st_size for path in (REPLAY / "snapshots").iterdir()}
    assert held.keys() == used
    assert max(held.values()) <= 100_000
    assert sum(held.values()) <= 4_000_000


def test_every_runbook_has_a_case_that_ends_in_a_cause_and_one_that_does_not() -> None:
    causes: dict[str, set[str]] = {}
    for one in cases_in(REPLAY):
        causes.setdefault(one.slug, set()).add(one.case.cause)
    assert all("none" in ended for ended in causes.values())
    assert {slug for slug, ended in causes.items() if not ended & set(library().get(slug).causes)} == NO_SCENARIO


def test_a_case_says_which_way_its_run_went(cases: Path) -> None:
    write(cases)
    code, found = played(cases)
    assert code == 0
    assert found["cases"][0]["path"][-1] == "go_back"
    assert 0 < found["share"] < 1
    assert "oomkilled" in found["without_cases"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"must_reach": ["fixed_by_hand_never"]}, "there is no step"),
        ({"must_reach": ["ask_firstmate"], "must_not_reach": ["go_back"]}, "reached go_back"),
        ({"ends": "concluded"}, "ended proposed, not concluded"),
        ({"cause": "none"}, "ended in image-not-found, not in none"),
        ({"denied": ["ask_firstmate"]}, "did not reach go_back"),
        ({"then_on": "snapshots/demo.tar.gz"}, "ended escalated, not proposed"),
    ],
)
def test_a_run_that_goes_otherwise_fails_its_case(cases: Path, changes: dict[str, object], words: str) -> None:
    write(cases, **changes)
    code, found = played(cases)
    assert code == 1
    assert any(words in one for one in found["cases"][0]["wrong"]), found["cases"][0]["wrong"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"must_raech": ["go_back"]}, "one.yaml:9: must_raech: unknown key; `must_reach`?"),
        ({"snapshot": "snapshots/gone.tar.gz"}, "one.yaml:1: snapshot: no file snapshots/gone.tar.gz"),
        ({"snapshot": "../demo.tar.gz"}, "one.yaml:1: snapshot: no file"),
        ({"ends": "somehow"}, "one.yaml:7: ends: "),
        ({"must_reach": None}, "must_reach: Field required"),
    ],
)
def test_a_case_that_is_none_is_told_with_its_line(cases: Path, changes: dict[str, object], words: str) -> None:
    write(cases, **changes)
    with pytest.raises(CaseError) as told:
        cases_in(cases)
    assert words in told.value.message
    assert run("runbooks", "test", "--cases", str(cases)).code == 2


def test_too_little_coverage_fails(cases: Path) -> None:
    write(cases)
    assert run("runbooks", "test", "--cases", str(cases), "--floor", "0.9").code == 1
    assert run("runbooks", "test", "--cases", str(cases), "--floor", "0.1").code == 0


def test_a_run_that_calls_people_has_the_cause_that_its_decision_named() -> None:
    book = library().get("image-pull-not-found")
    decide = next(one.step for one in book.steps if one.step.kind == "decide")
    branch = next(one for one in decide.decide if "'image-not-found'" in one.when)
    assert compiled(branch.when).parsed["type"]
    state = begin(book, {"namespace": "shop"}, {})
    state.visited.append(Visited(id=decide.id, kind="decide", outcome=branch.reading))
    state.end = End(ended="escalated")
    assert cause_of(state) == "image-not-found"
    state.end = End(ended="inconclusive")
    assert cause_of(state) == "none"
    assert taken(book, state.visited) == {(decide.id, f"decide.{decide.decide.index(branch)}")}
