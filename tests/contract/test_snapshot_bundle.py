"""Support bundles of troubleshoot.sh, as its `clusterResources` and `logs` collectors write them."""

import io
import json
import os
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from contract.snapshot_doubles import obj, pod

from firstmate_tools.cluster.base import LogRequest
from firstmate_tools.cluster.recorded import SnapshotCluster
from firstmate_tools.cluster.snapshot import SnapshotSource
from firstmate_tools.errors import (
    DeniedError,
    FailedReadError,
    NotCollectedError,
    NotInstalledError,
    ObjectNotFoundError,
    SnapshotError,
    TimedOutError,
)
from firstmate_tools.fields import Obj, name_of
from firstmate_tools.kinds import (
    CONFIG_MAP,
    CUSTOM_RESOURCE_DEFINITION,
    EVENT,
    INGRESS,
    LEASE,
    NAMESPACE,
    NODE,
    PERSISTENT_VOLUME,
    POD,
    POD_DISRUPTION_BUDGET,
    REPLICA_SET,
    SECRET,
    SERVICE,
    Kind,
)
from firstmate_tools.reads import Grant, Read

pytestmark = pytest.mark.anyio
WIDGET = Kind("Widget", "widgets", "example.org", "v1")
GADGET = Kind("Gadget", "gadgets", "example.org", "v1", namespaced=False)
KINDS = (
    *(CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION, EVENT, INGRESS, LEASE, NAMESPACE, NODE, PERSISTENT_VOLUME, POD),
    *(POD_DISRUPTION_BUDGET, REPLICA_SET, SECRET, SERVICE, WIDGET, GADGET),
)
GRANT = Grant.of([*(Read(kind) for kind in KINDS), Read(POD, ("get",), "log")])
ROOT = "cluster-resources"
FORBIDDEN = 'pods is forbidden: User "bundle" cannot list resource "pods" in API group "" in the namespace "pay"'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def listed(kind: str, *items: Obj, api_version: str = "v1") -> Obj:
    """A list as the collector marshals it: `items` is null where it is empty."""
    return {
        "kind": f"{kind}List",
        "apiVersion": api_version,
        "metadata": {"resourceVersion": "7"},
        "items": items or None,
    }


def crd(name: str, kind: str, scope: str, *versions: str) -> Obj:
    plural, _, group = name.partition(".")
    spec = {"group": group, "scope": scope, "names": {"kind": kind, "plural": plural}}
    return obj(name, spec={**spec, "versions": [{"name": version} for version in versions]})


def bundle(**more: Any) -> dict[str, Any]:
    """The files of a small bundle: two namespaces, one of which may not be read."""
    named = {key.replace("__", "/"): value for key, value in more.items()}
    return {
        f"{ROOT}/namespaces.json": listed("Namespace", obj("shop"), obj("pay")),
        f"{ROOT}/nodes.json": listed("Node", obj("a", metadata={"creationTimestamp": "2026-03-01T08:00:00Z"})),
        f"{ROOT}/pods/shop.json": listed("Pod", pod("cart-1"), pod("cart-2", restarts=4, waiting="CrashLoopBackOff")),
        f"{ROOT}/pods-errors.json": {"pay": FORBIDDEN},
        f"{ROOT}/services/shop.json": listed("Service", obj("cart", "shop")),
        f"{ROOT}/services/pay.json": listed("Service"),
        f"{ROOT}/pvs.json": listed("PersistentVolume"),
        "cluster-info/cluster_version.json": {"info": {"gitVersion": "v1.36.1"}, "string": "v1.36.1"},
        "version.yaml": "apiVersion: troubleshoot.sh/v1beta2\nkind: SupportBundle\n",
        **named,
    }


def content_of(value: Any) -> bytes:
    return (
        value
        if isinstance(value, bytes)
        else (value if isinstance(value, str) else json.dumps(value, indent=2)).encode()
    )


def written(path: Path, files: dict[str, Any]) -> Path:
    target = path / "bundle.tar.gz"
    with tarfile.open(target, "w:gz") as tar:
        for name, value in files.items():
            info = tarfile.TarInfo(f"support-bundle-2026-03-01T09_00_00/{name}")
            info.mtime = int(datetime(2026, 3, 1, 9, tzinfo=UTC).timestamp())
            if isinstance(value, Path):
                info.type, info.linkname = tarfile.SYMTYPE, str(value)
                tar.addfile(info)
            else:
                info.size = len(content_of(value))
                tar.addfile(info, io.BytesIO(content_of(value)))
    return target


