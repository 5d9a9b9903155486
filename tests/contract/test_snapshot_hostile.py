"""A snapshot that is damaged or hostile is refused with a sentence; one broken list fails alone."""

import gzip
import io
import json
import os
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from firstmate_tools.cluster.archive import open_files
from firstmate_tools.cluster.files import Limits
from firstmate_tools.cluster.snapshot import SnapshotSource
from firstmate_tools.errors import FailedReadError, FirstmateError, SnapshotError
from firstmate_tools.kinds import NODE, POD, SERVICE
from firstmate_tools.reads import Grant, Read

pytestmark = pytest.mark.anyio
GRANT = Grant.of([Read(POD), Read(NODE), Read(SERVICE)])
MANIFEST = {
    "format": "firstmate-snapshot",
    "version": 1,
    "started_at": "2026-03-01T12:00:00Z",
    "recorded_at": "2026-03-01T12:00:30Z",
    "cluster": {"name": "prod"},
    "discovery": {"outcome": "failed"},
    "resources": {
        "pods": {
            "kind": {"kind": "Pod", "plural": "pods"},
            "all": {"outcome": "collected", "objects": 1},
            "namespaces": {"shop": {"outcome": "collected", "objects": 1}},
        },
        "nodes": {
            "kind": {"kind": "Node", "plural": "nodes", "namespaced": False},
            "all": {"outcome": "collected", "objects": 1},
        },
    },
}
PODS = b'{"metadata":{"name":"a","namespace":"shop"}}\n'
FILES = {
    "snapshot.json": json.dumps(MANIFEST).encode(),
    "objects/pods/shop.jsonl": PODS,
    "objects/nodes/_cluster.jsonl": b'{"metadata":{"name":"n"}}\n',
}
Member = tarfile.TarInfo


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def member(name: str, kind: bytes = tarfile.REGTYPE, **more: object) -> Member:
    info = tarfile.TarInfo(name)
    info.type = kind
    for key, value in more.items():
        setattr(info, key, value)
    return info


def archive(
    path: Path, *extra: Member | tuple[Member, bytes], files: dict[str, bytes] = FILES, packed: bool = True
) -> Path:
    target = path / ("s.tar.gz" if packed else "s.tar")
    with tarfile.open(target, "w:gz" if packed else "w") as tar:
        for name, content in files.items():
            tar.addfile(member(name, size=len(content)), io.BytesIO(content))
        for one in extra:
            info, content = one if isinstance(one, tuple) else (one, b"")
            tar.addfile(info, io.BytesIO(content))
    return target


def folder(path: Path, files: dict[str, bytes] = FILES) -> Path:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


async def names(path: Path, limits: Limits | None = None) -> list[str]:
    async with SnapshotSource("x", path, limits=limits).open(GRANT) as cluster:
        return [o["metadata"]["name"] for o in (await cluster.list(POD)).items]


async def refused(path: Path, match: str, limits: Limits | None = None) -> None:
    with pytest.raises(SnapshotError, match=match) as caught:
        await names(path, limits)
    assert str(path.parent) not in str(caught.value)


@pytest.mark.parametrize("packed", [True, False])
async def test_a_plain_one_is_read(tmp_path: Path, packed: bool) -> None:
    assert await names(archive(tmp_path, packed=packed)) == ["a"]


async def test_everything_may_lie_in_one_folder(tmp_path: Path) -> None:
    deeper = {f"./a/b/{name}": content for name, content in FILES.items()} | {"./a/._x": b"", "./a/.DS_Store": b""}
    assert await names(archive(tmp_path, files=deeper)) == ["a"]


