"""The one way in which a tool is called, by MCP and by the command line alike.

Validates the arguments, opens the cluster with the reads that the tool declared and with its deadline, and runs it.
Cancelling a call cancels the tool. What a tool raises on purpose stays as it is; anything else is masked: the caller
gets an id, the log on stderr the rest. Observers (the audit trail, telemetry) are told of every call, however it ended.
A tool that asks others, as the run of a runbook does, asks them here (`Asking`), so that each is a call of its own.
Must never let an unmasked error out, and never call a tool in another way.
"""

import asyncio
import logging
import secrets
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, cast

import orjson

from firstmate.answers import compact, tree_of
from firstmate.arguments import CLUSTER, input_schema, validate
from firstmate.caller import current
from firstmate.nearest import nearest
from firstmate.runbooks.library import Library, library
from firstmate_tools.cluster.base import ClusterSet, Granted, Usage
from firstmate_tools.errors import FirstmateError, TimedOutError, UsageError
from firstmate_tools.reads import Grant
from firstmate_tools.results import Answer
from firstmate_tools.text import clean, clipped, redact
from firstmate_tools.toolspec import READING, ToolSpec

if TYPE_CHECKING:
    from firstmate.runbooks.handle import Handles

GRACE_S = 5.0
"""Seconds after its deadline for a tool to answer with what it has, before it is stopped."""

_log = logging.getLogger("firstmate")


class InternalError(FirstmateError):
    """A fault of firstmate itself. Says no more than where the log has the rest."""


