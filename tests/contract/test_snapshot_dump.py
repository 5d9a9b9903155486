"""`kubectl cluster-info dump`: a folder or a stream, JSON or YAML (layout compared with kubectl v1.36 on a cluster)."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

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
    ObjectNotFoundError,
    SnapshotError,
)
from firstmate_tools.fields import Obj, name_of
from firstmate_tools.kinds import DEPLOYMENT, EVENT, NAMESPACE, NODE, POD, SERVICE
from firstmate_tools.reads import Grant, Read

pytestmark = pytest.mark.anyio
KINDS = (POD, NODE, EVENT, SERVICE, DEPLOYMENT, NAMESPACE)
GRANT = Grant.of([*(Read(kind) for kind in KINDS), Read(POD, ("get",), "log")])
LISTS = {
    "events": "Event",
    "replication-controllers": "ReplicationController",
    "services": "Service",
    "daemonsets": "DaemonSet",
    "deployments": "Deployment",
    "replicasets": "ReplicaSet",
    "pods": "Pod",
}
TIME = {"creationTimestamp": "2026-03-01T08:00:00Z"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def listed(kind: str, items: list[Obj]) -> Obj:
    version = "apps/v1" if kind in ("DaemonSet", "Deployment", "ReplicaSet") else "v1"
    return {"kind": f"{kind}List", "apiVersion": version, "metadata": {"resourceVersion": "7"}, "items": items}


def printed(value: Obj, form: str) -> str:
    """As kubectl's printers write: JSON indented by four, YAML with sorted keys."""
    return yaml.safe_dump(value) if form == "yaml" else json.dumps(value, indent=4) + "\n"


def section(namespace: str, name: str, text: str, container: str = "app") -> str:
    of = f"logs for container {container} of pod {namespace}/{name} ===="
    return f"==== START {of}\n{text}==== END {of}\n"


class Dump:
    """What a dump holds, to be written either way."""

    def __init__(self, logs: dict[str, str] | None = None) -> None:
        self.nodes = listed("Node", [obj("a", metadata=TIME)])
        self.namespaces: dict[str, dict[str, list[Obj]]] = {
            "kube-system": {"services": [obj("dns", "kube-system")]},
            "shop": {"pods": [pod("cart-1"), pod("cart-2", restarts=2)], "services": [obj("cart", "shop")]},
            "empty": {},
        }
        self.logs = logs if logs is not None else {"cart-1": "one\ntwo\n", "cart-2": "no newline at the end"}

    def folder(self, path: Path, form: str) -> Path:
        path.mkdir(exist_ok=True)
        (path / f"nodes.{form}").write_text(printed(self.nodes, form))
        for namespace, lists in self.namespaces.items():
            (path / namespace).mkdir(exist_ok=True)
            for name, kind in LISTS.items():
                (path / namespace / f"{name}.{form}").write_text(printed(listed(kind, lists.get(name, [])), form))
            for one in lists.get("pods", []):
                (path / namespace / name_of(one)).mkdir(exist_ok=True)
                text = section(namespace, name_of(one), self.logs[name_of(one)])
                (path / namespace / name_of(one) / "logs.txt").write_text(text)
        return path

    def stream(self, form: str) -> str:
        parts = [printed(self.nodes, form)]
        dash = "---\n" if form == "yaml" else ""
        for namespace, lists in self.namespaces.items():
            parts += [dash + printed(listed(kind, lists.get(name, [])), form) for name, kind in LISTS.items()]
            parts += [section(namespace, name_of(o), self.logs[name_of(o)]) for o in lists.get("pods", [])]
        return "".join(parts)

    def written(self, path: Path, how: str, form: str) -> Path:
        if how == "folder":
            return self.folder(path / "dump", form)
        target = path / f"dump.{form}"
        text = self.stream(form).encode()
        target.write_bytes(gzip.compress(text) if how == "packed" else text)
        return target


async def opened(path: Path, *, whole: bool = False) -> SnapshotCluster:
    async with SnapshotSource("dump", path, whole=whole).open(GRANT) as cluster:
        return cluster


@pytest.mark.parametrize("form", ["json", "yaml"])
@pytest.mark.parametrize("how", ["folder", "stream", "packed"])
async def test_what_it_holds(tmp_path: Path, how: str, form: str) -> None:
    path = Dump().written(tmp_path, how, form)
    then = await opened(path)
    assert then.now == datetime(2026, 3, 1, 11, tzinfo=UTC)  # since when the containers run
    assert (await then.list(NODE)).items == [obj("a", metadata=TIME)]
    assert (await then.list(POD, namespace="shop")).items == [pod("cart-1"), pod("cart-2", restarts=2)]
    assert (await then.list(DEPLOYMENT, namespace="shop")).items == []
    assert await then.logs(LogRequest("shop", "cart-1", "app")) == "one\ntwo\n"
    assert await then.logs(LogRequest("shop", "cart-2", "app")) == "no newline at the end"
    for kind in (POD, NAMESPACE):
        with pytest.raises(NotCollectedError):  # nothing says that these are all namespaces
            await then.list(kind)
    assert len((await (await opened(path, whole=True)).list(POD)).items) == 2