async def opened(path: Path, files: dict[str, Any] | None = None, *, whole: bool = False) -> SnapshotCluster:
    source = SnapshotSource("sb", written(path, files or bundle()), whole=whole)
    async with source.open(GRANT) as cluster:
        return cluster


async def test_what_it_holds(tmp_path: Path) -> None:
    then = await opened(tmp_path)
    assert then.identity.version == "v1.36.1"
    assert [name_of(o) for o in (await then.list(POD, namespace="shop")).items] == ["cart-1", "cart-2"]
    assert [name_of(o) for o in (await then.list(SERVICE)).items] == ["cart"]  # every namespace was collected
    assert (await then.list(PERSISTENT_VOLUME)).items == []
    assert len((await then.list(NAMESPACE)).items) == 2


async def test_errors_keep_their_reason(tmp_path: Path) -> None:
    files = bundle() | {
        f"{ROOT}/nodes.json": b"",
        f"{ROOT}/nodes-errors.json": ["Get nodes: context deadline exceeded"],
        f"{ROOT}/pod-disruption-budgets-errors.json": {"": "the server could not find the requested resource"},
        f"{ROOT}/leases-errors.json": {"shop": "etcdserver: leader changed"},
    }
    then = await opened(tmp_path, files)
    assert then.recorded_namespaces == ("pay", "shop")
    for namespace in ("pay", None):
        with pytest.raises(DeniedError, match=r"pay.*forbidden"):
            await then.list(POD, namespace=namespace)
    with pytest.raises(TimedOutError):
        await then.list(NODE)
    with pytest.raises(NotInstalledError):
        await then.list(POD_DISRUPTION_BUDGET, namespace="shop")
    with pytest.raises(FailedReadError, match="leader changed"):
        await then.list(LEASE, namespace="shop")


async def test_what_no_collector_takes_is_not_collected(tmp_path: Path) -> None:
    then = await opened(tmp_path)
    for kind in (SECRET, CONFIG_MAP):
        with pytest.raises(NotCollectedError, match="support bundle does not hold"):
            await then.list(kind, namespace="shop")


@pytest.mark.parametrize("namespaces", [[obj("shop")], {"kind": "Namespace", **obj("shop")}])
async def test_a_bundle_of_chosen_namespaces_is_not_the_cluster(tmp_path: Path, namespaces: Any) -> None:
    files = bundle() | {f"{ROOT}/namespaces.json": namespaces}
    then = await opened(tmp_path, files)
    for kind in (SERVICE, NAMESPACE):
        with pytest.raises(NotCollectedError):
            await then.list(kind)
    assert (await (await opened(tmp_path, files, whole=True)).list(SERVICE)).items != []


async def test_bare_arrays_of_old_versions(tmp_path: Path) -> None:
    files = bundle() | {
        f"{ROOT}/pods/shop.json": [pod("cart-1")],
        f"{ROOT}/pvs": listed("PersistentVolume", obj("vol")),
        f"{ROOT}/statefulsets-errors.json/shop.json": listed("ReplicaSet", obj("rs", "shop"), api_version="apps/v1"),
    }
    del files[f"{ROOT}/pvs.json"]
    then = await opened(tmp_path, files)
    assert len((await then.list(POD, namespace="shop")).items) == 1
    assert [name_of(o) for o in (await then.list(PERSISTENT_VOLUME)).items] == ["vol"]
    assert [name_of(o) for o in (await then.list(REPLICA_SET, namespace="shop")).items] == ["rs"]


async def test_an_older_version_of_a_kind_has_another_shape(tmp_path: Path) -> None:
    old = {**obj("web", "shop"), "apiVersion": "extensions/v1beta1"}
    then = await opened(tmp_path, bundle() | {f"{ROOT}/ingress/shop.json": [old]})
    with pytest.raises(NotCollectedError, match=r"extensions/v1beta1, not of networking.k8s.io/v1"):
        await then.list(INGRESS, namespace="shop")


async def test_a_broken_list_fails_alone(tmp_path: Path) -> None:
    then = await opened(tmp_path, bundle() | {f"{ROOT}/pods/shop.json": b'{\n  "items": [\n'})
    with pytest.raises(FailedReadError, match=r"pods/shop.json, line 3"):
        await then.list(POD, namespace="shop")
    assert len((await then.list(SERVICE)).items) == 1


@pytest.mark.parametrize("name", ["namespaces.json", "custom-resource-definitions.json", "resources.json"])
async def test_a_broken_description_only_means_to_know_less(tmp_path: Path, name: str) -> None:
    then = await opened(tmp_path, bundle() | {f"{ROOT}/{name}": b"{broken"})
    assert len((await then.list(SERVICE, namespace="shop")).items) == 1


