"""Secrets that were wrapped: in base64 (kubeconfigs, Secret values, Helm releases) or in a URL's escapes. Pure.

`redaction.redact` calls it last, with what finds secrets in plain text. A run of base64 is decoded where it gives text;
it is replaced whole when that text holds a secret. Escapes of a URL are undone and done again around the mark. Must
never replace what decodes to bytes that nobody can read: digests, hashes and ids do.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Callable
from urllib.parse import quote, unquote

from .marks import mark, split

Finder = Callable[[str], str]

_RUN = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{20,}+(?:\r?\n[ \t]{0,20}+[A-Za-z0-9+/_-]{20,}+)*+={0,2}")
_DEEPEST = 2
_MOST_UNPACKED = 400_000
_GZIP = "H4sI"
_ESCAPED = re.compile(r"(?<![^\s\"'<>])[^\s\"'<>%]*+%[0-9A-Fa-f]{2}[^\s\"'<>]*+")
_BLANKS = re.compile(r"\s+")


def without_encoded(value: str, find: Finder, depth: int = 0) -> str:
    """Text without the encoded runs that hold a secret.

    Args:
        find: replaces the secrets in a plain text.
        depth: how many times it was decoded already.
    """
    if "%" in value:
        value = _ESCAPED.sub(lambda match: _escaped(match[0], find), value)
    if len(value) >= 20:
        value = _RUN.sub(lambda match: _run(match[0], find, depth), value)
    return value


def _escaped(run: str, find: Finder) -> str:
    plain = unquote(run)
    if "%" in plain:
        plain = unquote(plain)
    found = find(plain)
    if found == plain:
        return run
    return "".join(piece if is_mark else quote(piece, safe=":/?&=#%@,;[]") for piece, is_mark in split(found))


def _run(run: str, find: Finder, depth: int) -> str:
    if "\n" in run and (whole := _judged(_BLANKS.sub("", run), find, depth)):
        return whole
    return "".join((_judged(line, find, depth) or line) if line.strip() else line for line in re.split(r"(\s+)", run))


def _judged(run: str, find: Finder, depth: int) -> str:
    """The mark for a run that holds a secret, "" for one that does not."""
    plain = decoded(run)
    if not plain:
        return ""
    found = find(plain)
    if found == plain and depth < _DEEPEST:
        found = without_encoded(plain, find, depth + 1)
    return mark("base64") if found != plain else ""


def decoded(run: str) -> str:
    """The text that base64 stands for, "" where it is not base64 of a text. Its end may have been cut off."""
    bare = run.rstrip("=").replace("-", "+").replace("_", "/")
    bare = bare[: len(bare) - (len(bare) % 4 == 1)]
    try:
        content = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except binascii.Error:
        return ""
    if run.startswith(_GZIP):
        content = _unpacked(content)
    sample = content[:64]
    if not sample or sum(byte < 9 or 13 < byte < 32 or byte > 126 for byte in sample) * 8 > len(sample):
        return ""
    return content.decode("utf-8", "replace")


def _unpacked(content: bytes) -> bytes:
    try:
        return zlib.decompressobj(31).decompress(content, _MOST_UNPACKED)
    except zlib.error:
        return b""
