"""Finds the five programs of the lab, and builds those that are missing.

Called before every start of a lab, and by `python -m evals.lab build`. Two origins only: the folder that
`KUBEBUILDER_ASSETS` names (the envtest convention), for the programs that lie there in the pinned minor version; and
a build from the Go modules in `gomods/`, whose go.mod and go.sum pin every version and hash. Must never take a program
from PATH: nobody could say later which version a result came from.

A build happens once. Each program gets a folder of its own in the cache, named after version, platform and module
hash, and appears there by one rename, so that a broken build leaves nothing half-done. Go's own caches (about 5 GB)
lie in the lab's cache too, and are dropped when the build has gone well.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evals.lab.errors import BuildError
from evals.lab.gotool import find_go, go_environment, run_go
from evals.lab.paths import cache_dir

GOMODS = Path(__file__).parent / "gomods"


@dataclass(frozen=True, slots=True)
class Program:
    """One program of the lab: where it is built from, and what it says when asked for its version."""

    name: str
    module: str  # folder under gomods/
    requires: str  # the required module whose version is the program's version
    package: str
    says: str  # how `--version` names the version


PROGRAMS = (
    Program("etcd", "etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3", r"etcd Version: (\S+)"),
    Program("kwok", "kwok", "sigs.k8s.io/kwok", "sigs.k8s.io/kwok/cmd/kwok", r"kwok version (\S+)"),
    *(
        Program(name, "control-plane", "k8s.io/kubernetes", f"k8s.io/kubernetes/cmd/{name}", r"Kubernetes (\S+)")
        for name in ("kube-scheduler", "kube-controller-manager", "kube-apiserver")
    ),
)
KWOK = PROGRAMS[1]


@dataclass(frozen=True, slots=True)
class Binary:
    """A program that can be run: its version (without the leading v), and where it came from."""

    name: str
    path: Path
    version: str
    origin: str


@dataclass(frozen=True, slots=True)
class Binaries:
    """Everything that a lab needs from outside: the programs, and kwok's CRDs and default stages."""

    programs: dict[str, Binary]
    kwok_config: Path

    def path(self, name: str) -> str:
        return str(self.programs[name].path)


def pinned_version(program: Program, gomods: Path = GOMODS) -> str:
    """The version that go.mod requires, without the leading v."""
    text = (gomods / program.module / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require )?{re.escape(program.requires)} v(\S+)", text, re.MULTILINE)
    if found is None:
        raise BuildError(f"{gomods / program.module / 'go.mod'} requires no {program.requires}")
    return found.group(1)


def resolve(cache: Path | None = None) -> Binaries:
    """Gives all programs, and builds what is missing. Takes minutes the first time, milliseconds afterwards.

    Raises:
        BuildError: something is missing and could not be built.
    """
    cache = cache or cache_dir()
    programs = {program.name: from_assets(program) or _from_cache(program, cache) for program in PROGRAMS}
    config = _folder(cache, KWOK, "kwok-config")
    missing = [program for program in PROGRAMS if programs[program.name] is None]
    if missing or not config.is_dir():
        with _build_lock(cache):
            _build_missing(missing, config, cache)
        for program in missing:
            programs[program.name] = _from_cache(program, cache)
    found = {name: binary for name, binary in programs.items() if binary is not None}
    if lost := sorted(set(programs) - set(found)):
        raise BuildError(f"built, but not found afterwards: {', '.join(lost)}; is {cache} writable?")
    return Binaries(found, config)


def from_assets(program: Program) -> Binary | None:
    """The program from `KUBEBUILDER_ASSETS`, if it is there in the pinned minor version."""
    folder = os.environ.get("KUBEBUILDER_ASSETS")
    if not folder:
        return None
    path = Path(folder).expanduser().absolute() / program.name
    if not (path.is_file() and os.access(path, os.X_OK)):
        return None
    version, pinned = _asked_version(program, path), pinned_version(program)
    if version is None or version.split(".")[:2] != pinned.split(".")[:2]:
        _say(f"not using {path}: it is {version or 'of unknown version'}, the lab wants {pinned}")
        return None
    return Binary(program.name, path, version, "KUBEBUILDER_ASSETS")