class TestCustomResources:
    """The collector writes no file for an empty list."""

    CRDS = listed(
        "CustomResourceDefinition",
        crd("widgets.example.org", "Widget", "Namespaced", "v1beta1", "v1", "v1alpha2"),
        crd("gadgets.example.org", "Gadget", "Cluster", "v1"),
        api_version="apiextensions.k8s.io/v1",
    )

    async def cluster(self, path: Path, **more: Any) -> SnapshotCluster:
        files = bundle() | {f"{ROOT}/custom-resource-definitions.json": self.CRDS}
        return await opened(path, files | {f"{ROOT}/custom-resources/{key}": value for key, value in more.items()})

    async def test_a_kind_without_file_is_empty_where_the_collector_ran(self, tmp_path: Path) -> None:
        gadgets = [{"apiVersion": "example.org/v1", "kind": "Gadget", **obj("g")}]
        then = await self.cluster(tmp_path, **{"gadgets.example.org.json": gadgets})
        assert [name_of(o) for o in (await then.list(GADGET)).items] == ["g"]
        assert (await then.list(WIDGET)).items == []

    async def test_and_unknown_where_it_did_not(self, tmp_path: Path) -> None:
        with pytest.raises(NotCollectedError):
            await (await self.cluster(tmp_path)).list(WIDGET)

    async def test_errors(self, tmp_path: Path) -> None:
        errors = {"widgets.example.org": "widgets.example.org is forbidden"}
        then = await self.cluster(tmp_path, **{"custom-resources-errors.json": errors})
        with pytest.raises(DeniedError):
            await then.list(WIDGET, namespace="shop")
        assert (await then.list(GADGET)).items == []

    @pytest.mark.parametrize("as_link", [True, False])
    async def test_json_goes_before_yaml(self, tmp_path: Path, as_link: bool) -> None:
        items = [{"apiVersion": "example.org/v1", "kind": "Widget", **obj("w", "shop")}]
        second = Path("shop.json") if as_link else yaml.safe_dump([obj("other", "shop")])
        then = await self.cluster(
            tmp_path, **{"widgets.example.org/shop.json": items, "widgets.example.org/shop.yaml": second}
        )
        assert [name_of(o) for o in (await then.list(WIDGET)).items] == ["w"]

    async def test_yaml_of_old_versions(self, tmp_path: Path) -> None:
        text = yaml.safe_dump([obj("w", "shop", spec={"on": "yes", "size": 3})])
        then = await self.cluster(tmp_path, **{"widgets.example.org/shop.yaml": text})
        assert (await then.list(WIDGET)).items == [obj("w", "shop", spec={"on": "yes", "size": 3})]

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            ("a: &x [1]\nb: *x\n", "line 1: YAML anchors"),
            ("[" * 300 + "]" * 300, "nested more than 200"),
            ("a: [", "line 1: not YAML|line 2: not YAML"),
            (b"a: \xff", "not UTF-8"),
            ("? [a]\n: b\n", "a key that is no text"),
            ("text", "neither a list"),
        ],
    )
    async def test_yaml_that_no_tool_writes(self, tmp_path: Path, text: Any, match: str) -> None:
        then = await self.cluster(tmp_path, **{"widgets.example.org/shop.yaml": text})
        with pytest.raises(FailedReadError, match=match):
            await then.list(WIDGET)


async def test_discovery(tmp_path: Path) -> None:
    def group(version: str, *resources: Obj) -> Obj:
        return {"groupVersion": version, "resources": [{"verbs": ["get", "list"], **r} for r in resources]}

    files = bundle() | {
        f"{ROOT}/groups.json": [{"name": "example.org", "preferredVersion": {"groupVersion": "example.org/v1"}}],
        f"{ROOT}/resources.json": [
            group(
                "v1", {"name": "pods", "kind": "Pod", "namespaced": True, "shortNames": ["po"]}, {"name": "pods/log"}
            ),
            group("example.org/v1beta1", {"name": "widgets", "kind": "Widget", "namespaced": True}),
            group("example.org/v1", {"name": "widgets", "kind": "Widget", "namespaced": True}),
        ],
    }
    then = await opened(tmp_path, files)
    assert list(await then.kinds()) == [POD, WIDGET]
    with pytest.raises(NotInstalledError):
        await then.list(SECRET)
    partly = await opened(tmp_path, files | {f"{ROOT}/groups-resources-errors.json": ["metrics: 503"]})
    with pytest.raises(NotCollectedError):
        await partly.list(SECRET)


