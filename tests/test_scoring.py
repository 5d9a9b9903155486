"""Marks for answers: what is first, what is in three, what is a false alarm, what is noise."""

from __future__ import annotations

from typing import Any

import pytest

from evals.lab.report import Result, missed, root_causes, totals
from evals.lab.scenario import Expect, ObjectRef
from evals.lab.score import WRONG, Score, counts_as, score

CART = "Deployment/shop/cart"


def root(cause: str, where: str = CART, severity: str = "critical") -> dict[str, Any]:
    kind, namespace, name = where.split("/")
    place = {"kind": kind, "name": name} | ({"namespace": namespace} if namespace else {})
    return {"cause": cause, "object": place, "severity": severity}


def answer(*roots: dict[str, Any], ruled_out: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"root_causes": list(roots), "ruled_out": [{"cause": cause, "why": "seen"} for cause in ruled_out]}


def expect(*causes: str, **fields: Any) -> Expect:
    if not {"object", "objects"} & fields.keys():
        fields["object"] = CART
    return Expect.model_validate({"root_causes": causes, **fields})


HEALTHY = Expect(healthy=True)
OOM, EXITS, QUOTA, SELECTOR = (
    "oom-killed-container-limit",
    "application-exits-on-error",
    "quota-exceeded",
    "service-selector-mismatch",
)
TWO = {"objects": (CART, "ResourceQuota/shop/q")}

TABLE: list[tuple[str, Expect, dict[str, Any] | None, Score]] = [
    ("right and alone", expect(OOM), answer(root(OOM)), Score(True, True, 0, 0)),
    ("no answer at all", expect(OOM), None, WRONG),
    ("nothing found", expect(OOM), answer(), Score(False, False, 0, 0)),
    ("second", expect(OOM), answer(root(EXITS), root(OOM)), Score(False, True, 0, 1)),
    (
        "third",
        expect(OOM),
        answer(root(EXITS), root(QUOTA), root(OOM)),
        Score(False, True, 0, 2),
    ),
    (
        "fourth is too late",
        expect(OOM),
        answer(root(EXITS), root(QUOTA), root(SELECTOR), root(OOM)),
        Score(False, False, 0, 3),
    ),
    ("right slug, wrong object", expect(OOM), answer(root(OOM, "Deployment/shop/web")), Score(False, False, 0, 1)),
    ("right slug, wrong namespace", expect(OOM), answer(root(OOM, "Deployment/dev/cart")), Score(False, False, 0, 1)),
    ("cluster-scoped", expect(OOM, object="Node//n1"), answer(root(OOM, "Node//n1")), Score(True, True, 0, 0)),
    (
        "a pod is not its workload, unless that is listed",
        expect(OOM),
        answer(root(OOM, "Pod/shop/cart-5d79f54576-hcmvm")),
        Score(False, False, 0, 1),
    ),
    (
        "a pod of a listed workload counts",
        expect(OOM, object="Node//n1", also_objects=[CART]),
        answer(root(OOM, "Pod/shop/cart-5d79f54576-hcmvm")),
        Score(True, True, 0, 0),
    ),
    (
        "the listed workload counts",
        expect(OOM, object="Node//n1", also_objects=[CART]),
        answer(root(OOM)),
        Score(True, True, 0, 0),
    ),
    (
        "said of two objects that are both right: no noise",
        expect(OOM, object="Node//n1", also_objects=[CART]),
        answer(root(OOM), root(OOM, "Node//n1")),
        Score(True, True, 0, 0),
    ),
    (
        "acceptable in the first place",
        expect(OOM, also_acceptable=[EXITS]),
        answer(root(EXITS)),
        Score(True, True, 0, 0),
    ),
    (
        "acceptable in the second place is no noise",
        expect(OOM, also_acceptable=[EXITS]),
        answer(root(OOM), root(EXITS, "Deployment/shop/other")),
        Score(True, True, 0, 0),
    ),
    (
        "acceptable in the second place is not the answer",
        expect(OOM, also_acceptable=[EXITS]),
        answer(root(QUOTA), root(EXITS)),
        Score(False, False, 0, 1),
    ),
    (
        "acceptable, but of another object",
        expect(OOM, also_acceptable=[EXITS]),
        answer(root(EXITS, "Deployment/shop/other"), root(OOM)),
        Score(False, True, 0, 0),
    ),
    (
        "must not be a root",
        expect(OOM, must_not=[QUOTA]),
        answer(root(OOM), root(QUOTA)),
        Score(True, True, 1, 0),
    ),
    (
        "may be ruled out",
        expect(OOM, must_not=[QUOTA]),
        answer(root(OOM), ruled_out=(QUOTA,)),
        Score(True, True, 0, 0),
    ),
    (
        "information is no noise",
        expect(OOM),
        answer(root(OOM), root("workload-availability-gaps", severity="info")),
        Score(True, True, 0, 0),
    ),
    (
        "two faults, both named, in the other order",
        expect(OOM, QUOTA, **TWO),
        answer(root(QUOTA, "ResourceQuota/shop/q"), root(OOM)),
        Score(True, True, 0, 0),
    ),
    (
        "two faults, one named",
        expect(OOM, QUOTA, **TWO),
        answer(root(OOM)),
        Score(True, False, 0, 0),
    ),
    (
        "two faults, objects swapped",
        expect(OOM, QUOTA, **TWO),
        answer(root(OOM, "ResourceQuota/shop/q"), root(QUOTA, CART)),
        Score(False, False, 0, 2),
    ),
    (
        "two faults after a wrong one",
        expect(OOM, QUOTA, **TWO),
        answer(root(EXITS), root(OOM), root(QUOTA, "ResourceQuota/shop/q")),
        Score(False, True, 0, 1),
    ),
    (
        "two faults, the second too late",
        expect(OOM, QUOTA, **TWO),
        answer(root(OOM), root(EXITS), root(SELECTOR), root(QUOTA, "ResourceQuota/shop/q")),
        Score(True, False, 0, 2),
    ),
    (
        "two faults at one object each, only the first given: the second by its slug",
        expect(OOM, QUOTA),
        answer(root(OOM), root(QUOTA, "ResourceQuota/shop/any")),
        Score(True, True, 0, 0),
    ),
    ("silent when healthy", HEALTHY, answer(), Score(True, True, 0, 0)),
    ("information when healthy", HEALTHY, answer(root(OOM, severity="info")), Score(True, True, 0, 0)),
    ("a warning when healthy", HEALTHY, answer(root(OOM, severity="warning")), Score(False, False, 1, 0)),
    ("two alarms when healthy", HEALTHY, answer(root(OOM), root(EXITS, severity="warning")), Score(False, False, 2, 0)),
    ("no answer when healthy", HEALTHY, None, WRONG),
]


