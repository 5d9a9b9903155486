"""Says whether a text reads like instructions to a language model. A warning, never a decision. Pure.

`firstmate.answers` asks it of all text from the cluster and says in `coverage.suspicious` where it stands; `types.told`
asks it before a word leaves without a fence. It looks through disguises that a model looks through as well: letters of
other scripts, digits for letters, spaced letters, hyphens for blanks, base64, hexadecimal, URL and JSON escapes.
Nothing is removed and no verdict changes because of it: who writes cunningly enough is not found (docs/trust.md), and
the fence holds without it.
"""

import html
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import unquote

from .encoded import decoded
from .phrases import PHRASES

_MOST = 20_000
"""Characters that are looked at, the first and the last: what a context window is given is shorter."""
_BLANKS = re.compile(r"[^\S\n]+")
_WORDS_IN_ONE = re.compile(
    r"(?<![A-Za-z])(?:[A-Za-z]{1,20}+[-_./+]){2,}+[A-Za-z]*+|(?<![A-Za-z])[A-Z]?[a-z]+(?:[A-Z][a-z]+){2,}+"
)
_JOINED = re.compile(r"[-_./+]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_SPACED = re.compile(r"\b(?:[A-Za-z][ .-]){6,}[A-Za-z]\b")
_SPACED_LETTER = re.compile(r"\b([A-Za-z])[ .-](?=[A-Za-z]\b)")
_RUN = re.compile(r"[A-Za-z0-9+/_-]{20,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){16,}")
_ESCAPE = re.compile(r"\\u00([0-9a-fA-F]{2})|\\x([0-9a-fA-F]{2})")
_LEET = str.maketrans("013457@$!", "oieastasi")
_DIGIT_IN_WORD = re.compile(r"[A-Za-z][013457@$!][A-Za-z]|\b[13457@$][a-z]{2}")
_LOOKALIKES = str.maketrans(
    "аеорсухіѕјԁһԛԝьвнкмтАВЕКМНОРСТХУІЅЈαβεικνορτυχΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aeopcyxisjdhqwbbhkmtABEKMHOPCTXYISJabeiknoptuxABEZHIKMNOPTYX",
)
_MARKS = re.compile(r"[\u0300-\u036f]")


@lru_cache(maxsize=20_000)
def _of_short(value: str) -> str:
    return _suspicion(value)


def suspicion(value: str) -> str:
    """What a text tries with a model that reads it, in a few words; "" where it reads like data.

    Args:
        value: a text that was cleaned.
    """
    if len(value) < 8:
        return ""
    if len(value) > _MOST:
        value = value[: _MOST // 2] + "\n" + value[-_MOST // 2 :]
    return _of_short(str(value)) if len(value) <= 1_000 else _suspicion(value)


def _suspicion(value: str) -> str:
    return next((aim for variant in _variants(value) if (aim := _aim(variant))), "")


def _aim(variant: str) -> str:
    folded = _BLANKS.sub(" ", variant.lower()).replace("’", "'")
    return next((phrase.aim for phrase in PHRASES if phrase.stands_in(folded)), "")


def _variants(value: str) -> Iterator[str]:
    """The text, and what it says behind a disguise."""
    yield value
    if not value.isascii():
        plain = unicodedata.normalize("NFKD", value)
        yield _MARKS.sub("", plain).translate(_LOOKALIKES)
    if _WORDS_IN_ONE.search(value):
        yield _WORDS_IN_ONE.sub(lambda match: _JOINED.sub(" ", _CAMEL.sub(" ", match[0])), value)
    if "\\" in value:
        yield (
            _ESCAPE.sub(lambda match: chr(int(match[1] or match[2], 16)), value)
            .replace("\\n", "\n")
            .replace('\\"', '"')
        )
    if "%" in value:
        yield unquote(value)
    if "&" in value and ";" in value:
        yield html.unescape(value)
    if _DIGIT_IN_WORD.search(value):
        yield value.lower().translate(_LEET)
    if _SPACED.search(value):
        yield _SPACED_LETTER.sub(r"\1", value)
    for run in _RUN.findall(value)[:40]:
        if plain := decoded(run):
            yield plain
    for run in _HEX.findall(value)[:10]:
        yield bytes.fromhex(run).decode("ascii", "ignore")
