"""The marks that stand where a secret stood. Everything that removes one makes its mark here."""

import re

MARK = "[redacted:{}]"
_ANY = re.compile(r"\[redacted:[a-z0-9-]{1,32}\]")


def mark(kind: str) -> str:
    """`[redacted:jwt]`."""
    return MARK.format(kind)


def marks(value: str) -> int:
    """How many marks stand in a text."""
    return len(_ANY.findall(value)) if "[redacted:" in value else 0


def without_marks(value: str) -> str:
    """A text as if nothing had stood where its marks stand."""
    return _ANY.sub("", value) if "[redacted:" in value else value


def split(value: str) -> list[tuple[str, bool]]:
    """The pieces of a text, each with whether it is a mark."""
    pieces: list[tuple[str, bool]] = []
    at = 0
    for found in _ANY.finditer(value):
        pieces += [(value[at : found.start()], False), (found[0], True)]
        at = found.end()
    return [piece for piece in [*pieces, (value[at:], False)] if piece[0]]
