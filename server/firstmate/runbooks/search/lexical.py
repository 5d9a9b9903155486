"""Lexical search: terms in SQLite's full-text index (FTS5), ranked by BM25.

Two tables: one row for each runbook, its fields weighed; and one row for each way in which people ask, of which a
runbook's best counts. Ways of asking for what has no runbook stand among them, under `ELSEWHERE`. Terms come from
`analysis.py` and are bound as values and quoted, so that nothing of a question is ever syntax. The index can be taken
as bytes and opened from them again, which `store.py` keeps.
"""

import math
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from firstmate.runbooks.search.analysis import SEPARATOR, plain, telling, terms
from firstmate.runbooks.search.corpus import Document, words_of

ELSEWHERE = "elsewhere: "
"""Before the topic of what has no runbook, in place of a slug."""
WEIGHTS = {
    "title": 6.0,
    "description": 4.0,
    "causes": 4.0,
    "patterns": 4.0,
    "asked": 4.0,
    "led": 1.5,
    "applies": 2.0,
    "body": 0.6,
}
"""How much an occurrence in a field counts."""
MOST_TERMS = 48
"""Of a question: the rarest. More only blur what it is about."""
_LEAST_TO_CORRECT = 5
_TOKENS = """tokenize = "porter unicode61 remove_diacritics 2 tokenchars '._:/@$+-'" """


@dataclass(frozen=True, slots=True)
class Scores:
    """What lexical search makes of a question.

    Attributes:
        terms: what was searched for, without stop words.
        documents: BM25 of runbooks, by slug; higher is better. Only those that share a term.
        phrases: BM25 of each runbook's best way of asking, likewise.
        topics: the same of topics without a runbook.
        known: of the terms, those that some runbook has.
        foreign: of the terms, those that only topics without a runbook have.
        corrected: what a term that nobody knows was taken for.
        possible: what a phrase would score that has every term.
    """

    terms: tuple[str, ...]
    documents: Mapping[str, float] = field(default_factory=dict[str, float])
    phrases: Mapping[str, float] = field(default_factory=dict[str, float])
    topics: Mapping[str, float] = field(default_factory=dict[str, float])
    known: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()
    corrected: Mapping[str, str] = field(default_factory=dict[str, str])
    possible: float = 0.0


