"""The recording that ships: what a newcomer sees first must be right, complete, and lead somewhere."""

import asyncio
from functools import cache

import pytest

from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.clusters import ConfiguredClusters
from firstmate.runbooks.library import library
from firstmate.settings import load
from firstmate_tools.diagnosis.report import Diagnosis
from firstmate_tools.errors import UsageError

FAULTS = {
    "application-exits-on-error": "Deployment/payments/payments-worker",
    "config-reference-missing": "Deployment/inventory/inventory",
    "image-not-found": "Deployment/storefront/web",
    "nodes-cordoned": "Node//search-1",
    "quota-exceeded": "ResourceQuota/orders/orders-budget",
    "service-selector-mismatch": "Service/storefront/recommendations",
}


async def ask(tool: str, **arguments: object):
    clusters = ConfiguredClusters(load(snapshot="demo"))
    try:
        return await Calls(clusters, all_tools()).call(tool, arguments)
    finally:
        await clusters.close()


@cache
def diagnosis() -> Diagnosis:
    answer = asyncio.run(ask("diagnose"))
    assert isinstance(answer, Diagnosis)
    return answer


def test_each_fault_of_the_demo_is_named_at_the_object_to_mend():
    found = {r.cause: f"{r.object.kind}/{r.object.namespace or ''}/{r.object.name}" for r in diagnosis().root_causes}
    assert found == FAULTS
    assert diagnosis().outcome == "problems_found"


BY_DESIGN = {"not_asked", "not_configured", "not_installed"}


def test_every_part_that_was_needed_was_recorded():
    assert [entry.what for entry in diagnosis().coverage.not_checked if entry.why not in BY_DESIGN] == []


def test_full_quota_explains_the_service_without_backends():
    quota = next(r for r in diagnosis().root_causes if r.cause == "quota-exceeded")
    assert [(e.cause, e.object.name) for e in quota.explains] == [("service-endpoints-not-ready", "checkout")]


def test_same_recording_gives_the_same_bytes():
    assert asyncio.run(ask("diagnose")).model_dump_json() == diagnosis().model_dump_json()


def test_every_root_cause_has_evidence_a_runbook_and_a_next_step():
    for root in diagnosis().root_causes:
        assert root.evidence
        assert root.next
        assert library().find(root.runbook).slug == root.runbook


def test_every_next_step_can_be_taken():
    for root in diagnosis().root_causes:
        for step in root.next:
            asyncio.run(ask(step.tool, **step.arguments))


@pytest.mark.parametrize("question", [{"namespace": "nowhere"}, {"scope": "namespace/nowhere"}])
def test_a_namespace_that_does_not_exist_is_not_a_healthy_one(question: dict[str, str]):
    with pytest.raises(UsageError, match="There is no namespace 'nowhere'"):
        asyncio.run(ask("diagnose", **question))
