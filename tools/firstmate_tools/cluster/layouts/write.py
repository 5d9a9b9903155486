"""Writes a snapshot in our own layout, as an archive or a folder, all or nothing.

The recorder fills a `SnapshotWriter` and calls `write` at the end. The same content gives the same bytes: files are
sorted, times and owners fixed. Only the owner may read what it writes. Must never leave half a snapshot behind, and
must never replace what is there unless told to; a folder that is no snapshot is never replaced.
"""

import gzip
import io
import os
import shutil
import stat
import tarfile
import tempfile
from datetime import datetime
from pathlib import Path

from firstmate_tools.cluster.files import Limits, MemoryFiles
from firstmate_tools.errors import ConfigurationError, UsageError

from .manifest import NAME

_ARCHIVES = (".tar.gz", ".tgz")
_NO_ARCHIVE = (".zip", ".tar", ".gz", ".json", ".yaml", ".txt")


def check_destination(destination: Path, *, force: bool) -> None:
    """Says before anything is read whether a snapshot can be written there.

    Raises:
        UsageError: something is there already, its folder is not, or its name asks for a format that we do not write.
    """
    if not destination.parent.is_dir():
        raise UsageError(f"The folder for {destination.name!r} does not exist.", "Create it first.")
    if not destination.name.endswith(_ARCHIVES) and destination.name.endswith(_NO_ARCHIVE):
        raise UsageError(f"{destination.name!r} is no .tar.gz.", "Name a .tar.gz file, or a folder without suffix.")
    if not (destination.exists() or destination.is_symlink()):
        return
    if not force:
        raise UsageError(f"{destination.name!r} exists already.", "Choose another name, or force it to be replaced.")
    as_folder = not destination.name.endswith(_ARCHIVES)
    if as_folder != destination.is_dir() or (as_folder and not (destination / NAME).is_file()):
        raise UsageError(f"{destination.name!r} exists and is no snapshot: it is not replaced.", "Choose another name.")


class SnapshotWriter:
    """Collects the files of a snapshot, packed in memory."""

    def __init__(self) -> None:
        self._files = MemoryFiles(Limits())

    def add(self, name: str, content: bytes) -> None:
        """Keeps one file.

        Args:
            name: relative, with `/`.
        """
        self._files.add(name, content)

    def write(self, destination: Path, manifest: bytes, recorded_at: datetime, *, force: bool) -> int:
        """Writes everything at once.

        Args:
            destination: a name ending in .tar.gz or .tgz makes an archive, another one a folder.
            manifest: the content of the manifest, which comes first.
            recorded_at: the time that all files bear.

        Returns:
            The bytes written.

        Raises:
            UsageError: as `check_destination`.
            ConfigurationError: the disk is full, or the folder may not be written to.
        """
        check_destination(destination, force=force)
        moment = int(recorded_at.timestamp())
        try:
            if destination.name.endswith(_ARCHIVES):
                return self._archive(destination, manifest, moment, force=force)
            return self._folder(destination, manifest, moment)
        except OSError as error:
            raise ConfigurationError(
                f"The snapshot {destination.name!r} could not be written: {error.strerror}.", "Nothing was left behind."
            ) from error

    def _all(self, manifest: bytes) -> list[tuple[str, bytes | None]]:
        return [(NAME, manifest), *((name, None) for name in self._files.names())]

    def _archive(self, destination: Path, manifest: bytes, moment: int, *, force: bool) -> int:
        handle, partial = tempfile.mkstemp(prefix=f".{destination.name[:80]}-", dir=destination.parent)  # mode 0600
        try:
            with os.fdopen(handle, "wb") as raw:
                with (
                    gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
                    tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
                ):
                    for name, content in self._all(manifest):
                        held = self._files.read(name) if content is None else content
                        member = tarfile.TarInfo(name)
                        member.size, member.mtime, member.mode = len(held), moment, 0o600
                        archive.addfile(member, io.BytesIO(held))
                raw.flush()
                os.fsync(raw.fileno())
                written = raw.tell()
            _move(Path(partial), destination, force=force)
        finally:
            Path(partial).unlink(missing_ok=True)
        return written

    def _folder(self, destination: Path, manifest: bytes, moment: int) -> int:
        partial = Path(tempfile.mkdtemp(prefix=f".{destination.name[:80]}-", dir=destination.parent))  # mode 0700
        try:
            written = 0
            for name, content in self._all(manifest):
                held = self._files.read(name) if content is None else content
                path = partial / name
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.touch(mode=0o600)
                path.write_bytes(held)
                os.utime(path, (moment, moment))
                written += len(held)
            for folder in [partial, *(path for path in partial.rglob("*") if path.is_dir())]:
                folder.chmod(stat.S_IRWXU)
            if destination.is_dir():
                old = Path(tempfile.mkdtemp(prefix=f".{destination.name[:80]}-old-", dir=destination.parent))
                destination.rename(old / "snapshot")
                partial.rename(destination)
                shutil.rmtree(old)
            else:
                partial.rename(destination)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return written


def _move(partial: Path, destination: Path, *, force: bool) -> None:
    if force:
        partial.replace(destination)
        return
    try:
        # Unlike a rename, a link fails where somebody else has made the file in the meantime.
        os.link(partial, destination)
    except FileExistsError as error:
        raise UsageError(f"{destination.name!r} exists already.", "Choose another name.") from error
    except OSError:
        partial.replace(destination)  # a file system without hard links
