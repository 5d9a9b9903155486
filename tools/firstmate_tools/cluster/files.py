"""The files of a snapshot by name, whether they lie in a folder or in memory, and the limits that all of them obey.

The layouts ask `Files`; `archive.open_files` makes them. Whoever sends a snapshot may be hostile: sizes are checked
before anything is read, links are never followed, and what would climb out is refused with a SnapshotError. Must never
write, and must never read outside the snapshot.
"""

import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from firstmate_tools.errors import SnapshotError

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What a snapshot may ask of this machine. A recording of 10,000 pods is 60-100 MB in a few hundred files.

    Attributes:
        members: files, folders and links together; a large support bundle has some thousands.
        member_bytes: one file, unpacked; a list of 50,000 pods is about 400 MB.
        total_bytes: all files, unpacked.
        kept_bytes: what is kept in memory of an archive, compressed.
        ratio: unpacked over packed; JSON reaches 30, repeated log lines 150, deflate's bombs 1,000.
        ratio_from: unpacked bytes before the ratio counts: a small file of blanks is no bomb.
        name_length: characters of a path; the longest that we write has about 600.
        depth: folders inside folders.
    """

    members: int = 200_000
    member_bytes: int = 512 * MIB
    total_bytes: int = 4096 * MIB
    kept_bytes: int = 1024 * MIB
    ratio: int = 250
    ratio_from: int = 64 * MIB
    name_length: int = 1024
    depth: int = 32


class Files(Protocol):
    """The regular files of a snapshot. Names are relative, with `/`; links are left out, never followed."""

    @property
    def written_at(self) -> float | None:
        """When the newest of them was written, in seconds since the epoch; None where nobody says."""
        ...

    def names(self) -> Sequence[str]:
        """All names, sorted."""
        ...

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            KeyError: there is no such file.
            SnapshotError: it cannot be read, or has grown over the limits.
        """
        ...

    def close(self) -> None: ...


def checked_path(name: str, limits: Limits) -> str:
    """A member's name in the form that `Files` uses; "" for the root itself.

    Raises:
        SnapshotError: it is absolute, climbs out, or is longer or deeper than any snapshot needs.
    """
    if len(name) > limits.name_length:
        raise SnapshotError(f"The snapshot holds a name of {len(name)} characters; {limits.name_length} are allowed.")
    if name.startswith(("/", "\\")) or "\0" in name:
        raise SnapshotError(f"The snapshot holds an absolute path, {name[:80]!r}.", _HOSTILE)
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or any(".." in part.split("\\") for part in parts):
        raise SnapshotError(f"The snapshot holds a path that climbs out of it, {name[:80]!r}.", _HOSTILE)
    if len(parts) > limits.depth:
        raise SnapshotError(f"The snapshot nests {len(parts)} folders; {limits.depth} are allowed.")
    return "/".join(parts)


_HOSTILE = "No tool that we know writes that: do not trust this file."


def check_link(name: str, target: str, limits: Limits) -> None:
    """Lets a symbolic link pass that stays inside (support bundles hold such); it is ignored, not followed.

    Raises:
        SnapshotError: it leads out of the snapshot.
    """
    here = name.split("/")[:-1]
    if target.startswith(("/", "\\")) or len(target) > limits.name_length:
        raise SnapshotError(f"The link {name[:80]!r} in the snapshot leads out of it.", _HOSTILE)
    for part in target.split("/"):
        if part == "..":
            if not here:
                raise SnapshotError(f"The link {name[:80]!r} in the snapshot leads out of it.", _HOSTILE)
            here.pop()
        elif part not in ("", "."):
            here.append(part)


def is_litter(name: str) -> bool:
    """What macOS leaves in archives and folders."""
    return name.rpartition("/")[2].startswith(("._", ".DS_Store"))


class MemoryFiles:
    """Files in memory, large ones compressed."""

    _COMPRESS_FROM = 64 * 1024

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._content: dict[str, tuple[bool, bytes]] = {}
        self._kept = 0
        self.written_at: float | None = None

    def add(self, name: str, content: bytes) -> None:
        """Keeps one file.

        Raises:
            SnapshotError: there is one of that name already, or memory for it is not granted.
        """
        if name in self._content:
            raise SnapshotError(f"The snapshot holds {name[:80]!r} twice; which of them counts is anybody's guess.")
        packed = len(content) >= self._COMPRESS_FROM
        kept = zlib.compress(content, 1) if packed else content
        self._kept += len(kept)
        if self._kept > self._limits.kept_bytes:
            raise SnapshotError(
                f"The snapshot needs more than {self._limits.kept_bytes // MIB} MiB of memory even packed.",
                "Unpack it and name the folder instead.",
            )
        self._content[name] = (packed, kept)

    def names(self) -> Sequence[str]:
        return sorted(self._content)

    def read(self, name: str) -> bytes:
        packed, kept = self._content[name]
        return zlib.decompress(kept) if packed else kept

    def close(self) -> None:
        self._content.clear()


class FolderFiles:
    """The files of a folder, read when asked for."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self._root, self._limits = root, limits
        self.written_at: float | None = None
        try:
            self._names = dict.fromkeys(sorted(self._walk()))
        except OSError as error:
            raise SnapshotError(f"The folder {root.name!r} cannot be read: {error.strerror}.") from error

    def _walk(self) -> Iterator[str]:
        pending, seen, total = [""], 0, 0
        while pending:
            inside = pending.pop()
            with os.scandir(self._root / inside) as entries:
                for entry in entries:
                    seen += 1
                    if seen > self._limits.members:
                        raise SnapshotError(f"The folder holds more than {self._limits.members:,} entries.")
                    name = checked_path(f"{inside}/{entry.name}" if inside else entry.name, self._limits)
                    found = entry.stat(follow_symlinks=False)
                    if stat.S_ISLNK(found.st_mode):
                        self._check_link(name)
                    elif stat.S_ISDIR(found.st_mode):
                        pending.append(name)
                    elif not stat.S_ISREG(found.st_mode):
                        raise SnapshotError(f"{name!r} in the snapshot is neither file nor folder.", _HOSTILE)
                    elif not is_litter(name):
                        total += found.st_size
                        check_size(name, found.st_size, total, self._limits)
                        self.written_at = max(self.written_at or 0.0, found.st_mtime)
                        yield name

    def _check_link(self, name: str) -> None:
        inside = Path(os.path.realpath(self._root))
        if not Path(os.path.realpath(self._root / name)).is_relative_to(inside):
            raise SnapshotError(f"The link {name!r} in the snapshot leads out of it.", _HOSTILE)

    def names(self) -> Sequence[str]:
        return list(self._names)

    def read(self, name: str) -> bytes:
        if name not in self._names:
            raise KeyError(name)
        try:
            # The folder may have changed since it was walked: still no links, and still no more than allowed.
            handle = os.open(self._root / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            with os.fdopen(handle, "rb") as file:
                content = file.read(self._limits.member_bytes + 1)
        except OSError as error:
            raise SnapshotError(f"{name!r} in the snapshot cannot be read: {error.strerror}.") from error
        check_size(name, len(content), len(content), self._limits)
        return content

    def close(self) -> None:
        """Nothing is held open."""


def check_size(name: str, size: int, total: int, limits: Limits) -> None:
    """Raises a SnapshotError where a file, or all of them together, are larger than allowed."""
    if size > limits.member_bytes:
        raise SnapshotError(f"{name[:80]!r} in the snapshot has {size:,} bytes; {limits.member_bytes:,} are allowed.")
    if total > limits.total_bytes:
        raise SnapshotError(f"The snapshot has more than {limits.total_bytes:,} bytes unpacked.")
