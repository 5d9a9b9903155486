"""Every runbook with steps is run over the bundled recording: whatever it finds, a run ends in words, not in an error.

Tools are asked through the calls that everything goes through, the same question once.
"""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from firstmate.calls import Asking, Calls
from firstmate.catalogue import all_tools
from firstmate.clusters import ConfiguredClusters
from firstmate.runbooks.document import Runbook
from firstmate.runbooks.drive import drive
from firstmate.runbooks.given import answers, parameters
from firstmate.runbooks.handle import Handles
from firstmate.runbooks.library import library
from firstmate.runbooks.runner import begin
from firstmate.runbooks.steps import Ask
from firstmate.settings import load
from firstmate_tools.errors import FirstmateError

pytestmark = pytest.mark.anyio
RUNNABLE = [one for one in library().every() if one.steps]
NAMESPACES = ("storefront", "orders")
SAID = {"string": "1Gi", "integer": 2, "number": 2, "boolean": True}


class Remembering:
    """Asks each question once."""

    def __init__(self) -> None:
        self.asking = Asking(Calls(ConfiguredClusters(load(snapshot="demo")), all_tools()))
        self.kept: dict[str, dict[str, Any] | FirstmateError] = {}

    async def __call__(self, tool: str, arguments: Mapping[str, object]) -> Mapping[str, Any]:
        key = json.dumps([tool, arguments], sort_keys=True)
        if key not in self.kept:
            try:
                self.kept[key] = await self.asking.ask(tool, arguments, None)
            except FirstmateError as error:
                self.kept[key] = error
        found = self.kept[key]
        if isinstance(found, FirstmateError):
            raise found
        return found


@pytest.fixture(scope="module")
def tools() -> Remembering:
    return Remembering()


def told(runbook: Runbook) -> dict[str, Any]:
    """An answer to everything that a runbook asks."""
    asked = [placed.step.answer for placed in runbook.steps if isinstance(placed.step, Ask)]
    return {one.name: one.choices[0] if one.choices else SAID[one.type] for one in asked}


async def nobody_sleeps(seconds: float) -> None:
    raise AssertionError("no run waits before its proposal")


@pytest.mark.parametrize("runbook", RUNNABLE, ids=lambda one: one.slug)
async def test_every_run_ends_in_words(runbook: Runbook, tools: Remembering) -> None:
    for namespace in NAMESPACES:
        given = {one.name: namespace for one in runbook.block.parameters if one.name == "namespace"}
        run = begin(runbook, parameters(runbook, given), answers(runbook, told(runbook)))
        await drive(run, tools, nobody_sleeps)
        assert run.end is not None and run.end.ended != "verified"
        assert run.visited and run.end.because
        if run.end.ended == "proposed":
            sealed = Handles([b"x" * 32]).seal(run, "demo")
            again, _ = Handles([b"x" * 32]).open(sealed, library().get)
            assert (again.at, again.params, again.answers) == (run.at, run.params, run.answers)