@pytest.mark.parametrize(("expected", "given", "marks"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_marks(expected: Expect, given: dict[str, Any] | None, marks: Score) -> None:
    assert score(expected, given) == marks


@pytest.mark.parametrize(
    ("given", "listed", "counts"),
    [
        ("Pod/shop/cart-5d79f54576-hcmvm", CART, True),
        ("ReplicaSet/shop/cart-5d79f54576", CART, True),
        ("Deployment/shop/cart", CART, True),
        ("Pod/shop/cart-worker-5d79f54576-hcmvm", CART, False),
        ("ReplicaSet/shop/cart-worker", CART, False),
        ("Pod/dev/cart-5d79f54576-hcmvm", CART, False),
        ("Pod/shop/cart", CART, False),
        ("Service/shop/cart", CART, False),
        ("Pod/shop/db-0", "StatefulSet/shop/db", True),
        ("Pod/shop/db-main", "StatefulSet/shop/db", False),
        ("Pod/shop/agent-x2b4d", "DaemonSet/shop/agent", True),
        ("Pod/shop/import-x2b4d", "Job/shop/import", True),
        ("Pod/shop/import-3-x2b4d", "Job/shop/import", True),
        ("Pod/shop/nightly-29300000-x2b4d", "CronJob/shop/nightly", True),
        ("Pod/shop/cart-5d79f54576-hcmvm", "ReplicaSet/shop/cart-5d79f54576", True),
        ("Pod/shop/cart-5d79f54576-hcmvm", "Service/shop/cart", False),
    ],
)
def test_pods_and_replica_sets_count_as_their_workload(given: str, listed: str, counts: bool) -> None:
    assert counts_as(ObjectRef.parse(given), ObjectRef.parse(listed)) is counts


def result(name: str, marks: Score, *, healthy: bool = False, error: str | None = None) -> Result:
    fields: dict[str, Any] = {"healthy": True} if healthy else {"root_causes": [OOM], "object": CART}
    asked = None if error else answer(root(OOM))
    return Result(name, "namespace/shop", None, fields, asked, marks, 10.0, 5, 100, error)


def test_totals_count_a_failed_scenario_as_wrong() -> None:
    sums = totals(
        [
            result("a", Score(True, True, 0, 1)),
            result("b", Score(False, True, 1, 2)),
            result("c", WRONG, error="the quota never came"),
            result("d", Score(False, False, 2, 0), healthy=True),
            result("e", WRONG, healthy=True, error="no answer"),
        ]
    )
    assert (sums["first"], sums["in_three"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert (sums["false_alarms"], sums["noise"], sums["errors"]) == (3, 3, 2)
    assert (sums["faulty"], sums["healthy"], sums["healthy_silent"]) == (3, 2, 0.0)


@pytest.mark.parametrize(
    ("floors", "count"),
    [
        ({"first": 0.5, "in_three": 1.0, "false_alarms": 0, "noise": 1}, 0),
        ({"first": 0.9}, 1),
        ({"noise": 0}, 1),
        ({"first": 0.9, "noise": 0}, 2),
        ({}, 0),
    ],
)
def test_floors(floors: dict[str, float], count: int) -> None:
    sums = totals([result("a", Score(True, True, 0, 1)), result("b", Score(False, True, 0, 0))])
    assert len(missed(floors, sums)) == count


def test_the_json_of_a_result_can_be_scored_again() -> None:
    one = result("a", Score(True, True, 0, 0)).as_json()
    again = score(Expect.model_validate(one["expect"]), one["answer"])
    assert (again.first, again.in_three) == (one["first"], one["in_three"])
    assert set(one) == {
        *("id", "scope", "namespace", "expect", "answer", "first", "in_three"),
        *("false_alarms", "noise", "ms", "requests", "bytes", "error"),
    }


def test_root_causes_as_text() -> None:
    given = answer(root(OOM), root(QUOTA, "Node//n1"))
    assert root_causes(given) == [f"{OOM} at Deployment/shop/cart", f"{QUOTA} at Node//n1"]
