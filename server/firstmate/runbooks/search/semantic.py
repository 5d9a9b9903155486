"""Search by meaning: vectors of the runbooks' passages against the vector of a question.

Loads in the background when first asked for, and answers None until it is ready: an answer never waits for it. The
passages' vectors are made once and kept by content (`store.py`). Nothing of it is imported where no encoder is
installed.
"""

import importlib
import io
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from firstmate.runbooks.search.analysis import plain
from firstmate.runbooks.search.corpus import Document
from firstmate.runbooks.search.encoders import Encoder, EncoderError, encoder, installed
from firstmate.runbooks.search.store import Store, key_of

State = Literal["absent", "loading", "ready", "failed"]
_log = logging.getLogger("firstmate")
_KIND = "vectors"


@dataclass(frozen=True, slots=True)
class Meanings:
    """What meaning says of a question: cosines.

    Attributes:
        runbooks: by slug, the best passage and the mean of the two best.
        topic: the nearest topic without a runbook, and how near.
    """

    runbooks: Mapping[str, tuple[float, float]]
    topic: tuple[str, float]


class SemanticIndex:
    """Vectors of passages, ready to be compared.

    Args:
        model: makes the question's vector.
        owners: whose each row is: places in `slugs`, those of topics after those of runbooks.
        slugs, topics: names.
        matrix: a row for each passage.
    """

    def __init__(self, model: Encoder, owners: Sequence[int], slugs: Sequence[str], topics: Sequence[str], matrix: Any):
        self._numpy: Any = importlib.import_module("numpy")
        self._model, self._slugs, self._topics, self._matrix = model, slugs, topics, matrix
        rows: list[list[int]] = [[] for _ in range(len(slugs) + len(topics))]
        for row, owner in enumerate(owners):
            rows[owner].append(row)
        longest = max(len(one) for one in rows)
        self._rows = self._numpy.array([one + [-1] * (longest - len(one)) for one in rows])

    @property
    def model(self) -> str:
        """What the model is called."""
        return self._model.name

    def search(self, question: str) -> Meanings:
        """How near each runbook's passages are."""
        numpy = self._numpy
        vector = self._model.encode([plain(question)])[0]
        near = numpy.append(self._matrix @ vector, -1.0)[self._rows]
        best = -numpy.sort(-near, axis=1)[:, :2]
        best[:, 1] = numpy.where(best[:, 1] > -1.0, best[:, 1], best[:, 0])
        count = len(self._slugs)
        runbooks = {
            slug: (float(one[0]), float(one.mean())) for slug, one in zip(self._slugs, best[:count], strict=True)
        }
        at = int(best[count:, 0].argmax())
        return Meanings(runbooks, (self._topics[at], float(best[count + at, 0])))


def build(
    model: Encoder, documents: Sequence[Document], elsewhere: Mapping[str, Sequence[str]], store: Store
) -> SemanticIndex:
    """The vectors, from the store or made now: a few seconds once."""
    numpy: Any = importlib.import_module("numpy")
    passages = [(at, text) for at, one in enumerate(documents) for text in one.passages()]
    passages += [
        (len(documents) + at, text) for at, topic in enumerate(elsewhere) for text in (topic, *elsewhere[topic])
    ]
    key = key_of([model.name.encode(), *(text.encode() for _, text in passages)])
    matrix: Any = None
    if (kept := store.read(_KIND, key)) is not None:
        try:
            matrix = numpy.load(io.BytesIO(kept), allow_pickle=False)
        except (ValueError, EOFError, OSError):
            matrix = None
    if matrix is None or len(matrix) != len(passages):
        matrix = model.encode([text for _, text in passages])
        buffer = io.BytesIO()
        numpy.save(buffer, matrix.astype(numpy.float32), allow_pickle=False)
        store.keep(_KIND, key, buffer.getvalue())
    return SemanticIndex(model, [at for at, _ in passages], [one.slug for one in documents], [*elsewhere], matrix)


class Background:
    """Loads a semantic index beside everything else.

    Args:
        documents, elsewhere: what is searched.
        store: keeps the vectors.
        which: the encoder, None for what is installed.
    """

    def __init__(
        self,
        documents: Sequence[Document],
        elsewhere: Mapping[str, Sequence[str]],
        store: Store,
        which: str | None = None,
    ) -> None:
        self._documents, self._elsewhere, self._store = documents, elsewhere, store
        self._which = which or installed()
        self._done = threading.Event()
        self._index: SemanticIndex | None = None
        self.state: State = "absent" if self._which is None else "loading"
        if self._which is not None:
            threading.Thread(target=self._load, name="firstmate-semantic", daemon=True).start()

    def _load(self) -> None:
        assert self._which is not None
        try:
            self._index = build(encoder(self._which), self._documents, self._elsewhere, self._store)
            self.state = "ready"
        except EncoderError as error:
            self.state = "failed"
            _log.warning("semantic search is off: %s", error)
        finally:
            if self.state == "loading":
                self.state = "failed"
            self._done.set()

    def wait(self, seconds: float) -> bool:
        """Whether it is ready, after at most so many seconds."""
        if self._which is not None:
            self._done.wait(seconds)
        return self._index is not None

    @property
    def index(self) -> SemanticIndex | None:
        """The index, None while there is none."""
        return self._index
