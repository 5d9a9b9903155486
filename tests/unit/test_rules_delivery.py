"""Argo CD and Flux: what is not applied, what is changed back, and which object of a chain is the one to mend."""

from typing import Any

import pytest
from builders import ago, node, obj
from hypothesis import HealthCheck, given, settings
from verdicts import app as workload
from verdicts import bystanders, damaged, linked, renamed, roots, severe, shuffled

from firstmate_tools.fields import Obj

REPO = {"repoURL": "https://git.shop.example/deploy.git", "path": "cart"}


def application(name: str = "cart", **status: Any) -> Obj:
    automated = {"automated": {"selfHeal": True}}
    spec = {"project": "shop", "source": REPO, "syncPolicy": status.pop("policy", automated)}
    base = {"sync": {"status": "Synced", "revision": "abc"}, "health": {"status": "Healthy"}, **status}
    return obj("Application", name, "argocd", api="argoproj.io/v1alpha1", spec=spec, status=base)


def operation(phase: str = "Succeeded", revision: str = "abc", seconds: float = 900, **rest: Any) -> Obj:
    heals = rest.pop("heals", 0)
    result = {"revision": revision, "resources": rest.pop("resources", [])}
    sync = {"sync": {"autoHealAttemptsCount": heals}}
    return {"phase": phase, "finishedAt": ago(seconds), "syncResult": result, "operation": sync, **rest}


OUT = {"status": "OutOfSync", "revision": "abc"}
CHANGED = [{"kind": "Deployment", "name": "cart", "namespace": "shop", "status": "OutOfSync"}]
PRUNED = [{**CHANGED[0], "requiresPruning": True}]


@pytest.mark.parametrize("kind", ["ComparisonError", "InvalidSpecError", "SyncError", "UnknownError"])
def test_a_condition_of_an_error_is_a_fault_of_the_application(kind: str) -> None:
    one = application(conditions=[{"type": kind, "message": "no such path"}])
    assert roots(one, *bystanders()) == [("argocd-sync-failed", "application/cart")]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"sync": OUT, "operationState": operation("Failed")}, True),
        ({"sync": OUT, "operationState": operation("Error")}, True),
        ({"operationState": operation("Failed")}, False),
        (
            {"operationState": operation("Failed", resources=[{"kind": "Job", "name": "m", "hookPhase": "Failed"}])},
            True,
        ),
        ({"sync": OUT, "operationState": operation("Running")}, False),
        (
            {"sync": OUT, "operationState": operation("Running", retryCount=2, resources=[{"status": "SyncFailed"}])},
            True,
        ),
        ({"conditions": [{"type": "OrphanedResourceWarning", "message": "2"}]}, False),
        ({"health": {"status": "Degraded"}}, False),
    ],
)
def test_a_failed_sync_counts_while_nobody_has_made_up_for_it(status: Obj, told: bool) -> None:
    assert bool(severe(application(**status))) is told


def test_one_repository_that_cannot_be_read_is_one_problem() -> None:
    broken = [{"type": "ComparisonError", "message": "authentication required"}]
    found = linked(application("a", conditions=broken), application("b", conditions=broken))
    assert len(found) == 1 and "application/b" in found[0].finding.summary


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"operationState": operation()}, True),
        ({"operationState": operation(revision="older")}, False),
        ({"operationState": operation(seconds=20)}, False),
        ({"operationState": operation(seconds=20, heals=4)}, True),
        ({"operationState": operation("Running")}, False),
        ({"operationState": operation(), "resources": PRUNED}, False),
        ({"operationState": operation(), "sync": {"status": "Synced", "revision": "abc"}}, False),
    ],
)
def test_only_what_was_applied_and_differs_again_is_drift(status: Obj, told: bool) -> None:
    one = application(**{"sync": OUT, "resources": CHANGED, **status})
    assert [cause for cause, _ in roots(one)] == (["argocd-persistent-drift"] if told else [])


def test_an_applicationset_that_makes_nothing_is_told() -> None:
    error = {
        "type": "ErrorOccurred",
        "status": "True",
        "reason": "ApplicationGenerationFromParamsError",
        "message": "x",
    }
    status = {"conditions": [error]}
    one = obj("ApplicationSet", "tenants", "argocd", api="argoproj.io/v1alpha1", spec={}, status=status)
    assert roots(one) == [("argocd-sync-failed", "applicationset/tenants")]
    error["status"] = "False"
    assert roots(one) == []


API = {
    "GitRepository": "source.toolkit.fluxcd.io/v1",
    "HelmRepository": "source.toolkit.fluxcd.io/v1",
    "HelmChart": "source.toolkit.fluxcd.io/v1",
    "Kustomization": "kustomize.toolkit.fluxcd.io/v1",
    "HelmRelease": "helm.toolkit.fluxcd.io/v2",
}


def flux(
    kind: str, name: str, ready: str = "True", reason: str = "Succeeded", *, seconds: float = 900, **rest: Any
) -> Obj:
    message = rest.pop("message", "")
    condition = {
        "type": "Ready",
        "status": ready,
        "reason": reason,
        "message": message,
        "lastTransitionTime": ago(seconds),
    }
    status = {"conditions": [condition], **rest.pop("status", {})}
    return obj(kind, name, "flux-system", api=API[kind], spec=rest, status=status)


