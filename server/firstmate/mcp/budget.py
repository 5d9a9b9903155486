"""The token budget of a result: shortens what is too long for a context window, and says what it cut.

`egress.py` calls `fit` on every answer. Lists are shortened from their end, the least important first (the result type
names them in `lists`); then what nests in them; then long texts, and objects that are wide or deep (`shapeless`). What
was cut stands in `coverage.cut`, with the way to get it. A token is 4 characters of compact JSON. The command line
never comes here: it prints the whole.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from firstmate.answers import Tree, compact
from firstmate_tools.text import Own, Untrusted
from firstmate_tools.text.types import OPEN

CHARACTERS = 4
_NOTES = 400
_KEPT = 5
_TEXTS = (2000, 1000, 500)
_SHORTER_TEXTS = (250, 120)
_NARROWER = ((100, 40), (30, 12), (10, 8), (5, 6), (3, 4), (1, 3))
"""How many entries, how many levels deep, an object of the cluster may keep."""
_TOP_ENTRIES = 10
_KEY = 120
_WHOLE = "`firstmate tools call` prints the whole"


@dataclass(slots=True)
class _Cutter:
    """One answer on its way to its budget."""

    tree: Tree
    lists: Sequence[str]
    most: int
    wrapped: int
    paged: bool
    advice: str
    shapeless: Sequence[str] = ()
    capped: dict[str, int] = field(default_factory=dict[str, int])
    cut: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    text: int = 0
    narrowed: int = 0

    def fits(self) -> bool:
        noted = _NOTES if self.capped or self.cut or self.text or self.narrowed else 0
        return len(compact(self.tree)) + self.wrapped * _texts(self.tree) + noted <= self.most

    def run(self) -> None:
        """Cuts as little as will do, in this order."""
        lesser = [name for name in self.lists[:-1] if self._list(name)]
        steps: list[Callable[[], None]] = [lambda: self._cap(5)]
        steps += [lambda name=name: self._shorten(name, _KEPT) for name in lesser]
        steps += [lambda: self._cap(3), lambda: self._cap(2)]
        steps += [lambda name=name: self._shorten(name, 0) for name in lesser]
        steps += [lambda name=name: self._shorten(name, 1) for name in self.lists[-1:]]
        steps += [lambda most=most: self._short_texts(most) for most in _TEXTS]
        steps += [lambda: self._narrow(*_NARROWER[0])]
        steps += [lambda most=most: self._short_texts(most) for most in _SHORTER_TEXTS]
        steps += [lambda most=most, levels=levels: self._narrow(most, levels) for most, levels in _NARROWER[1:]]
        for step in steps:
            if self.fits():
                break
            step()
        self._note()

    def _list(self, name: str) -> list[Any]:
        found = self.tree.get(name)
        return cast("list[Any]", found) if isinstance(found, list) else []

    def _cap(self, most: int) -> None:
        """At most so many entries in the lists that nest in the entries of the named ones."""
        for name in self.lists:
            for entry in self._list(name):
                if isinstance(entry, dict):
                    for key, inner in cast("dict[str, Any]", entry).items():
                        if isinstance(inner, list) and len(cast("list[Any]", inner)) > most:
                            del inner[most:]
                            self.capped[key] = most

    def _shorten(self, name: str, least: int) -> None:
        """Takes entries off a list's end until it fits, or only so many are left."""
        entries = self._list(name)
        before = self.cut.get(name, (0, len(entries)))[1]
        self.cut[name] = (len(entries), before)
        while len(entries) > least and not self.fits():
            spare = len(compact(self.tree)) + self.wrapped * _texts(self.tree) + _NOTES - self.most
            while len(entries) > least and spare > 0:
                gone = entries.pop()
                spare -= len(compact(gone)) + self.wrapped * _texts(gone)
        self.cut[name] = (len(entries), before)
        if len(entries) == before:
            del self.cut[name]

    def _short_texts(self, most: int) -> None:
        short = cast("Tree", _short(self.tree, most))
        if short != self.tree:
            self.tree.update(short)
            self.text = most

    def _narrow(self, most: int, levels: int) -> None:
        for name in self.shapeless:
            if isinstance(self.tree.get(name), dict):
                before = compact(self.tree[name])
                self.tree[name] = _narrower(self.tree[name], most, levels)
                self.narrowed = most if compact(self.tree[name]) != before else self.narrowed

    def _note(self) -> None:
        coverage = cast("dict[str, Any]", self.tree.setdefault("coverage", {}))
        notes = cast("list[str]", coverage.setdefault("cut", []))
        for name, (kept, before) in self.cut.items():
            notes.append(f"{name}: the first {kept} of {before}{self._rest(name, kept)}")
            if coverage.get("returned") == before:
                coverage["returned"] = kept
        if self.capped:
            most = max(self.capped.values())
            notes.append(f"{', '.join(sorted(self.capped))}: at most {most} each; {self.advice}")
        if self.text:
            notes.append(f"texts of more than {self.text} characters: their middle; {_WHOLE}")
        if self.narrowed:
            notes.append(f"{', '.join(self.shapeless)}: at most {self.narrowed} entries of each part; {_WHOLE}")

    def _rest(self, name: str, kept: int) -> str:
        if name != self.lists[-1]:
            return f"; {self.advice}"
        if self.paged:
            # The cursor goes on after what was cut: following it would skip entries.
            cast("dict[str, Any]", self.tree["coverage"]).pop("cursor", None)
            return f"; ask again with limit={max(1, kept)} and follow coverage.cursor"
        return f"; {self.advice}"


