"""Opens what a snapshot is kept in: a folder, a .tar.gz or .tar, or a single file.

`SnapshotSource` calls `open_files`. Nothing is ever unpacked to disk: an archive is streamed once, and its members are
kept in memory, packed. tarfile does the parsing; it is handed a stream that only moves forward, that counts what comes
out, and that gives a header no more than a header needs, so that no archive can make it loop, seek or swell. Must never
extract to disk, follow a link, or let an error of tarfile, gzip or zlib through.
"""

import gzip
import io
import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO

from firstmate_tools.errors import SnapshotError

from .files import MIB, Files, FolderFiles, Limits, MemoryFiles, check_link, check_size, checked_path, is_litter

_BLOCK = 512
_CHUNK = MIB
_HEADER_BYTES = MIB
"""What tarfile may ask for at once by itself: a header, or the long name and extended attributes before one."""
_AGAIN = "Copy or record it again."


class Unpacked(io.RawIOBase):
    """A stream that moves forward only, unpacked on the way, counted against the limits.

    Args:
        raw: the file.
        limits: what may come out.
        packed: whether it is gzip.
    """

    def __init__(self, raw: BinaryIO, limits: Limits, *, packed: bool) -> None:
        self._raw, self._limits, self._packed = raw, limits, packed
        self._source: BinaryIO | gzip.GzipFile = gzip.GzipFile(fileobj=raw) if packed else raw
        self._ahead = b""
        self._at = 0
        self.last = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def peek(self, size: int) -> bytes:
        """The next bytes, without moving."""
        if len(self._ahead) < size:
            self._ahead += self._pull(size - len(self._ahead))
        return self._ahead[:size]

    def take(self, size: int) -> bytes:
        """The next bytes; fewer only at the end."""
        parts: list[bytes] = []
        wanted = size
        while wanted > 0:
            part = self._ahead[:wanted] or self._pull(min(wanted, _CHUNK))
            self._ahead = self._ahead[len(part) :] if self._ahead else b""
            if not part:
                break
            parts.append(part)
            wanted -= len(part)
        found = b"".join(parts)
        self._at += len(found)
        return found

    def read(self, size: int = -1, /) -> bytes:
        """As tarfile calls it: for a header and what precedes one, never for content."""
        if size < 0 or size > _HEADER_BYTES:
            raise SnapshotError(f"The archive holds a header of {size:,} bytes.", _AGAIN)
        self.last = self.take(size)
        return self.last

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Forward only; backwards is what a forged size asks for."""
        if whence != io.SEEK_SET or offset < self._at:
            raise SnapshotError("The archive's sizes do not add up.", _AGAIN)
        while self._at < offset:
            if not self.take(min(offset - self._at, _CHUNK)):
                raise SnapshotError("The archive is cut off: it ends in the middle of a file.", _AGAIN)
        return self._at

    def _pull(self, size: int) -> bytes:
        part = self._source.read(size)
        # GzipFile counts what came out of it; the raw file's position says what went in.
        out, into = self._source.tell(), max(self._raw.tell(), 1)
        if out > self._limits.total_bytes + _HEADER_BYTES:
            raise SnapshotError(f"The snapshot has more than {self._limits.total_bytes:,} bytes unpacked.")
        if self._packed and out > self._limits.ratio_from and out / into > self._limits.ratio:
            raise SnapshotError(
                f"The archive unpacks to more than {self._limits.ratio} times its size: that is a bomb, not a snapshot."
            )
        return part


def looks_like_tar(start: bytes) -> bool:
    """Whether the first block is a tar header (POSIX and GNU tar both write `ustar` at byte 257)."""
    return start[257:262] == b"ustar"


def read_tar(stream: Unpacked, limits: Limits) -> MemoryFiles:
    """All regular files of an archive.

    Raises:
        SnapshotError: damaged, hostile or larger than allowed.
    """
    files = MemoryFiles(limits)
    try:
        with tarfile.open(fileobj=stream, mode="r:") as archive:
            count, total = 0, 0
            while (member := archive.next()) is not None:
                count += 1
                if count > limits.members:
                    raise SnapshotError(f"The archive holds more than {limits.members:,} members.")
                total += member.size if member.isreg() else 0
                _add(files, member, stream, total, limits)
                archive.members.clear()  # type: ignore[attr-defined]  # tarfile keeps every header it has seen
            if stream.last.strip(b"\0") or len(stream.last) < _BLOCK:
                raise SnapshotError("The archive is cut off: its end is missing.", _AGAIN)
            while stream.take(_CHUNK):  # to the end, so that gzip compares its checksum
                pass
    except (tarfile.TarError, ValueError, ArithmeticError, LookupError) as error:  # tarfile lets some slip on forgeries
        raise SnapshotError(f"The archive is damaged: {error}.", _AGAIN) from error
    return files


def _add(files: MemoryFiles, member: tarfile.TarInfo, stream: Unpacked, total: int, limits: Limits) -> None:
    name = checked_path(member.name, limits)
    if member.isdir() or is_litter(name):
        return
    if member.issym():
        check_link(name, member.linkname, limits)
        return
    if not member.isreg() or member.issparse():
        what = "a hard link" if member.islnk() else "a sparse file" if member.issparse() else "a device or pipe"
        raise SnapshotError(f"{name[:80]!r} in the archive is {what}.", "A snapshot holds plain files alone.")
    check_size(name, member.size, total, limits)
    stream.seek(member.offset_data)
    content = stream.take(member.size)
    if len(content) < member.size:
        raise SnapshotError(f"The archive is cut off in the middle of {name[:80]!r}.", _AGAIN)
    files.add(name, content)
    if member.mtime > 0:
        files.written_at = max(files.written_at or 0.0, float(member.mtime))


def open_files(path: Path, limits: Limits) -> Files:
    """The files of a snapshot; a single file that is no archive becomes one file named `-`.

    Raises:
        SnapshotError: it does not exist, is of no kind that we read, damaged or hostile.
    """
    if path.is_dir():
        return FolderFiles(path, limits)
    try:
        if not path.is_file():
            what = "is neither a file nor a folder" if path.exists() else "does not exist"
            raise SnapshotError(f"The snapshot {path.name!r} {what}.")
        with path.open("rb") as raw:
            return _open_file(path, raw, limits)
    except EOFError as error:
        raise SnapshotError(f"The snapshot {path.name!r} is cut off: it ends in the middle.", _AGAIN) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise SnapshotError(f"The snapshot {path.name!r} is damaged: {error}.", _AGAIN) from error
    except OSError as error:
        raise SnapshotError(f"The snapshot {path.name!r} cannot be read: {error.strerror or error}.") from error


def _open_file(path: Path, raw: BinaryIO, limits: Limits) -> Files:
    magic = raw.read(6)
    raw.seek(0)
    for known, name in ((b"PK\x03\x04", "zip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"), (b"\x28\xb5\x2f\xfd", "zstd")):
        if magic.startswith(known):
            raise SnapshotError(f"The snapshot {path.name!r} is a {name} file.", "Give a folder, a .tar.gz or a .tar.")
    packed = magic.startswith(b"\x1f\x8b")
    stream = Unpacked(raw, limits, packed=packed)
    if looks_like_tar(stream.peek(512)):
        files = read_tar(stream, limits)
    else:
        content = stream.take(limits.member_bytes + 1)
        check_size(path.name, len(content), len(content), limits)
        files = MemoryFiles(limits)
        files.add("-", content)
    files.written_at = files.written_at or path.stat().st_mtime
    return files
