"""What a live source keeps between calls: version and kinds, for each user as whom they were asked.

`LiveSource` alone uses it. Must never give one user what another was told.
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from firstmate_tools.kinds import Kind

from .impersonation import Impersonated

_KINDS_FOR_S = 300.0
_USERS_KEPT = 200


@dataclass(slots=True)
class Remembered:
    """What one user was told.

    Attributes:
        asked_version: whether the server was asked; it may keep its version to itself.
    """

    version: str | None = None
    asked_version: bool = False
    _kinds: tuple[Kind, ...] | None = None
    _kinds_at: float = 0.0

    @property
    def kinds(self) -> tuple[Kind, ...] | None:
        """None where they were not asked for within five minutes."""
        return self._kinds if time.monotonic() - self._kinds_at <= _KINDS_FOR_S else None

    def learn(self, kinds: Sequence[Kind]) -> tuple[Kind, ...]:
        """Keeps the kinds that discovery gave just now."""
        self._kinds, self._kinds_at = tuple(kinds), time.monotonic()
        return self._kinds


class Memory:
    """What users were told, the most recent ones."""

    def __init__(self) -> None:
        self._of: OrderedDict[Impersonated | None, Remembered] = OrderedDict()

    def of(self, acting: Impersonated | None) -> Remembered:
        """This user's; None is firstmate itself."""
        found = self._of.setdefault(acting, Remembered())
        self._of.move_to_end(acting)
        if len(self._of) > _USERS_KEPT:
            self._of.popitem(last=False)
        return found