class TestArchives:
    """Members that no recorder writes."""

    @pytest.mark.parametrize(
        ("extra", "match"),
        [
            (member("../evil"), "climbs out"),
            (member("a/../../evil"), "climbs out"),
            (member("..\\evil"), "climbs out"),
            (member("/etc/passwd"), "absolute"),
            (member("\\evil"), "absolute"),
            (member("link", tarfile.SYMTYPE, linkname="/etc/passwd"), "leads out"),
            (member("a/link", tarfile.SYMTYPE, linkname="../../x"), "leads out"),
            (member("hard", tarfile.LNKTYPE, linkname="snapshot.json"), "hard link"),
            (member("dev", tarfile.CHRTYPE), "device"),
            (member("disk", tarfile.BLKTYPE), "device"),
            (member("pipe", tarfile.FIFOTYPE), "device or pipe"),
            (member("snapshot.json"), "twice"),
            (member("d/" * 40 + "x"), "nests"),
            (member("x" * 2000), "2000 characters"),
        ],
    )
    async def test_are_refused(self, tmp_path: Path, extra: Member, match: str) -> None:
        await refused(archive(tmp_path, extra), match)

    async def test_a_link_inside_is_ignored(self, tmp_path: Path) -> None:
        inside = member("objects/pods/pay.jsonl", tarfile.SYMTYPE, linkname="shop.jsonl")
        assert await names(archive(tmp_path, inside)) == ["a"]

    async def test_cut_off(self, tmp_path: Path) -> None:
        noise = {"noise": random.Random(1).randbytes(50_000)}
        for packed in (True, False):
            target = archive(tmp_path, files=FILES | noise, packed=packed)
            whole = target.read_bytes()
            for size in (len(whole) // 2, len(whole) - 8 if packed else len(whole) - 10_240):
                target.write_bytes(whole[:size])
                await refused(target, "cut off|damaged")

    async def test_a_checksum_that_does_not_fit(self, tmp_path: Path) -> None:
        target = archive(tmp_path)
        whole = bytearray(target.read_bytes())
        whole[-8] ^= 1
        target.write_bytes(whole)
        await refused(target, "damaged")

    async def test_a_header_that_was_forged(self, tmp_path: Path) -> None:
        target = archive(tmp_path, packed=False)
        whole = bytearray(target.read_bytes())
        whole[124:136] = b"\xff" * 12  # a negative size, which sends some readers round in circles
        target.write_bytes(whole)
        await refused(target, "damaged|do not add up")

    async def test_a_header_that_asks_for_gigabytes(self, tmp_path: Path) -> None:
        content = io.BytesIO()
        info = member("x", tarfile.XHDTYPE, size=3_000_000_000)
        content.write(info.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 2048)
        (tmp_path / "s.tar").write_bytes(content.getvalue())
        await refused(tmp_path / "s.tar", "header of")

    @pytest.mark.parametrize(
        ("content", "match"),
        [
            (b"", "no snapshot"),
            (b"hello", "no snapshot"),
            (b"PK\x03\x04rest", "zip"),
            (b"BZh91AY", "bzip2"),
            (b"\xfd7zXZ\x00", "xz"),
            (gzip.compress(b"hello"), "no snapshot"),
            (b"\x1f\x8bxx", "cut off"),
            (b"\x1f\x8b\x07" + b"x" * 30, "damaged"),
            (b"\xff\xfe\x00", "no snapshot"),
        ],
    )
    async def test_no_archive(self, tmp_path: Path, content: bytes, match: str) -> None:
        (tmp_path / "s.tar.gz").write_bytes(content)
        await refused(tmp_path / "s.tar.gz", match)

    async def test_nothing_at_all(self, tmp_path: Path) -> None:
        await refused(tmp_path / "missing", "does not exist")
        os.mkfifo(tmp_path / "pipe")
        await refused(tmp_path / "pipe", "neither a file nor a folder")
        (tmp_path / "empty").mkdir()
        await refused(tmp_path / "empty", "no snapshot in a layout")


class TestBombs:
    """What would fill memory or disk."""

    async def test_a_ratio_that_no_recording_has(self, tmp_path: Path) -> None:
        blanks = (member("blanks", size=80_000_000), b" " * 80_000_000)
        await refused(archive(tmp_path, blanks), "bomb")

    @pytest.mark.parametrize(
        ("limits", "match"),
        [
            (Limits(members=2), "more than 2"),
            (Limits(member_bytes=40), "40 are allowed"),
            (Limits(total_bytes=500), "500 bytes unpacked"),
        ],
    )
    async def test_limits_hold_for_both(self, tmp_path: Path, limits: Limits, match: str) -> None:
        await refused(archive(tmp_path), match, limits)
        (tmp_path / "folder").mkdir()
        await refused(folder(tmp_path / "folder"), match, limits)

    async def test_memory(self, tmp_path: Path) -> None:
        await refused(archive(tmp_path), "of memory", Limits(kept_bytes=300))

    async def test_a_sparse_file(self, tmp_path: Path) -> None:
        info = member("sparse", size=0)
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" * 12}
        with pytest.raises(SnapshotError):
            await names(archive(tmp_path, (info, b"")))

    async def test_one_file_that_is_too_large(self, tmp_path: Path) -> None:
        (tmp_path / "dump.json").write_bytes(b'{"kind": "NodeList"' + b" " * 100)
        await refused(tmp_path / "dump.json", "50 are allowed", Limits(member_bytes=50))


class TestFolders:
    """Links and others in a folder."""

    async def test_a_link_out_is_refused(self, tmp_path: Path) -> None:
        inside = folder(tmp_path / "s")
        (inside / "objects/pods/pay.jsonl").symlink_to("/etc/passwd")
        await refused(inside, "leads out")

    async def test_a_link_in_circles_is_ignored(self, tmp_path: Path) -> None:
        inside = folder(tmp_path / "s")
        (inside / "loop").symlink_to("loop")
        (inside / "again").symlink_to(".")
        assert await names(inside) == ["a"]

    async def test_the_folder_itself_may_be_a_link(self, tmp_path: Path) -> None:
        folder(tmp_path / "s")
        (tmp_path / "latest").symlink_to("s")
        assert await names(tmp_path / "latest") == ["a"]

    async def test_a_list_that_is_a_link_is_a_missing_one(self, tmp_path: Path) -> None:
        inside = folder(tmp_path / "s", FILES | {"other": PODS})
        (inside / "objects/pods/shop.jsonl").unlink()
        (inside / "objects/pods/shop.jsonl").symlink_to("../../other")
        with pytest.raises(FailedReadError, match="missing"):
            await names(inside)

    async def test_a_file_that_became_a_link(self, tmp_path: Path) -> None:
        inside = folder(tmp_path / "s")
        files = open_files(inside, Limits())
        (inside / "snapshot.json").unlink()
        (inside / "snapshot.json").symlink_to("/etc/passwd")
        with pytest.raises(SnapshotError, match="cannot be read"):
            files.read("snapshot.json")

    async def test_a_pipe_is_refused(self, tmp_path: Path) -> None:
        inside = folder(tmp_path / "s")
        os.mkfifo(inside / "pipe")
        await refused(inside, "neither file nor folder")


class TestManifest:
    """The file that says what the rest is."""

    @pytest.mark.parametrize(
        ("content", "match"),
        [
            (b"{\n  broken\n}", r"snapshot.json, line 2"),
            (b"\xff\xfe", "snapshot.json, line 1"),
            (b"[" * 5000, "snapshot.json"),
            (b"[]", "no manifest|not a manifest"),
            (b"{}", "not a manifest"),
            (json.dumps(MANIFEST | {"version": 2}).encode(), "Update firstmate"),
            (json.dumps(MANIFEST | {"format": "other"}).encode(), "not a manifest"),
            (json.dumps(MANIFEST | {"recorded_at": "yesterday"}).encode(), "recorded_at"),
            (json.dumps(MANIFEST | {"resources": {"../x": MANIFEST["resources"]["pods"]}}).encode(), "no resource"),  # type: ignore[index]
        ],
    )
    async def test_damaged(self, tmp_path: Path, content: bytes, match: str) -> None:
        await refused(archive(tmp_path, files=FILES | {"snapshot.json": content}), match)

    async def test_a_namespace_that_climbs(self, tmp_path: Path) -> None:
        manifest = json.loads(json.dumps(MANIFEST))
        manifest["resources"]["pods"]["namespaces"]["../../etc"] = {"outcome": "collected"}
        await refused(folder(tmp_path / "s", FILES | {"snapshot.json": json.dumps(manifest).encode()}), "no namespace")

    async def test_a_later_minor_version_may_say_more(self, tmp_path: Path) -> None:
        manifest = MANIFEST | {"weather": "fine", "sources": {"metrics": {"outcome": "collected", "x": 1}}}
        assert await names(folder(tmp_path, FILES | {"snapshot.json": json.dumps(manifest).encode()})) == ["a"]


class TestLists:
    """One broken list fails alone, and says where it is broken."""

    @pytest.mark.parametrize(
        ("content", "match"),
        [
            (b"{}", "line 1: an object without metadata.name"),
            (b'{"metadata":{"name":"a","namespace":"pay"}}', "another namespace, 'pay'"),
            (b'{"metadata":{"name":"a","namespace":"shop"}}\n{broken', "shop.jsonl, line 2"),
            (b'"text"', "line 1: not an object"),
            (b'{"metadata":{"name":"\xff","namespace":"shop"}}', "shop.jsonl, line 1"),
            (b'{"metadata":{"name":"a","namespace":"shop"},"x":' + b"[" * 3000 + b"]" * 3000 + b"}", "line 1"),
            (PODS + PODS, "'shop/a' twice"),
            (PODS + PODS.replace(b'"a"', b'"b"'), "holds 2 objects, and its manifest says 1"),
            (b"", "holds 0 objects, and its manifest says 1"),
            (b'{"apiVersion":"v2","metadata":{"name":"a","namespace":"shop"}}', "Pod of v2"),
        ],
    )
    async def test_broken(self, tmp_path: Path, content: bytes, match: str) -> None:
        target = archive(tmp_path, files=FILES | {"objects/pods/shop.jsonl": content})
        async with SnapshotSource("x", target).open(GRANT) as cluster:
            for namespace in (None, "shop"):
                with pytest.raises(FirstmateError, match=match):
                    await cluster.list(POD, namespace=namespace)
            assert (await cluster.list(POD, namespace="pay")).items == []
            assert len((await cluster.list(NODE)).items) == 1

    async def test_missing(self, tmp_path: Path) -> None:
        files = {name: content for name, content in FILES.items() if "pods" not in name}
        with pytest.raises(FailedReadError, match=r"pods/shop.jsonl is missing"):
            await names(archive(tmp_path, files=files))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_is_changed_in_an_archive_there_is_no_other_error(tmp_path: Path, data: st.DataObject) -> None:
    packed = data.draw(st.booleans())
    whole = bytearray(archive(tmp_path, member("l", tarfile.SYMTYPE, linkname="x"), packed=packed).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, min(len(whole), 4096) - 1))] = data.draw(st.integers(0, 255))
    target = tmp_path / "changed"
    target.write_bytes(whole[: data.draw(st.integers(1, len(whole)))])
    _only_our_errors(lambda: open_files(target, Limits(member_bytes=1_000_000, total_bytes=2_000_000)))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    headers=st.dictionaries(
        st.sampled_from(
            ["size", "path", "linkpath", "mtime", "GNU.sparse.map", "GNU.sparse.size", "hdrcharset", "uid"]
        ),
        st.one_of(st.text(max_size=12), st.integers(-9, 10**12).map(str), st.just("nan")),
        max_size=3,
    )
)
def test_whatever_extended_headers_say_there_is_no_other_error(tmp_path: Path, headers: dict[str, str]) -> None:
    info = member("x", size=3, pax_headers=headers)
    target = archive(tmp_path, (info, b"abc"), packed=False)
    _only_our_errors(lambda: open_files(target, Limits(member_bytes=1_000_000, total_bytes=2_000_000)))


def _only_our_errors(call: Callable[[], object]) -> None:
    try:
        call()
    except SnapshotError as error:
        assert error.message.endswith((".", "!"))  # a sentence
