"""What a tool or a rule may read, declared beside its code.

From these declarations alone come the request plan of a diagnosis, what `snapshot create` records, what `doctor`
checks, the least ClusterRole, and the words of `not_checked`. The gateway refuses a read that the caller of the moment
did not declare.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from .kinds import SECRET, Kind


@dataclass(frozen=True, slots=True)
class Read:
    """One declared read of a resource.

    Attributes:
        kind: the resource.
        verbs: RBAC verbs, of `get` and `list`.
        subresource: such as `log`; "" for the object itself.
    """

    kind: Kind
    verbs: tuple[str, ...] = ("get", "list")
    subresource: str = ""

    @property
    def resource(self) -> str:
        """`pods`, `pods/log`, `replicasets.apps`."""
        return f"{self.kind.resource}/{self.subresource}" if self.subresource else self.kind.resource


@dataclass(frozen=True, slots=True)
class AnyKindButSecrets:
    """The declaration of the `get` tool: the caller names the kind. Adds nothing to the least role."""


Declared = Read | AnyKindButSecrets


@dataclass(frozen=True, slots=True)
class Grant:
    """The reads that one tool call may make. The gateway asks it before anything leaves."""

    reads: frozenset[Declared]

    @staticmethod
    def of(reads: Iterable[Declared]) -> "Grant":
        return Grant(frozenset(reads))

    def allows(self, kind: Kind, verb: str, subresource: str = "") -> bool:
        """Whether a read was declared. Versions do not matter, groups and resources do."""
        for read in self.reads:
            if isinstance(read, AnyKindButSecrets):
                if not subresource and (kind.group, kind.plural) != (SECRET.group, SECRET.plural):
                    return True
            elif verb in read.verbs and (
                (read.kind.group, read.kind.plural, read.subresource) == (kind.group, kind.plural, subresource)
            ):
                return True
        return False
