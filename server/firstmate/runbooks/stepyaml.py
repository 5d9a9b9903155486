"""Reads the step of one fence out of its YAML, with the line of every key.

`document.py` asks here for each fenced `yaml step`. Says all that is wrong with a step, each with its line. Imports the
YAML parser when first used.
"""

from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from firstmate.nearest import nearest
from firstmate.runbooks import plainyaml
from firstmate.runbooks.steps import KINDS, Answer, Branch, Placed, RollBack, Step


class StepError(ValueError):
    """A step cannot be read.

    Attributes:
        wrong: each fault with its line in the file.
    """

    def __init__(self, *wrong: tuple[int, str]) -> None:
        super().__init__("; ".join(words for _, words in wrong))
        self.wrong = wrong


def read_step(content: str, line: int, section: str = "", indent: str = "") -> Placed:
    """The step of one fence.

    Args:
        content: what stands in the fence.
        line: of the fence in the file, from 1.
        section, indent: see `Placed`.

    Raises:
        StepError: it is no step; says all that is wrong.
    """
    try:
        lines, twice = _lines(plainyaml.compose(content), line + 1)
        given = plainyaml.load(content)
    except plainyaml.NotYamlError as error:
        raise StepError((line + 1 + error.line, f"not YAML: {error}")) from error
    if not isinstance(given, dict):
        raise StepError((line, "a step is a mapping with `id` and the key of its kind"))
    raw = cast("dict[str, Any]", given)
    who = f"step {raw['id']}" if isinstance(raw.get("id"), str) else "step without id"
    if twice:
        raise StepError(*((at, f"{who}: the key `{key}` stands twice") for key, at in twice))
    model = _model(raw, who, line)
    try:
        step = model.model_validate(raw)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        placed = Placed(cast("Step", None), section, line, lines)
        raise StepError(*((placed.line_of(*one["loc"]), f"{who}: {_words(one, model)}") for one in found)) from error
    return Placed(step, section, line, lines, indent)


def _model(raw: Mapping[str, Any], who: str, line: int) -> type[Step]:
    named = [kind for kind in KINDS if kind in raw]
    # `verify` names a kind, and the key of an act that names the step.
    if "act" in named and "verify" in named:
        named.remove("verify")
    if len(named) == 1:
        return KINDS[named[0]]
    if named:
        raise StepError((line, f"{who}: several kinds at once: {', '.join(named)}"))
    raise StepError((line, f"{who}: no kind; it needs one of the keys {', '.join(KINDS)}"))


def _words(error: ErrorDetails, model: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        last = str(error["loc"][-1])
        known = _known(model, error["loc"][:-1])
        near = nearest(last, known)
        return f"unknown key `{key}`" + (f"; did you mean `{near}`?" if near else f"; known: {', '.join(known)}")
    if error["type"] == "missing":
        return f"the key `{key}` is missing"
    said = error["msg"].removeprefix("Value error, ")
    return f"`{key}`: {said}" if key else said


def _known(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    inner: dict[str, type[BaseModel]] = {"decide": Branch, "answer": Answer, "roll_back": RollBack}
    return list((inner.get(str(path[0]), model) if path else model).model_fields)


def _lines(node: Any, first: int) -> tuple[dict[str, int], list[tuple[str, int]]]:
    """The line of every key, by path, and the keys that stand twice in one mapping."""
    import yaml

    found: dict[str, int] = {}
    twice: list[tuple[str, int]] = []

    def walk(here: Any, path: str) -> None:
        if isinstance(here, yaml.MappingNode):
            for key, value in cast("list[tuple[Any, Any]]", here.value):
                name = f"{path}.{key.value}" if path else str(key.value)
                if name in found:
                    twice.append((name, first + key.start_mark.line))
                found[name] = first + key.start_mark.line
                walk(value, name)
        elif isinstance(here, yaml.SequenceNode):
            for number, one in enumerate(cast("list[Any]", here.value)):
                name = f"{path}.{number}" if path else str(number)
                found[name] = first + one.start_mark.line
                walk(one, name)

    walk(node, "")
    return found, twice
