"""What a diagnosis says of objects at hand, without an engine's reads: for tests of rules.

`app` builds a Deployment with its ReplicaSet and pods; `roots` judges objects with every rule that there is and links
what is found, so that a test sees noise of other rules too.
"""

import copy
import json
import random
from typing import Any

from builders import container, deployment, facts_of, pod, replica_set
from dated import undated
from hypothesis import strategies as st

from firstmate_tools.diagnosis import dates, link
from firstmate_tools.diagnosis.engine import judge
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, RuledOut
from firstmate_tools.diagnosis.rule import all_rules
from firstmate_tools.fields import Obj

Log = dict[tuple[str, str, str, bool], str]


def app(
    name: str = "cart",
    *,
    spec: Obj | None = None,
    pods: int = 1,
    replicas: int | None = None,
    revision: int = 1,
    labels: dict[str, str] | None = None,
    namespace: str = "shop",
    deployed: bool = True,
    body: Obj | None = None,
    **of_pod: Any,
) -> list[Obj]:
    """A Deployment, the ReplicaSet of one revision and its pods; `of_pod` goes to `builders.pod`.

    Args:
        spec: the container, as it stands in template and pods.
        body: further fields of the pod spec, in template and pods.
        deployed: whether the Deployment itself comes too (False: a further revision of one that came before).
    """
    marks = labels or {"app": name}
    one = spec or container()
    template = {"metadata": {"labels": marks}, "spec": {"containers": [one], **(body or {})}}
    rs = replica_set(f"{name}-{revision}", namespace, of=name, replicas=pods, template=template)
    rs["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": str(revision)}
    made = [
        pod(
            f"{name}-{revision}-{i}",
            namespace,
            owned_by=("ReplicaSet", f"{name}-{revision}"),
            labels=marks,
            **{"containers": [one], "spec": body, **of_pod},
        )
        for i in range(pods)
    ]
    ready = sum(p["status"]["conditions"][0]["status"] == "True" for p in made if p["status"]["conditions"])
    rs["status"] = {"replicas": pods, "readyReplicas": ready}
    above = deployment(name, namespace, replicas=pods if replicas is None else replicas, template=template)
    return [*([above] if deployed else []), rs, *made]


def named(objects: list[Obj], kind: str, name: str) -> Obj:
    return next(o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name)


def verdicts(*objects: Obj, logs: Log | None = None, **how: Any) -> tuple[list[Finding], list[RuledOut], Facts]:
    facts = facts_of(*objects, logs=logs, **how)
    found, ruled_out = judge(facts, all_rules())
    return found, ruled_out, facts


def linked(*objects: Obj, logs: Log | None = None, **how: Any) -> list[link.Root]:
    found, _, facts = verdicts(*objects, logs=logs, **how)
    ranked = link.ranked(link.within(link.link(link.merge(found), all_rules(), facts.graph), facts))
    dated = [dates.dated(root, facts) for root in ranked]
    assert not undated(dated, facts), "evidence of what an object dates bears that time"
    return dated


def roots(*objects: Obj, logs: Log | None = None, **how: Any) -> list[tuple[str, str]]:
    """Cause and object of each root cause, the worst first."""
    return [(r.finding.cause, str(r.finding.object)) for r in linked(*objects, logs=logs, **how)]


def severe(*objects: Obj, logs: Log | None = None, **how: Any) -> list[str]:
    """The causes of warning or worse: what must stay empty where all is well."""
    return [r.finding.cause for r in linked(*objects, logs=logs, **how) if r.finding.severity != "info"]


def finding(*objects: Obj, logs: Log | None = None, **how: Any) -> Finding:
    """The one root cause."""
    (root,) = linked(*objects, logs=logs, **how)
    return root.finding


def bystanders() -> list[Obj]:
    """A healthy workload with its Service, of no concern to anybody."""
    from builders import service

    port = {"name": "http", "containerPort": 8080}
    return [
        *app("bystander", spec=container(image="registry.shop.example/by:1", ports=[port]), pods=2),
        service("bystander"),
    ]


def shuffled(objects: list[Obj], seed: int) -> list[Obj]:
    mixed = copy.deepcopy(objects)
    random.Random(seed).shuffle(mixed)
    return mixed


def renamed(objects: list[Obj], to: str) -> list[Obj]:
    """The same objects with `cart` called otherwise, wherever the word stands."""
    return json.loads(json.dumps(objects).replace("cart", to))


ABSURD = st.sampled_from(
    [None, 0, -1, True, "", "x", [], {}, [None], ["a"], {"a": None}, 1.5, float("nan"), {"name": 7}]
)


@st.composite
def damaged(draw: st.DrawFn, objects: list[Obj]) -> list[Obj]:
    """The objects with some fields anywhere in them replaced by absurd values or missing; names stay."""
    hurt = copy.deepcopy(objects)
    places = [place for one in hurt for place in _places(one, [])]
    for holder, key in draw(st.lists(st.sampled_from(places), min_size=1, max_size=6)):
        if draw(st.booleans()):
            holder[key] = draw(ABSURD)
        elif isinstance(holder, dict):
            holder.pop(key, None)
    return hurt


def _places(here: Any, path: list[str]) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    entries = here.items() if isinstance(here, dict) else enumerate(here) if isinstance(here, list) else ()
    for key, value in entries:
        if path == [] and key in {"kind", "apiVersion", "metadata"}:
            continue
        found.append((here, key))
        found += _places(value, [*path, str(key)])
    return found
