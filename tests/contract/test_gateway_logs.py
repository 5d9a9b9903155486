"""Container logs over the wire: their end is what is kept, and their absence is told in words."""

import pytest
from contract.fake_api import FakeApi, Reply, Seen, status
from hypothesis import given
from hypothesis import strategies as st

from firstmate_tools.cluster.base import LogRequest
from firstmate_tools.cluster.live import LiveSource
from firstmate_tools.cluster.logtail import LogTail
from firstmate_tools.errors import FailedReadError, NotInstalledError, ObjectNotFoundError, UsageError
from firstmate_tools.kinds import POD
from firstmate_tools.reads import Grant, Read

GRANT = Grant.of([Read(POD, ("get",), "log")])
LOG = "/api/v1/namespaces/shop/pods/cart-1/log"
ASKED = LogRequest("shop", "cart-1", "app")


def text(body: str | bytes) -> Reply:
    return Reply(body, content_type="text/plain")


@pytest.mark.anyio
async def test_the_server_applies_lines_and_time_and_never_cuts_the_end(api: FakeApi, source: LiveSource) -> None:
    api.on(LOG, text("one\ntwo\n"))
    async with source.open(GRANT) as cluster:
        asked = LogRequest("shop", "cart-1", "app", previous=True, tail_lines=50, since_seconds=600)
        assert await cluster.logs(asked) == "one\ntwo\n"
        await cluster.logs(LogRequest("shop", "cart-1", "", tail_lines=None))
        assert cluster.usage.by_resource["pods/log"] == 2
    assert [one.query for one in api.asked(LOG)] == ["container=app&previous=true&tailLines=50&sinceSeconds=600", ""]


@pytest.mark.anyio
async def test_a_line_of_two_megabytes_keeps_its_end(api: FakeApi, source: LiveSource) -> None:
    api.on(LOG, text("x" * 2_000_000 + "the end\n"))
    async with source.open(GRANT) as cluster:
        found = await cluster.logs(ASKED)
    assert len(found) == ASKED.limit_bytes
    assert found.endswith("the end\n")


@pytest.mark.anyio
async def test_a_log_beyond_the_limit_starts_with_a_whole_line(api: FakeApi, source: LiveSource) -> None:
    api.on(LOG, text("".join(f"line {i}\n" for i in range(1000))))
    async with source.open(GRANT) as cluster:
        found = await cluster.logs(LogRequest("shop", "cart-1", "app", limit_bytes=100))
    lines = found.splitlines()
    assert lines[-1] == "line 999"
    assert all(line.startswith("line 9") for line in lines)
    assert 80 < len(found) <= 100


@pytest.mark.anyio
async def test_a_log_with_invalid_utf8_and_html_in_it_is_still_a_log(api: FakeApi, source: LiveSource) -> None:
    api.on(LOG, text(b"<html>\xff\xfe\x00\n"))
    async with source.open(GRANT) as cluster:
        assert await cluster.logs(ASKED) == "<html>��\x00\n"


@pytest.mark.anyio
async def test_a_log_without_end_is_given_up(api: FakeApi, source: LiveSource) -> None:
    api.on(LOG, text(b"x\n" * 33_000_000))
    async with source.open(GRANT) as cluster:
        with pytest.raises(FailedReadError, match="too large") as caught:
            await cluster.logs(LogRequest("shop", "cart-1", "app", limit_bytes=1000))
    assert "fewer lines" in caught.value.hint


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("reply", "error", "words"),
    [
        (
            status(400, "BadRequest", 'previous terminated container "app" in pod "cart-1" not found'),
            ObjectNotFoundError,
            "no previous log",
        ),
        (
            status(400, "BadRequest", 'container "app" in pod "cart-1" is waiting to start: ContainerCreating'),
            ObjectNotFoundError,
            "waiting to start: ContainerCreating",
        ),
        (
            status(
                400, "BadRequest", "a container name must be specified for pod cart-1, choose one of: [app sidecar]"
            ),
            UsageError,
            "choose one of",
        ),
        (status(400, "BadRequest", "container nope is not valid for pod cart-1"), UsageError, "nope is not valid"),
        (
            status(404, "NotFound", 'pods "cart-1" not found', name="cart-1"),
            ObjectNotFoundError,
            "There is no pods/log",
        ),
        (Reply("404 page not found\n", 404, "text/plain"), NotInstalledError, "does not serve"),
        (status(500, "InternalError", "dial tcp 10.0.0.1:10250: i/o timeout"), FailedReadError, "i/o timeout"),
        (text("unable to retrieve container logs for containerd://0123abc"), ObjectNotFoundError, "no longer holds"),
    ],
)
async def test_a_log_that_is_not_there_says_why(
    api: FakeApi, source: LiveSource, reply: Reply, error: type[Exception], words: str
) -> None:
    api.on(LOG, reply)
    async with source.open(GRANT) as cluster:
        with pytest.raises(error) as caught:
            await cluster.logs(ASKED)
    assert words in str(caught.value)


@pytest.mark.anyio
async def test_a_container_name_cannot_add_a_parameter(api: FakeApi, source: LiveSource) -> None:
    def answer(seen: Seen) -> Reply:
        return text(seen.query)

    api.on(LOG, answer)
    async with source.open(GRANT) as cluster:
        found = await cluster.logs(LogRequest("shop", "cart-1", "app&follow=true"))
    assert found == "container=app%26follow%3Dtrue&tailLines=200"


@given(st.lists(st.binary(max_size=40)), st.integers(1, 60))
def test_the_tail_is_the_end_of_what_came_whatever_the_chunks(chunks: list[bytes], limit: int) -> None:
    tail = LogTail(limit)
    for chunk in chunks:
        tail.feed(chunk)
    whole = b"".join(chunks)
    assert whole.endswith(tail.body())
    assert len(tail.body()) <= limit
    assert tail.body() == whole or len(whole) > limit
