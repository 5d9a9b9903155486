"""What every layout is read into: which lists a recording holds, which it lacks and why.

The layouts fill a `Recording`; `SnapshotCluster` answers from it. It knows outcomes and addresses, not objects: those
are parsed when somebody asks (`objects.py`). Must never take a list that was not recorded for an empty one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

import orjson

from firstmate_tools.cluster.files import Files
from firstmate_tools.errors import (
    DeniedError,
    FailedReadError,
    NotCollectedError,
    NotInstalledError,
    ReadError,
    SnapshotError,
    TimedOutError,
    Why,
)
from firstmate_tools.kinds import Kind

Outcome = Literal["collected"] | Why
Form = Literal["lines", "json", "yaml"]
ResourceKey = tuple[str, str]

_ERRORS: Mapping[Outcome, type[ReadError]] = {
    "denied": DeniedError,
    "failed": FailedReadError,
    "timed_out": TimedOutError,
    "not_installed": NotInstalledError,
}


def unanswered(outcome: Outcome, message: str, hint: str = "") -> ReadError:
    """The error that a live cluster raised when this was recorded, or NotCollectedError."""
    return _ERRORS.get(outcome, NotCollectedError)(message, hint)


@dataclass(frozen=True, slots=True)
class Slice:
    """What a recording says of one list: a kind in one namespace, or a cluster-scoped kind.

    Attributes:
        outcome: `collected`, or why there is nothing.
        reason: the words of whoever recorded it.
        file: where the objects are; "" where the list is known to be empty.
        form: how that file is written.
        count: how many objects it must hold, where the manifest says.
    """

    outcome: Outcome = "collected"
    reason: str = ""
    file: str = ""
    form: Form = "json"
    count: int | None = None


EMPTY = Slice()


@dataclass(slots=True)
class Shelf:
    """All that a recording says of one kind.

    Attributes:
        kind: with the version that was recorded.
        whole: what is said of the list across all namespaces; None where nobody asked for that.
        parts: by namespace; "" for a cluster-scoped kind.
    """

    kind: Kind
    whole: Slice | None = None
    parts: dict[str, Slice] = field(default_factory=dict[str, Slice])


@dataclass(frozen=True, slots=True)
class LogText:
    """A recorded log. `stamped` lines begin with their time and a space, as the kubelet's `timestamps` gives them."""

    text: str
    stamped: bool


class Logs(Protocol):
    """The logs of a recording."""

    def read(self, namespace: str, pod: str, container: str, *, previous: bool) -> LogText | None:
        """A log, or None where the recording says nothing of it.

        Raises:
            ReadError: asked for when recording, and not had.
            ObjectNotFoundError: the container has no previous run.
        """
        ...

    def any_from(self, namespace: str | None) -> bool:
        """Whether logs were recorded at all (of a namespace)."""
        ...