@dataclass(slots=True)
class Watch:
    """What somebody who waits for a call may look at meanwhile."""

    usage: Usage | None = None
    cluster: str | None = None


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call that ended, for observers. Holds what the caller sent, and nothing that came out of a cluster.

    Attributes:
        tool: its name; of no tool of ours where `outcome` is UsageError.
        arguments: as they came, not validated; observers decide what of them they may write down.
        cluster: the name of the cluster that was asked, None where none was.
        outcome: `ok`, the outcome of a diagnosis, `cancelled`, or the class of the error.
        seconds: how long it took.
        requests, bytes: what it cost the API server.
    """

    tool: str
    arguments: Mapping[str, object]
    cluster: str | None
    outcome: str
    seconds: float
    requests: int = 0
    bytes: int = 0


Observer = Callable[[CallRecord], None]


@cache
def _grant(spec: ToolSpec) -> Grant:
    return Grant.of(spec.reads())


class Calls:
    """Calls tools over a set of clusters.

    Args:
        clusters: what they may look at.
        tools: those that can be called.
        observers: told of each call when it has ended.
        runbooks: those of this installation when left out.
        keys: seal the state of runs, see `runbooks/handle.py`; one of this process's own when left out.
    """

    def __init__(
        self,
        clusters: ClusterSet,
        tools: Sequence[ToolSpec],
        observers: Sequence[Observer] = (),
        runbooks: Library | None = None,
        *,
        keys: Sequence[bytes] = (),
    ) -> None:
        self.clusters = clusters
        self._runbooks = runbooks
        self.keys = tuple(keys)
        self.observers = list(observers)
        self.tools = tuple(tools)
        self._by_name = {spec.name: spec for spec in tools}

    @property
    def runbooks(self) -> Library:
        """The runbooks that tools read and run."""
        return self._runbooks if self._runbooks is not None else library()

    @cached_property
    def handles(self) -> "Handles":
        """What seals the state of runs."""
        from firstmate.runbooks.handle import Handles  # with all that runs steps

        return Handles(self.keys)

    def find(self, name: str) -> ToolSpec:
        """A tool by its name.

        Raises:
            UsageError: there is none; the hint names the nearest.
        """
        if (spec := self._by_name.get(name)) is not None:
            return spec
        near = nearest(name, self._by_name)
        hint = f"Did you mean `{near}`?" if near else f"There are: {', '.join(self._by_name)}."
        raise UsageError(f"There is no tool {clipped(name, 100)!r}.", hint)

    async def call(self, name: str, arguments: Mapping[str, object], watch: Watch | None = None) -> Answer:
        """Calls a tool.

        Args:
            name: of the tool.
            arguments: as they came, not validated.
            watch: filled while the call runs.

        Raises:
            FirstmateError: it gave no answer; the message is fit for the caller once it is redacted.
        """
        watch, began, outcome = watch or Watch(), time.monotonic(), "cancelled"
        try:
            answer = await self._answer(name, arguments, watch)
            outcome = str(getattr(answer, "outcome", "ok"))
            return answer
        except FirstmateError as error:
            outcome = type(error).__name__
            raise
        finally:
            usage = watch.usage or Usage()
            seconds = time.monotonic() - began
            record = CallRecord(name, arguments, watch.cluster, outcome, seconds, usage.requests, usage.bytes)
            for observer in self.observers:
                observer(record)

    async def _answer(self, name: str, arguments: Mapping[str, object], watch: Watch) -> Answer:
        spec = self.find(name)
        current().need(spec.family, spec.name)
        taken = validate(spec, arguments)
        try:
            async with asyncio.timeout(spec.deadline_s + GRACE_S):
                return await self._run(spec, taken, watch)
        except FirstmateError:
            raise
        except TimeoutError as error:
            advice = "Ask for less: one namespace or one object."
            raise TimedOutError(f"{name} gave no answer within {spec.deadline_s:.0f} s.", advice) from error
        except Exception as error:
            raise _known_in(error) or masked(error, name) from error

    async def _run(self, spec: ToolSpec, arguments: dict[str, Any], watch: Watch) -> Answer:
        if spec.given == "nothing":
            return await spec.function(**arguments)
        if spec.given == "clusters":
            return await spec.function(Granted(self.clusters, _grant(spec), spec.deadline_s), **arguments)
        if spec.given == "calls":
            return await spec.function(Asking(self), **arguments)
        source = self.clusters.source(arguments.pop(CLUSTER))
        watch.cluster = source.name
        async with source.open(_grant(spec), deadline_s=spec.deadline_s) as cluster:
            watch.usage = cluster.usage
            return await spec.function(cluster, **arguments)


class Asking:
    """What a tool is given that asks others, and the command line where it does: the runbooks, and the calls.

    Args:
        calls: through which every tool is asked.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @property
    def runbooks(self) -> Library:
        return self._calls.runbooks

    @property
    def handles(self) -> "Handles":
        return self._calls.handles

    def cluster(self, name: str | None) -> str:
        """The name of the cluster that answers where this one is named, or none.

        Raises:
            ConfigurationError, UnknownClusterError: there is none.
        """
        return self._calls.clusters.source(name).name

    async def ask(self, tool: str, arguments: Mapping[str, object], cluster: str | None) -> dict[str, Any]:
        """A tool's whole answer as JSON, with as many entries as it gives at once.

        Raises:
            UsageError: it does more than to read.
            FirstmateError: see `Calls.call`.
        """
        spec = self._calls.find(tool)
        if spec.family not in READING:
            raise UsageError(f"{tool} does not only read: no other tool may ask it.")
        known = input_schema(spec)["properties"]
        given = {**({CLUSTER: cluster} if CLUSTER in known else {}), **arguments}
        if (most := known.get("limit", {}).get("maximum")) is not None:
            given.setdefault("limit", most)
        return orjson.loads(compact(tree_of(await self._calls.call(tool, given))))


def _known_in(error: BaseException) -> FirstmateError | None:
    """What tasks of one tool raised together, where all of it was on purpose."""
    if not isinstance(error, BaseExceptionGroup):
        return error if isinstance(error, FirstmateError) else None
    inner = [_known_in(one) for one in cast("BaseExceptionGroup[BaseException]", error).exceptions]
    return inner[0] if all(inner) else None


def masked(error: Exception, doing: str) -> InternalError:
    """An error that says nothing of its cause, which goes to the log under the same id."""
    mark = secrets.token_hex(4)
    story = "".join(traceback.format_exception(error))
    _log.error("internal error %s in %s\n%s", mark, doing, redact(clean(story)))
    return InternalError(
        f"Internal error {mark} in {doing}.",
        "The log on stderr has the details under this id (on the command line with FIRSTMATE_DEBUG=1).",
    )
