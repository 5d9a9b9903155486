"""A question about one namespace whose cause stands in another: followed there, and no further."""

import pytest
from builders import event, node, obj, pod, replica_set, service
from doubles import DENIED, FakeCluster, ask
from verdicts import app

from firstmate_tools import kinds
from firstmate_tools.customkinds import CUSTOM
from firstmate_tools.diagnose import diagnose
from firstmate_tools.diagnosis.observe import MOST_REQUESTS
from firstmate_tools.fields import Obj

pytestmark = pytest.mark.anyio

NO_ENDPOINT = (
    'Error creating: Internal error occurred: failed calling webhook "pods.guard.example": failed to call webhook: '
    'Post "https://guard.guard.svc:443/?timeout=10s": no endpoints available for service "guard"'
)


def hook(service_name: str = "guard", **rest: object) -> Obj:
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}]
    client = {"service": {"namespace": "guard", "name": service_name}}
    body = {"name": "pods.guard.example", "failurePolicy": "Fail", "rules": rules, "clientConfig": client, **rest}
    api = "admissionregistration.k8s.io/v1"
    return obj("ValidatingWebhookConfiguration", "guard", None, api=api, webhooks=[body])


def refused_shop() -> list[Obj]:
    deployed, sets = app("cart", pods=0, replicas=1)
    sets["spec"]["replicas"] = 1
    return [obj("Namespace", "shop", None), deployed, sets, event(sets, "FailedCreate", NO_ENDPOINT)]


def crashing_guard(namespace: str = "guard") -> list[Obj]:
    ended = {"exitCode": 1, "reason": "Error", "finishedAt": "2026-11-21T01:59:00Z"}
    broken = app("guard", namespace=namespace, waiting="CrashLoopBackOff", last=ended, restarts=7, ready=False)
    ports = [{"port": 443, "targetPort": 8443, "protocol": "TCP"}]
    return [obj("Namespace", namespace, None), *broken, service("guard", namespace, ports=ports), *_slice(namespace)]


def _slice(namespace: str) -> list[Obj]:
    labels = {"kubernetes.io/service-name": "guard"}
    endpoints = [{"addresses": ["10.1.0.1"], "conditions": {"ready": False}}]
    api = "discovery.k8s.io/v1"
    made = obj("EndpointSlice", "guard-x", namespace, api=api, metadata={"labels": labels}, endpoints=endpoints)
    return [{**made, "ports": [{"name": "", "port": 8443}]}]


async def test_why_a_webhooks_backend_is_down_is_the_root_though_it_stands_elsewhere():
    cluster = FakeCluster(node("n1"), hook(), *refused_shop(), *crashing_guard())
    answer = await ask(diagnose, cluster, namespace="shop")
    (root,) = answer.root_causes
    assert (root.cause, root.object.namespace, root.object.name) == ("application-exits-on-error", "guard", "guard")
    assert "webhook-unavailable" in {one.cause for one in root.explains}
    assert "cart" in {one.name for one in root.affects}
    assert cluster.usage.requests <= 38


async def test_what_else_is_broken_there_is_not_this_questions_concern():
    other = pod("report", "guard", waiting="ImagePullBackOff", message="not found", ready=False)
    cluster = FakeCluster(node("n1"), hook(), *refused_shop(), *crashing_guard(), other)
    answer = await ask(diagnose, cluster, namespace="shop")
    assert [root.cause for root in answer.root_causes] == ["application-exits-on-error"]
    assert answer.unexplained == []


async def test_events_of_the_other_namespace_are_not_taken_for_those_of_this_one():
    jobs = replica_set("batch-1", "guard", of="batch", replicas=1)
    told = event(jobs, "Odd", NO_ENDPOINT.replace("pods.guard", "jobs.guard"))
    cluster = FakeCluster(node("n1"), hook(), *refused_shop(), *crashing_guard(), jobs, told)
    answer = await ask(diagnose, cluster, namespace="shop")
    assert [root.cause for root in answer.root_causes] == ["application-exits-on-error"]
    assert "batch" not in {one.name for one in answer.root_causes[0].affects}


