"""The `diagnose` tool: the root cause, with proof, in one call."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from firstmate_tools.cluster.base import Cluster
from firstmate_tools.diagnosis.engine import diagnose as run
from firstmate_tools.diagnosis.report import Diagnosis
from firstmate_tools.diagnosis.rule import all_rules
from firstmate_tools.diagnosis.scope import SUPPORTED, parse_scope
from firstmate_tools.kinds import NAMESPACE
from firstmate_tools.paging import page
from firstmate_tools.reads import Declared, Read
from firstmate_tools.results import Cursor, Detail, Limit, Namespace
from firstmate_tools.toolspec import tool


def rule_reads() -> Iterator[Declared]:
    """Everything that some rule may read, and the object that a scope may name."""
    for rule in all_rules():
        yield from rule.reads()
    for kind in (*SUPPORTED, NAMESPACE):
        yield Read(kind, ("get",))


@tool(title="Find the root cause", reads=rule_reads, deadline_s=60.0, tokens=2500)
async def diagnose(
    cluster: Cluster,
    scope: Annotated[
        str | None, Field(description="cluster, namespace/NAME or KIND/NAME (deployment/cart)", max_length=400)
    ] = None,
    namespace: Namespace = None,
    detail: Detail = "concise",
    limit: Limit = 20,
    cursor: Cursor = None,
) -> Diagnosis:
    """Why is something broken? Root causes, worst first, each with evidence, the symptoms that it explains, the runbook
    that fits and the next question. Start here. Without scope: the namespace, or else the whole cluster. An empty list
    means healthy only where outcome is nothing_found."""
    asked = parse_scope(scope, namespace, cluster.default_namespace)
    found = await run(cluster, asked, detailed=detail == "detailed")
    shown, following = page(found.root_causes, limit, cursor, "diagnose", cluster.identity.name, str(asked))
    counts = {"returned": len(shown), "total": len(found.root_causes), "cursor": following}
    rest: dict[str, object] = {"unexplained": [], "ruled_out": []} if cursor else {}
    coverage = found.coverage.model_copy(update=counts)
    return found.model_copy(update={"root_causes": shown, "coverage": coverage, **rest})