@dataclass(slots=True)
class Recording:
    """One snapshot, whatever its layout.

    Attributes:
        layout: for people: "firstmate snapshot", "support bundle", "cluster-info dump".
        now: the moment of recording.
        server: address of the API server, "" where unknown.
        version: of Kubernetes, "" where unknown.
        namespaces: which were recorded; None where all were.
        every_namespace: the names of all namespaces of the cluster, where that is known: where the lists of each are
            there, a list across namespaces is.
        shelves: by group and plural.
        kinds: what the API server serves, where discovery was recorded.
        how: how to get a kind that is missing, as a hint.
        how_namespaces: the same for a namespace that is missing.
        how_logs: the same for a log.
        paths: what is said of paths that are no resources, without query.
        questions: what is said of questions to Prometheus, by name; empty where it was not asked at all.
    """

    layout: str
    files: Files
    now: datetime
    server: str
    version: str
    default_namespace: str
    namespaces: tuple[str, ...] | None
    shelves: dict[ResourceKey, Shelf]
    logs: Logs
    kinds: tuple[Kind, ...] | None = None
    every_namespace: frozenset[str] | None = None
    how: str = ""
    how_namespaces: str = ""
    how_logs: str = ""
    paths: Mapping[str, Slice] = field(default_factory=dict[str, Slice])
    questions: Mapping[str, Slice] = field(default_factory=dict[str, Slice])

    def slices(self, kind: Kind, namespace: str | None) -> list[tuple[str, Slice]]:
        """The recorded lists that together answer one, by namespace, in no order.

        Args:
            namespace: None asks across all namespaces.

        Raises:
            ReadError: that list is not in the recording, whole.
        """
        shelf = self.shelves.get((kind.group, kind.plural))
        if shelf is None:
            raise self._absent(kind)
        if shelf.kind.version != kind.version:
            raise NotCollectedError(
                f"The {self.layout} holds {kind.resource} as {shelf.kind.api_version}, not as {kind.api_version}."
            )
        if not shelf.kind.namespaced:
            return _usable([("", shelf.parts.get("", shelf.whole or _UNASKED))], kind)
        if namespace is not None:
            return _usable([(namespace, self._part(shelf, namespace))], kind)
        if shelf.whole is not None:
            _usable([("", shelf.whole)], kind)
            return _usable(shelf.parts.items(), kind)
        self._check_every_namespace(shelf)
        return _usable(shelf.parts.items(), kind)

    def text(self, path: str) -> str:
        """What a path that is no resource answered with.

        Args:
            path: without query.

        Raises:
            ReadError: it is not in the recording.
        """
        return self._content(self.paths.get(path), path).decode("utf-8", "replace")

    def answer(self, question: str) -> object:
        """What Prometheus answered, as `metrics/NAME.json` holds it.

        Args:
            question: its name.

        Raises:
            ReadError: it is not in the recording.
        """
        what = f"the answer of Prometheus to {question}"
        try:
            return orjson.loads(self._content(self.questions.get(question), what))
        except orjson.JSONDecodeError as error:
            raise FailedReadError(f"The {self.layout} holds {what} in a damaged file.") from error

    def _content(self, part: Slice | None, what: str) -> bytes:
        if part is None:
            raise NotCollectedError(f"The {self.layout} does not hold {what}.", self.how)
        if part.outcome != "collected":
            error = unanswered(part.outcome, f"{what} was not recorded: {part.reason.rstrip('.')}.")
            error.said = part.reason.rstrip(".")
            raise error
        try:
            return self.files.read(part.file)
        except KeyError as error:
            raise FailedReadError(f"{part.file} is missing from the {self.layout}.") from error
        except SnapshotError as error:
            raise FailedReadError(error.message, error.hint) from error

    def assume_whole(self) -> None:
        """Takes somebody's word that the recorded namespaces are all that the cluster had."""
        self.namespaces = None
        for shelf in self.shelves.values():
            if shelf.kind.namespaced and shelf.whole is None:
                shelf.whole = EMPTY

    def _part(self, shelf: Shelf, namespace: str) -> Slice:
        if (part := shelf.parts.get(namespace)) is not None:
            return part
        if shelf.whole is not None:
            return EMPTY if shelf.whole.outcome == "collected" else shelf.whole
        if self.every_namespace is not None and namespace not in self.every_namespace:
            return EMPTY  # there was no such namespace
        held = ", ".join(sorted(shelf.parts)[:10]) or "none"
        raise NotCollectedError(
            f'The {self.layout} holds no {shelf.kind.resource} of namespace "{namespace}".',
            f"It holds those of: {held}. {self.how_namespaces}".strip(),
        )

    def _check_every_namespace(self, shelf: Shelf) -> None:
        names = self.every_namespace
        missing = None if names is None else sorted(names - shelf.parts.keys())
        if missing:
            what = f"not those of {', '.join(missing[:5])}{' and others' if len(missing) > 5 else ''}"
        elif missing is None:
            what = "and nothing says that these are all"
        else:
            return
        held = ", ".join(sorted(shelf.parts)[:10]) or "none"
        raise NotCollectedError(
            f"The {self.layout} holds {shelf.kind.resource} of some namespaces ({held}), {what}.",
            f"Ask for one of these namespaces. {self.how_namespaces}".strip(),
        )

    def _absent(self, kind: Kind) -> ReadError:
        if self.kinds is not None and not any((k.group, k.plural) == (kind.group, kind.plural) for k in self.kinds):
            return NotInstalledError(f"The cluster did not serve {kind.resource} when the {self.layout} was made.")
        return NotCollectedError(f"The {self.layout} does not hold {kind.resource}.", self.how)


_UNASKED = Slice("not_collected")


def _usable(slices: Iterable[tuple[str, Slice]], kind: Kind) -> list[tuple[str, Slice]]:
    usable: list[tuple[str, Slice]] = []
    for namespace, part in slices:
        if part.outcome != "collected":
            where = f' in namespace "{namespace}"' if namespace else ""
            reason = f": {part.reason.rstrip('.')}" if part.reason else ""
            said = {
                "denied": "was denied",
                "not_installed": "is not served by the cluster",
                "timed_out": "timed out",
                "failed": "failed",
            }.get(part.outcome, "was not recorded")
            error = unanswered(part.outcome, f"The list of {kind.resource}{where} {said}{reason}.")
            error.said = part.reason.rstrip(".")  # of whoever recorded it, or of the API server then
            raise error
        usable.append((namespace, part))
    return usable