def fit(
    tree: Tree,
    lists: Sequence[str],
    tokens: int,
    *,
    wrapped: int,
    paged: bool,
    advice: str,
    shapeless: Sequence[str] = (),
) -> None:
    """Shortens an answer in place until it fits.

    Args:
        tree: the answer.
        lists: its lists that may be shortened, the least important first.
        tokens: the most that it may take.
        wrapped: characters that the fence adds to each free text.
        paged: whether the tool takes `limit` and `cursor`.
        advice: how to ask for less at a time.
        shapeless: its objects that no schema describes.
    """
    cutter = _Cutter(tree, lists, tokens * CHARACTERS, wrapped, paged, advice, shapeless)
    if not cutter.fits():
        cutter.run()


def _texts(value: object) -> int:
    """How many texts will be fenced, quotations in words of ours included."""
    if isinstance(value, Untrusted):
        return 1
    if isinstance(value, str):
        return value.count(OPEN)
    if isinstance(value, dict):
        return sum(_texts(key) + _texts(one) for key, one in cast("dict[str, object]", value).items())
    if isinstance(value, list):
        return sum(_texts(one) for one in cast("list[object]", value))
    return 0


def _short(value: object, most: int) -> object:
    """Long texts without their middle; the end of a message often says the most."""
    if isinstance(value, str):
        if len(value) <= most:
            return value
        head = most * 3 // 5
        short = f"{value[:head]} … {value[len(value) - (most - head - 3) :]}"
        return type(value)(short) if isinstance(value, Untrusted | Own) else short
    if isinstance(value, dict):
        return {key: _short(one, most) for key, one in cast("dict[str, object]", value).items()}
    if isinstance(value, list):
        return [_short(one, most) for one in cast("list[object]", value)]
    return value


def _narrower(value: object, most: int, levels: int, level: int = 0) -> object:
    """An object of the cluster with at most so many entries in each part, and nothing deeper than so many levels."""
    if isinstance(value, list):
        entries = cast("list[object]", value)
        if level >= levels and entries:
            return f"({len(entries)} entries)"
        return [_narrower(one, most, levels, level + 1) for one in entries[:most]]
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, object]", value)
    if level >= levels and fields:
        return f"({len(fields)} entries)"
    kept = list(fields.items())[: most if level else max(most, _TOP_ENTRIES)]
    return {cast("str", _short(key, _KEY)): _narrower(one, most, levels, level + 1) for key, one in kept}
