"""What else a client may name besides a tool's arguments: cursors, resources, prompts, references to complete.

Through the MCP server in memory, both protocol eras. A fault of ours would come as -32603 or as a masked message; every
refusal must be a sentence, and must be the same for what does not exist and for what must not be reached.
"""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import anyio.from_thread
import pytest
from builders import pod
from contract.server_doubles import Clusters, needed, shop
from fuzzing import ODD, TEXT, bounded
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client, MCPError
from mcp.types import PromptReference, ResourceTemplateReference

from firstmate.arguments import input_schema
from firstmate.calls import Calls, InternalError
from firstmate.catalogue import all_tools
from firstmate.mcp.server import build
from firstmate_tools.errors import FirstmateError, UsageError
from firstmate_tools.paging import pack

INTERNAL = -32603
ENCODABLE = TEXT.filter(lambda text: text.encode("utf-8", "replace").decode() == text)
"""Clients put names into headers, where half a character has no place; over the wire it is tried elsewhere."""


@pytest.fixture(scope="module", params=["auto", "legacy"])
def ask(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Calls a method of a client in memory by name; gives the result, or the error that the server answered with."""
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            Client(build(Calls(Clusters(prod=shop()), all_tools())), mode=request.param)
        ) as client,
    ):

        def asked(method: str, *given_: Any) -> Any:
            try:
                return portal.call(getattr(client, method), *given_)
            except MCPError as error:
                return error

        yield asked


def sentence(found: Any, sent: int = 0) -> None:
    """A refusal that somebody meant, little longer than what it is about."""
    if isinstance(found, MCPError):
        assert found.error.code != INTERNAL, found
        assert found.error.message and "Traceback" not in found.error.message
        assert "nternal" not in found.error.message and "validation error" not in found.error.message
        assert len(found.error.message) < 1_000 + sent


def bases(ask: Callable[..., Any]) -> list[str]:
    """Addresses that there are: every resource, and the templates' schemes."""
    listed = [str(one.uri) for one in ask("list_resources").resources]
    templates = [one.uri_template.partition("{")[0] for one in ask("list_resource_templates").resource_templates]
    return [*listed[:5], *templates]


def test_any_resource_address_is_answered_or_refused_in_a_sentence(ask: Callable[..., Any]) -> None:
    known = bases(ask)
    assert known

    @bounded(120)
    @given(
        st.sampled_from(known) | st.just(""),
        ENCODABLE | st.sampled_from(["/..", "/../..", "%2e%2e%2f", "?x", "#x", "@"]),
    )
    def read(base: str, more: str) -> None:
        found = ask("read_resource", base + more)
        sentence(found, len(base + more))
        if not isinstance(found, MCPError):
            assert found.contents

    read()


def test_nothing_but_runbooks_is_reached_by_a_path_that_climbs(ask: Callable[..., Any]) -> None:
    for base in bases(ask):
        for climb in ("../../pyproject.toml", "..%2f..%2fpyproject.toml", "/etc/passwd", "%2fetc%2fpasswd", "..", "."):
            found = ask("read_resource", base + climb)
            assert isinstance(found, MCPError), (base, climb)
            sentence(found)


def test_any_prompt_and_arguments_are_answered_or_refused_in_a_sentence(ask: Callable[..., Any]) -> None:
    listed = ask("list_prompts")
    known = {} if isinstance(listed, MCPError) else {one.name: one.arguments or [] for one in listed.prompts}
    names = st.sampled_from(sorted(known)) | ENCODABLE if known else ENCODABLE

    if not known:
        pytest.skip("no prompts are served")

    @bounded(120)
    @given(names, st.data())
    def got(name: str, data: st.DataObject) -> None:
        own = [one.name for one in known.get(name, [])]
        keys = st.sampled_from(own) | TEXT if own else TEXT
        taken = data.draw(st.dictionaries(keys, TEXT, max_size=4))
        sentence(ask("get_prompt", name, taken), len(name) + len(str(taken)))

    got()


def test_any_completion_is_answered_or_refused_in_a_sentence(ask: Callable[..., Any]) -> None:
    templates = [one.uri_template for one in ask("list_resource_templates").resource_templates]
    prompts = ask("list_prompts")
    named = [] if isinstance(prompts, MCPError) else [one.name for one in prompts.prompts]
    references = [
        *(ResourceTemplateReference(uri=uri) for uri in [*templates, *ODD[:12], "x://{y}"] if "\ud800" not in uri),
        *(PromptReference(name=name) for name in [*named, "none", ""]),
    ]

    @bounded(120)
    @given(st.sampled_from(references), st.sampled_from(["slug", "scope", "cluster", ""]) | TEXT, TEXT)
    def completed(reference: Any, name: str, typed: str) -> None:
        found = ask("complete", reference, {"name": name, "value": typed})
        sentence(found)
        if not isinstance(found, MCPError):
            assert len(found.completion.values) <= 100

    completed()


# --- cursors


def crowd() -> Calls:
    """A shop with enough of everything for a second page."""
    cluster = shop()
    for number in range(4):
        cluster.put(pod(f"more-{number}"))
    return Calls(Clusters(prod=cluster), all_tools())


def paged() -> list[Any]:
    return [spec for spec in all_tools() if "cursor" in input_schema(spec)["properties"]]


def cursor_of(calls: Calls, spec: Any, **more: Any) -> str | None:
    taken = needed(spec) | more | ({"limit": 1} if "limit" in input_schema(spec)["properties"] else {})
    if "type" in input_schema(spec)["properties"]:
        taken["type"] = "all"
    return asyncio.run(calls.call(spec.name, taken)).coverage.cursor


def test_some_tool_gives_a_cursor_to_forge() -> None:
    calls = crowd()
    assert sum(cursor_of(calls, spec) is not None for spec in paged()) >= 2


@pytest.mark.parametrize("spec", paged(), ids=lambda spec: spec.name)
def test_forged_cut_and_borrowed_cursors_are_refused_in_a_sentence(spec: Any) -> None:
    calls = crowd()
    every = {other.name: found for other in paged() if (found := cursor_of(calls, other))}
    mine = every.get(spec.name, "")
    borrowed = [found for name, found in every.items() if name != spec.name]

    def forged(**changed: Any) -> str:
        state = json.loads(base64.urlsafe_b64decode(mine + "=" * (-len(mine) % 4))) if mine else {"q": "x", "at": 1}
        return pack({**state, **changed})

    numbers = st.sampled_from([-1, 0, 2**31, 2**63 - 1, 10**6]) | st.integers(-(2**63), 2**63 - 1)
    odd = numbers | st.floats() | st.none() | st.lists(st.integers(0, 9)) | st.text(st.characters(codec="utf-8"))
    cursors = (
        TEXT
        | st.sampled_from([*borrowed, mine + mine, mine[::-1], mine.lower(), f" {mine} ", f"{mine}=="])
        | st.integers(1, max(1, len(mine) - 1)).map(lambda end: mine[:end])
        | st.builds(lambda at: forged(at=at), odd)
        | st.builds(lambda more: forged(more=more), odd)
        | st.builds(lambda q: forged(q=q), odd)
        | st.binary(max_size=30).map(lambda raw: base64.urlsafe_b64encode(raw).decode())
    )

    @bounded(120)
    @given(cursors)
    def refused(cursor: str) -> None:
        try:
            answer = asyncio.run(calls.call(spec.name, {**needed(spec), "limit": 1, "cursor": cursor}))
        except FirstmateError as error:
            assert not isinstance(error, InternalError), f"{cursor!r}: {error.__cause__!r}"
            assert len(str(error)) < 1_000
        else:
            assert answer.coverage.returned is None or answer.coverage.returned >= 0

    refused()
    for cursor in borrowed:
        with pytest.raises(UsageError, match=r"cursor"):
            asyncio.run(calls.call(spec.name, {**needed(spec), "cursor": cursor}))
