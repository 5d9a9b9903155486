"""The layouts that snapshots come in, told apart by what is in them.

`SnapshotSource` calls `read`. A layout is one module with one function that fills a `Recording`; a new one is added to
`read` below. Must never guess: what is no known layout is refused, with the names that were looked for.
"""

from collections.abc import Sequence

from firstmate_tools.cluster.files import Files, Limits
from firstmate_tools.errors import SnapshotError

from .bundle import is_bundle, read_bundle
from .dump import is_dump, read_dump
from .dump_stream import is_stream, split_stream
from .manifest import NAME
from .own import read_own
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


def read(files: Files, label: str, limits: Limits) -> Recording:
    """The recording in these files.

    Args:
        label: what to call them in an error.
        limits: what they may ask of this machine.

    Raises:
        SnapshotError: no layout that we know, or damaged.
    """
    here: Files = files
    for _ in range(_DEEPEST_ROOT + 1):
        if (found := _read(here, limits)) is not None:
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


def _read(files: Files, limits: Limits) -> Recording | None:
    names = set(files.names())
    if NAME in names:
        return read_own(files)
    if is_bundle(names):
        return read_bundle(files)
    if is_dump(names):
        return read_dump(files)
    if names == {"-"} and is_stream(content := files.read("-")):
        return read_dump(split_stream(content, limits, files.written_at))
    return None
