"""The whole of diagnosis over a recording in which fields are missing, null or of absurd types: it never raises."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from builders import facts_of

from evals.lab.held import load
from firstmate_tools.diagnosis import dates, link
from firstmate_tools.diagnosis.engine import judge
from firstmate_tools.diagnosis.rule import all_rules
from firstmate_tools.diagnosis.unwell import unexplained
from firstmate_tools.fields import Obj

DEMO = Path(__file__).parents[1] / "server" / "firstmate" / "data" / "demo.tar.gz"
ABSURD: tuple[Any, ...] = (
    None,
    0,
    -1,
    True,
    "",
    "x",
    [],
    {},
    [None],
    ["a"],
    {"a": None},
    1.5,
    float("nan"),
    {"name": 7},
)
LEFT = {"clusterroles", "clusterrolebindings", "roles", "rolebindings", "apiservices", "leases", "priorityclasses"}
AT_A_TIME = 300


@pytest.fixture(scope="module")
def recorded() -> list[Obj]:
    """The objects of the demo, with kind and apiVersion; what no rule looks at closely is left out."""
    held = load(DEMO)
    kinds = {name: entry["kind"] for name, entry in held.manifest["resources"].items()}
    found: list[Obj] = []
    for (resource, _), rows in sorted(held.objects.items()):
        kind = kinds[resource]
        if resource.partition(".")[0] in LEFT or kind["group"] == "events.k8s.io":
            continue
        api = f"{kind['group']}/{kind['version']}".lstrip("/")
        found += [{**one, "kind": kind["kind"], "apiVersion": api} for one in rows]
    return found


def places(here: Any, depth: int = 0) -> list[tuple[Any, Any]]:
    """Every field and entry, but for what says what an object is and how it is called."""
    entries = here.items() if isinstance(here, dict) else enumerate(here) if isinstance(here, list) else ()
    found: list[tuple[Any, Any]] = []
    for key, value in entries:
        if depth == 0 and key in {"kind", "apiVersion", "metadata"}:
            found += [(value, k) for k in value if key == "metadata" and k not in {"name", "namespace"}]
            continue
        found += [(here, key), *places(value, depth + 1)]
    return found


@pytest.mark.parametrize("seed", range(12))
def test_nothing_raises_over_a_damaged_cluster(recorded: list[Obj], seed: int) -> None:
    chance = random.Random(seed)
    hurt = json.loads(json.dumps(recorded))
    every = [place for one in hurt for place in places(one)]
    for holder, key in chance.sample(every, AT_A_TIME):
        if isinstance(holder, dict) and chance.random() < 0.3:
            holder.pop(key, None)
        elif isinstance(holder, dict) or key < len(holder):
            holder[key] = chance.choice(ABSURD)
    facts = facts_of(*hurt)
    for rule in all_rules():
        list(rule.wants(facts) if rule.wants else ())
    found, _ = judge(facts, all_rules())
    ranked = link.ranked(link.within(link.link(link.merge(found), all_rules(), facts.graph), facts))
    roots = [dates.dated(root, facts) for root in ranked]
    assert roots  # what is undamaged still tells
    assert isinstance(unexplained(facts, roots), list)