FLEET = {"kind": "GitRepository", "name": "fleet"}
SOURCE = flux("GitRepository", "fleet")


def test_the_first_broken_object_of_a_chain_is_the_root() -> None:
    broken = flux("Kustomization", "crds", "False", "BuildFailed", sourceRef=FLEET)
    middle = flux("Kustomization", "ops", "False", "DependencyNotReady", sourceRef=FLEET, dependsOn=[{"name": "crds"}])
    last = flux("Kustomization", "apps", "False", "DependencyNotReady", sourceRef=FLEET, dependsOn=[{"name": "ops"}])
    found = linked(SOURCE, last, middle, broken)
    assert [str(root.finding.object) for root in found] == ["kustomization/crds"]
    assert {ref.name for ref in found[0].finding.affects} == {"ops", "apps"}
    fetched = flux("GitRepository", "fleet", "False", "GitOperationFailed")
    assert roots(fetched, last, middle, broken) == [("flux-not-reconciled", "gitrepository/fleet")]


def test_two_that_wait_for_each_other_are_both_told() -> None:
    a = flux("Kustomization", "a", "False", "DependencyNotReady", sourceRef=FLEET, dependsOn=[{"name": "b"}])
    b = flux("Kustomization", "b", "False", "DependencyNotReady", sourceRef=FLEET, dependsOn=[{"name": "a"}])
    assert {name for _, name in roots(SOURCE, a, b)} == {"kustomization/a", "kustomization/b"}


def test_a_source_that_does_not_exist_is_the_fault_of_who_names_it() -> None:
    lost = flux("Kustomization", "apps", "False", "ArtifactFailed", sourceRef={"kind": "GitRepository", "name": "flet"})
    (root,) = linked(SOURCE, lost)
    assert str(root.finding.object) == "kustomization/apps" and "flet, which does not exist" in root.finding.summary


def test_a_release_waits_for_its_repository_of_charts() -> None:
    charts = {"kind": "HelmRepository", "name": "charts"}
    repository = flux("HelmRepository", "charts", "False", "AuthenticationFailed")
    chart = flux("HelmChart", "shop-cart", "False", "NoSourceArtifact", sourceRef=charts)
    status = {"helmChart": "flux-system/shop-cart"}
    release = flux(
        "HelmRelease", "cart", "False", "SourceNotReady", chart={"spec": {"sourceRef": charts}}, status=status
    )
    assert roots(repository, chart, release) == [("flux-not-reconciled", "helmrepository/charts")]


def test_suspended_on_purpose_alarms_nobody_unless_git_moved_on() -> None:
    def pair(revision: str) -> list[Obj]:
        at = {"artifact": {"revision": revision}}
        halted = flux("Kustomization", "apps", sourceRef=FLEET, suspend=True, status={"lastAppliedRevision": "main@1"})
        return [flux("GitRepository", "fleet", status=at), halted]

    assert severe(*pair("main@1")) == []
    assert severe(*pair("main@2")) == ["flux-not-reconciled"]


@pytest.mark.parametrize(
    "one",
    [
        flux("Kustomization", "apps", "Unknown", "Progressing", sourceRef=FLEET),
        flux("Kustomization", "apps", "False", "DependencyNotReady", sourceRef=FLEET, seconds=20),
        obj("Kustomization", "apps", "flux-system", api=API["Kustomization"], spec={"sourceRef": FLEET}),
        obj("HelmRepository", "oci", "flux-system", api=API["HelmRepository"], spec={"type": "oci"}),
    ],
)
def test_what_is_on_its_way_is_no_fault(one: Obj) -> None:
    assert severe(SOURCE, one) == []


def test_a_health_check_that_fails_is_explained_by_what_ails_the_workload() -> None:
    inventory = {"inventory": {"entries": [{"id": "shop_cart_apps_Deployment", "v": "v1"}]}}
    late = flux("Kustomization", "apps", "False", "HealthCheckFailed", sourceRef=FLEET, status=inventory)
    ill = [*workload("cart", waiting="ImagePullBackOff", message="not found"), node("n1")]
    assert "kustomization/apps" not in {name for _, name in roots(SOURCE, late, *ill)}
    built = flux("Kustomization", "apps", "False", "BuildFailed", sourceRef=FLEET, status=inventory)
    assert "kustomization/apps" in {name for _, name in roots(SOURCE, built, *ill)}


CASE = [
    application("cart", sync=OUT, resources=CHANGED, operationState=operation(heals=4)),
    application("mail", conditions=[{"type": "ComparisonError", "message": "x"}]),
    SOURCE,
    flux("Kustomization", "crds", "False", "BuildFailed", sourceRef=FLEET),
    flux("Kustomization", "apps", "False", "DependencyNotReady", sourceRef=FLEET, dependsOn=[{"name": "crds"}]),
]


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(damaged(CASE))
def test_damaged_objects_never_raise(objects: list[Obj]) -> None:
    roots(*objects)


def test_order_names_and_bystanders_change_nothing() -> None:
    told = roots(*CASE)
    assert len(told) == 3
    assert roots(*shuffled(CASE, 5)) == told
    assert [c for c, _ in roots(*renamed(CASE, "basket"))] == [c for c, _ in told]
    assert roots(*CASE, *bystanders()) == told
