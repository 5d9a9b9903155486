"""What `get` promises: any kind, one object small and without secrets, or a list with its status columns."""

import pytest
from builders import container, deployment, node, obj, owner, pod, service
from doubles import DENIED, FakeCluster, ask

from firstmate_tools import kinds
from firstmate_tools.errors import DeniedError, FailedReadError, NotInstalledError, RefusedError, UsageError
from firstmate_tools.kinds import Kind
from firstmate_tools.objects import get
from firstmate_tools.views.columns import status_columns
from firstmate_tools.views.jsonpath import column

pytestmark = pytest.mark.anyio
ROLLOUT = Kind("Rollout", "rollouts", "argoproj.io", "v1alpha1", short=("ro",))


def rollout(name, **more):
    return obj("Rollout", name, api="argoproj.io/v1alpha1", **more)


def definition(*columns):
    return obj(
        "CustomResourceDefinition",
        "rollouts.argoproj.io",
        None,
        api="apiextensions.k8s.io/v1",
        spec={
            "group": "argoproj.io",
            "versions": [
                {
                    "name": "v1alpha1",
                    "served": True,
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                    "additionalPrinterColumns": [
                        {"name": name, "jsonPath": path, "type": "string", "priority": priority}
                        for name, path, priority in columns
                    ],
                }
            ],
        },
    )


async def test_a_list_has_status_columns_not_objects():
    cluster = FakeCluster(pod("a", waiting="CrashLoopBackOff", restarts=4), pod("b"))
    answer = await ask(get, cluster, kind="po", namespace="shop")
    assert [(row.name, dict(row.status)) for row in answer.items] == [
        ("a", {"ready": "0/1", "status": "CrashLoopBackOff", "restarts": "4", "node": "n1"}),
        ("b", {"ready": "1/1", "status": "Running", "restarts": "0", "node": "n1"}),
    ]
    assert (answer.kind, answer.api_version, answer.object) == ("Pod", "v1", None)


@pytest.mark.parametrize(
    ("kind", "made", "columns"),
    [
        (kinds.NODE, node("n1", cordoned=True), {"status": "Ready,SchedulingDisabled"}),
        (kinds.DEPLOYMENT, deployment("d", replicas=0), {"ready": "0/0", "state": "scaled to zero"}),
        (
            kinds.SERVICE,
            service("s", type="LoadBalancer", clusterIP="10.0.0.9"),
            {
                "type": "LoadBalancer",
                "clusterIP": "10.0.0.9",
                "external": "pending",
                "ports": "80→8080",
                "selector": "app=s",
            },
        ),
        (
            kinds.RESOURCE_QUOTA,
            obj("ResourceQuota", "q", status={"hard": {"pods": "10"}, "used": {"pods": "10"}}),
            {"pods": "10/10"},
        ),
        (kinds.CONFIG_MAP, obj("ConfigMap", "c", data={"b": "1", "a": "2"}), {"keys": "a, b"}),
        (
            kinds.NAMESPACE,
            obj("Namespace", "x", None, status={"phase": "Terminating"}, metadata={"deletionTimestamp": "2026-01-01"}),
            {"phase": "Terminating", "deleting": "yes"},
        ),
        (
            kinds.PERSISTENT_VOLUME_CLAIM,
            obj("PersistentVolumeClaim", "p", spec={"storageClassName": "gp3"}, status={"phase": "Pending"}),
            {"status": "Pending", "class": "gp3"},
        ),
    ],
)
def test_columns_of_built_in_kinds(kind, made, columns):
    assert status_columns(made, kind) == columns