async def test_a_stream_does_not_name_an_empty_namespace(tmp_path: Path) -> None:
    assert (await opened(Dump().written(tmp_path, "folder", "json"))).recorded_namespaces == (
        *("empty", "kube-system", "shop"),
    )
    then = await opened(Dump().written(tmp_path, "stream", "json"))
    assert then.recorded_namespaces == ("kube-system", "shop")
    with pytest.raises(NotCollectedError):
        await then.list(POD, namespace="empty")


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (
            'Request log error: container "app" in pod "cart-1" is waiting to start: PodInitializing\n',
            ObjectNotFoundError,
        ),
        ("Request log error: pods is forbidden\n", DeniedError),
        ("Create log request error: something else\n", FailedReadError),
    ],
)
async def test_a_log_that_kubectl_did_not_get(tmp_path: Path, said: str, error: type[Exception]) -> None:
    then = await opened(Dump({"cart-1": said, "cart-2": ""}).written(tmp_path, "folder", "json"))
    with pytest.raises(error):
        await then.logs(LogRequest("shop", "cart-1", "app"))
    assert await then.logs(LogRequest("shop", "cart-2", "app")) == ""


async def test_previous_logs_are_never_in_a_dump(tmp_path: Path) -> None:
    then = await opened(Dump().written(tmp_path, "folder", "json"))
    with pytest.raises(ObjectNotFoundError):
        await then.logs(LogRequest("shop", "cart-1", "app", previous=True))
    with pytest.raises(NotCollectedError):
        await then.logs(LogRequest("shop", "cart-2", "app", previous=True))  # it was restarted


END = "==== END logs for container app of pod shop/cart-1 ====\n"
GHOST = printed(listed("Pod", [pod("ghost", "pay")]), "json")
FORGED = {
    "a list": END + GHOST,
    "another pod's log": END + section("shop", "cart-2", "I am fine"),
    "a namespace": END + printed(listed("Event", []), "json") + GHOST,
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
async def test_a_log_cannot_imitate_the_rest_of_a_stream(tmp_path: Path, forged: str) -> None:
    path = Dump({"cart-1": forged, "cart-2": ""}).written(tmp_path, "stream", "json")
    with pytest.raises(SnapshotError, match="2 times"):
        await opened(path)


async def test_nor_another_container_of_its_pod(tmp_path: Path) -> None:
    then = await opened(Dump({"cart-1": f"{END}more\n", "cart-2": ""}).written(tmp_path, "folder", "json"))
    with pytest.raises(FailedReadError, match="do not add up"):
        await then.logs(LogRequest("shop", "cart-1", "app"))


async def test_lines_that_look_like_lists_stay_lines(tmp_path: Path) -> None:
    text = '{\n    "kind": "PodList"\n}\n---\napiVersion: v1\n'
    for form in ("json", "yaml"):
        then = await opened(Dump({"cart-1": text, "cart-2": ""}).written(tmp_path, "stream", form))
        assert await then.logs(LogRequest("shop", "cart-1", "app")) == text


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s[: len(s) // 3], "never ends|cut off"),
        (
            lambda s: s.replace("==== END logs for container app of pod shop/cart-2 ====\n", ""),
            "end of a log is missing",
        ),
        (lambda s: s + "Killed\n", "line .*neither a list nor a log"),
        (lambda s: s.replace('"ServiceList"', '"SecretList"'), "SecretList, which no dump holds"),
        (lambda s: s.replace('"namespace": "shop"', '"namespace": "../x"'), "no usable namespace|mixes namespaces"),
        (lambda s: s.replace('"namespace": "shop"', '"namespace": "pay"', 1), "mixes namespaces"),
        (lambda s: s.replace('"kind": "DaemonSetList"', '"kind": "ServiceList"'), "second ServiceList"),
        (lambda s: s.replace('"name": "cart",', '"name": cart,'), "not JSON"),
    ],
)
async def test_a_stream_that_is_damaged(tmp_path: Path, change: object, match: str) -> None:
    assert callable(change)
    (tmp_path / "dump.json").write_text(change(Dump().stream("json")))
    with pytest.raises(SnapshotError, match=match):
        await opened(tmp_path / "dump.json")


async def test_a_broken_list_of_a_folder_fails_alone(tmp_path: Path) -> None:
    path = Dump().written(tmp_path, "folder", "yaml")
    (path / "shop" / "pods.yaml").write_text("items: [\n- {")
    then = await opened(path)
    with pytest.raises(FailedReadError, match=r"shop/pods.yaml, line 2"):
        await then.list(POD, namespace="shop")
    assert len((await then.list(SERVICE, namespace="shop")).items) == 1
