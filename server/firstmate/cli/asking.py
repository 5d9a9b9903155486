"""Calls a tool for a command: the same call as over MCP, the whole answer, a sign of life while it takes long."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext

from firstmate.answers import Tree, tree_of
from firstmate.calls import Calls, Observer
from firstmate.catalogue import all_tools
from firstmate.cli.keptkey import kept_key
from firstmate.cli.options import Flags
from firstmate.clusters import ConfiguredClusters
from firstmate.runbooks.library import library_with
from firstmate.settings import keys_of


def ask(flags: Flags, tool: str, arguments: Mapping[str, object]) -> Tree:
    """A tool's answer as a JSON object.

    Raises:
        FirstmateError: it gave none.
    """
    return asyncio.run(_ask(flags, tool, arguments))


async def _ask(flags: Flags, tool: str, arguments: Mapping[str, object]) -> Tree:
    async with asking(flags) as calls:
        with waiting(f"{tool} …"):
            return tree_of(await calls.call(tool, arguments))


@asynccontextmanager
async def asking(flags: Flags, *, lasting: bool = False) -> AsyncGenerator[Calls]:
    """The calls of one command, over the clusters that its flags name; each goes to the audit trail, if there is one.

    Args:
        flags: of the command.
        lasting: whether handles of runs have to outlive the command: by the configured key, or one that is kept.

    Raises:
        ConfigurationError: see `firstmate.settings.load`.
    """
    settings = flags.settings()
    clusters, observers = ConfiguredClusters(settings), list[Observer]()
    keys = keys_of(settings)
    if lasting and not keys:
        keys = (kept_key(),)
    if settings.audit.file is not None:
        from firstmate.audit import trail_of

        trail = trail_of(settings.audit, all_tools())
        observers += [trail.observe] if trail is not None else []
    try:
        yield Calls(clusters, all_tools(), observers, library_with(settings.runbooks), keys=keys)
    finally:
        await clusters.close()


def waiting(words: str) -> AbstractContextManager[object]:
    """A spinner on stderr where a person looks at it."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(words)
