"""Which clusters are configured: a snapshot, the file's, the kubeconfig's contexts, the pod's own."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from firstmate import clusters as module
from firstmate.clusters import ConfiguredClusters, snapshot_path
from firstmate.settings import ClusterSettings, Settings
from firstmate_tools.cluster.live import LiveSource
from firstmate_tools.cluster.snapshot import SnapshotSource
from firstmate_tools.errors import ConfigurationError, SnapshotError, UnknownClusterError


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)


def kubeconfig(path: Path, *names: str, current: str = "") -> Path:
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-user"}} for name in names],
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}.example"}} for name in names],
        "users": [{"name": f"{name}-user", "user": {"token": "hunter2"}} for name in names],
    }
    if current:
        content["current-context"] = current
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


def settings(**rest: Any) -> Settings:
    return Settings.model_construct(**{**Settings().model_dump(), **rest})


def test_every_context_of_the_kubeconfig_is_a_cluster_and_the_current_one_answers(tmp_path: Path) -> None:
    known = ConfiguredClusters(settings(kubeconfig=str(kubeconfig(tmp_path / "k", "a", "b", current="b"))))
    assert (list(known.names()), known.default()) == (["a", "b"], "b")
    assert [(one.name, one.server) for one in known.describe()] == [
        ("a", "https://a.example"),
        ("b", "https://b.example"),
    ]
    assert known.user("a") == "a-user"
    assert isinstance(known.source(), LiveSource) and known.source().name == "b"
    assert known.source("a") is known.source("a")


def test_files_of_KUBECONFIG_are_merged_as_kubectl_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: N802
    first = kubeconfig(tmp_path / "1", "a", "b")
    second = kubeconfig(tmp_path / "2", "b", "c", current="c")
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, (first, tmp_path / "absent", second))))
    known = ConfiguredClusters(settings())
    assert (list(known.names()), known.default()) == (["a", "b", "c"], "c")


def test_the_usual_place_is_read_where_nothing_is_named(tmp_path: Path) -> None:
    kubeconfig(tmp_path / "home" / ".kube" / "config", "a", current="a")
    assert ConfiguredClusters(settings()).default() == "a"


def test_a_context_flag_chooses_the_default(tmp_path: Path) -> None:
    path = str(kubeconfig(tmp_path / "k", "a", "b", current="b"))
    assert ConfiguredClusters(settings(kubeconfig=path, context="a")).default() == "a"
    with pytest.raises(ConfigurationError, match=r"no context 'c'.*There are: a, b"):
        ConfiguredClusters(settings(kubeconfig=path, context="c")).default()


def test_the_clusters_of_the_file_come_before_the_kubeconfig(tmp_path: Path) -> None:
    kubeconfig(tmp_path / "home" / ".kube" / "config", "a", current="a")
    configured = {"prod": ClusterSettings(context="a"), "old": ClusterSettings(snapshot="/x/old.tar.gz")}
    known = ConfiguredClusters(settings(clusters=configured))
    assert (list(known.names()), known.default()) == (["prod", "old"], "prod")
    assert ConfiguredClusters(settings(clusters=configured, default_cluster="old")).default() == "old"
    assert ConfiguredClusters(settings(clusters=configured, context="old")).default() == "old"
    assert ConfiguredClusters(settings(clusters=configured, context="a")).default() == "prod"
    assert [one.snapshot for one in known.describe()] == [None, "old.tar.gz"]


def test_a_default_that_is_not_configured_is_an_error() -> None:
    configured = {"prod": ClusterSettings(context="a")}
    with pytest.raises(ConfigurationError, match="There are: prod"):
        ConfiguredClusters(settings(clusters=configured, default_cluster="prd")).default()


def test_a_snapshot_is_the_only_cluster(tmp_path: Path) -> None:
    (tmp_path / "night.tar.gz").touch()
    known = ConfiguredClusters(settings(snapshot=str(tmp_path / "night.tar.gz")))
    assert (list(known.names()), known.default()) == (["night"], "night")
    assert isinstance(known.source(), SnapshotSource)


def test_the_bundled_snapshot_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUNDLED", tmp_path / "demo.tar.gz")
    with pytest.raises(SnapshotError, match="no bundled snapshot"):
        snapshot_path("demo")
    (tmp_path / "demo.tar.gz").touch()
    assert snapshot_path("demo") == tmp_path / "demo.tar.gz"
    assert list(ConfiguredClusters(settings(snapshot="demo")).names()) == ["demo"]


def test_a_pod_without_kubeconfig_asks_its_own_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("t")
    monkeypatch.setattr(module, "_TOKEN", tmp_path / "token")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    known = ConfiguredClusters(settings())
    assert (list(known.names()), known.default()) == (["in-cluster"], "in-cluster")
    assert isinstance(known.source(), LiveSource)


def test_an_unknown_cluster_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    known = ConfiguredClusters(settings(kubeconfig=str(kubeconfig(tmp_path / "k", "a", "b", current="b"))))
    with pytest.raises(UnknownClusterError, match=r"No cluster 'c' is configured. There are: a, b."):
        known.source("c")


def test_nothing_configured_says_what_to_do() -> None:
    known = ConfiguredClusters(settings())
    assert list(known.names()) == [] and list(known.describe()) == []
    with pytest.raises(ConfigurationError, match="--snapshot demo"):
        known.source()


def test_a_kubeconfig_without_current_context_wants_a_choice(tmp_path: Path) -> None:
    known = ConfiguredClusters(settings(kubeconfig=str(kubeconfig(tmp_path / "k", "a", "b"))))
    with pytest.raises(ConfigurationError, match=r"no current context. Name a cluster; there are: a, b."):
        known.default()
    assert known.source("a").name == "a"


@pytest.mark.parametrize("text", ["a: [", "- x", "\x00", "contexts: {a: b}\nclusters: 3"])
def test_a_kubeconfig_that_is_none_is_an_error_or_empty_but_never_a_fault(tmp_path: Path, text: str) -> None:
    (tmp_path / "k").write_text(text)
    known = ConfiguredClusters(settings(kubeconfig=str(tmp_path / "k")))
    with pytest.raises(ConfigurationError):
        known.source()


@pytest.mark.anyio
async def test_a_kubeconfig_that_changes_is_read_again(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path / "k", "a", current="a")
    known = ConfiguredClusters(settings(kubeconfig=str(path)))
    before = known.source()
    kubeconfig(path, "a", "b", current="b")
    os.utime(path, ns=(1, 1))
    assert (list(known.names()), known.default()) == (["a", "b"], "b")
    assert known.source("a") is not before
    await known.close()
