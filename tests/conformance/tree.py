"""The packages that the conformance suite and the Inspector consist of: which, in which version, with which digest.

`packages.json` lists the whole tree: its path, name, version and sha512 of the packed package. It holds no addresses:
npm takes the packages from wherever this machine's npm takes them, and refuses one whose digest differs. `files` is the
digest of everything that lies there after installation, of names and content, so that a tree that was changed since is
told from one that was not.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PINNED = Path(__file__).parent / "packages.json"
MODULES = "node_modules"
_OF_NPM = {".package-lock.json", ".bin"}


class WrongTreeError(Exception):
    """What is installed is not what is pinned."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The pinned tree.

    Attributes:
        wanted: the packages that are asked for, by name; the others come with them.
        packages: version and integrity by path, such as `node_modules/a/node_modules/b`.
        files: digest of the installed tree.
    """

    wanted: dict[str, str]
    packages: dict[str, tuple[str, str]]
    files: str

    @staticmethod
    def pinned(path: Path = PINNED) -> "Tree":
        content: Any = json.loads(path.read_text())
        return Tree(
            content["wanted"],
            {one["path"]: (one["version"], one["integrity"]) for one in content["packages"]},
            content["files"],
        )

    @property
    def key(self) -> str:
        """A name for the folder of this very tree."""
        return hashlib.sha256(repr((self.packages, self.files)).encode()).hexdigest()[:12]

    def manifest(self) -> dict[str, Any]:
        """A package.json that asks for every package at the top of the tree."""
        return {"name": "conformance", "version": "0.0.0", "private": True, "dependencies": self._below("")}

    def lock(self) -> dict[str, Any]:
        """A lock file for npm, without addresses. Each package depends on what lies in its own folder, exactly."""
        entries: dict[str, Any] = {"": {key: value for key, value in self.manifest().items() if key != "private"}}
        for path, (version, integrity) in self.packages.items():
            entries[path] = {"version": version, "integrity": integrity, "dependencies": self._below(f"{path}/")}
        return {"name": "conformance", "version": "0.0.0", "lockfileVersion": 3, "requires": True, "packages": entries}

    def _below(self, folder: str) -> dict[str, str]:
        prefix = f"{folder}{MODULES}/"
        return {
            name_of(path): version
            for path, (version, _) in self.packages.items()
            if path.startswith(prefix) and f"/{MODULES}/" not in path.removeprefix(prefix)
        }


def name_of(path: str) -> str:
    """A package's name by its path."""
    return path.rpartition(f"{MODULES}/")[2]


def verify(tree: Tree, folder: Path) -> None:
    """Holds an installed tree against what is pinned.

    Raises:
        WrongTreeError: a package is missing, is another version, or any file differs.
    """
    for path, (version, _) in tree.packages.items():
        try:
            manifest: Any = json.loads((folder / path / "package.json").read_text())
        except (OSError, ValueError) as error:
            raise WrongTreeError(f"{path}: {error}") from error
        if (manifest["name"], manifest["version"]) != (name_of(path), version):
            raise WrongTreeError(f"{path} is {manifest['name']} {manifest['version']}, not {version}")
    if (found := digest(folder)) != tree.files:
        raise WrongTreeError(f"the files in {folder} have the digest {found}, not {tree.files}")


def digest(folder: Path) -> str:
    """The digest of all packages' files, by name and content, without what npm writes itself."""
    total = hashlib.sha256()
    for path in sorted((folder / MODULES).rglob("*"), key=lambda one: one.relative_to(folder).as_posix()):
        inside = path.relative_to(folder)
        if _OF_NPM.intersection(inside.parts) or not path.is_file():
            continue
        total.update(f"{inside.as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return f"sha256:{total.hexdigest()}"