def _asked_version(program: Program, path: Path) -> str | None:
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(program.says, said)
    return found.group(1).removeprefix("v") if found else None


def _from_cache(program: Program, cache: Path) -> Binary | None:
    path = _folder(cache, program, program.name) / program.name
    if not path.is_file():
        return None
    return Binary(program.name, path, pinned_version(program), "built from Go modules")


def _folder(cache: Path, program: Program, name: str) -> Path:
    """A new version, another platform or a changed go.sum is another folder: nothing old is ever taken for new."""
    digest = hashlib.sha256((GOMODS / program.module / "go.sum").read_bytes()).hexdigest()[:8]
    system = f"{platform.system()}-{platform.machine()}".lower()
    return cache / "bin" / f"{name}-v{pinned_version(program)}-{system}-{digest}"


@contextmanager
def _build_lock(cache: Path) -> Generator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another build is under way, waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build_missing(programs: list[Program], config: Path, cache: Path) -> None:
    todo = [program for program in programs if _from_cache(program, cache) is None]  # while we waited for the lock
    if not todo and config.is_dir():
        return
    go = find_go()
    env = go_environment(cache)
    if todo:
        _say(f"building {', '.join(p.name for p in todo)} into {cache}; once, about 5 minutes in all on 2 cores")
    (cache / "bin").mkdir(parents=True, exist_ok=True)
    for number, program in enumerate(todo, 1):
        with _appearing(_folder(cache, program, program.name)) as folder:
            _build(go, env, program, folder, f"{number}/{len(todo)}")
    if not config.is_dir():
        with _appearing(config) as folder:
            _copy_kwok_config(go, env, folder)
    shutil.rmtree(cache / "go", ignore_errors=True)
    _say("all programs are there")


def _build(go: Path, env: dict[str, str], program: Program, folder: Path, count: str) -> None:
    version = pinned_version(program)
    major, minor, _ = version.split(".", 2)
    # Without gitVersion the API server calls itself v0.0.0-master, and clients suffer.
    stamp = f"-X k8s.io/component-base/version.gitVersion=v{version}"
    stamp += f" -X k8s.io/component-base/version.gitMajor={major} -X k8s.io/component-base/version.gitMinor={minor}"
    flags = f"-s -w {stamp if program.module == 'control-plane' else ''}"
    _say(f"[{count}] building {program.name} v{version}")
    begin = time.monotonic()
    arguments = ["build", "-ldflags", flags, "-o", str(folder / program.name), program.package]
    run_go(go, arguments, GOMODS / program.module, env, say=_say)
    _say(f"[{count}] {program.name} v{version} built in {time.monotonic() - begin:.0f} s")


def _copy_kwok_config(go: Path, env: dict[str, str], folder: Path) -> None:
    """kwok's CRDs and default stages lie in its module's folder, which goes away with Go's module cache."""
    source = GOMODS / KWOK.module
    run_go(go, ["mod", "download", KWOK.requires], source, env, say=_say)
    module = Path(run_go(go, ["list", "-m", "-f", "{{.Dir}}", KWOK.requires], source, env, say=_say).strip())
    for part in ("crd/bases", "stage/pod/fast", "stage/node/fast", "stage/node/heartbeat-with-lease"):
        target = folder / part
        target.mkdir(parents=True)
        for path in sorted((module / "kustomize" / part).glob("*.yaml")):
            if path.name != "kustomization.yaml":
                shutil.copyfile(path, target / path.name)


@contextmanager
def _appearing(folder: Path) -> Generator[Path]:
    """A folder that shows up complete or not at all."""
    unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    try:
        yield unfinished
        unfinished.chmod(0o755)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _say(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)