async def test_a_custom_resource_shows_the_columns_that_its_definition_asks_for():
    crd = definition(
        ("Desired", ".spec.replicas", 0),
        ("Healthy", '.status.conditions[?(@.type=="Healthy")].status', 0),
        ("Wide", ".spec.wide", 1),
        ("Age", ".metadata.creationTimestamp", 0),
    )
    made = rollout(
        "r", spec={"replicas": 3, "wide": "x"}, status={"conditions": [{"type": "Healthy", "status": "False"}]}
    )
    for name in ("rollouts.argoproj.io", "rollout", "ro"):
        answer = await ask(get, FakeCluster(made, crd, served=[ROLLOUT]), kind=name)
        assert dict(answer.items[0].status) == {"Desired": "3", "Healthy": "False"}
    blind = FakeCluster(made, crd, served=[ROLLOUT], denied={kinds.CUSTOM_RESOURCE_DEFINITION: DENIED})
    answer = await ask(get, blind, kind="ro")
    assert dict(answer.items[0].status) == {"ready": "0/3", "Healthy": "False"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (".a.b", "1"),
        ("{.a.b}", "1"),
        (".a['x.y/z']", "q"),
        (r".a.x\.y/z", "q"),
        (".list[1].n", "two"),
        (".list[-1].n", "two"),
        (".list[*].n", "one"),
        ('.list[?(@.n=="two")].v', "true"),
        (".list", "(2)"),
        (".nothing.here", ""),
        (".list[9]", ""),
        ("..a", ""),
        (".list[?(@.n > 1)]", ""),
        ("", "(2)"),
    ],
)
def test_jsonpath_of_printer_columns(path, value):
    made = {"a": {"b": 1, "x.y/z": "q"}, "list": [{"n": "one"}, {"n": "two", "v": True}]}
    assert column(made, path) == value


async def test_one_object_comes_whole_with_its_owner():
    made = pod("a", owned_by=("ReplicaSet", "cart-1"), metadata={"managedFields": [{"manager": "kubectl"}]})
    made["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
    answer = await ask(get, FakeCluster(made), kind="pod", name="a")
    assert answer.object is not None
    assert not {"managedFields", "uid", "resourceVersion"} & answer.object["metadata"].keys()
    assert answer.object["metadata"]["annotations"] == {}
    assert answer.owner is not None
    assert (answer.owner.kind, answer.owner.namespace, answer.owner.name) == ("ReplicaSet", "shop", "cart-1")
    mirror = pod("m", metadata={"ownerReferences": owner("Node", "n1", api="v1")})
    above = (await ask(get, FakeCluster(mirror), kind="pod", name="m")).owner
    assert above is not None
    assert (above.kind, above.namespace) == ("Node", None)


async def pointers(kind, name, *objects, **arguments):
    answer = await ask(get, FakeCluster(*objects), kind=kind, name=name, namespace="shop", **arguments)
    return [f"{p.kind}/{p.name}" for p in answer.pointed_at_by]


def mounting(**spec):
    return {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [container()], **spec}}


async def test_what_points_at_a_config_map():
    volume = {"volumes": [{"name": "v", "configMap": {"name": "settings"}}]}
    from_env = {"containers": [container(envFrom=[{"configMapRef": {"name": "settings"}}])]}
    cron = {"jobTemplate": {"spec": {"template": mounting(**volume)}}}
    objects = [
        obj("ConfigMap", "settings"),
        deployment("cart", template=mounting(**volume)),
        pod("cart-6d4f9b7c8d-x2x9z", owned_by=("ReplicaSet", "cart-6d4f9b7c8d"), spec=volume),
        obj("CronJob", "nightly", api="batch/v1", spec=cron),
        pod("lone", spec=from_env),
        pod("other"),
    ]
    assert await pointers("cm", "settings", *objects) == ["CronJob/nightly", "Deployment/cart", "Pod/lone"]


