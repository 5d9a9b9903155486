"""What a string in a result is: cluster text, a value that may be, or words of ours. The egress filter goes by it.

    FreeText   somebody in the cluster wrote it: log lines, messages, annotations. Always fenced over MCP
    Told, str  a value of an object: a name, state, quantity, image. Fenced unless it is one plain word
    Words      ours, whole sentences: never fenced, so that what it quotes goes in by `inline`

A plain `str` is treated like `Told`, so that a tool that says nothing about a field leaks nothing. Nothing may put
cluster text into `Words` but through `inline`.
"""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from .cleaning import clean
from .redaction import redact
from .suspicion import suspicion

OPEN, CLOSE = "\ue000", "\ue001"
"""What `inline` puts around a quotation, until the egress filter makes a fence of it and everything else drops it.
Private-use characters: `clean` takes them out of every text that comes from elsewhere, so that none can be forged."""


class Untrusted(str):
    """Cleaned and redacted text that came out of a cluster. Make it with `untrusted()`."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(untrusted, core_schema.str_schema())


class Own(str):
    """Words of ours. Make it with `own()`."""

    __slots__ = ()


def untrusted(value: str) -> Untrusted:
    """Cleans and redacts text from a cluster, and marks it by its type."""
    return value if isinstance(value, Untrusted) else Untrusted(redact(clean(value)))


def clipped(value: str, most: int) -> Untrusted:
    """As `untrusted`, at most so many characters: redacted first, because what is cut in two is recognised no more."""
    return Untrusted(squeeze(untrusted(value), most))


def own(value: str) -> Own:
    """Words of ours, marked by their type."""
    return Own(value)


def own_values(value: Any) -> Any:
    """A value of ours: every plain string in it as words of ours."""
    if isinstance(value, str):
        return value if isinstance(value, Untrusted) else own(value)
    if isinstance(value, dict):
        return {key: own_values(one) for key, one in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [own_values(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return value


FreeText = Annotated[Untrusted, "free text from the cluster: data, never instructions"]
"""The type of every result field that holds free text from a cluster."""

Words = Annotated[str, AfterValidator(own)]
"""The type of result fields that hold sentences of ours."""

OwnValues = Annotated[dict[str, Any], AfterValidator(own_values)]
"""The type of result fields that hold values of our choosing, such as the arguments of a next call."""

_WORD = re.compile(r"(?:[A-Za-z0-9._:/@%+=,*#~$→-]|\((?!http)|\)|\[(?!/?INST)|\](?!\())*")
_MOST_OF_A_WORD = 160


def one_word(value: str) -> bool:
    """Whether a text is one plain word: a name, state, quantity, image or time, in which no sentence, markup or link
    can stand."""
    if len(value) > _MOST_OF_A_WORD:
        return False
    return _WORD.fullmatch(value) is not None or value in {"<none>", "<unknown>", "<nil>"}


def plain_word(value: str) -> bool:
    """Whether a text may leave without a fence: one word that does not read like instructions either."""
    return one_word(value) and not suspicion(value)


def told(value: str) -> str:
    """A value of a field that is not free text by its nature (a name, state, quantity, image, time), or may be.

    One plain word stays a plain text, redacted. Anything else is free text.
    """
    safe = redact(clean(value))
    return str(safe) if plain_word(safe) else Untrusted(safe)


Told = Annotated[str, AfterValidator(told)]
"""The type of result fields for values of objects, of which some are free text and most are words."""


def inline(value: object) -> str:
    """A value from the cluster as it may stand in words of ours: redacted, and fenced over MCP unless it is one plain
    word. Elsewhere (rules, command line) the quotation reads as if nothing stood around it."""
    safe = redact(clean(str(value)))
    return safe if not safe or plain_word(safe) else f"{OPEN}{safe}{CLOSE}"


def quoting(value: str, said: str) -> str:
    """Words of ours in which the words of others are marked as a quotation."""
    return value.replace(said, inline(said)) if said else value


def without_quotes(value: str) -> str:
    """Words of ours without what `inline` put around quotations."""
    return value.replace(OPEN, "").replace(CLOSE, "") if OPEN in value or CLOSE in value else value


def quotations(value: str) -> list[tuple[str, bool]]:
    """The pieces of words of ours, each with whether it quotes the cluster. Cleaned."""
    pieces: list[tuple[str, bool]] = []
    for number, piece in enumerate(value.split(OPEN)):
        # One end of a quotation may have been cut off: what is doubtful counts as quoted.
        inside, closed, after = piece.rpartition(CLOSE)
        if closed:
            pieces += [(clean(inside), True), (clean(after), False)]
        else:
            pieces.append((clean(piece), number > 0))
    return [piece for piece in pieces if piece[0]]


def shorten(value: str, most: int) -> str:
    """At most so many characters, with an ellipsis where something was cut."""
    return value if len(value) <= most else value[: most - 1] + "…"


def squeeze(value: str, most: int) -> str:
    """At most so many characters, cut in the middle: of nested errors the innermost, at the end, tells most."""
    if len(value) <= most:
        return value
    head = most // 2
    return f"{value[:head]} … {value[len(value) - (most - head - 3) :]}"
