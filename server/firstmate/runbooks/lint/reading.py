"""How hard a runbook is to read, and how long it is. Reported, never refused: a number says less than a tired reader.

The Automated Readability Index counts letters, words and sentences, and is about the school year that understands
the text (E. A. Smith and R. J. Senter, "Automated Readability Index", AMRL-TR-66-220, 1967). Commands and names are
left out.
"""

import re
from dataclasses import dataclass

from firstmate.runbooks.lint.layout import Layout


@dataclass(frozen=True, slots=True)
class Reading:
    """Figures of one runbook.

    Attributes:
        words: of its prose.
        index: the Automated Readability Index; 0 where there is no prose.
        commands: scripts and commands in sentences.
    """

    words: int
    index: float
    commands: int


def reading_of(layout: Layout) -> Reading:
    """The figures of one runbook."""
    text = " ".join(_plain(piece.text) for piece in layout.paragraphs)
    words = re.findall(r"[^\W\d_][\w'-]*", text)
    sentences = max(1, len(re.findall(r"[.!?:;](?:\s|$)", text)))
    letters = sum(len(word) for word in words)
    index = 4.71 * letters / len(words) + 0.5 * len(words) / sentences - 21.43 if words else 0.0
    return Reading(len(words), round(index, 1), len(layout.scripts))


def _plain(text: str) -> str:
    without = re.sub(r"`[^`]*`|https?://\S+|\[[^\]]*\]\([^)]*\)", "", text)
    return without if without.rstrip().endswith((".", ":", ";", "?", "!")) else f"{without.rstrip()}."
