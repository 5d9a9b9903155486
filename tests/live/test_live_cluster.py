"""LiveCluster against a real API server: what it reads, what is refused, and what the audit log says that it sent."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from evals.lab.lab import Lab
from firstmate_tools.cluster.base import LogRequest
from firstmate_tools.cluster.live import LiveSource
from firstmate_tools.cluster.livecluster import LiveCluster
from firstmate_tools.errors import DeniedError, NotInstalledError, ObjectNotFoundError, UsageError
from firstmate_tools.fields import name_of
from firstmate_tools.kinds import CLUSTER_ROLE, CONFIG_MAP, NODE, POD, SECRET, Kind
from firstmate_tools.reads import AnyKindButSecrets, Grant, Read

pytestmark = pytest.mark.anyio

NS = "gateway-live"
POD_LOG = Read(POD, ("get",), "log")
GRANT = Grant.of([AnyKindButSecrets(), Read(SECRET), POD_LOG])
WIDGET = Kind("Widget", "widgets", "gateway.example", short=("wd",))
AGENT = "firstmate/gateway-live"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def metadata(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": NS, **more}


def config_map(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(name, labels={"set": "many"}),
        "data": {"k": name},
    }


@pytest.fixture(scope="module")
def place(lab: Lab) -> Iterator[Lab]:
    """A namespace with a secret, many ConfigMaps and a pod without a node."""
    lab.client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata("db"), "stringData": {"password": "hunter2"}}
    secret["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(secret)}
    lab.client.apply(secret)
    for i in range(25):
        lab.client.apply(config_map(f"many-{i:02}"))
    spec = {"containers": [{"name": name, "image": "registry.example/app:1"} for name in ("app", "sidecar")]}
    lab.client.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata("placeless"),
            "spec": {**spec, "schedulerName": "nobody"},
        }
    )
    yield lab
    lab.client.delete("Namespace", NS)


@pytest.fixture
async def source(place: Lab, anyio_backend: str) -> AsyncIterator[LiveSource]:
    found = LiveSource("lab", place.kubeconfig, user_agent=AGENT)
    yield found
    await found.close()


@pytest.fixture
async def cluster(source: LiveSource) -> AsyncIterator[LiveCluster]:
    async with source.open(GRANT) as found:
        yield found


async def test_it_says_who_answers_and_when(place: Lab, cluster: LiveCluster) -> None:
    assert cluster.identity.server == place.server
    assert (cluster.identity.version or "").startswith("v1.")
    assert abs((cluster.now - datetime.now(UTC)).total_seconds()) < 2


async def test_pages_make_the_same_list_as_one(cluster: LiveCluster) -> None:
    whole = await cluster.list(CONFIG_MAP, namespace=NS, labels="set=many")
    pages, more = [], ""
    while True:
        page = await cluster.list(CONFIG_MAP, namespace=NS, labels="set=many", limit=10, more=more)
        assert len(page.items) <= 10
        pages += page.items
        if not (more := page.more):
            break
    assert (
        [name_of(one) for one in pages] == [name_of(one) for one in whole.items] == [f"many-{i:02}" for i in range(25)]
    )
    swept = await cluster.sweep(CONFIG_MAP, name_of, namespace=NS, labels="set=many")
    assert swept.items == [name_of(one) for one in whole.items]
    some = await cluster.sweep(CONFIG_MAP, name_of, namespace=NS, labels="set=many", most=4)
    assert len(some.items) == 4
    assert some.more


def unmanaged(obj: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {key: value for key, value in obj["metadata"].items() if key != "managedFields"}}


async def test_the_metadata_form_is_the_metadata_of_the_whole(cluster: LiveCluster) -> None:
    for kind in (CONFIG_MAP, SECRET):
        whole = await cluster.list(kind, namespace=NS)
        slim = await cluster.list(kind, namespace=NS, form="metadata")
        # Who owns which field is kept of whole objects of some kinds alone.
        assert [unmanaged(one) for one in slim.items] == [
            unmanaged({"metadata": one["metadata"]}) for one in whole.items
        ]


async def test_no_secret_value_comes_out(cluster: LiveCluster) -> None:
    found = await cluster.get(SECRET, "db", NS)
    assert found is not None
    assert found["data"] == {"password": ""}
    everything = [found, *(await cluster.list(SECRET, namespace=NS)).items]
    assert "hunter2" not in repr(everything)
    assert "aHVudGVy" not in repr(everything)


async def test_absence_of_an_object_and_of_a_kind_are_told_apart(cluster: LiveCluster) -> None:
    assert await cluster.get(POD, "nobody", NS) is None
    assert await cluster.get(POD, "nobody", "no-such-namespace") is None
    assert await cluster.get(POD, "$(id)", NS) is None
    assert await cluster.get(CLUSTER_ROLE, "system:node-proxier") is not None
    assert (await cluster.list(POD, namespace="no-such-namespace")).items == []
    for kind in (WIDGET, Kind("Nothing", "nothings"), Kind("Deployment", "deployments", "apps", "v9")):
        with pytest.raises(NotInstalledError):
            await cluster.list(kind)
    with pytest.raises(NotInstalledError):
        await cluster.get(WIDGET, "x", NS)
    with pytest.raises(UsageError):
        await cluster.list(POD, labels="a in")
    with pytest.raises(UsageError):
        await cluster.list(POD, fields="spec.nope=1")


async def test_custom_resources_are_found_once_they_are_installed(place: Lab, source: LiveSource) -> None:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"plural": "widgets", "singular": "widget", "kind": "Widget", "shortNames": ["wd"]}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    crd |= {"metadata": {"name": "widgets.gateway.example"}}
    crd |= {"spec": {"group": "gateway.example", "scope": "Namespaced", "names": names, "versions": [version]}}
    place.client.apply(crd)
    try:
        found: list[Kind] = []
        for _ in range(50):
            fresh = LiveSource("lab", place.kubeconfig)
            async with fresh.open(GRANT) as cluster:
                found = [kind for kind in await cluster.kinds() if kind.group == "gateway.example"]
            await fresh.close()
            if found:
                break
            await asyncio.sleep(0.2)
        assert found == [WIDGET]
        held = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "inner"}, "data": {"a": "aHVudGVyMg=="}}
        for i in range(3):
            widget = {"apiVersion": "gateway.example/v1", "kind": "Widget", "metadata": metadata(f"w{i}")}
            place.client.request(
                "POST", f"/apis/gateway.example/v1/namespaces/{NS}/widgets", body={**widget, "spec": held}
            )
        async with source.open(GRANT) as cluster:
            page = await cluster.list(WIDGET, limit=2)
            assert [name_of(one) for one in page.items] == ["w0", "w1"]
            rest = await cluster.list(WIDGET, limit=2, more=page.more)
            assert [name_of(one) for one in rest.items] == ["w2"]
            assert page.items[0]["spec"]["data"] == {"a": ""}
    finally:
        place.client.delete("CustomResourceDefinition", "widgets.gateway.example")


async def test_discovery_takes_two_requests_and_knows_the_built_in_kinds(cluster: LiveCluster) -> None:
    before = cluster.usage.requests
    found = {kind.resource: kind for kind in await cluster.kinds()}
    assert cluster.usage.requests - before == 2
    assert found["pods"] == POD
    assert found["nodes"] == NODE
    assert not [name for name in found if "/" in name]


async def test_a_log_that_is_not_there_says_why(cluster: LiveCluster) -> None:
    with pytest.raises(ObjectNotFoundError):
        await cluster.logs(LogRequest(NS, "nobody", "app"))
    with pytest.raises(UsageError, match="sidecar"):
        await cluster.logs(LogRequest(NS, "placeless", ""))
    with pytest.raises(UsageError, match="nope"):
        await cluster.logs(LogRequest(NS, "placeless", "nope"))


async def test_logs_come_with_their_end(place: Lab, cluster: LiveCluster, tmp_path: Path) -> None:
    lines = {"current": [f"line {i}" for i in range(300)] + ["x" * 2_000_000, "the end"], "previous": ["it died"]}
    for name, texts in lines.items():
        stamped = (f"2026-01-02T03:04:05.000000000Z stdout F {text}\n" for text in texts)
        (tmp_path / name).write_text("".join(stamped))
    files = {"logsFile": str(tmp_path / "current"), "previousLogsFile": str(tmp_path / "previous")}
    logs = {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Logs", "metadata": metadata("talks")}
    place.client.apply({**logs, "spec": {"logs": [{"containers": ["app"], **files}]}})
    spec = {"containers": [{"name": "app", "image": "registry.example/app:1"}]}
    place.client.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata("talks"), "spec": spec})

    def runs() -> bool:
        return (place.client.get("Pod", "talks", NS) or {})["status"]["phase"] == "Running"

    await asyncio.to_thread(place.client.wait_until, "the pod runs", runs, timeout_s=20)
    assert await cluster.logs(LogRequest(NS, "talks", "app", tail_lines=1)) == "the end\n"
    assert await cluster.logs(LogRequest(NS, "talks", "app", previous=True)) == "it died\n"
    stamped_end = await cluster.logs(LogRequest(NS, "talks", "app", tail_lines=1, timestamps=True))
    assert stamped_end == "2026-01-02T03:04:05.000000000Z the end\n"
    whole = await cluster.logs(LogRequest(NS, "talks", "app", tail_lines=None))
    assert whole.endswith("the end\n")
    assert len(whole) <= 1_000_000


@pytest.fixture
def limited(place: Lab) -> Path:
    """A user who may list pods in the namespace, and nothing else."""
    group = "rbac.authorization.k8s.io"
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
    place.client.apply(
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata("lists-pods"), "rules": [rule]}
    )
    binding = {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": metadata("lists-pods")}
    binding["subjects"] = [{"kind": "User", "name": "gateway-jane", "apiGroup": group}]
    binding["roleRef"] = {"kind": "Role", "name": "lists-pods", "apiGroup": group}
    place.client.apply(binding)
    return place.kubeconfig_for("gateway-jane")


async def test_what_rbac_denies_is_denied_and_foretold(limited: Path) -> None:
    source = LiveSource("lab", limited)
    reads = [Read(POD, ("list",)), Read(POD), POD_LOG, Read(SECRET), Read(NODE)]
    async with source.open(GRANT) as cluster:
        assert (await cluster.list(POD, namespace=NS)).items
        with pytest.raises(DeniedError) as caught:
            await cluster.get(POD, "placeless", NS)
        assert 'resources: ["pods"], verbs: ["get"]' in caught.value.hint
        assert "gateway-jane" in caught.value.message
        with pytest.raises(DeniedError, match="cluster scope"):
            await cluster.list(POD)
        with pytest.raises(DeniedError, match="a ClusterRole"):
            await cluster.list(NODE)
        foretold = await cluster.access(reads, NS)
        assert [one.allowed for one in foretold] == [True, False, False, False, False]
        assert [one.allowed for one in await cluster.access(reads[:1], None)] == [False]
    await source.close()


async def test_an_administrator_may_read_all(cluster: LiveCluster) -> None:
    reads = [Read(POD), POD_LOG, Read(SECRET), Read(NODE)]
    for namespace in (NS, None):
        assert [one.allowed for one in await cluster.access(reads, namespace)] == [True] * 4


async def test_a_token_that_is_none_is_refused_in_words(place: Lab, tmp_path: Path) -> None:
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": place.server, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "x", "user": {"token": "eyJhbGciOiJub25lIn0.e30."}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    source = LiveSource("lab", tmp_path / "config")
    with pytest.raises(DeniedError, match="expired"):
        async with source.open(GRANT):
            pass
    await source.close()


async def test_the_audit_log_knows_of_reads_and_reviews_alone(place: Lab, cluster: LiveCluster) -> None:
    await cluster.list(POD)
    await cluster.access([Read(POD), Read(NODE)], NS)
    await cluster.kinds()
    sent: set[tuple[str, str]] = set()
    for _ in range(50):
        lines = place.audit_log.read_text().splitlines()
        events = [json.loads(line) for line in lines if AGENT in line]
        sent = {(event["verb"], event.get("objectRef", {}).get("resource", "")) for event in events}
        if ("create", "selfsubjectaccessreviews") in sent:
            break
        await asyncio.sleep(0.1)
    assert {verb for verb, _ in sent} <= {"get", "list", "create"}
    assert {resource for verb, resource in sent if verb == "create"} == {
        "selfsubjectaccessreviews",
        "selfsubjectrulesreviews",
    }
