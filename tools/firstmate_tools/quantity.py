"""Kubernetes quantities ("250m", "1Gi", "1e3") as exact integers of thousandths.

The official client has a parser too, but importing it loads every API model (0.35 s), which a snapshot never needs.
Grammar: k8s.io/apimachinery pkg/api/resource/quantity.go.
"""

import math
import re
from fractions import Fraction
from functools import lru_cache

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d{1,3})|([KMGTPE]i|[numkMGTPE])?)")
_SUFFIX: dict[str, Fraction] = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "": Fraction(1),
    "k": Fraction(10**3),
    **{letter: Fraction(10 ** (3 * power)) for power, letter in enumerate("MGTPE", start=2)},
    **{f"{letter}i": Fraction(1024**power) for power, letter in enumerate("KMGTPE", start=1)},
}


@lru_cache(maxsize=4096)
def _milli(value: str) -> int | None:
    match = _QUANTITY.fullmatch(value.strip())
    if match is None:
        return None
    digits, exponent, suffix = match.groups()
    amount = Fraction(digits) * (Fraction(10) ** int(exponent[1:]) if exponent else _SUFFIX[suffix or ""])
    return math.ceil(amount * 1000)


def milli(value: object) -> int | None:
    """A quantity in thousandths of its unit (cores, bytes, pieces), rounded up as Kubernetes does.

    Args:
        value: a quantity as JSON holds it: a string, or a number.

    Returns:
        None where the value is no quantity.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, str):
        return _milli(value)
    return math.ceil(Fraction(value) * 1000) if math.isfinite(value) else None


def show(resource: str, amount: int) -> str:
    """Thousandths of a unit as a person would write them.

    Args:
        resource: the resource's name: bytes are written for memory and storage, cores for CPU, pieces otherwise.
        amount: thousandths of the unit.
    """
    if resource.endswith(("memory", "storage")) or "hugepages" in resource:
        size = amount / 1000
        for unit in ("", "Ki", "Mi", "Gi", "Ti", "Pi"):
            if abs(size) < 1024 or unit == "Pi":
                return f"{size:.1f}".rstrip("0").rstrip(".") + unit
            size /= 1024
    return f"{amount}m" if amount % 1000 else str(amount // 1000)
