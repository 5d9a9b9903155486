"""The files of one runbook's folder, as a host of skills gets them: SKILL.md and whatever lies beside it.

`firstmate.mcp.skills` serves them with their digests. A skill's list of files has to be complete, and what is served
has to be the very bytes that the digest is of; so a folder is taken whole or refused. Must never follow a link out of
the folder: it may lie beside credentials.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from firstmate.runbooks.document import RunbookError

MAIN = "SKILL.md"
MOST_FILES = 512
MOST_BYTES = 16 * 1024 * 1024
"""What every host has to be able to take of one skill (SEP-2640, Limits)."""

_MIME = {
    ".md": "text/markdown",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".json": "application/json",
    ".sh": "application/x-sh",
    ".py": "text/x-python",
}
# Not `mimetypes`, whose answers are those of the machine.


@dataclass(frozen=True, slots=True)
class RunbookFile:
    """One file.

    Attributes:
        path: relative to the folder, with `/`.
        text: its content; the bytes are those of the text in UTF-8.
    """

    path: str
    text: str

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.text.encode())

    @property
    def digest(self) -> str:
        """`sha256:` and 64 hexadecimal digits."""
        return f"sha256:{hashlib.sha256(self.text.encode()).hexdigest()}"

    @property
    def mime_type(self) -> str:
        return _MIME.get(Path(self.path).suffix.lower(), "text/plain")

    @property
    def address(self) -> str:
        """The path as part of a URI."""
        return quote(self.path)


def files_of(folder: Path) -> tuple[RunbookFile, ...]:
    """Every file under a runbook's folder, SKILL.md first, then by path. Hidden files and caches are none of its files.

    Raises:
        RunbookError: one cannot be read, is not text in UTF-8, or leads out of the folder; or there are more files or
            bytes than a host has to take.
    """
    found: list[RunbookFile] = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        if path.is_dir() or any(part.startswith(".") or part == "__pycache__" for part in inside.parts):
            continue
        found.append(RunbookFile(inside.as_posix(), _text(folder, path)))
    if len(found) > MOST_FILES or sum(one.size for one in found) > MOST_BYTES:
        raise RunbookError(f"{folder}: more than {MOST_FILES} files or {MOST_BYTES} bytes, which hosts may refuse.")
    return tuple(sorted(found, key=lambda one: (one.path != MAIN, one.path)))


def _text(folder: Path, path: Path) -> str:
    if not path.resolve().is_relative_to(folder.resolve()):
        raise RunbookError(f"{path} leads out of its runbook's folder.")
    try:
        return path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunbookError(f"{path} cannot be read as text: {error}.") from error
