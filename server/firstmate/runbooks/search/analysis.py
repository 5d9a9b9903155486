"""Text to terms, for documents and questions alike. Pure.

Operations text is full of names that ordinary tokenizers tear apart or never find again in parts. Each name is kept
whole, and its parts stand beside it: `CrashLoopBackOff` is also `crash`, `loop`, `back`, `off`; of
`sts:AssumeRoleWithWebIdentity` both sides and the words inside; `0/3 nodes` loses its numbers, which differ in every
cluster. Ids, addresses, times and hashes are dropped: they are never why a runbook fits.
"""

import re
from collections.abc import Iterator

from firstmate.runbooks.search.concepts import CONCEPTS

MOST_CHARACTERS = 6_000
"""Of a question that are searched by words: its beginning and its end, where errors say what they are."""
SEPARATOR = " "

_NAME = re.compile(r"[a-z0-9][a-z0-9._:/@$+-]*[a-z0-9]|[a-z0-9]", re.IGNORECASE)
_PIECE = re.compile(r"[a-z0-9]+", re.IGNORECASE)
_HUMP = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
_ID = re.compile(r"[0-9a-f]{8,}|(?=[a-z]*[0-9])(?=[0-9]*[a-z])[a-z0-9]{9,}|[0-9.:,TZ+-]+", re.IGNORECASE)
_NOISE = re.compile(
    r"preemption: 0/\d+ nodes are available[^\n]*|\d+ node\(s\) had untolerated taint \{node-role\.kubernetes\.io/"
    r"(?:control-plane|master): ?\},?|^\s*(?:Type +Reason +Age|-+ +-+ +-+)[^\n]*$|Successfully assigned \S+ to \S+",
    re.MULTILINE,
)
"""What pasted output has whatever is wrong: the scheduler's second sentence, taints that are meant, table heads."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_STATUS = frozenset(
    str(number)
    for number in (
        *(400, 401, 403, 404, 408, 409, 413, 429, 500, 502, 503, 504),  # HTTP
        *(126, 127, 128, 134, 137, 139, 143),  # exit codes
        *(53, 443, 6443, 2049, 10250),  # ports
        *(111, 113),  # errno: refused, no route
    )
)
"""Numbers that mean something by themselves: HTTP statuses, exit codes, well-known ports."""

STOP = _words(
    """a about after again all also am an and any anyone are as at be because been before being but by can could did do
    does doing don each else ever every for from further get gets getting give go goes going got had has have having
    he hello help her here hey hi him his how i if in into is isn it its just know let like ll look looks make may me
    more most much must my need needs no nor of off on once one only or other our out over own per please plz re s same
    see seems she should so some somebody someone something still such t tell than thank thanks that the their them
    then there these they thing this those though through to too trying u under until up us ve very want was we
    well were what when where which while who whole whom why will with without would yet you your
    kubernetes k8s cluster eks aws problem issue error errors trouble happens happened happening"""
)
"""Words that nearly every question has, whatever it is about."""


def clipped(text: str) -> str:
    """At most `MOST_CHARACTERS`: the beginning and the end."""
    if len(text) <= MOST_CHARACTERS:
        return text
    half = MOST_CHARACTERS // 2
    return f"{text[:half]}\n{text[-half:]}"


def plain(text: str) -> str:
    """A question without what says nothing in any pasted output, and not longer than is searched."""
    return _NOISE.sub(" ", clipped(text))


def terms(text: str) -> list[str]:
    """The terms of a text, in its order, lower-case; a name's parts follow it.

    Args:
        text: of a document or a question.
    """
    return list(_terms(text))


def _terms(text: str) -> Iterator[str]:
    for found in _NAME.finditer(text):
        name = found[0]
        pieces = _PIECE.findall(name)
        if len(pieces) > 1 and not _ID.fullmatch(name) and len(name) <= 80:
            whole = name.lower()
            if not any(_ID.fullmatch(piece) for piece in pieces):
                yield whole
        for piece in pieces:
            yield from _parts(piece)


def _parts(piece: str) -> Iterator[str]:
    low = piece.lower()
    if low.isdigit():
        if low in _STATUS:
            yield low
        return
    if _ID.fullmatch(piece) and any(character.isdigit() for character in piece):
        return
    humps = _HUMP.findall(piece)
    yield low
    yield from CONCEPTS.get(low, ())
    if len(humps) > 1 and len(piece) > 3:
        words = [hump.lower() for hump in humps if not hump.isdigit()]
        if len(words) > 1:
            yield from (word for word in words if len(word) > 1)


def telling(found: list[str]) -> list[str]:
    """The terms of a question that may tell runbooks apart, each once, in order."""
    return list(dict.fromkeys(term for term in found if term not in STOP))
