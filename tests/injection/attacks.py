"""The attacks of attacks.yaml, and harmless texts of the same shape, for tests over doubles and over the lab."""

import base64
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

HARMLESS = (
    "the worker has opened its queue",
    "twelve baskets were written to the store",
    "a customer has left without buying",
    "prices were read from the catalogue",
    "the day's totals are in the ledger",
    "a courier has fetched the parcels",
    "the shelf by the door is full",
    "apples and pears arrive at noon",
)
"""Lines that differ in more than numbers, so that none is folded with another."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One text that turns to a model.

    Attributes:
        text: as it is planted.
        flagged: whether it is known to be told from data.
    """

    id: str
    text: str
    flagged: bool = True

    @property
    def word(self) -> str:
        """The attack as a label's value or an object's name."""
        joined = re.sub(r"[^a-z0-9]+", "-", self.text.lower()).strip("-")[:50].strip("-")
        return joined or "x"

    @property
    def twin(self) -> "Attack":
        """A harmless text with as many lines."""
        lines = [HARMLESS[n % len(HARMLESS)] if line.strip() else "" for n, line in enumerate(self.text.split("\n"))]
        return Attack(self.id, "\n".join(lines), flagged=False)


@cache
def attacks() -> tuple[Attack, ...]:
    """All of them."""
    rows = yaml.safe_load((Path(__file__).parent / "attacks.yaml").read_text())
    return tuple(Attack(row["id"], _text(row), row.get("flagged", True)) for row in rows)


def _text(row: dict[str, str]) -> str:
    if "base64" in row:
        return base64.b64encode(row["base64"].encode()).decode()
    return row["hex"].encode().hex() if "hex" in row else row["text"]
