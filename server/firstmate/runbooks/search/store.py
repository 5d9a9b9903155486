"""Keeps what search has made of the runbooks, by content: in the user's cache folder, for that user alone.

A file is named by the hash of everything that it was made of, the code that made it included, so that nothing is ever
stale. Where the folder cannot be written, or is not the user's alone, all is made anew each time. Must never hold
anything but what was made of files of this installation: no question comes here.
"""

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

_KEPT = 2
"""Generations of a file that stay: two installations of different versions do not take turns in rebuilding."""


def folder() -> Path:
    """Where the platform keeps what a user's programs can make again."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "firstmate" / "search"


def key_of(parts: Iterable[bytes]) -> str:
    """One name for all of it."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole.hexdigest()[:32]


class Store:
    """Files by kind and key.

    Args:
        place: the folder; None for the user's.
    """

    def __init__(self, place: Path | None = None) -> None:
        self._place = place

    def read(self, kind: str, key: str) -> bytes | None:
        """What was kept, None where nothing was."""
        try:
            place = self._place or folder()
            return (place / f"{kind}-{key}").read_bytes() if _ours(place) else None
        except (OSError, RuntimeError):  # RuntimeError: there is no home
            return None

    def keep(self, kind: str, key: str, content: bytes) -> bool:
        """Keeps it, and drops older files of the kind. False where that is not possible."""
        try:
            place = self._place or folder()
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _ours(place):
                return False
            handle, name = tempfile.mkstemp(dir=place, prefix=f".{kind}-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                Path(name).replace(place / f"{kind}-{key}")
            except OSError:
                with contextlib.suppress(OSError):
                    Path(name).unlink()
                raise
            for old in sorted(place.glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
                old.unlink(missing_ok=True)
        except (OSError, RuntimeError):
            return False
        return True


def _ours(place: Path) -> bool:
    """Whether nobody else can have put anything there."""
    if sys.platform == "win32":
        return place.is_dir()  # profiles of users are theirs
    seen = place.stat()
    return seen.st_uid == os.getuid() and not seen.st_mode & 0o022