async def test_where_the_other_namespace_may_not_be_read_the_webhook_stands_and_it_is_said():
    denied = {(kinds.REPLICA_SET, "guard"): DENIED, (kinds.DEPLOYMENT, "guard"): DENIED}
    cluster = FakeCluster(node("n1"), hook(), *refused_shop(), *crashing_guard(), denied=denied)
    answer = await ask(diagnose, cluster, namespace="shop")
    assert answer.outcome == "problems_found"
    assert "deployments.apps in namespace guard" in {entry.what for entry in answer.coverage.not_checked}
    assert "deployments" in answer.coverage.checked


async def test_a_healthy_question_looks_nowhere_else():
    cluster = FakeCluster(node("n1"), hook(), *app("cart"), *crashing_guard(), obj("Namespace", "shop", None))
    answer = await ask(diagnose, cluster, namespace="shop")
    assert answer.outcome == "nothing_found"
    assert not any("guard" in asked for asked in cluster.asked)


# --- a cluster in which every product is installed


def counted(**objects: int) -> dict[str, str]:
    """What the API server tells of its objects: none of most products."""
    lines = [
        f'apiserver_resource_objects{{group="{kind.group}",resource="{kind.plural}"}} {objects.get(kind.plural, 0)}'
        for kind in CUSTOM
    ]
    return {"/metrics": "\n".join([*lines, 'apiserver_resource_objects{group="",resource="pods"} 1e+06', ""])}


def degraded() -> Obj:
    status = {"health": {"status": "Degraded"}, "sync": {"status": "Synced"}}
    return obj("Application", "cart", "shop", api="argoproj.io/v1alpha1", spec={}, status=status)


async def test_a_namespaces_question_stays_cheap_where_every_product_is_installed():
    cluster = FakeCluster(
        *(node("n1"), hook(), degraded()),
        *refused_shop(),
        *crashing_guard(),
        served=CUSTOM,
        paths=counted(applications=3, scaledobjects=2, externalsecrets=9),
    )
    answer = await ask(diagnose, cluster, namespace="shop")
    assert "application-exits-on-error" in {root.cause for root in answer.root_causes}
    assert cluster.usage.requests <= MOST_REQUESTS, cluster.asked
    listed = {asked.split()[1] for asked in cluster.asked if asked.startswith("list ")}
    assert {"applications.argoproj.io", "scaledobjects.keda.sh", "externalsecrets.external-secrets.io"} <= listed
    assert not {one for one in listed if "services.k8s.aws" in one or "fluxcd" in one}
    assert answer.coverage.not_checked == [] or all("argoproj" not in e.what for e in answer.coverage.not_checked)


@pytest.mark.parametrize("paths", [{}, {"/metrics": DENIED}, {"/metrics": "# nothing known"}])
async def test_where_nobody_says_how_many_objects_there_are_the_commonest_products_are_read_and_the_rest_is_named(
    paths,
):
    cluster = FakeCluster(
        node("n1"), hook(), degraded(), *refused_shop(), *crashing_guard(), served=CUSTOM, paths=paths
    )
    answer = await ask(diagnose, cluster, namespace="shop")
    assert cluster.usage.requests <= MOST_REQUESTS, cluster.asked
    (unread,) = [entry for entry in answer.coverage.not_checked if "more kinds" in entry.what]
    assert unread.why == "not_asked" and "services.k8s.aws" in unread.what and "argoproj" not in unread.what
    assert "list applications.argoproj.io in shop" in cluster.asked


async def test_a_few_products_are_listed_without_asking_for_numbers():
    few = CUSTOM[4:9]
    cluster = FakeCluster(node("n1"), *app("cart"), obj("Namespace", "shop", None), served=few, paths=counted())
    await ask(diagnose, cluster, namespace="shop")
    assert not [asked for asked in cluster.asked if "/metrics" in asked]
