"""The handle of a run: all its state, sealed, so that any replica with the same key can go on.

The tool `run_runbook` and the command line hand it out where a run has more to come, and take it back. It is
encrypted, not only signed: it holds pieces of what tools answered, and travels through clients that log. It is bound to
who called, to the cluster, to the runbook's very content, and to an hour. Of results it keeps what later steps use, no
more. It may be taken up twice: a run only reads, so that a second one does no harm. Must never be taken at its word
before it has been opened with our key. The sealing is the MCP SDK's, made for its request state; imported when a handle
is first made.
"""

import hashlib
import hmac
import secrets
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, cast

import orjson

from firstmate.caller import current
from firstmate.runbooks import flow
from firstmate.runbooks.document import Runbook
from firstmate.runbooks.outcome import Visited
from firstmate.runbooks.runner import Run
from firstmate.runbooks.uses import Path, kept, uses
from firstmate_tools.errors import ConfigurationError, FirstmateError, UsageError

SHORTEST = 32
TTL = timedelta(hours=1)
MOST = 6000
"""Characters of a handle: models have to repeat it."""
_MOST_STATE = 1_000_000
_VERSION = 1
_FORMAT = b"firstmate runbook handle 1"
_WORDS = 160


class TooLargeError(FirstmateError):
    """What later steps need does not fit a handle."""


class Handles:
    """Makes and opens handles.

    Args:
        keys: secrets of at least 32 bytes; the first one seals, every one opens. None: one of this process's own.
        now: the clock.

    Raises:
        ConfigurationError: a key is too short.
    """

    def __init__(self, keys: Sequence[bytes] | None = None, now: Callable[[], datetime] | None = None) -> None:
        self.keys = tuple(keys or ())
        if any(len(key) < SHORTEST for key in self.keys):
            raise ConfigurationError(
                f"A key for handles has at least {SHORTEST} bytes.", "Make one with `openssl rand -hex 32`."
            )
        self._now = now or (lambda: datetime.now(UTC))

    @cached_property
    def _codec(self) -> Any:
        from mcp.server.request_state import AESGCMRequestStateCodec

        every = self.keys or (secrets.token_bytes(32),)
        return AESGCMRequestStateCodec([hmac.digest(key, _FORMAT, "sha256") for key in every])

    def seal(self, run: Run, cluster: str) -> str:
        """The handle of a run.

        Raises:
            TooLargeError: it would be longer than clients can be asked to repeat.
        """
        state = {
            "v": _VERSION,
            "until": (self._now() + TTL).timestamp(),
            "who": _caller(),
            "cluster": cluster,
            "slug": run.runbook.slug,
            "digest": run.runbook.digest,
            "params": run.params,
            "answers": run.answers,
            "at": run.at,
            "results": _needed(run),
            "unseen": {id_: words for id_, words in run.unseen.items() if words and id_ in _read_later(run)},
            "visited": [[one.id, one.outcome[:_WORDS]] for one in run.visited],
            "not_before": run.not_before.timestamp() if run.not_before else None,
            "gives_up": run.until.timestamp() if run.until else None,
        }
        token = cast("str", self._codec.seal(zlib.compress(orjson.dumps(state), 9)))
        if len(token) > MOST:
            raise TooLargeError(
                "What the next steps need of what was found does not fit a handle.",
                "Run it again from the start, all at once, with its answers.",
            )
        return token

    def open(self, token: str, find: Callable[[str], Runbook]) -> tuple[Run, str]:
        """The run of a handle, and the cluster to which it belongs.

        Args:
            token: as a client sent it.
            find: a runbook by its slug.

        Raises:
            UsageError: it is none of ours or of this caller's, it has expired, or the runbook has changed since.
        """
        state = self._state(token)
        if state.get("who") != _caller():
            raise _refused("it was made for another caller")
        if self._now().timestamp() > state["until"]:
            raise _refused("it has expired")
        runbook = find(state["slug"])
        if runbook.digest != state["digest"]:
            raise _refused(f"the runbook {runbook.slug} has changed since")
        run = Run(
            runbook,
            params=state["params"],
            answers=state["answers"],
            at=state["at"],
            results=state["results"],
            unseen=state["unseen"],
            visited=_visited(runbook, state["visited"]),
            not_before=_moment(state["not_before"]),
            until=_moment(state["gives_up"]),
        )
        return run, state["cluster"]

    def _state(self, token: str) -> dict[str, Any]:
        from mcp.server.request_state import InvalidRequestState

        try:
            packed = self._codec.unseal(token) if len(token) <= MOST else b""
        except InvalidRequestState as error:
            raise _refused("it is none that this server has made") from error
        if not packed:
            raise _refused("it is none that this server has made")
        state = orjson.loads(zlib.decompressobj().decompress(packed, _MOST_STATE))
        if state.get("v") != _VERSION:
            raise _refused("it was made by another version")
        return cast("dict[str, Any]", state)


def _refused(why: str) -> UsageError:
    return UsageError(f"This handle cannot be taken up: {why}.", "Run the runbook again without handle.")


def _caller() -> str:
    return hashlib.sha256(repr(current().key).encode("utf-8", "replace")).hexdigest()[:32]


def _moment(stamp: float | None) -> datetime | None:
    return datetime.fromtimestamp(stamp, UTC) if stamp is not None else None


def _visited(runbook: Runbook, pairs: Sequence[tuple[str, str]]) -> list[Visited]:
    found: list[Visited] = []
    for id_, outcome in pairs:
        if (step := runbook.step(id_)) is not None:
            found.append(Visited(id=id_, kind=step.kind, title=step.title, outcome=outcome))
    return found


def _needed(run: Run) -> dict[str, Any]:
    """Of each result what steps use that may still come."""
    later = _read_later(run)
    return {id_: kept(result, later[id_]) for id_, result in run.results.items() if id_ in later}


def _read_later(run: Run) -> dict[str, set[Path]]:
    found: dict[str, set[Path]] = {}
    ahead = flow.reachable(run.runbook, run.at)
    for placed in run.runbook.steps:
        if placed.step.id not in ahead:
            continue
        for expression in flow.expressions_of(placed.step):
            for path in uses(expression):
                if path[:1] == ("steps",):
                    found.setdefault(path[1] if len(path) > 1 else "*", set()).add(path[2:])
    if "*" in found:
        return {id_: {()} for id_ in run.results}
    return found
