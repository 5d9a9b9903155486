"""Findings about what changed before a workload failed, and about programs that change what others own."""

from typing import Any

import pytest
from builders import ago, container, event, obj, pod
from hypothesis import HealthCheck, given, settings
from verdicts import app, bystanders, damaged, linked, named, roots, severe, shuffled

from firstmate_tools.fields import Obj

ENTRY, STALE, REGRESSION = "container-wrong-entrypoint", "config-stale-after-rotation", "config-change-regression"
LIMITS, FIGHT = "limits-changed-by-automation", "hpa-conflicts-with-gitops"
READ = [{"configMapRef": {"name": "cart"}}]
PROBE = {"httpGet": {"path": "/ready", "port": 8080}, "periodSeconds": 5}


def owned(manager: str, at: float, owns: Obj, subresource: str = "") -> Obj:
    return {"manager": manager, "operation": "Update", "time": ago(at), "fieldsV1": owns, "subresource": subresource}


def config(changed: float, *, made: float = 7200, manager: str = "kubectl-edit") -> Obj:
    entry = owned(manager, changed, {"f:data": {"f:FLAG": {}}})
    return obj(
        "ConfigMap", "cart", data={"FLAG": "on"}, metadata={"managedFields": [entry], "creationTimestamp": ago(made)}
    )


def crash(started: float) -> dict[str, Any]:
    end = {"exitCode": 1, "reason": "Error", "startedAt": ago(started), "finishedAt": ago(started - 1)}
    return {"waiting": "CrashLoopBackOff", "restarts": 4, "last": end}


def restarted(*, crashed: float = 60, image: str = "registry.shop.example/app:1") -> list[Obj]:
    """A Deployment that was restarted: the pod of before is ready, the one of since crashes."""
    old = app(spec=container(envFrom=READ), age=3600)
    new = app(spec=container(image=image, envFrom=READ), revision=2, deployed=False, age=crashed + 2, **crash(crashed))
    new[0]["spec"]["template"]["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": ago(crashed + 5)}
    old[0]["spec"]["template"] = new[0]["spec"]["template"]
    return [*old, *new]


def test_pods_that_read_the_changed_values_fail_and_those_of_before_serve() -> None:
    (root,) = linked(*restarted(), config(90), *bystanders())
    assert (root.finding.cause, str(root.finding.object)) == (REGRESSION, "configmap/cart")
    assert "1 pod that started before are ready" in root.finding.summary
    assert any("kubectl-edit" in e.value for e in root.finding.evidence)
    assert "application-exits-on-error" in {e.cause for e in root.explained}
    assert root.finding.severity == "warning"


def test_a_pod_that_was_ready_until_the_change() -> None:
    objects = app(spec=container(envFrom=READ), age=3600, **crash(60))
    one = objects[2]
    one["status"]["startTime"] = ago(3600)
    one["status"]["conditions"][0]["lastTransitionTime"] = ago(80)
    assert roots(*objects, config(90)) == [(REGRESSION, "configmap/cart")]


@pytest.mark.parametrize(
    "held",
    [config(7200), config(20), config(5000), obj("ConfigMap", "cart", data={})],
    ids=["never changed", "changed since", "long before", "nobody knows"],
)
def test_a_change_that_does_not_fit_is_no_reason(held: Obj) -> None:
    assert roots(*restarted(), held) == [("application-exits-on-error", "deployment/cart")]


def test_a_pod_that_reads_the_new_values_and_is_ready_refutes_it() -> None:
    objects = restarted()
    owner = objects[4]["metadata"]["ownerReferences"]
    late = pod("cart-2-9", containers=objects[4]["spec"]["containers"], age=60, metadata={"ownerReferences": owner})
    assert REGRESSION not in severe(*objects, late, config(90))


def test_a_new_image_beside_the_change_leaves_both_open() -> None:
    found = severe(*restarted(image="registry.shop.example/app:2"), config(90))
    assert REGRESSION not in found and "application-exits-on-error" in found


REFUSED = 'ERROR FATAL: password authentication failed for user "cart" (SQLSTATE 28P01)'


def running(started: float = 3600) -> list[Obj]:
    env = [{"name": "PW", "valueFrom": {"secretKeyRef": {"name": "cart", "key": "password"}}}]
    return app(spec=container(env=env, readinessProbe=PROBE), ready=False, age=started)


