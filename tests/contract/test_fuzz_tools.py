"""Whatever arguments a tool is called with, it answers as it announced or says what is wrong in a sentence of ours.

Every tool of the catalogue, a new one by itself: straight through `Calls` over doubles, a recording and a live gateway,
and through the MCP server in memory in both protocol eras.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import anyio.from_thread
import pytest
from annotated_types import MaxLen, MinLen
from contract.fake_api import FakeApi, Reply, Seen, fake_api, listing, status
from contract.server_doubles import Clusters, needed, record_shop, shop
from fuzzing import arguments, bounded, nearly, valid
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from mcp import Client
from pydantic.fields import FieldInfo

from firstmate import answers
from firstmate.arguments import input_schema, model_of, validate
from firstmate.calls import Calls, InternalError
from firstmate.catalogue import all_tools
from firstmate.clusters import ConfiguredClusters
from firstmate.mcp.schemas import output_schema
from firstmate.mcp.server import build
from firstmate.settings import Settings
from firstmate_tools.errors import FirstmateError, UnreachableError, UsageError
from firstmate_tools.toolspec import ToolSpec

LONGEST_ERROR = 4_000
OURS_ALONE = ("Traceback", "validation error", "input_value", "errors.pydantic.dev", "object at 0x", "Internal error")
"""What no error may hold that a caller reads."""

every_tool = pytest.mark.parametrize("spec", all_tools(), ids=lambda spec: spec.name)


def fit_to_read(said: str) -> None:
    """An error as callers may see it: short, in our words, without what only we understand."""
    assert said.strip()
    assert len(said) <= LONGEST_ERROR
    assert not [one for one in OURS_ALONE if one in said], said


@pytest.fixture(autouse=True)
def no_internal_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What `Calls` masks it logs; a fuzzed call must give it nothing to mask."""
    yield
    assert not [r.getMessage() for r in caplog.records if "internal error" in r.getMessage() or r.exc_info]


def shown(spec: ToolSpec, call: Calls, given_: dict[str, Any]) -> dict[str, Any] | None:
    """The answer to a call as JSON; None for an error, which is looked at here."""
    try:
        answer = asyncio.run(call.call(spec.name, given_))
    except FirstmateError as error:
        assert not isinstance(error, InternalError), f"{given_!r}: {error.__cause__!r}"
        fit_to_read(str(error))
        return None
    tree = json.loads(answers.compact(answers.tree_of(answer)))
    Draft202012Validator(output_schema(spec)).validate(tree)
    return tree


def _beyond_schemas(spec: ToolSpec, name: str, value: Any) -> bool:
    """Texts that validation refuses and the schema does not: their lengths are left out of it, to keep it small."""
    if not isinstance(value, str):
        return False
    field = model_of(spec).model_fields[name]
    told = [*field.metadata, *_said_of(field.annotation)]
    least = max((one.min_length for one in told if isinstance(one, MinLen)), default=0)
    most = min((one.max_length for one in told if isinstance(one, MaxLen)), default=10**9)
    return not least <= len(value) <= most or value.encode("utf-8", "replace").decode() != value


def _said_of(annotation: Any) -> list[Any]:
    """What is said of a type, of a union's parts too."""
    parts = get_args(annotation)
    inner = [one for part in parts for one in _said_of(part)]
    said = [one for part in parts if isinstance(part, FieldInfo) for one in part.metadata]
    return [*said, *inner]


@every_tool
def test_what_the_schema_allows_is_accepted_and_nothing_else_is_lost(spec: ToolSpec) -> None:
    schema = input_schema(spec)
    judge = Draft202012Validator(schema)

    @bounded(150)
    @given(valid(schema))
    def accepted(taken: dict[str, Any]) -> None:
        judge.validate(taken)
        try:
            made = validate(spec, taken)
        except UsageError as error:
            assert any(_beyond_schemas(spec, *pair) for pair in taken.items()), error
            return
        assert {name: made[name] for name in taken} == taken

    @bounded(150)
    @given(nearly(schema))
    def refused_in_a_sentence(taken: dict[str, Any]) -> None:
        try:
            made = validate(spec, taken)
        except UsageError as error:
            fit_to_read(str(error))
        else:
            assert not taken.keys() - made.keys()  # no argument goes unread

    accepted()
    refused_in_a_sentence()


