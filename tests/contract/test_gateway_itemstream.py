"""Lists are taken apart while they stream in, and come out as if they had been parsed whole."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstmate_tools.cluster import itemstream
from firstmate_tools.cluster.itemstream import ItemStream
from firstmate_tools.errors import FailedReadError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import POD, SECRET, Kind

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
ITEMS = st.lists(
    st.fixed_dictionaries({"metadata": st.dictionaries(st.text(max_size=5), JSON, max_size=2), "spec": JSON})
)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(itemstream, "_BATCH", 64)


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


def pod_list(items: list[Obj]) -> bytes:
    metadata = {"resourceVersion": "7", "continue": "next"}
    return compact({"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": items})


def taken(raw: bytes, size: int, kind: Kind = POD) -> tuple[list[Obj], Obj, ItemStream[Obj]]:
    rows: list[Obj] = []
    stream = ItemStream(kind, "pods", lambda obj: obj, rows)
    for start in range(0, len(raw), size):
        stream.feed(raw[start : start + size])
    return rows, stream.finish(), stream


@settings(deadline=None)
@given(ITEMS, st.integers(1, 500), st.sampled_from(["metadata first", "metadata last", "pretty"]))
def test_a_stream_gives_what_a_parser_gives(items: list[Obj], size: int, layout: str) -> None:
    first = {"metadata": {"resourceVersion": "7"}, "items": items}
    value = first if layout == "metadata first" else {"apiVersion": "v1", "items": items, "metadata": first["metadata"]}
    raw = json.dumps(value, indent=2).encode() if layout == "pretty" else compact(value)
    rows, metadata, stream = taken(raw, size)
    assert rows == items
    assert metadata == {"resourceVersion": "7"}
    assert stream.count == len(items)


def test_what_looks_like_a_joint_inside_an_object_is_none() -> None:
    trap = [{"metadata": {"name": "inner"}}, {"metadata": {"name": "inner"}, "items": [{"metadata": {}}]}]
    text = '},{"metadata":{"name":"x"}}],"items":[{"metadata":'
    items: list[Obj] = [
        {"metadata": {"name": f"p{i}"}, "spec": {"templates": trap * i, "text": text}} for i in range(40)
    ]
    for size in (1, 7, 64, 1000, 10**6):
        rows, metadata, _ = taken(pod_list(items), size)
        assert rows == items
        assert metadata["continue"] == "next"


def test_memory_stays_small_however_long_the_list() -> None:
    items: list[Obj] = [{"metadata": {"name": f"p{i}"}, "spec": {"x": "y" * 100}} for i in range(2000)]
    raw, largest = pod_list(items), 0
    stream = ItemStream[str](POD, "pods", lambda obj: None, [])
    for start in range(0, len(raw), 100):
        stream.feed(raw[start : start + 100])
        largest = max(largest, len(stream._buffer))
    stream.finish()
    assert stream.count == 2000
    assert largest < 1500


def test_an_object_made_of_joints_does_not_cost_the_square_of_its_size() -> None:
    """Who may create a custom resource must not be able to hold this program up."""
    hostile: Obj = {"metadata": {}, "spec": [{"metadata": {"a": 1}}] * 20_000}
    raw = compact({"metadata": {}, "items": [hostile, {"metadata": {"name": "last"}}]})
    parsed = 0
    loads = itemstream.orjson.loads

    def counting(value: bytes) -> Any:
        nonlocal parsed
        parsed += len(value)
        return loads(value)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(itemstream.orjson, "loads", counting)
        rows, _, _ = taken(raw, 1000)
    assert len(rows) == 2
    assert parsed < 3 * len(raw)


def test_invalid_utf8_in_the_middle_is_borne() -> None:
    items: list[Obj] = [{"metadata": {"name": f"p{i}"}} for i in range(50)]
    raw = pod_list(items).replace(b'"p25"', b'"p\xff"')
    rows, _, _ = taken(raw, 50)
    assert [row["metadata"]["name"] for row in rows] == [f"p{i}" if i != 25 else "p\ufffd" for i in range(50)]


@settings(deadline=None)
@given(st.integers(0, 2000))
def test_a_torn_list_is_never_a_shorter_list(cut: int) -> None:
    raw = pod_list([{"metadata": {"name": f"p{i}"}} for i in range(50)])
    if cut >= len(raw):
        return
    with pytest.raises(FailedReadError):
        taken(raw[:cut], 64)


def test_secrets_are_blank_in_every_batch() -> None:
    items: list[Obj] = [{"metadata": {"name": f"s{i}"}, "data": {"k": "aHVudGVyMg=="}} for i in range(50)]
    rows, _, _ = taken(compact({"metadata": {}, "items": items}), 64, SECRET)
    assert [row["data"] for row in rows] == [{"k": ""}] * 50
    widget = Kind("Widget", "widgets", "example.com")
    held: list[Obj] = [{"metadata": {}, "spec": {"kind": "Secret", "data": {"k": "aHVudGVyMg=="}}} for _ in range(50)]
    rows, _, _ = taken(compact({"metadata": {}, "items": held}), 64, widget)
    assert [row["spec"]["data"] for row in rows] == [{"k": ""}] * 50


def test_the_collector_is_on_again_afterwards() -> None:
    import gc

    def fails(obj: Obj) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        stream = ItemStream[None](POD, "pods", fails, [])
        stream.feed(pod_list([{"metadata": {}}] * 50))
        stream.finish()
    assert gc.isenabled()
