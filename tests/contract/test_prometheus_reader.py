"""The reader of Prometheus: declared questions by GET alone, secrets in one header alone, bad answers never taken."""

import base64
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from contract.prometheus_doubles import Reply, answering, vector
from hypothesis import given
from hypothesis import strategies as st

from firstmate_tools.cluster.base import Usage
from firstmate_tools.cluster.livecluster import LiveCluster
from firstmate_tools.errors import (
    ConfigurationError,
    DeniedError,
    FailedReadError,
    FirstmateError,
    ReadError,
    RefusedError,
    TimedOutError,
    UnreachableError,
)
from firstmate_tools.prometheus import client
from firstmate_tools.prometheus.answers import Series, parsed, plain, series_of
from firstmate_tools.prometheus.place import PrometheusPlace
from firstmate_tools.prometheus.queries import filled
from firstmate_tools.prometheus.reader import LivePrometheus, within
from firstmate_tools.reads import Grant, PrometheusRead
from firstmate_tools.results import ClusterIdentity

pytestmark = pytest.mark.anyio
ROOM = PrometheusRead("room", "free{$scope} / all{$scope} < 0.1", ("free",), namespaced=True)
UP = PrometheusRead("up", "up{$scope}", ("up",))
RANGE = PrometheusRead("range", "up{$scope}", ("up",), window_s=600, step_s=60)
GRANT = Grant.of([ROOM, UP, RANGE])


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def ask(url: str, read: PrometheusRead = UP, namespace: str | None = None, **how: Any) -> list[Series]:
    left = how.pop("left_s", 20.0)
    reader = LivePrometheus(PrometheusPlace(url, **how), GRANT, lambda: left, "firstmate/test")
    try:
        return await reader.ask(read, namespace)
    finally:
        await reader.close()


async def failure(reply: Reply, **how: Any) -> FirstmateError:
    with answering(reply) as server, pytest.raises(FirstmateError) as caught:
        await ask(server.url, **how)
    return caught.value


async def test_a_question_is_one_get_with_the_scope_filled_in() -> None:
    with answering(Reply(body=vector(({"namespace": "shop", "pod": "cart-1"}, 0.05)))) as server:
        (series,) = await ask(f"{server.url}/prom/", ROOM, "shop", labels={"cluster": "prod"}, tenant="team-a")
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("GET", "/prom/api/v1/query")
    assert seen.query["query"] == ['free{cluster="prod",namespace="shop"} / all{cluster="prod",namespace="shop"} < 0.1']
    assert seen.headers["x-scope-orgid"] == "team-a"
    assert "authorization" not in seen.headers
    assert (series.label("pod"), series.value, series.label("nothing")) == ("cart-1", 0.05, "")


async def test_a_range_ends_now() -> None:
    with answering(Reply(body=vector())) as server:
        assert await ask(server.url, RANGE) == []
    query = server.seen[0].query
    assert server.seen[0].path == "/api/v1/query_range"
    assert float(query["end"][0]) - float(query["start"][0]) == pytest.approx(600)
    assert query["step"] == ["60"]


async def test_what_nobody_declared_is_not_sent() -> None:
    with answering(Reply(body=vector())) as server:
        for other in (PrometheusRead("up", "up", ("up",)), PrometheusRead("room", ROOM.query, ("free",))):
            with pytest.raises(RefusedError):
                await ask(server.url, other)
        with pytest.raises(RefusedError):
            one = client.Client(PrometheusPlace(server.url), "firstmate/test")
            await one.get("/api/v1/admin/tsdb/delete_series", {}, 5)
    assert not server.seen


def _bearer(folder: Path) -> dict[str, str]:
    (folder / "token").write_text("s3cr3t-token\n")
    return {"token_file": str(folder / "token")}


def _basic(_: Path) -> dict[str, str]:
    return {"username": "reader", "password_env": "METRICS_PASSWORD"}


@pytest.mark.parametrize(
    ("make", "header"),
    [(_bearer, "Bearer s3cr3t-token"), (_basic, f"Basic {base64.b64encode(b'reader:s3cr3t-word').decode()}")],
)
async def test_secrets_are_read_for_each_question_and_never_repeated(
    make: Any, header: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METRICS_PASSWORD", "s3cr3t-word")
    how = make(tmp_path)
    with answering(Reply(body=vector())) as server:
        await ask(server.url, **how)
    assert server.seen[0].headers["authorization"] == header
    for reply in (Reply(401, b"no"), Reply(500, b"no"), Reply(302, headers={"Location": "/"}), Reply(400, b"{}")):
        error = await failure(reply, **how)
        assert "s3cr3t" not in f"{error} {error.hint} {error.said}"


async def test_a_secret_that_is_not_there_is_told_by_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="METRICS_NOTHING"):
        await ask("http://127.0.0.1:9", token_env="METRICS_NOTHING")
    (tmp_path / "token").write_text("one\r\nX-Other: two")
    with pytest.raises(ConfigurationError):
        await ask("http://127.0.0.1:9", token_file=str(tmp_path / "token"))
    with pytest.raises(ConfigurationError):
        await ask("http://127.0.0.1:9", token_file=str(tmp_path / "absent"))


async def test_a_warning_about_the_words_of_a_question_leaves_its_answer() -> None:
    body = b'{"status":"success","data":{"result":[]},"warnings":["PromQL warning: bucket label is missing"]}'
    with answering(Reply(body=body)) as server:
        assert await ask(server.url) == []


