"""What a container's last lines prove beyond "it failed", once they agree with its spec. Pure.

Used by `ends` for runs that ended and for containers that run and are not ready. A line alone is hearsay: a sign is
given only where the lines that say why the program ended carry it (see `loglines.telling`), and, for volumes, where
the path lies in one of the container's mounts. Words are those of Linux (errno texts), Go, Python, Node, Java, nginx,
PostgreSQL, PyTorch and of runc's own last line.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from firstmate_tools import fields
from firstmate_tools.fields import Obj
from firstmate_tools.loglines import FATAL, MOST_READ, rank, telling
from firstmate_tools.podstate import Container

Sign = Literal["arch", "command", "port", "volume", "shm", "files"]
"""Wrong architecture; a command that is not there; a port in use; a volume's rights; /dev/shm full; no more files."""

MOST_TELLING = 5
LAST = 3
NEAR = 12
"""Lines before the fatal one within which an error may still be why it died."""

_PATTERNS: tuple[tuple[Sign, re.Pattern[str]], ...] = (
    ("arch", re.compile(r"(?i)exec format error|cannot execute binary file")),
    (
        "command",
        re.compile(
            r"^exec \S+: (?:no such file or directory|permission denied)$|exec user process caused"
            r"|exec container process [`'\"]?\S+: (?:No such file or directory|Permission denied)",
            re.MULTILINE,
        ),
    ),
    (
        "shm",
        re.compile(
            r"""(?i)shared\ memory\ segment.*no\ space\ left | /dev/shm\b.*(?:no\ space|ENOSPC|too\ small|is\ full)
            | (?:no\ space|ENOSPC|not\ enough|insufficient).*(?:/dev/shm\b|shared\ memory)
            | workers?\ (?:is|are)\ out\ of\ shared\ memory""",
            re.VERBOSE,
        ),
    ),
    (
        "files",
        re.compile(
            r"""(?i)too\ many\ open\ files|\bEMFILE\b|\bENFILE\b|no\ file\ descriptors\ available
            | limit\ (?:on\ the\ total\ number\ of|for\ number\ of|of)\ (?:inotify|file)\ watche[rs]
            | inotify.*(?:no\ space\ left|limit\ reached) | inotify_(?:init|add_watch).*(?:ENOSPC|EMFILE)""",
            re.VERBOSE,
        ),
    ),
    (
        "port",
        re.compile(
            r"""(?i)address\ already\ in\ use|\bEADDRINUSE\b|only\ one\ usage\ of\ each\ socket\ address
            | \bport\W{1,3}(?:number\W{1,3})?\d{1,5}\b.{0,20}\balready\ in\ use | PortInUseException""",
            re.VERBOSE,
        ),
    ),
)
_FORBIDDEN = re.compile(
    r"""(?i)permission\ denied|\bEACCES\b|\bEPERM\b|operation\ not\ permitted|AccessDeniedException|access\ denied
    |wrong\ ownership|not\ writ[ae]+ble|read-only\ file\ ?system|\bEROFS\b|cannot\ write\ to""",
    re.VERBOSE,
)
_PATH = re.compile(r"(?<![\w/:.])(/[^\s'\"`:,;()\[\]<>]+)")
_PORT = (
    re.compile(r"(?i)\bport\W{1,3}(?:number\W{1,3})?(\d{1,5})\b"),
    re.compile(r"(?:\]|(?:\d+\.){3}\d+|[a-zA-Z*\s:]|^):(\d{2,5})\b(?!:\d)"),
)


@dataclass(frozen=True, slots=True)
class Told:
    """A sign and the line that carries it.

    Attributes:
        volume: for `volume`, the name of the pod's volume.
        path: for `volume`, the path in the line.
    """

    sign: Sign
    line: str
    volume: str = ""
    path: str = ""


def told(lines: Sequence[str], container: Container) -> Told | None:
    """What the lines that tell why a program ended prove, None where they prove nothing of this kind.

    The fatal line counts first; an error counts where it stands shortly before it, or where none is fatal.
    """
    found: Told | None = None
    for line in _deciding(lines):
        one = _of_line(line, container)
        if one is not None:
            if rank(line) >= FATAL:
                return one
            found = one
    return found


def repeated(lines: Sequence[str], container: Container, least: int) -> Told | None:
    """The sign that at least so many lines carry, or the newest error among them: for a program that runs on."""
    signs = [one for line in lines if (one := _of_line(line, container)) is not None]
    newest = told(lines, container)
    counted = [one for one in signs if newest is not None and one.sign == newest.sign]
    return newest if newest is not None and len(counted) >= least else None


def _deciding(lines: Sequence[str]) -> Iterator[str]:
    """The telling lines and the very last ones, in their order; before a death only what stands near it."""
    filled = [line for line in lines if line.strip()]
    chosen = {*telling(filled, MOST_TELLING), *(line.strip() for line in filled[-LAST:])}
    deaths = [index for index, line in enumerate(filled) if rank(line) >= FATAL]
    begin = max(0, deaths[-1] - NEAR) if deaths else 0
    for line in filled[begin:]:
        if line.strip() in chosen:
            yield line[:MOST_READ].strip()


def _of_line(line: str, container: Container) -> Told | None:
    for sign, pattern in _PATTERNS:
        if pattern.search(line):
            return Told(sign, line)
    if _FORBIDDEN.search(line):
        for path in _PATH.findall(line):
            mount = mounted(container, path)
            if mount:
                return Told("volume", line, fields.text(mount, "name"), path)
    return None


def mounted(container: Container, path: str) -> Obj:
    """The volume mount of a container in which a path lies, {} where it lies in none; the longest wins."""
    best: Obj = {}
    for mount in fields.items(container.spec, "volumeMounts"):
        here = fields.text(mount, "mountPath").rstrip("/")
        inside = bool(here) and (path.rstrip("/") == here or path.startswith(here + "/"))
        if inside and len(here) > len(fields.text(best, "mountPath").rstrip("/")):
            best = mount
    return best


def port_in(line: str) -> int | None:
    """The port that a line about an address in use names."""
    for pattern in _PORT:
        for text in pattern.findall(line):
            if 1 <= int(text) <= 65535:
                return int(text)
    return None
