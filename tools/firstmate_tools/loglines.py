"""Reads container logs: folds repeated lines into templates, finds the lines that tell why a program ended.

Used by the `logs` tool and by rules; pure functions over lines. Knows the usual shapes (logfmt, JSON, klog, Java,
Python, Go, Rust, Node), and falls back to the words of a line where it names no level. Never raises, whatever a
program writes. The text stays as it came: cleaning and redaction happen where it leaves (`text`).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

MOST_READ = 1000
"""Characters of one line that are looked at."""


@dataclass(frozen=True, slots=True)
class Template:
    """Lines that differ only in what changes from time to time.

    Attributes:
        template: the line with times, addresses, identifiers and numbers replaced by marks such as `<n>`.
        count: how many lines.
        first_line, last_line: indexes of the first and last of them, from 0, in the lines that were given.
        is_error: whether they report an error.
        sample: the newest of them, as it came.
    """

    template: str
    count: int
    first_line: int
    last_line: int
    is_error: bool
    sample: str


_MASKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<uuid>"),
    (
        re.compile(r"\b\d{4}[-/]\d\d[-/]\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?: ?(?:Z|[+-]\d\d:?\d\d))?)?"),
        "<time>",
    ),
    (re.compile(r"^[IWEF]\d{4} \d\d:\d\d:\d\d\.\d{1,9}"), "<time>"),
    (re.compile(r"\b\d\d:\d\d:\d\d(?:[.,]\d{1,9})?"), "<time>"),
    (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?\b"), "<ip>"),
    (re.compile(r"\[[0-9a-fA-F:]{3,39}\](?::\d{1,5})?"), "<ip>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b"), "<hex>"),
    (re.compile(r"\b(?=[a-f]{0,31}\d)(?=\d{0,31}[a-f])[0-9a-f]{8,64}\b"), "<hex>"),
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_TELLING_NUMBER = re.compile(r"(?i)(?:status|code|exit)\W{0,3}(?:code)?\W{0,3}$")


def template_of(line: str) -> str:
    """A line with what varies replaced; status and exit codes stay, since they tell."""
    shape = line[:MOST_READ].strip()
    for pattern, mark in _MASKS:
        shape = pattern.sub(mark, shape)
    return _NUMBER.sub(_number, shape)


def _number(match: re.Match[str]) -> str:
    before = match.string[max(0, match.start() - 16) : match.start()]
    return match.group(0) if _TELLING_NUMBER.search(before) else "<n>"


def fold(lines: Sequence[str]) -> list[Template]:
    """Repeated lines as one template each: errors first, then the most frequent, then by first appearance.

    Blank lines are left out.
    """
    found: dict[tuple[str, bool], list[int]] = {}
    for index, line in enumerate(lines):
        if line.strip():
            found.setdefault((template_of(line), rank(line) >= ERROR), []).append(index)
    folded = [
        Template(shape, len(where), where[0], where[-1], is_error, lines[where[-1]])
        for (shape, is_error), where in found.items()
    ]
    return sorted(folded, key=lambda t: (not t.is_error, -t.count, t.first_line))


FATAL, ERROR, WARN, PLAIN = 3, 2, 1, 0

_LEVELS = {
    "fatal": FATAL, "panic": FATAL, "dpanic": FATAL, "critical": FATAL, "crit": FATAL, "emerg": FATAL,
    "emergency": FATAL, "alert": FATAL, "severe": ERROR, "error": ERROR, "err": ERROR, "eror": ERROR,
    "warning": WARN, "warn": WARN, "notice": PLAIN, "info": PLAIN, "information": PLAIN, "debug": PLAIN,
    "trace": PLAIN, "verbose": PLAIN, "fine": PLAIN,
}  # fmt: skip
_WORDS = "|".join(sorted(_LEVELS, key=len, reverse=True))
_NAMED_LEVEL = re.compile(rf"(?i)[\"']?\b(?:level|lvl|severity|loglevel)[\"']?\s*[=:]\s*[\"']?({_WORDS})\b")
_NUMBERED_LEVEL = re.compile(r"\"level\"\s*:\s*([1-6]0)\b")  # pino and bunyan: 30 info, 40 warn, 50 error, 60 fatal
_KLOG = re.compile(r"^([IWEF])\d{4} \d\d:\d\d:\d\d")
_MARKED_LEVEL = re.compile(
    r"^[^a-z]{0,48}?[\[<(| ]?\b(FATAL|PANIC|CRITICAL|CRIT|SEVERE|ERROR|ERR|WARNING|WARN|NOTICE|INFO|DEBUG|TRACE)\b"
)
_KLOG_RANK = {"F": FATAL, "E": ERROR, "W": WARN, "I": PLAIN}

_DYING = re.compile(
    r"""^(?:panic:|fatal\ error:|runtime\ error:|Fatal\ error|Uncaught|Unhandled\ exception|terminate\ called)
    | ^Caused\ by:
    | \bException\ in\ thread\b | \bthread\ '.*'\ panicked\b | [Ss]egmentation\ fault | \bcore\ dumped\b
    | \bexec\ format\ error\b | \bunhandled\ (?:promise\ )?rejection\b | OutOfMemoryError
    | ^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit|Interrupt)(?:\ \[\w+\])?(?::|$)""",
    re.VERBOSE,
)
_NO_ERROR = re.compile(
    r"(?i)\b(?:no|0|without|zero) (?:errors?|failures?)\b|\berrors?\W{1,3}(?:0|nil|null|none|false)\b"
)
_FAILING = re.compile(
    r"""(?i)\berror\b|\bfailed\b|\bfailure\b|\bfatal\b|exception\b|\bcannot\b|\bcan't\b|could\ not|unable\ to
    |\brefused\b|\bdenied\b|not\ found|no\ such|timed?\ ?out|\binvalid\b|\bmissing\b|\bnot\ supported\b|\baborting\b
    |giving\ up""",
    re.VERBOSE,
)
_FRAME = re.compile(r"^\s|^goroutine \d|^\tat |^Traceback |^During handling of the above|^The above exception")


def rank(line: str) -> int:
    """How bad a line is: FATAL, ERROR, WARN or PLAIN. A level that the line names counts more than its words."""
    line = line[:MOST_READ]
    if found := _NAMED_LEVEL.search(line):
        return _LEVELS[found.group(1).lower()]
    if found := _NUMBERED_LEVEL.search(line):
        return {"60": FATAL, "50": ERROR, "40": WARN}.get(found.group(1), PLAIN)
    if found := _KLOG.match(line):
        return _KLOG_RANK[found.group(1)]
    if _FRAME.match(line):
        return PLAIN
    if _DYING.search(line):
        return FATAL
    if found := _MARKED_LEVEL.match(line):
        return _LEVELS[found.group(1).lower()]
    return ERROR if _FAILING.search(_NO_ERROR.sub("", line)) else PLAIN


def telling(lines: Sequence[str], most: int = 3) -> list[str]:
    """The lines that say why a program ended, in their order: the last panic or exception, the last distinct errors.

    Where nothing looks like an error: the last two lines, which are the best that there is.

    Args:
        most: at most so many.
    """
    ranks = [rank(line) if line.strip() else PLAIN for line in lines]
    deaths = [index for index, found in enumerate(ranks) if found == FATAL]
    errors = [index for index, found in enumerate(ranks) if found >= ERROR]
    if not errors:
        return [line.strip() for line in lines if line.strip()][-2:][-most:]
    chosen = deaths[-1:]
    if chosen and lines[chosen[0]].rstrip().endswith(":"):  # Rust and others put the message on the line that follows
        chosen += list(islice((i for i in range(chosen[0] + 1, len(lines)) if lines[i].strip()), 1))
    shapes = {template_of(lines[index]) for index in chosen}
    for index in reversed(errors):
        shape = template_of(lines[index])
        if len(chosen) < most and shape not in shapes:
            chosen.append(index)
            shapes.add(shape)
    return [lines[index].strip() for index in sorted(chosen)][:most]


@dataclass(frozen=True, slots=True, order=True)
class Peer:
    """Something that a program says it could not reach: a host name or address, and a port (0 where it names none)."""

    host: str
    port: int


_UNREACHED = re.compile(
    r"""(?i)refused|timed?\ ?out|timeout|no\ such\ host|no\ route\ to\ host|unreachable|ENOTFOUND|EAI_AGAIN|ETIMEDOUT
    |EHOSTUNREACH|(?:could|can)\ ?not\ (?:translate|resolve|connect)|can't\ connect|name\ or\ service\ not\ known
    |name\ resolution|nodename\ nor\ servname|(?:unable|failed)\ to\ connect|unknown\ ?host|name\ does\ not\ resolve
    |bad\ address|no\ endpoints|connection\ (?:reset|failed|error)|service\ unavailable|bad\ gateway""",
    re.VERBOSE,
)
_REACHED = re.compile(r"(?i)authenticat|access denied|permission denied|unauthorized|forbidden|certificate|SQLSTATE 28")
_HOST = r"([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)"
_USER = r"(?:[^\s/@\"']{1,80}@)?"
_PEERS = (
    re.compile(rf"(?<![\w./-])(?:[a-z][a-z0-9+.-]{{1,30}}://)?{_USER}{_HOST}:(\d{{2,5}})(?!\d|:\d)"),
    re.compile(rf"://{_USER}{_HOST}()(?=[/\s\"']|$)"),
    re.compile(
        r"(?i:\b(?:lookup|host(?:[ -]?name)?|server(?: on| at)?|addr(?:ess)?|ENOTFOUND|EAI_AGAIN|connect(?:ing)? to))"
        rf"\W{{1,4}}{_HOST}()\b"
    ),
)


def unreached(lines: Iterable[str]) -> set[Peer]:
    """What the lines say could not be reached. A peer that answered with a refusal of rights was reached."""
    found: set[Peer] = set()
    for line in lines:
        line = line[:MOST_READ]
        if _UNREACHED.search(line) and not _REACHED.search(line):
            for pattern in _PEERS:
                found |= {Peer(host, int(port or 0)) for host, port in pattern.findall(line)}
    return found


_LISTENING = re.compile(r"(?i)\b(?:listen\w*|serving|bound|started|running|available)\b")
_LISTEN_PORT = re.compile(r"(?i)(?::|\bports?\W{1,3}(?:s\W{1,3}|number\W{1,3})?)(\d{2,5})\b(?!:\d|\.\d)")


def listening(lines: Iterable[str]) -> set[int]:
    """The ports on which a program says that it listens."""
    ports: set[int] = set()
    for line in lines:
        line = _MASKS[1][0].sub(" ", _MASKS[3][0].sub(" ", line[:MOST_READ]))
        if _LISTENING.search(line) and not _UNREACHED.search(line):
            ports |= {int(port) for port in _LISTEN_PORT.findall(line)}
    return {port for port in ports if 1 <= port <= 65535}