async def test_a_secret_that_is_gone_costs_a_call_its_metrics_alone(tmp_path: Path) -> None:
    gone = tmp_path / "absent"
    reader = LivePrometheus(PrometheusPlace("http://127.0.0.1:9", token_file=str(gone)), GRANT, lambda: 9.0, "test")
    call: Any = SimpleNamespace(usage=Usage())
    nothing: Any = None
    cluster = LiveCluster(nothing, nothing, call, ClusterIdentity(name="prod", version="v1.34.0"), reader)
    with pytest.raises(FailedReadError, match="token_file") as caught:
        await cluster.measure(UP)
    assert str(tmp_path) not in str(caught.value)


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    with answering(Reply(body=vector())) as other:
        error = await failure(Reply(307, headers={"Location": f"{other.url}/api/v1/query"}), **_bearer(tmp_path))
    assert isinstance(error, FailedReadError)
    assert not other.seen


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply(403, b"no"), DeniedError, "refused"),
        (Reply(404, b"no"), FailedReadError, "404"),
        (Reply(503, b'{"error":"query timed out"}'), TimedOutError, "in time"),
        (Reply(200, b"<html>login</html>"), FailedReadError, "no JSON"),
        (Reply(200, b"[]"), FailedReadError, "no answer"),
        (Reply(200, b'{"status":"error","error":"many-to-many"}'), FailedReadError, "many-to-many"),
        (Reply(422, b'{"status":"error","error":"too many samples"}'), FailedReadError, "too many samples"),
        (Reply(200, b'{"status":"success"}'), FailedReadError, "without a result"),
        (
            Reply(200, b'{"status":"success","data":{"result":[]},"warnings":["store thanos-2: connection refused"]}'),
            FailedReadError,
            "answered in part: store thanos-2",
        ),
    ],
)
async def test_a_bad_answer_is_an_error_with_its_reason(reply: Reply, kind: type[ReadError], words: str) -> None:
    error = await failure(reply)
    assert type(error) is kind
    assert words in str(error)


async def test_an_answer_that_never_ends_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MOST_BYTES", 1000)
    assert isinstance(await failure(Reply(body=b" " * 2000)), FailedReadError)


async def test_nobody_waits_longer_than_configured_or_than_the_call_has_left() -> None:
    slow = Reply(body=vector(), after_s=5)
    assert isinstance(await failure(slow, timeout_s=0.2), TimedOutError)
    assert isinstance(await failure(slow, left_s=0.2), TimedOutError)
    assert isinstance(await failure(slow, left_s=0.0), TimedOutError)


async def test_an_address_where_nobody_listens() -> None:
    with answering(Reply()) as gone:
        pass
    with pytest.raises(UnreachableError):
        await ask(gone.url)


@pytest.mark.parametrize(
    ("how", "fault"),
    [
        ({"url": "prometheus:9090"}, "http"),
        ({"url": "http://user:word@prometheus"}, "credentials"),
        ({"url": "http://prometheus/api/v1/"}, "before /api/v1"),
        ({"url": "http://p?x=1"}, "query"),
        ({"url": "http://[p"}, "address"),
        ({"url": "http://p", "token_file": "a", "token_env": "b"}, "not from both"),
        ({"url": "http://p", "username": "a"}, "go together"),
        ({"url": "http://p", "username": "a", "password_env": "b", "token_env": "c"}, "either"),
        ({"url": "http://p", "labels": {'a"': "b"}}, "label"),
        ({"url": "http://p", "timeout_s": 0}, "timeout_s"),
    ],
)
def test_places_that_cannot_be_right(how: dict[str, Any], fault: str) -> None:
    assert fault in PrometheusPlace(**how).fault()
    assert not PrometheusPlace("https://prometheus.example.com/mimir/").fault()


@given(st.text(), st.text())
def test_no_text_gets_out_of_its_quotes(namespace: str, cluster: str) -> None:
    query = filled(UP, {"cluster": cluster}, None)
    both = filled(ROOM, {}, namespace)
    for text, value in ((query, cluster), (both.partition(" / ")[0] if " / " not in namespace else "", namespace)):
        if not text:
            continue
        inside = text[text.index('="') + 2 : text.rindex('"}')]
        assert "\n" not in inside
        assert inside.replace("\\\\", "").replace('\\"', "").count('"') == 0
        assert json.loads(f'"{_json(inside)}"') == value


def _json(text: str) -> str:
    """As JSON takes it: other control characters than those that are escaped already."""
    return "".join(c if c >= " " else f"\\u{ord(c):04x}" for c in text)


RESULT = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["metric", "value", "values", "status", "data", "result", "a"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(RESULT)
def test_absurd_answers_are_errors_or_nothing(answer: Any) -> None:
    try:
        found = parsed(json.dumps({"status": "success", "data": {"result": answer}}).encode())
    except FailedReadError:
        return
    assert all(one.points for one in found)


def test_what_is_no_number_is_left_out_and_what_is_kept_comes_back_equal() -> None:
    body = vector(({"pod": "b"}, 1.5), ({"pod": "a"}, "NaN"), ({"pod": "c"}, "+Inf"), ({"pod": "d\n"}, 0))
    found = parsed(body)
    assert [(one.label("pod"), one.value) for one in found] == [("", 0.0), ("b", 1.5)]
    assert series_of(plain(found)) == found


def test_a_recorded_answer_gives_what_a_namespace_would_have_got() -> None:
    found = parsed(vector(({"namespace": "shop"}, 1), ({"namespace": "pay"}, 2)))
    assert [one.value for one in within(found, ROOM, "pay")] == [2]
    assert within(found, ROOM, None) == found == within(found, UP, "pay")


def test_declarations_that_mean_nothing_are_errors() -> None:
    for wrong in ({"name": "Room"}, {"name": "../room"}, {"name": "room", "window_s": 5}):
        with pytest.raises(TypeError):
            PrometheusRead(**{"query": "up", "metrics": (), **wrong})