async def test_what_points_at_a_service_a_workload_and_an_account():
    backend = {"service": {"name": "cart", "port": {"number": 80}}}
    rules = [{"http": {"paths": [{"path": "/", "backend": backend}]}}]
    target = {"scaleTargetRef": {"kind": "Deployment", "name": "cart"}}
    subjects = [{"kind": "ServiceAccount", "name": "robot"}]
    hook = {"webhooks": [{"clientConfig": {"service": {"namespace": "shop", "name": "cart"}}}]}
    group = "admissionregistration.k8s.io/v1"
    objects = [
        service("cart"),
        deployment("cart"),
        obj("Ingress", "web", api="networking.k8s.io/v1", spec={"rules": rules}),
        obj("StatefulSet", "db", api="apps/v1", spec={"serviceName": "cart", "template": mounting()}),
        obj("ValidatingWebhookConfiguration", "guard", None, api=group, **hook),
        obj("HorizontalPodAutoscaler", "cart", api="autoscaling/v2", spec=target),
        obj("PodDisruptionBudget", "cart", api="policy/v1", spec={"selector": {"matchLabels": {"app": "cart"}}}),
        obj("NetworkPolicy", "all", api="networking.k8s.io/v1", spec={"podSelector": {}}),
        obj("ServiceAccount", "robot"),
        pod("p", spec={"serviceAccountName": "robot"}),
        obj("RoleBinding", "b", api="rbac.authorization.k8s.io/v1", subjects=subjects),
    ]
    assert await pointers("svc", "cart", *objects) == [
        "Ingress/web",
        "StatefulSet/db",
        "ValidatingWebhookConfiguration/guard",
    ]
    assert await pointers("deploy", "cart", *objects) == [
        "HorizontalPodAutoscaler/cart",
        "NetworkPolicy/all",
        "PodDisruptionBudget/cart",
        "Service/cart",
    ]
    assert await pointers("sa", "robot", *objects) == ["Pod/p", "RoleBinding/b"]


async def test_what_a_custom_resource_owns_points_at_it():
    made = obj("ReplicaSet", "r-1", api="apps/v1", metadata={"ownerReferences": owner("Rollout", "r")})
    answer = await ask(get, FakeCluster(rollout("r"), made, served=[ROLLOUT]), kind="ro", name="r")
    assert [p.name for p in answer.pointed_at_by] == ["r-1"]


async def test_one_list_for_each_kind_that_may_point_never_one_for_each_object():
    cluster = FakeCluster(obj("ConfigMap", "c"), *(pod(f"p{n}") for n in range(100)))
    await ask(get, cluster, kind="cm", name="c")
    assert all(count == 1 for count in cluster.usage.by_resource.values())
    assert cluster.usage.requests == 7
    lists = FakeCluster(*(rollout(f"r{n}") for n in range(80)), definition(), served=[ROLLOUT])
    await ask(get, lists, kind="ro")
    assert lists.usage.requests == 3


async def test_pointers_that_may_not_be_read_are_not_checked():
    cluster = FakeCluster(obj("ConfigMap", "c"), denied={kinds.POD: DENIED})
    answer = await ask(get, cluster, kind="cm", name="c")
    assert [n.what for n in answer.coverage.not_checked] == ["pods"]
    assert "pods" not in answer.coverage.checked


async def test_secrets_are_never_read_and_what_looks_like_one_is_redacted():
    secret = obj("Secret", "s", data={"password": "aHVudGVyMjI="})
    for name in ("secret", "secrets", "Secret"):
        with pytest.raises(UsageError, match="Secrets are not read"):
            await ask(get, FakeCluster(secret), kind=name, name="s")
    env = [{"name": "DB_PASSWORD", "value": "hunter22x"}, {"name": "MODE", "value": "fast"}]
    made = deployment(
        "d", template={"spec": {"containers": [container(env=env)], "imagePullSecrets": [{"name": "pull"}]}}
    )
    answer = (await ask(get, FakeCluster(made), kind="deploy", name="d")).model_dump_json()
    assert "hunter22x" not in answer
    assert '"fast"' in answer
    assert '"pull"' in answer
    settings = obj("ConfigMap", "c", data={"api_key": "abcdefgh123", "url": "postgres://u:pw12345@db/x"})
    told = (await ask(get, FakeCluster(settings), kind="cm", name="c")).model_dump_json()
    assert "abcdefgh123" not in told
    assert "pw12345" not in told


