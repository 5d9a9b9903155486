"""Search as callers have it: a question in, runbooks in order out. Tool, command line and evals ask here.

The first question makes the index, or opens what an earlier process made of the same files, and begins to load
meaning in the background where an encoder is installed. Thread-safe; never needs a network. Must not be asked on the
path of a server's start.
"""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

import orjson
from pydantic import ValidationError

from firstmate.runbooks.library import Library, library
from firstmate.runbooks.search.corpus import ASKED, ELSEWHERE, Document, documents, phrases, read, written
from firstmate.runbooks.search.lexical import LexicalIndex
from firstmate.runbooks.search.links import Links
from firstmate.runbooks.search.ranking import Heard, Ranked, rank
from firstmate.runbooks.search.semantic import Background
from firstmate.runbooks.search.store import Store, key_of
from firstmate_tools.diagnosis.causes import CAUSES

Mode = Literal["fused", "lexical"]
_MADE_BY = ("analysis.py", "concepts.py", "corpus.py", "lexical.py")
"""The code that makes the index: another version of it makes another one."""


_MOST_EXPLAINED = 60


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found.

    Attributes:
        ranked: the runbooks in order.
        heard: what the order rests on.
        mode: `fused` with meaning, `lexical` without.
        model: the model of meaning, None without.
        meaning: why there is no meaning: `absent`, `loading` or `failed`; `ready` where there is.
    """

    ranked: Ranked
    heard: Heard
    mode: Mode
    model: str | None
    meaning: str


class Engine:
    """Searches one library.

    Args:
        books: the runbooks.
        store: keeps what was made of them.
        encoder: what makes vectors; None for what is installed, "" for nothing.
    """

    def __init__(self, books: Library, store: Store | None = None, encoder: str | None = None) -> None:
        self._books, self._store, self._encoder = books, store or Store(), encoder
        self._lock = threading.Lock()

    def search(self, question: str, shown: Mapping[str, float] | None = None) -> Found:
        """Every runbook in order for a question.

        Args:
            question: as it came.
            shown: what the cluster adds to runbooks, by slug.

        Raises:
            RunbookError: a runbook is damaged.
        """
        heard, model, meaning = self.hear(question)
        mode: Mode = "fused" if heard.meanings is not None else "lexical"
        return Found(ranked=rank(heard, shown), heard=heard, mode=mode, model=model, meaning=meaning)

    def hear(self, question: str) -> tuple[Heard, str | None, str]:
        """All that is found out about a question before it is weighed; the model of meaning, and its state."""
        with self._lock:
            loading, words, links = self._background, self._lexical.search(question), self._links.find(question)
            index = loading.index if loading is not None else None
            meanings = index.search(question) if index is not None and words.terms else None
        heard = Heard([one.slug for one in self.documents], words, links, meanings)
        model = index.model if index is not None else None
        return heard, model, loading.state if loading is not None else "absent"

    def having(self, terms: Sequence[str]) -> dict[str, frozenset[str]]:
        """The runbooks that have each term."""
        with self._lock:
            return {term: self._lexical.having(term) for term in terms[:_MOST_EXPLAINED]}

    def prepare(self, seconds: float) -> bool:
        """Makes the index and waits for meaning. False where there is none after so many seconds."""
        with self._lock:
            _, loading = self._lexical, self._background
        return loading is not None and loading.wait(seconds)

    @property
    def documents(self) -> Sequence[Document]:
        """What is searched."""
        return self._made[0]

    def title(self, slug: str) -> str:
        """A runbook's title."""
        return self._titles[slug]

    @cached_property
    def _titles(self) -> dict[str, str]:
        return {one.slug: one.title for one in self.documents}

    @property
    def _lexical(self) -> LexicalIndex:
        return self._made[1]

    @cached_property
    def _links(self) -> Links:
        return Links(self.documents)

    @cached_property
    def _background(self) -> Background | None:
        if self._encoder == "":
            return None
        return Background(self.documents, phrases(ELSEWHERE), self._store, self._encoder)

    @cached_property
    def _made(self) -> tuple[tuple[Document, ...], LexicalIndex]:
        key = key_of(self._sources())
        rows, kept = self._store.read("documents", key), self._store.read("index", key)
        if rows is not None and kept is not None:
            try:
                return read(rows), LexicalIndex.opened(kept)
            except (ValidationError, sqlite3.Error):
                pass  # damaged: made anew
        made = documents(self._books.sound(), {slug: cause.title for slug, cause in CAUSES.items()}, phrases(ASKED))
        index = LexicalIndex.build(made, phrases(ELSEWHERE))
        self._store.keep("documents", key, written(made))
        self._store.keep("index", key, index.content())
        return made, index

    def _sources(self) -> list[bytes]:
        """Everything that the index is made of."""
        here = Path(__file__).parent
        files = [here / name for name in _MADE_BY] + [ASKED, ELSEWHERE]
        titles = orjson.dumps({slug: cause.title for slug, cause in CAUSES.items()})
        versions = f"{sqlite3.sqlite_version} {here}".encode()
        return [titles, versions, *(path.read_bytes() for path in files), *self._books.sources()]


@cache
def engine(books: Library | None = None) -> Engine:
    """Search of a library, one for all questions; of the runbooks that this installation brings where none is named."""
    return Engine(books or library())
