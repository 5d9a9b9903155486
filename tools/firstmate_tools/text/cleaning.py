"""Takes out of a text what its reader cannot see: control, format, ANSI, bidirectional and zero-width characters.

The first step for every text that leaves, before redaction, so that nothing hides in a secret or in a mark. Must never
shorten a text otherwise: what a person would see stays.
"""

import re
import unicodedata

_ANSI = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]")
_KEPT_CONTROLS = frozenset("\n\t")
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co"})
"""Control; format (bidirectional, zero-width, tags); surrogate; private use."""

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
"""Letters, marks and symbols by their category that draw nothing (Unicode 16, Default_Ignorable_Code_Point; Braille
blank)."""
_LINE_ENDS = {"\u2028": "\n", "\u2029": "\n"}


def _hidden(character: str) -> bool:
    point = ord(character)
    # Variation selectors can carry a byte each; the plane above E0000 is ignored when drawn, assigned or not.
    carrier = 0xFE00 <= point <= 0xFE0F or 0xE0000 <= point <= 0xE0FFF
    hidden = unicodedata.category(character) in _HIDDEN_CATEGORIES or character in _BLANK or carrier
    return hidden and character not in _KEPT_CONTROLS


def clean(value: str) -> str:
    """Text without ANSI sequences and without characters that a reader cannot see; lone surrogates become ?."""
    if value.isascii() and value.isprintable():
        return value
    if "\x1b" in value or "\x9b" in value:
        value = _ANSI.sub("", value)
    value = value.replace("\r\n", "\n")
    if not value.isascii():
        value = value.encode("utf-8", "replace").decode("utf-8")
    # By distinct characters: a megabyte has few.
    table: dict[int, str | None] = {ord(c): _LINE_ENDS.get(c) for c in set(value) if c in _LINE_ENDS or _hidden(c)}
    return value.translate(table) if table else value
