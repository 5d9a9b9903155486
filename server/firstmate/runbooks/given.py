"""What a run is given by people: parameters of the runbook and answers to its questions, as values of their types.

The tool and the command line pass them in, as text or typed. Pure.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from firstmate.nearest import nearest
from firstmate.runbooks.document import Runbook
from firstmate.runbooks.steps import Answer, Ask
from firstmate_tools.errors import UsageError
from firstmate_tools.text import clean, clipped

CLUSTER = "cluster"
MOST_TEXT = 1000
"""Characters of one value."""
_TYPES: Mapping[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool}


def parameters(runbook: Runbook, given: Mapping[str, object]) -> dict[str, Any]:
    """The parameters of a run, defaults filled in, without the cluster, which the run itself knows.

    Raises:
        UsageError: one is unknown (the hint names the nearest), missing or of a wrong type.
    """
    declared = {one.name: one for one in runbook.block.parameters if one.name != CLUSTER}
    for name in given:
        if name not in declared:
            near = nearest(name, declared)
            hint = f"Did you mean `{near}`?" if near else f"It takes {', '.join(declared) or 'none'}."
            raise UsageError(f"The runbook {runbook.slug} has no parameter {clipped(name, 100)!r}.", hint)
    found: dict[str, Any] = {}
    for name, one in declared.items():
        value = given.get(name)
        if value is None or value == "":
            value = one.default
        if value is not None:
            found[name] = _valued(f"The parameter {name} of {runbook.slug}", one.type, value)
        elif one.required:
            raise UsageError(f"The runbook {runbook.slug} needs the parameter `{name}`.", f"{one.description}.")
    return found


def answers(runbook: Runbook, given: Mapping[str, object]) -> dict[str, Any]:
    """Answers to questions of a runbook.

    Raises:
        UsageError: one is to no question, of a wrong type, or none of the choices.
    """
    asked = {placed.step.answer.name: placed.step.answer for placed in runbook.steps if isinstance(placed.step, Ask)}
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name not in asked:
            near = nearest(name, asked)
            hint = f"Did you mean `{near}`?" if near else f"It asks for {', '.join(asked) or 'nothing'}."
            raise UsageError(f"The runbook {runbook.slug} does not ask for {clipped(name, 100)!r}.", hint)
        if value is not None:
            found[name] = _answer(asked[name], value)
    return found


def _answer(asked: Answer, value: object) -> Any:
    typed = _valued(f"The answer {asked.name}", asked.type, value)
    if asked.choices and typed not in asked.choices:
        raise UsageError(
            f"The answer {asked.name} cannot be {clipped(str(typed), 100)!r}.",
            f"It is one of {', '.join(map(str, asked.choices))}.",
        )
    return typed


def _valued(who: str, type_: str, value: object) -> Any:
    if type_ == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    try:
        typed: Any = TypeAdapter(_TYPES[type_]).validate_python(value)
    except ValidationError as error:
        raise UsageError(f"{who} is no {type_}: {clipped(str(value), 100)!r}.") from error
    if isinstance(typed, str):
        if len(typed) > MOST_TEXT:
            raise UsageError(f"{who} is too long: at most {MOST_TEXT} characters.")
        return clean(typed)
    return typed
