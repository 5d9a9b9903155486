"""The one point that everything passes that leaves over MCP: answers, errors, resources, prompts, progress.

Secrets are replaced by marks (those of an answer in `firstmate.answers`, which the command line passes too), text from
the cluster is fenced (`fence`), answers are held to their token budget. A string of an answer leaves without a fence
only where it is one plain word, the name of an object, or a sentence of ours (`Words`): a tool that says nothing about
a field leaks nothing by it. Nothing in `firstmate.mcp` may hand text to the SDK by another way.
"""

import re
from typing import cast

from firstmate.answers import Tree, compact, each_string, marked_tree
from firstmate.mcp import fence
from firstmate.mcp.budget import fit
from firstmate_tools.errors import FirstmateError
from firstmate_tools.results import Answer
from firstmate_tools.text import (
    Own,
    Untrusted,
    clean,
    inline,
    plain_word,
    quotations,
    quoting,
    redact,
    redact_shapes,
    suspicion,
    untrusted,
)
from firstmate_tools.toolspec import ToolSpec

NOTE = "untrusted"
"""The field of an answer that explains the fence, present where something is fenced."""

_NAMES = frozenset(
    {"name", "namespace", "kind", "pod", "node", "container", "job", "owner", "same_as", "unready_pods", "object"}
)
"""Fields that name objects. A name is needed as it is for the next question, even one that reads like an order."""
_NAME = re.compile(r"[A-Za-z0-9._:/@-]{1,320}")


def answer(given: Answer, spec: ToolSpec) -> Tree:
    """An answer as it leaves: within its budget, redacted, fenced."""
    tree = marked_tree(given)
    if spec.untrusted:
        tree = cast("Tree", _told_apart(tree, ""))
    names = {one.name for one in spec.parameters()}
    whole = {name: tree.pop(name) for name in given.whole if name in tree}
    fit(
        tree,
        given.lists,
        spec.tokens,
        shapeless=given.shapeless,
        wrapped=fence.WRAPPED,
        paged={"limit", "cursor"} <= names,
        advice=_narrower(names),
    )
    tree |= whole
    mark = fence.unheard(compact(tree))
    out = cast("Tree", _fenced(tree, mark))
    return {NOTE: explanation(mark), **out} if f"</{mark}>" in compact(out) else out


def _narrower(names: set[str]) -> str:
    narrow = " or ".join(f"`{name}`" for name in ("scope", "namespace", "name") if name in names)
    return f"ask again with a narrower {narrow}" if narrow else "`firstmate tools call` prints the whole"


def _told_apart(value: object, field: str) -> object:
    """A JSON value in which every string that has to be fenced says so by its type; keys by quotation."""
    if isinstance(value, str):
        return _of_what_kind(value, field)
    if isinstance(value, dict):
        here = cast("dict[str, object]", value)
        return {(key if plain_word(key) else inline(key)): _told_apart(one, key) for key, one in here.items()}
    if isinstance(value, list):
        return [_told_apart(one, field) for one in cast("list[object]", value)]
    return value


def _of_what_kind(value: str, field: str) -> str:
    if isinstance(value, Untrusted) or not value or field == "suspicious":
        return value
    if isinstance(value, Own):
        said = "".join(text for text, quoted in quotations(value) if not quoted)
        return Untrusted("".join(text for text, _ in quotations(value))) if " " in said and suspicion(said) else value
    if plain_word(value) or (field in _NAMES and _NAME.fullmatch(value)):
        return value
    return Untrusted(value)


def text(tree: Tree) -> str:
    """The text beside structured content: the same facts, as compact JSON."""
    return compact(tree)


def error(given: FirstmateError) -> str:
    """An error as it leaves: what happened and what to do next. What it quotes of others is fenced; all of it, where
    it reads like instructions."""
    whole = f"{given.message} {given.hint}".strip()
    pieces = quotations(quoting(whole, given.said))
    safe = [(redact(one), quoted) for one, quoted in pieces]
    if any(suspicion(one) for one, quoted in safe if not quoted):
        safe = [("".join(one for one, _ in safe), True)]
    if not any(quoted for _, quoted in safe):
        return "".join(one for one, _ in safe)
    mark = fence.unheard("".join(one for one, _ in safe))
    told = "".join(fence.fenced(one, mark) if quoted else one for one, quoted in safe)
    return f"{told}\n({explanation(mark)})"


def for_people(given: str) -> str:
    """Words of ours that a client shows to a person, such as a question: what they quote stands in quotation marks."""
    pieces = [(redact(one), quoted) for one, quoted in quotations(given)]
    return "".join(f"“{fence.defused(one)}”" if quoted else redact_shapes(one) for one, quoted in pieces)


def document(given: str) -> str:
    """A text of our own, such as a runbook, as it leaves."""
    return redact_shapes(clean(given))


def words(given: str) -> str:
    """A few words of our own about a call, such as its progress."""
    return redact_shapes(clean(given))


def quoted(given: str) -> str:
    """Free text that a caller or a cluster wrote, fit to stand in a text of ours, such as a prompt.

    Cleaned, redacted, fenced, after the words that explain the fence; "" where nothing is left of it.
    """
    safe = untrusted(given)
    if not safe:
        return ""
    mark = fence.unheard(safe)
    return f"{explanation(mark)}:\n{fence.fenced(safe, mark)}"


def explanation(mark: str) -> str:
    """What a model is told of the fence."""
    return fence.explanation(mark)


def unfenced(tree: Tree) -> Tree:
    """An answer without its fence, for programs that show it to people."""
    note = str(tree.get(NOTE, ""))
    mark = note[1 : note.find(">")]
    if not note.startswith("<") or not mark.isalnum():
        return tree
    return cast("Tree", each_string({k: v for k, v in tree.items() if k != NOTE}, lambda one: fence.without(one, mark)))


def _fenced(value: object, mark: str) -> object:
    """A JSON value with its fence; strings are plain from here on."""
    if isinstance(value, Untrusted):
        return fence.fenced(value, mark)
    if isinstance(value, str):
        return "".join(fence.fenced(one, mark) if quoted else one for one, quoted in quotations(value))
    if isinstance(value, dict):
        every = cast("dict[str, object]", value).items()
        return {cast("str", _fenced(key, mark)): _fenced(one, mark) for key, one in every}
    if isinstance(value, list):
        return [_fenced(one, mark) for one in cast("list[object]", value)]
    return value
