"""The key that seals handles of runs on the command line, where none is configured: kept for this user alone.

`asking.py` takes it, so that `firstmate runbooks run --handle` can go on with what another command began. Must never be
read where others can read it, too.
"""

import os
import secrets
import stat
import sys
from contextlib import suppress
from pathlib import Path

_BYTES = 32


def default_path() -> Path:
    """Where the platform keeps what a user's programs have to remember."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "firstmate" / "handle.key"


def kept_key(path: Path | None = None) -> bytes:
    """The key of this user, made where there is none; one for this process alone where it cannot be kept.

    Args:
        path: where it lies; None for the platform's place.
    """
    fresh = secrets.token_bytes(_BYTES)
    try:
        place = path or default_path()
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(fresh)
            return fresh
        return _read(place) or fresh
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return fresh


def _read(place: Path) -> bytes | None:
    """What the file holds, None where it is not this user's alone, or no key."""
    found = place.lstat()
    alone = sys.platform == "win32" or (found.st_uid == os.getuid() and not found.st_mode & 0o077)
    if not stat.S_ISREG(found.st_mode) or not alone:
        return None
    content = place.read_bytes()
    return content if len(content) == _BYTES else None
