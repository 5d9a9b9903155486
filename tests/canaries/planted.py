"""A cluster full of canaries, what there is to ask about it, and what leaked from the answers.

`tests/live/test_canaries.py` makes a `Planted` and judges its `Leaks`.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from canaries import asking
from canaries import questions as asked_of
from canaries.search import Search
from canaries.table import Bystanders, Canary

from evals.lab.lab import Lab
from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate.clusters import ConfiguredClusters
from firstmate.settings import Settings
from firstmate_tools.kinds import Kind
from firstmate_tools.reads import AnyKindButSecrets, Grant

SHAPED = (
    "annotation-jwt",
    "env-github-token",
    "env-database-url",
    "log-private-key",
    "log-bearer",
    "custom-innocent-name",
)
"""Canaries that are secrets wherever they stand: for questions that bring one along."""


@dataclass
class Planted:
    """A cluster full of secrets, and who looks for them."""

    lab: Lab
    canaries: dict[str, Canary]
    known: Bystanders
    kubeconfig: Path
    search: Search

    def settings(self) -> Settings:
        return Settings(kubeconfig=str(self.kubeconfig), toolsets=("all",))

    def calls(self, *, impatient: bool = False) -> Calls:
        tools = asking.impatient(all_tools()) if impatient else all_tools()
        return Calls(ConfiguredClusters(self.settings()), tools)

    def shaped(self) -> list[str]:
        return [self.canaries[name].text for name in SHAPED]

    def questions(self) -> list[tuple[str, asked_of.Question]]:
        """Every tool in every way; where one needs an argument that nobody knows, the test fails and says so."""
        return [(spec.name, one) for spec in all_tools() for one in _every(spec)]

    def plainest(self) -> dict[str, asked_of.Question]:
        return {spec.name: _every(spec)[min(1, len(_every(spec)) - 1)] for spec in all_tools()}

    def objects(self) -> list[tuple[str, asked_of.Question]]:
        """Every object of every kind that the cluster serves."""
        served = asyncio.run(_served(self.calls()))
        return [("get", one) for one in asked_of.objects(self.lab.client, served)]


def _every(spec: Any) -> list[asked_of.Question]:
    try:
        return asked_of.every(spec)
    except asked_of.UnknownArgumentError as error:
        pytest.fail(str(error))


async def _served(calls: Calls) -> list[tuple[str, str]]:
    try:
        async with calls.clusters.source("lab").open(Grant.of([AnyKindButSecrets()])) as cluster:
            kinds = await cluster.kinds()
    finally:
        await calls.clusters.close()
    return [(kind.resource, _path(kind)) for kind in kinds if kind.plural != "secrets"]


def _path(kind: Kind) -> str:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    return f"{root}/{kind.plural}"


class Leaks(dict[str, list[str]]):
    """Where each canary was found."""

    def look(self, planted: Planted, said: asking.Said) -> None:
        for name, where in planted.search.text(said[1]).items():
            self.setdefault(name, []).append(f"{said[0]}: …{where}…")

    def told(self) -> str:
        rows = (f"{name} ({len(found)}): {found[0]}".replace("\n", "⏎") for name, found in sorted(self.items()))
        return "\n".join(rows)


async def gathered(planted: Planted, *streams: AsyncIterator[asking.Said]) -> tuple[Leaks, str]:
    """What leaked from these, and all that they said."""
    leaks, every = Leaks(), list[str]()
    for stream in streams:
        async for said in stream:
            leaks.look(planted, said)
            every.append(said[1])
    return leaks, "\n".join(every)