@every_tool
def test_any_arguments_get_an_answer_or_a_sentence(spec: ToolSpec, recorded: Calls) -> None:
    doubles = Calls(
        Clusters(prod=shop(), other=UnreachableError("No connection to https://10.0.0.1.", "Check the network.")),
        all_tools(),
    )
    assert shown(spec, doubles, needed(spec)) is not None, "the tool's example gives no answer"

    @bounded(60)
    @given(arguments(input_schema(spec)))
    def answers_or_says_why(taken: dict[str, Any]) -> None:
        shown(spec, doubles, taken)
        shown(spec, recorded, taken)

    answers_or_says_why()


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Calls:
    path = record_shop(tmp_path_factory.mktemp("shop"))
    return Calls(ConfiguredClusters(Settings(snapshot=str(path))), all_tools())


def _kubernetes(seen: Seen) -> Reply:
    """Any list is empty, any object is not there."""
    last = unquote(seen.path).rstrip("/").rpartition("/")[2]
    return listing() if last.endswith("s") else status(404, "NotFound", "not found", name=last)


class AnyPath(FakeApi):
    """Answers every path below the API's roots, and keeps what it was asked."""

    async def _handle(self, request: Any) -> Any:
        path = request.raw_path.partition("?")[0]
        if path.startswith(("/api/v1/", "/apis/")):
            self.on(path, _kubernetes)
        return await super()._handle(request)


@every_tool
def test_no_argument_reaches_a_path_that_the_tool_did_not_mean(
    spec: ToolSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the live gateway: names, namespaces and selectors stay within their place of the URL."""
    if spec.given != "cluster":
        pytest.skip("looks at no cluster")
    monkeypatch.setattr("contract.fake_api.FakeApi", AnyPath)
    with anyio.from_thread.start_blocking_portal() as portal, portal.wrap_async_context_manager(fake_api()) as api:
        calls = Calls(ConfiguredClusters(Settings(kubeconfig=str(api.kubeconfig(tmp_path)))), all_tools())

        asked = 0

        @bounded(40)
        @given(valid(input_schema(spec)))
        def stays_in_place(taken: dict[str, Any]) -> None:
            nonlocal asked
            api.seen.clear()
            try:
                portal.call(calls.call, spec.name, {**taken, "cluster": "fake"})
            except FirstmateError as error:
                assert not isinstance(error, InternalError), f"{taken!r}: {error.__cause__!r}"
                fit_to_read(str(error))
            asked += len(api.seen)
            for one in api.seen:
                assert (one.method == "GET") or one.path.startswith("/apis/authorization.k8s.io/"), one
                inside = [unquote(part) for part in one.path.split("/")[1:]]
                assert all(part and part not in (".", "..") and "/" not in part for part in inside), one.path
                assert "secrets" not in inside and not {"exec", "attach", "portforward", "proxy"} & set(inside[4:])
                assert "watch=" not in one.query

        try:
            stays_in_place()
        finally:
            portal.call(calls.clusters.close)
        assert asked > 5


@pytest.fixture(scope="module", params=["auto", "legacy"])
def over_mcp(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Calls a tool through the MCP server in memory."""
    server = build(Calls(Clusters(prod=shop()), all_tools()))
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(Client(server, mode=request.param)) as client,
    ):
        yield lambda name, taken: portal.call(client.call_tool, name, taken)


@every_tool
def test_over_mcp_every_error_is_a_result_that_a_model_can_read(spec: ToolSpec, over_mcp: Callable[..., Any]) -> None:
    judge = Draft202012Validator(output_schema(spec))
    logging.getLogger("mcp").setLevel(logging.WARNING)

    @bounded(25)
    @given(arguments(input_schema(spec)))
    def answered(taken: dict[str, Any]) -> None:
        result = over_mcp(spec.name, taken)
        said = result.content[0].text
        if result.is_error:
            fit_to_read(said)
            return
        judge.validate(result.structured_content)
        assert json.loads(said) == result.structured_content

    answered()


@bounded(60)
@given(st.text() | st.sampled_from(["", "diagnose ", "Diagnose", "../diagnose", "x" * 10_000, "\ud800", "get\x00"]))
def test_any_tool_name_is_answered_with_a_sentence(name: str) -> None:
    calls = Calls(Clusters(prod=shop()), all_tools())
    if name in {spec.name for spec in all_tools()}:
        return
    with pytest.raises(UsageError) as raised:
        asyncio.run(calls.call(name, {}))
    fit_to_read(str(raised.value))