class TestTime:
    """The newest time in the bundle, unless it is of the future."""

    @pytest.mark.parametrize(
        ("last", "expected"),
        [
            ("2026-03-01T08:59:58Z", datetime(2026, 3, 1, 8, 59, 58, tzinfo=UTC)),
            ("2099-01-01T00:00:00Z", datetime(2026, 3, 1, 8, tzinfo=UTC)),  # forged: an event may say anything
        ],
    )
    async def test_of_objects(self, tmp_path: Path, last: str, expected: datetime) -> None:
        event = obj("e", "shop", lastTimestamp=last, message='"lastTimestamp": "2026-03-01T08:59:59Z"')
        bare = {key: value for key, value in bundle().items() if "pods/" not in key}
        then = await opened(tmp_path, bare | {f"{ROOT}/events/shop.json": listed("Event", event)})
        assert then.now == expected

    async def test_of_the_file_where_no_object_has_one(self, tmp_path: Path) -> None:
        then = await opened(tmp_path, {f"{ROOT}/nodes.json": listed("Node", obj("a"))})
        assert then.now == datetime(2026, 3, 1, 9, tzinfo=UTC)


class TestLogs:
    """Where collectors of every age put logs."""

    async def test_below_pods(self, tmp_path: Path) -> None:
        place = f"{ROOT}/pods/logs/shop/cart-2/app"
        link = Path("../../cluster-resources/pods/logs/shop/cart-2/app.log")
        files = bundle() | {
            f"{place}.log": "one\ntwo\n",
            f"{place}-previous.log": "old\n",
            "podlogs/cart-2/app.log": link,
        }
        then = await opened(tmp_path, files)
        assert await then.logs(LogRequest("shop", "cart-2", "app", tail_lines=1)) == "two\n"
        assert await then.logs(LogRequest("shop", "cart-2", "app", previous=True)) == "old\n"
        with pytest.raises(NotCollectedError, match="times of the log lines"):
            await then.logs(LogRequest("shop", "cart-2", "app", since_seconds=60))

    async def test_below_the_collectors_name(self, tmp_path: Path) -> None:
        files = bundle() | {"app/logs/cart-1/app.log": "hello\n"}
        assert await (await opened(tmp_path, files)).logs(LogRequest("shop", "cart-1", "app")) == "hello\n"
        twice = files | {f"{ROOT}/pods/pay.json": listed("Pod", pod("cart-1", "pay"))}
        with pytest.raises(NotCollectedError):  # whose it is, the bundle does not say
            await (await opened(tmp_path, twice)).logs(LogRequest("shop", "cart-1", "app"))

    @pytest.mark.parametrize(
        ("message", "error"),
        [
            ('container "app" in pod "cart-2" is waiting to start: ContainerCreating', ObjectNotFoundError),
            ('pods "cart-2" is forbidden', DeniedError),
            ("dial tcp: i/o timeout", TimedOutError),
        ],
    )
    async def test_errors(self, tmp_path: Path, message: str, error: type[Exception]) -> None:
        files = bundle() | {f"{ROOT}/pods/logs/shop/cart-2/app-logs-errors.log": message}
        with pytest.raises(error):
            await (await opened(tmp_path, files)).logs(LogRequest("shop", "cart-2", "app"))

    async def test_none(self, tmp_path: Path) -> None:
        with pytest.raises(NotCollectedError, match="`logs` collector"):
            await (await opened(tmp_path)).logs(LogRequest("shop", "cart-1", "app"))


async def test_secrets_that_other_collectors_copied_are_not_read(tmp_path: Path) -> None:
    then = await opened(tmp_path, bundle() | {"secrets/default/db.json": {"name": "db", "value": "hunter2"}})
    with pytest.raises(NotCollectedError):
        await then.get(SECRET, "db", "default")


async def test_values_are_dropped_while_reading(tmp_path: Path) -> None:
    copy = "kubectl.kubernetes.io/last-applied-configuration"
    service = obj("cart", "shop", metadata={"annotations": {copy: "{}", "a": "b"}, "managedFields": [{"fieldsV1": {}}]})
    then = await opened(tmp_path, bundle() | {f"{ROOT}/services/shop.json": listed("Service", service)})
    (read,) = (await then.list(SERVICE, namespace="shop")).items
    assert read["metadata"]["annotations"] == {"a": "b"}
    assert read["metadata"]["managedFields"] == [{}]


async def test_no_time_at_all(tmp_path: Path) -> None:
    (tmp_path / "b" / ROOT).mkdir(parents=True)
    nodes = tmp_path / "b" / ROOT / "nodes.json"
    nodes.write_text(json.dumps(listed("Node", obj("a"))))
    os.utime(nodes, (0, 0))
    with pytest.raises(SnapshotError, match="when it was made"):
        async with SnapshotSource("x", tmp_path / "b").open(GRANT):
            pass
