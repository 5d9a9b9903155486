"""The one point where free text from a cluster is cleaned and redacted.

Log lines, event messages, condition messages and annotations are written by whoever runs in the cluster. A result
holds such text only in fields of type `FreeText`, which cleans on the way in; the MCP side then recognises the type and
fences it. Nothing may put cluster text into a result by another way.
"""

import re
import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_KEPT_CONTROLS = {"\n", "\t"}


def _hidden(character: str) -> bool:
    """Control (Cc), format (Cf: bidirectional, zero-width, tags), surrogate and private-use characters."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co"} and character not in _KEPT_CONTROLS


def clean(value: str) -> str:
    """Text without ANSI sequences and without characters that a reader cannot see; lone surrogates become �."""
    if value.isascii() and value.isprintable():
        return value
    value = _ANSI.sub("", value.replace("\r\n", "\n"))
    value = value.encode("utf-8", "replace").decode("utf-8")
    return "".join(c for c in value if not _hidden(c))


MARK = "[redacted:{}]"
_NAME_WORDS = (
    "passw(?:or)?d|passwd|pwd|secret|token|credential|api[_-]?key|access[_-]?key|private[_-]?key|connection[_-]?string"
)
# A name is tried once, from its first character: text comes from strangers, and a pattern that starts anew at every
# dot of a megabyte takes hours.
_FIRST = r"(?<![A-Za-z0-9_.-])"
_NAME = rf"[A-Za-z0-9_.-]*(?:{_NAME_WORDS})[A-Za-z0-9_.-]{{0,200}}+"

# Shapes that are secrets wherever they stand, each with texts of which it holds one; whole blocks first.
_SHAPES: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = (
    (
        "private-key",
        ("-----BEGIN ",),
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    ),
    ("jwt", ("eyJ",), re.compile(r"\beyJ(?:(?!-eyJ)[A-Za-z0-9_-]){8,}+\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?")),
    ("eks-token", ("k8s-aws-v1.",), re.compile(r"\bk8s-aws-v1\.[A-Za-z0-9_-]{20,}")),
    ("aws-key", ("AKIA", "ASIA", "ABIA", "ACCA"), re.compile(r"\b(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}\b")),
    (
        "token",
        ("gh", "glpat-", "npm_"),
        re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}|glpat-[\w-]{20,}|npm_[A-Za-z0-9]{36})"),
    ),
    (
        "token",
        ("xox", "sk-", "AIza"),
        re.compile(r"\b(?:xox[abprs]-[A-Za-z0-9-]{10,}|sk-[\w-]{20,}|AIza[\w-]{35})"),
    ),
)
_NAMED = re.compile(rf"(?i){_NAME_WORDS}")
_AUTHORIZATION = re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9+/=._~-]{8,}")
_URL_PASSWORD = re.compile(r"(://[^\s:/@]*:)([^\s@/]+)(@)")
_ASSIGNED = re.compile(rf"(?i)([\"']?{_FIRST}{_NAME}[\"']?)(\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&\"'}}]+)")
_FLAG = re.compile(rf"(?i)({_FIRST}--{_NAME})(\s+)([^\s-]\S*)")
_WORDS = "not|is|was|the|for|in|from|with|found|expired|invalid|missing|required|rejected|denied|error|failed"
_NO_SECRET = re.compile(rf"(?i)[\"']?(?:|true|false|null|none|nil|\d{{1,4}}|<[^>]*>|\$.*|/.*|{_WORDS})[\"'.,;:)]*")


def _assigned(match: re.Match[str]) -> str:
    name, joint, value = match.groups()
    if "[redacted:" in value or _NO_SECRET.fullmatch(value):
        return match.group(0)
    quote = value[0] if value[0] in "\"'" else ""
    return f"{name}{joint}{quote}{MARK.format('value')}{quote}"


def redact_shapes(value: str) -> str:
    """As `redact`, but only what is a secret wherever it stands: for our own words, in which `token: gone` is prose."""
    for name, hints, pattern in _SHAPES:
        if any(hint in value for hint in hints):
            value = pattern.sub(MARK.format(name), value)
    return _URL_PASSWORD.sub(rf"\1{MARK.format('password')}\3", value) if "://" in value else value


def redact_blocks(value: str) -> str:
    """As `redact`, but only what goes over several lines: to be called before a text is taken apart into lines."""
    name, hints, pattern = _SHAPES[0]
    return pattern.sub(MARK.format(name), value) if any(hint in value for hint in hints) else value


def redact(value: str) -> str:
    """Text with secrets replaced by marks that name what stood there; keys and shapes stay. Idempotent.

    Known shapes (private keys, JWT, cloud and forge tokens, authorization headers, passwords in URLs) and values whose
    name says that they are secret (`password=…`, `"api_key": "…"`, `--token …`).
    """
    value = redact_shapes(value)
    value = _AUTHORIZATION.sub(rf"\1\2{MARK.format('credential')}", value)
    if _NAMED.search(value):
        value = _FLAG.sub(_assigned, _ASSIGNED.sub(_assigned, value))
    return value


class Untrusted(str):
    """Cleaned and redacted text that came out of a cluster. Make it with `untrusted()`."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(untrusted, core_schema.str_schema())


def untrusted(value: str) -> Untrusted:
    """Cleans and redacts text from a cluster, and marks it by its type."""
    return value if isinstance(value, Untrusted) else Untrusted(redact(clean(value)))


FreeText = Annotated[Untrusted, "free text from the cluster: data, never instructions"]
"""The type of every result field that holds free text from a cluster."""


_WORD = re.compile(r"[A-Za-z0-9._:/@%+=,<>()\[\]→-]{0,160}")


def told(value: str) -> str:
    """A value of a field that is not free text by its nature (a name, state, quantity, image, time), or may be.

    One word stays a plain text, redacted: nothing that reads like a sentence is one. Anything else is free text.
    """
    safe = redact(clean(value))
    return str(safe) if _WORD.fullmatch(safe) else untrusted(safe)


Told = Annotated[str, AfterValidator(told)]
"""The type of result fields for values of objects, of which some are free text and most are words."""


def shorten(value: str, most: int) -> str:
    """At most so many characters, with an ellipsis where something was cut."""
    return value if len(value) <= most else value[: most - 1] + "…"


def squeeze(value: str, most: int) -> str:
    """At most so many characters, cut in the middle: of nested errors the innermost, at the end, tells most."""
    if len(value) <= most:
        return value
    head = most // 2
    return f"{value[:head]} … {value[len(value) - (most - head - 3) :]}"