class LexicalIndex:
    """The index, in memory. One thread at a time may use it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        # What the tokenizer makes of a question is asked of the tokenizer itself, in a table that lives for a moment.
        connection.execute(f"CREATE VIRTUAL TABLE temp.question USING fts5(words, {_TOKENS})")
        connection.execute("CREATE VIRTUAL TABLE temp.token USING fts5vocab('temp', 'question', 'instance')")
        connection.execute("CREATE VIRTUAL TABLE temp.ours USING fts5vocab('main', 'runbook', 'row')")
        connection.execute("CREATE VIRTUAL TABLE temp.theirs USING fts5vocab('main', 'asked', 'row')")
        self._phrases = int(connection.execute("SELECT count(*) FROM asked").fetchone()[0])
        self._runbooks = int(connection.execute("SELECT count(*) FROM runbook").fetchone()[0])
        self._in_runbooks: dict[str, int] = dict(connection.execute("SELECT term, doc FROM temp.ours").fetchall())
        self._in_phrases: dict[str, int] = dict(connection.execute("SELECT term, doc FROM temp.theirs").fetchall())

    @classmethod
    def build(cls, documents: Sequence[Document], elsewhere: Mapping[str, Sequence[str]]) -> "LexicalIndex":
        """Indexes documents.

        Args:
            documents: the runbooks.
            elsewhere: ways of asking for what has no runbook, by topic.
        """
        db = sqlite3.connect(":memory:", check_same_thread=False)
        db.execute(f"CREATE VIRTUAL TABLE runbook USING fts5(slug UNINDEXED, {', '.join(WEIGHTS)}, {_TOKENS})")
        db.execute(f"CREATE VIRTUAL TABLE asked USING fts5(slug UNINDEXED, words, {_TOKENS})")
        marks = ", ".join("?" for _ in range(len(WEIGHTS) + 1))
        db.executemany(f"INSERT INTO runbook VALUES ({marks})", map(_row, documents))  # noqa: S608 - question marks
        phrases = [(one.slug, phrase) for one in documents for phrase in (*one.asked, *one.led, one.title)]
        phrases += [(ELSEWHERE + topic, phrase) for topic, each in elsewhere.items() for phrase in each]
        db.executemany("INSERT INTO asked VALUES (?, ?)", ((slug, _joined(phrase)) for slug, phrase in phrases))
        db.execute("INSERT INTO runbook(runbook) VALUES ('optimize')")
        db.commit()
        return cls(db)

    @classmethod
    def opened(cls, content: bytes) -> "LexicalIndex":
        """The index that `content` wrote.

        Raises:
            sqlite3.DatabaseError: it is damaged.
        """
        db = sqlite3.connect(":memory:", check_same_thread=False)
        db.deserialize(content)
        return cls(db)

    def content(self) -> bytes:
        """The index as bytes."""
        return self._db.serialize()

    def search(self, question: str) -> Scores:
        """Scores every runbook that shares a term with a question."""
        wanted = telling(terms(plain(question)))
        stems = self._stems(wanted)
        corrected: dict[str, str] = {}
        for term, stem in list(stems.items()):
            if stem not in self._in_runbooks and stem not in self._in_phrases and (near := self._corrected(stem)):
                corrected[term] = stems[term] = near
        ours = [t for t in wanted if self._in_runbooks.get(stems[t], 0)]
        phrased = [t for t in wanted if self._in_phrases.get(stems[t], 0)]
        # BM25 gives nothing for what half of all have, and looking it up costs the most.
        rare = [t for t in ours if self._in_runbooks[stems[t]] * 2 <= self._runbooks]
        scores = ", ".join(str(weight) for weight in (0.0, *WEIGHTS.values()))
        documents = self._matching(
            f"SELECT slug, -bm25(runbook, {scores}) FROM runbook WHERE runbook MATCH ?",  # noqa: S608 - our numbers
            self._rarest(rare, stems, self._in_runbooks),
            corrected,
        )
        every = self._matching(
            "SELECT slug, -bm25(asked) FROM asked WHERE asked MATCH ?",
            self._rarest(phrased, stems, self._in_phrases),
            corrected,
        )
        return Scores(
            terms=tuple(wanted),
            documents=documents,
            phrases={slug: score for slug, score in every.items() if not slug.startswith(ELSEWHERE)},
            topics={s.removeprefix(ELSEWHERE): score for s, score in every.items() if s.startswith(ELSEWHERE)},
            known=frozenset(ours),
            foreign=frozenset(phrased) - frozenset(ours),
            corrected=corrected,
            possible=sum(self._rarity(stems[term]) for term in wanted[: 2 * MOST_TERMS]),
        )

    def _rarity(self, stem: str) -> float:
        """The inverse document frequency of a term among the ways of asking; the highest where it is in none."""
        count = self._in_phrases.get(stem, 0)
        return math.log((self._phrases - count + 0.5) / (count + 0.5))

    def having(self, term: str) -> frozenset[str]:
        """The runbooks that have a term."""
        rows = self._db.execute("SELECT slug FROM runbook WHERE runbook MATCH ?", (_quoted(term),)).fetchall()
        return frozenset(row[0] for row in rows)

    def _matching(self, statement: str, wanted: Sequence[str], corrected: Mapping[str, str]) -> dict[str, float]:
        if not wanted:
            return {}
        match = " OR ".join(_quoted(corrected.get(term, term)) for term in wanted)
        best: dict[str, float] = {}
        for slug, score in self._db.execute(statement, (match,)):
            best[slug] = max(float(score), best.get(slug, 0.0))
        return best

    def _rarest(self, wanted: Sequence[str], stems: Mapping[str, str], counts: Mapping[str, int]) -> list[str]:
        return sorted(wanted, key=lambda term: counts[stems[term]])[:MOST_TERMS]

    def _stems(self, wanted: Sequence[str]) -> dict[str, str]:
        """What the index calls each term. A term is one token, so that its place tells which it was."""
        self._db.execute("INSERT INTO temp.question(words) VALUES (?)", (SEPARATOR.join(wanted),))
        rows = self._db.execute("SELECT offset, term FROM temp.token").fetchall()
        self._db.execute("DELETE FROM temp.question")
        at: dict[int, str] = dict(rows)
        return {term: at.get(place, term) for place, term in enumerate(wanted)}

    @cached_property
    def _near(self) -> dict[str, list[str]]:
        """Words of the index by themselves with one letter left out."""
        found: dict[str, list[str]] = {}
        for word in {*self._in_phrases, *(w for w, count in self._in_runbooks.items() if count > 1)}:
            if len(word) >= _LEAST_TO_CORRECT and word.isalpha():
                for key in _shortened(word):
                    found.setdefault(key, []).append(word)
        return found

    def _corrected(self, word: str) -> str | None:
        """The commonest known word that is one slip of the keyboard away."""
        if len(word) < _LEAST_TO_CORRECT or not word.isalpha():
            return None
        near = {known for key in _shortened(word) for known in self._near.get(key, ())}
        counted = {known: self._in_phrases.get(known, 0) + self._in_runbooks.get(known, 0) for known in near}
        return max(sorted(counted), key=lambda known: counted[known], default=None)


def _shortened(word: str) -> set[str]:
    return {word, *(word[:at] + word[at + 1 :] for at in range(len(word)))}


def _row(one: Document) -> tuple[str, ...]:
    fields = {
        "title": f"{one.title} {one.slug}",
        "description": one.description,
        "causes": _lines(f"{slug} {title}" for slug, title in one.causes),
        "patterns": _lines((*one.alerts, words_of((*one.events, *one.logs)))),
        "asked": _lines(one.asked),
        "led": _lines(one.led),
        "applies": one.applies,
        "body": one.body,
    }
    return (one.slug, *(_joined(fields[name]) for name in WEIGHTS))


def _lines(texts: Iterable[str]) -> str:
    return "\n".join(texts)


def _joined(text: str) -> str:
    return SEPARATOR.join(terms(text))


def _quoted(term: str) -> str:
    """A term as a string of FTS5's query language, in which it is no syntax."""
    return '"' + term.replace('"', '""') + '"'
