"""The layouts that snapshots come in, told apart by what is in them.

`SnapshotSource` calls `read`. A layout is one module with one function that fills a `Recording`; a new one is added to
`read` below. Must never guess: what is no known layout is refused, with the names that were looked for.
"""

from collections.abc import Sequence

from firstmate_tools.cluster.files import Files
from firstmate_tools.errors import SnapshotError

from .manifest import NAME
from .recording import Recording

_DEEPEST_ROOT = 3


class Inside:
    """The files below one folder of others."""

    def __init__(self, files: Files, root: str) -> None:
        self._files, self._root = files, root

    @property
    def written_at(self) -> float | None:
        return self._files.written_at

    def names(self) -> Sequence[str]:
        return [name.removeprefix(self._root) for name in self._files.names() if name.startswith(self._root)]

    def read(self, name: str) -> bytes:
        return self._files.read(self._root + name)

    def close(self) -> None:
        self._files.close()


def read(files: Files, label: str) -> Recording:
    """The recording in these files.

    Args:
        label: what to call them in an error.

    Raises:
        SnapshotError: no layout that we know, or damaged.
    """
    here: Files = files
    for _ in range(_DEEPEST_ROOT + 1):
        if (found := _read(here)) is not None:
            return found
        if (top := _only_folder(here.names())) is None:
            break
        here = Inside(here, top)
    raise SnapshotError(
        f"{label!r} is no snapshot in a layout that firstmate knows.",
        f"Looked for {NAME} (firstmate), cluster-resources/ (support bundle), and nodes.json or nodes.yaml beside "
        "folders with pods.json or pods.yaml (kubectl cluster-info dump).",
    )


def _only_folder(names: Sequence[str]) -> str | None:
    """The folder that holds everything, with its slash: archives are commonly made of one."""
    top = names[0].partition("/")[0] + "/" if names else ""
    return top if names and all(name.startswith(top) for name in names) else None


def _read(files: Files) -> Recording | None:
    if NAME in files.names():
        from .own import read_own

        return read_own(files)
    return None