def secret(changed: float) -> Obj:
    entry = owned("external-secrets", changed, {"f:data": {"f:password": {}}})
    meta = {"managedFields": [entry], "creationTimestamp": ago(90000)}
    return obj("Secret", "cart", data={"password": ""}, metadata=meta)


LOG = {("shop", "cart-1-0", "app", False): f"INFO start\n{REFUSED}"}


def test_a_container_that_started_before_the_rotation_needs_a_restart() -> None:
    (root,) = linked(*running(), secret(600), *bystanders(), logs=LOG)
    assert (root.finding.cause, str(root.finding.object), root.finding.severity) == (
        STALE,
        "deployment/cart",
        "critical",
    )
    assert any("external-secrets" in e.value for e in root.finding.evidence)


@pytest.mark.parametrize(
    ("objects", "log"),
    [
        ([*running(), secret(7200)], LOG),
        ([*running(), secret(600)], {("shop", "cart-1-0", "app", False): "ERROR cannot open ledger"}),
        ([*running()], LOG),
    ],
    ids=["rotated before", "another error", "Secret unread"],
)
def test_no_rotation_no_refusal_no_finding(objects: list[Obj], log: Any) -> None:
    assert STALE not in severe(*objects, logs=log)


def changed_command(**more: Any) -> list[Obj]:
    spec = container(args=["serve"], readinessProbe=PROBE)
    old = app(spec=spec, pods=2, age=3600)
    new_spec = {**spec, "args": ["migrate"], **more}
    new = app(spec=new_spec, revision=2, deployed=False, ready=False, age=300)
    old[0]["spec"]["template"] = new[0]["spec"]["template"]
    refused = event(new[1], "Unhealthy", "Readiness probe failed: connect: connection refused", seconds_ago=5, count=20)
    return [*old, *new, refused]


def test_a_revision_that_changed_only_arguments_and_never_gets_ready() -> None:
    (root,) = linked(*changed_command(), *bystanders())
    assert (root.finding.cause, str(root.finding.object)) == (ENTRY, "deployment/cart")
    assert "arguments" in root.finding.summary and "2 pods of the one before still serve" in root.finding.summary
    assert any("serve" in e.value and "migrate" in e.value for e in root.finding.evidence)


def test_a_revision_that_changed_more_is_not_laid_to_its_arguments() -> None:
    assert ENTRY not in severe(*changed_command(image="registry.shop.example/app:2"))


def limits_of(owner: str) -> Obj:
    inner = {"f:resources": {"f:limits": {"f:memory": {}}}}
    if owner == "image":
        inner = {"f:image": {}}
    return {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"app"}': inner}}}}}


def starved(meddler: str = "kubectl-set", at: float = 300) -> list[Obj]:
    killed = {"exitCode": 137, "reason": "OOMKilled", "startedAt": ago(70), "finishedAt": ago(60)}
    one = container(resources={"limits": {"memory": "64Mi"}})
    before = app(spec=container(resources={"limits": {"memory": "512Mi"}}), pods=0)
    after = app(spec=one, revision=2, deployed=False, waiting="CrashLoopBackOff", restarts=5, last=killed, age=200)
    deployment = before[0]
    deployment["spec"]["template"] = after[0]["spec"]["template"]
    deployment["spec"]["replicas"] = 1
    entries = [owned("helm", 9000, limits_of("image")), owned(meddler, at, limits_of("limits"))]
    deployment["metadata"]["managedFields"] = entries
    after[1]["status"]["conditions"][0]["lastTransitionTime"] = ago(195)
    return [*before, *after]


def job(
    began: float, over: float, words: str = "kubectl set resources deployment/cart --limits memory=64Mi"
) -> list[Obj]:
    cron = obj(
        "CronJob", "rightsizer", api="batch/v1", spec={"schedule": "0 * * * *"}, status={"lastScheduleTime": ago(began)}
    )
    one = obj(
        "Job",
        "rightsizer-1",
        api="batch/v1",
        metadata={
            "ownerReferences": [{"kind": "CronJob", "name": "rightsizer", "controller": True, "apiVersion": "batch/v1"}]
        },
        spec={"template": {"spec": {"containers": [container(args=words.split())]}}},
        status={
            "startTime": ago(began),
            "completionTime": ago(over),
            "succeeded": 1,
            "conditions": [{"type": "Complete", "status": "True"}],
        },
    )
    return [cron, one]