async def test_a_large_object_is_cut_where_it_is_long_and_says_so():
    made = obj("ConfigMap", "c", data={"nginx.conf": "x " * 30_000, "mode": "fast"})
    concise = await ask(get, FakeCluster(made), kind="cm", name="c")
    assert len(concise.model_dump_json()) < 12_000
    assert concise.object is not None
    assert concise.object["data"]["mode"] == "fast"
    assert concise.coverage.cut == ["object.data.nginx.conf: 60000 characters; detail=detailed shows more"]
    detailed = await ask(get, FakeCluster(made), kind="cm", name="c", detail="detailed")
    assert detailed.object is not None
    assert len(detailed.object["data"]["nginx.conf"]) == 60_000
    endpoints = [{"addresses": [f"10.0.{n % 250}.{n // 250}"], "conditions": {"ready": True}} for n in range(1000)]
    slice_ = obj("EndpointSlice", "e", api="discovery.k8s.io/v1", endpoints=endpoints)
    assert len((await ask(get, FakeCluster(slice_), kind="endpointslices", name="e")).model_dump_json()) < 12_000
    crd = (await ask(get, FakeCluster(definition()), kind="crd", name="rollouts.argoproj.io")).model_dump_json()
    assert "openAPIV3Schema" not in crd


async def test_lists_are_paged_by_the_server():
    cluster = FakeCluster(*(pod(f"p{n:02}") for n in range(12)), obj("Namespace", "shop", None))
    first = await ask(get, cluster, kind="pods", limit=5)
    assert (first.coverage.returned, first.coverage.total) == (5, 12)
    second = await ask(get, cluster, kind="pods", limit=5, cursor=first.coverage.cursor)
    third = await ask(get, cluster, kind="pods", limit=5, cursor=second.coverage.cursor)
    assert [r.name for page in (first, second, third) for r in page.items] == [f"p{n:02}" for n in range(12)]
    assert (third.coverage.total, third.coverage.cursor) == (12, None)
    with pytest.raises(UsageError, match="another question"):
        await ask(get, cluster, kind="services", cursor=first.coverage.cursor)
    with pytest.raises(UsageError, match="no cursor"):
        await ask(get, cluster, kind="pods", cursor="$(id)")


async def test_what_is_not_there_is_told_apart_from_what_is_not_served_or_not_allowed():
    with pytest.raises(UsageError, match="no configmap 'x'"):
        await ask(get, FakeCluster(), kind="cm", name="x")
    with pytest.raises(UsageError, match="no namespace 'shpo'"):
        await ask(get, FakeCluster(obj("Namespace", "shop", None)), kind="cm", namespace="shpo")
    with pytest.raises(UsageError, match=r"serves no kind 'rolouts'.*rollouts"):
        await ask(get, FakeCluster(served=[ROLLOUT]), kind="rolouts")
    with pytest.raises(DeniedError):
        await ask(get, FakeCluster(denied={kinds.CONFIG_MAP: DENIED}), kind="cm")
    with pytest.raises(FailedReadError):
        await ask(get, FakeCluster(denied={"discovery": FailedReadError("broken")}), kind="ro")
    with pytest.raises(NotInstalledError):
        cluster = FakeCluster()
        del cluster.served["ingresses.networking.k8s.io"]
        await ask(get, cluster, kind="ing")


@pytest.mark.parametrize("word", ["--all", "a; id", "../x", "pods/log", "", "%2e", "a\nb", "pods/exec"])
async def test_kinds_and_names_are_only_words(word):
    with pytest.raises((UsageError, RefusedError)):
        await ask(get, FakeCluster(pod("a")), kind=word)
    if word:
        with pytest.raises(UsageError):
            await ask(get, FakeCluster(pod("a")), kind="pod", name=word)


async def test_an_object_nested_without_end_is_refused_and_one_without_status_is_shown():
    deep: object = "x"
    for _ in range(300):
        deep = {"a": deep}
    with pytest.raises(FailedReadError):
        await ask(get, FakeCluster(rollout("r", spec=deep), served=[ROLLOUT]), kind="ro", name="r")
    bare = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "bare", "namespace": "shop"}}
    assert (await ask(get, FakeCluster(bare), kind="deploy", name="bare")).object == bare
