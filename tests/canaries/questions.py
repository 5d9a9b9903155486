"""Every way in which a tool can be asked about the cluster of the canaries, made from its input schema.

`every(spec)` varies one argument at a time over all that it may be, in each degree of detail. A new tool is asked by
itself; one that needs an argument of a name that is not known here raises, which fails the test.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from canaries.objects import NS
from contract.server_doubles import EXAMPLES

from evals.lab.client import LabClient
from firstmate.arguments import input_schema
from firstmate_tools.toolspec import ToolSpec

Question = dict[str, Any]

VALUES: dict[str, list[Any]] = {
    "scope": [
        "pod/leaky", "cluster", f"namespace/{NS}", "pod/pulling", "deployment/applied", "daemonset/agent",
        "cronjob/nightly", "replicaset/applied", "ingress/shop", "persistentvolumeclaim/data", "node/node-b",
        "service/none", "configmap/files",
    ],
    "namespace": [NS, "default"],
    "name": ["leaky", "pulling", "node-b", "node-a", "applied", "agent", "none"],
    "pod": ["leaky", "pulling"],
    "node": ["node-b"],
    "kind": ["pods"],
    "selector": ["app=leaky", "app"],
    "container": ["app"],
    "matching": ["password", "ERROR", "token"],
    "reason": ["Failed", "Unhealthy"],
    "runbook": ["oomkilled", "crashloop-container-exits", "service-no-endpoints"],
    "params": [{"namespace": NS}, {"namespace": NS, "workload": "deployment/applied"}],
    "cluster": ["lab"],
}  # fmt: skip
"""What arguments may be, by name, the first the most telling; others are taken from the doubles' examples."""

_PLANTED = frozenset({NS, "canary", "leaky", "node-b", "v1.canary.example", "vaults.canary.example"})
_OTHERS = 1
"""Objects of each cluster-wide kind that are read although nothing is planted in them."""


class UnknownArgumentError(LookupError):
    """A tool needs an argument that this module knows no value for."""


def _values(name: str, schema: dict[str, Any]) -> list[Any]:
    if name in VALUES:
        return VALUES[name]
    if name in EXAMPLES:
        return [EXAMPLES[name]]
    if "enum" in schema:
        return schema["enum"]
    if "const" in schema:
        return [schema["const"]]
    match schema.get("type"):
        case "boolean":
            return [True, False]
        case "integer" | "number":
            return [value for value in (schema.get("minimum"), schema.get("maximum")) if value is not None]
        case _:
            return []


def every(spec: ToolSpec) -> list[Question]:
    """All questions for one tool, the plainest first.

    Raises:
        UnknownArgumentError: it needs an argument of a name without values.
    """
    schema = input_schema(spec)
    fields: dict[str, Any] = schema.get("properties", {})
    base: Question = {}
    for name in schema.get("required", []):
        if not _values(name, fields[name]):
            raise UnknownArgumentError(
                f"{spec.name} needs `{name}`: say what it may be in VALUES of tests/canaries/questions.py"
            )
        base[name] = _values(name, fields[name])[0]
    placed = base | ({"namespace": NS} if "namespace" in fields else {})
    details: list[Question] = [{"detail": one} for one in _values("detail", fields.get("detail", {}))] or [{}]
    made = [base, placed]
    for name, one in fields.items():
        if name not in ("cursor", "detail"):
            made += [{**placed, name: value, **detail} for value in _values(name, one) for detail in details]
    return [question for number, question in enumerate(made) if question not in made[:number]]


def objects(client: LabClient, resources: list[tuple[str, str]]) -> Iterator[Question]:
    """For `get`: each kind that the cluster serves as a list, and its objects that may carry something one by one.

    Args:
        resources: what firstmate calls each kind, and its API path.
    """
    for resource, path in resources:
        yield {"kind": resource, "limit": 500}
        found = client.request("GET", path, accept="application/json").get("items") or []
        inside = [one["metadata"] for one in found if one["metadata"].get("namespace") == NS]
        wide = [one["metadata"] for one in found if "namespace" not in one["metadata"]]
        told = [one for one in wide if one["name"] in _PLANTED]
        for one in [*inside, *told, *[other for other in wide if other not in told][:_OTHERS]]:
            place = {"namespace": one["namespace"]} if "namespace" in one else {}
            for detail in ("concise", "detailed"):
                yield {"kind": resource, "name": one["name"], **place, "detail": detail}


def quoting(tools: Iterable[ToolSpec], secrets: list[str]) -> Iterator[tuple[str, Question]]:
    """Questions that bring a secret along, in each argument in turn: whatever comes of them may quote what came."""
    for spec in tools:
        base = every(spec)[0]
        for one in secrets:
            for name, schema in input_schema(spec).get("properties", {}).items():
                yield spec.name, {**base, name: one}
                if schema.get("type") == "string" and "enum" not in schema:
                    yield spec.name, {**base, name: one[:240]}
            yield spec.name, {**base, one: 1}
    for one in secrets:
        yield "get", {"kind": "pods", "name": "x", "namespace": one[:240]}
        yield "get", {"kind": "pods", "selector": f"{one[:240]} in ("}
        yield "diagnose", {"scope": f"pod/{one[:200]}"}
        yield "logs", {"scope": "pod/leaky", "namespace": NS, "container": one[:200]}
        yield one[:100], {}
