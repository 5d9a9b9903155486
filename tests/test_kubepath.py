"""kubectl's JSONPath dialect, as scenarios write it in their waits."""

from __future__ import annotations

from typing import Any

import pytest

from evals.lab.kubepath import KubePathError, text_at, to_rfc9535

POD: dict[str, Any] = {
    "metadata": {
        "name": "cart-1",
        "labels": {"app": "cart", "app-name": "c", "topology.kubernetes.io/zone": "a"},
        "generation": 3,
    },
    "status": {
        "phase": "Running",
        "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady"},
        ],
        "containerStatuses": [
            {"name": "app", "ready": True, "restartCount": 4, "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
            {"name": "side.car", "ready": False, "restartCount": 0, "state": {"running": {}}},
        ],
        "nothing": None,
    },
}

TABLE = [
    ("{.status.phase}", "Running"),
    (".status.phase", "Running"),
    ("status.phase", "Running"),
    ("{status.phase}", "Running"),
    ("{$.status.phase}", "Running"),
    ("{ .status.phase }", "Running"),
    ("{.metadata.generation}", "3"),
    (r"{.metadata.labels.topology\.kubernetes\.io/zone}", "a"),
    (r"{.metadata.labels['topology\.kubernetes\.io/zone']}", "a"),
    ("{.metadata.labels['topology.kubernetes.io/zone']}", "a"),
    ('{.metadata.labels["app"]}', "cart"),
    ("{.metadata.labels.app-name}", "c"),
    ('{.status.conditions[?(@.type=="Ready")].status}', "False"),
    ("{.status.conditions[?(@.type=='Ready')].reason}", "ContainersNotReady"),
    ('{.status.conditions[?(@.type == "Ready")].status}', "False"),
    ('{.status.conditions[?(@.type!="Ready")].type}', "PodScheduled"),
    ("{.status.containerStatuses[?(@.restartCount>3)].name}", "app"),
    ("{.status.containerStatuses[?(@.restartCount>=0)].name}", "app side.car"),
    ("{.status.containerStatuses[?(@.ready==true)].name}", "app"),
    ('{.status.containerStatuses[?(@.name=="side.car")].ready}', "false"),
    ("{.status.containerStatuses[?(@.state.waiting)].name}", "app"),
    ('{.status.containerStatuses[?(@.state.waiting.reason=="CrashLoopBackOff")].restartCount}', "4"),
    ("{.status.containerStatuses[0].state.waiting.reason}", "CrashLoopBackOff"),
    ("{.status.containerStatuses[-1].name}", "side.car"),
    ("{.status.containerStatuses[*].name}", "app side.car"),
    ("{.status.containerStatuses[0:1].name}", "app"),
    ("{.status.containerStatuses[0,1].restartCount}", "4 0"),
    ("{.status.containerStatuses[0].ready}", "true"),
    ("{..reason}", "ContainersNotReady CrashLoopBackOff"),
    ("{.status.containerStatuses[1].state}", '{"running":{}}'),
    ("{.status.nothing}", ""),
    ("{.status.absent}", None),
    ("{.status.containerStatuses[7].name}", None),
    ("{.status.phase.deeper}", None),
]


@pytest.mark.parametrize(("expression", "expected"), TABLE, ids=[expression for expression, _ in TABLE])
def test_text_as_kubectl_prints_it(expression: str, expected: str | None) -> None:
    assert text_at(POD, expression) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "{.status.phase",
        "{.a}{.b}",
        "{range .items[*]}{.metadata.name}{end}",
        "{.status.conditions[?(@.type==}",
        "{.status.conditions['x}",
        "{.a b!}[",
    ],
)
def test_what_kubectl_would_refuse_is_refused(expression: str) -> None:
    with pytest.raises(KubePathError):
        text_at(POD, expression)


def test_filters_keep_dots_inside_strings_and_escaped_names_apart() -> None:
    items = {"items": [{"labels": {"a.b/c": "x.y[0]"}, "name": "hit"}, {"labels": {"a.b/c": "other"}, "name": "miss"}]}
    assert text_at(items, r'{.items[?(@.labels.a\.b/c=="x.y[0]")].name}') == "hit"


def test_the_rewritten_path_is_rfc_9535() -> None:
    assert to_rfc9535(r"{.metadata.labels.a\.b/c}") == '$["metadata"]["labels"]["a.b/c"]'