def test_the_job_that_set_the_limit_is_what_has_to_be_mended() -> None:
    (root,) = [r for r in linked(*starved(), *job(310, 290), *bystanders()) if r.finding.severity != "info"]
    assert (root.finding.cause, str(root.finding.object)) == (LIMITS, "cronjob/rightsizer")
    assert "512Mi" in root.finding.summary and "64Mi" in root.finding.summary
    assert "oom-killed-container-limit" in {e.cause for e in root.explained}


def test_a_revision_of_resources_alone_is_the_jobs_that_ran_then() -> None:
    objects = starved()
    for one in objects:
        one["metadata"].pop("managedFields", None)
    next(o for o in objects if o["metadata"]["name"] == "cart-2")["metadata"]["creationTimestamp"] = ago(300)
    (root,) = [r for r in linked(*objects, *job(310, 290)) if r.finding.severity != "info"]
    assert (root.finding.cause, str(root.finding.object)) == (LIMITS, "cronjob/rightsizer")
    assert LIMITS not in severe(*objects), "nobody is known to have done it"
    assert LIMITS not in severe(*objects, *job(310, 290, words="report --all"))


def test_without_an_actor_the_workload_is_named_with_the_manager() -> None:
    (root,) = [r for r in linked(*starved(), *job(1200, 1100)) if r.finding.severity != "info"]
    assert (root.finding.cause, str(root.finding.object)) == (LIMITS, "deployment/cart")
    assert "kubectl-set" in root.finding.summary


@pytest.mark.parametrize("objects", [starved("helm"), starved("kubectl-edit"), starved(at=30)])
def test_its_owner_a_person_and_whoever_came_later_are_no_automation(objects: list[Obj]) -> None:
    assert "oom-killed-container-limit" in severe(*objects) and LIMITS not in severe(*objects)


def scaled(*events: tuple[int, int, str], replicas: int = 4, setter: list[Obj] | None = None) -> list[Obj]:
    objects = app(pods=4, replicas=replicas)
    objects[0]["metadata"]["managedFields"] = setter or []
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"}
    hpa = obj(
        "HorizontalPodAutoscaler",
        "cart",
        spec={"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 9},
        status={"lastScaleTime": ago(60), "desiredReplicas": 4, "currentReplicas": 4},
    )
    rows = [
        event(hpa, "SuccessfulRescale", f"New size: {size}; reason: {why}", type_="Normal", count=count)
        for size, count, why in events
    ]
    return [*objects, hpa, *rows]


UP, DOWN = "cpu resource utilization (percentage of request) above target", "All metrics below target"
ARGO = owned("argocd-controller", 30, {"f:spec": {"f:replicas": {}}})


def test_an_autoscaler_that_gives_the_same_size_again_and_again_has_a_rival() -> None:
    (root,) = linked(*scaled((4, 5, UP)), *bystanders())
    assert (root.finding.cause, str(root.finding.object)) == (FIGHT, "deployment/cart")
    assert "4 replicas 5 times" in root.finding.summary


def test_who_overwrote_it_is_named() -> None:
    (root,) = linked(*scaled((4, 1, UP), replicas=2, setter=[ARGO]))
    assert root.finding.cause == FIGHT and "argocd-controller" in root.finding.summary


@pytest.mark.parametrize(
    "objects",
    [
        scaled((4, 1, UP)),
        scaled((4, 5, UP), (2, 5, DOWN)),
        scaled((2, 5, DOWN)),
        scaled((4, 1, UP), setter=[ARGO]),
        scaled((4, 1, UP), replicas=3, setter=[owned("kubectl", 30, {"f:spec": {"f:replicas": {}}}, "scale")]),
    ],
    ids=["once", "up and down", "down", "agrees", "by hand through scale"],
)
def test_an_autoscaler_at_its_work_has_none(objects: list[Obj]) -> None:
    assert severe(*objects) == []


WHOLE = [*restarted(), config(90), secret(600), *starved(), *job(310, 290), *scaled((4, 5, UP)), pod("lone")]


@given(damaged(WHOLE))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_damaged_objects_never_raise(objects: list[Obj]) -> None:
    roots(*objects, logs=LOG)


def test_order_does_not_matter() -> None:
    whole = [*restarted(), config(90), *bystanders()]
    assert {tuple(roots(*shuffled(whole, seed))) for seed in range(8)} == {((REGRESSION, "configmap/cart"),)}
    assert named(whole, "ConfigMap", "cart")
