"""Fills an act in: the proposal that ends a run.

`runner.py` calls it. An action whose parameters could not be found out, or are none of their type, is not proposed.
Changes nothing.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pydantic import ValidationError

from firstmate.runbooks.document import Runbook
from firstmate.runbooks.expressions import Scope, filled
from firstmate.runbooks.outcome import NextVerify, Proposal, UndoneBy
from firstmate.runbooks.steps import Act, Verify
from firstmate_tools.actions import ACTIONS, Action
from firstmate_tools.text import inline, plain_word, quoting


class UnfitError(ValueError):
    """An action cannot be filled in with what is known."""


def proposal(runbook: Runbook, step: Act, scope: Scope) -> Proposal:
    """The proposal of an act.

    Raises:
        UnfitError: a parameter of it, or of what takes it back, is missing or no value of its type.
        ExpressionError: an expression in it cannot be evaluated.
    """
    action, parameters = _action(step.act, step.parameters, scope)
    return Proposal(
        action=step.act,
        parameters=parameters,
        command=_told(action.command(), parameters),
        changes=_told(action.changes(), parameters),
        risk=ACTIONS[step.act].risk,
        verify=_verify(runbook, step, scope),
        roll_back=_roll_back(step, scope),
    )


def _action(name: str, given: Mapping[str, Any], scope: Scope) -> tuple[Action, dict[str, Any]]:
    parameters: dict[str, Any] = filled(given, scope)
    spec = ACTIONS.get(name)
    if spec is None:
        raise UnfitError(f"there is no action {name}")
    try:
        action = spec.filled(parameters)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        words = "; ".join(f"{'.'.join(map(str, one['loc'])) or name}: {one['msg']}" for one in faults)
        raise UnfitError(f"the action {name} cannot be filled in: {inline(words)}") from error
    return action, action.model_dump(mode="json", exclude_none=True)


def _verify(runbook: Runbook, step: Act, scope: Scope) -> NextVerify:
    following = runbook.step(step.verify)
    if not isinstance(following, Verify):
        return NextVerify(step=step.verify)
    return NextVerify(
        step=following.id,
        tool=following.verify,
        arguments=filled(following.arguments, scope),
        expect=following.expect,
        within_s=following.within_s,
    )


def _roll_back(step: Act, scope: Scope) -> UndoneBy:
    back = step.roll_back
    if back.act is None:
        return UndoneBy(none=back.none)
    action, parameters = _action(back.act, back.parameters, scope)
    return UndoneBy(action=back.act, parameters=parameters, command=_told(action.command(), parameters))


def _told(words: str, parameters: Mapping[str, Any]) -> str:
    """Words of ours in which those parameters are quoted that are more than a word."""
    for value in sorted(set(_texts(parameters)), key=len, reverse=True):
        if not plain_word(value):
            for form in _forms(value):
                words = quoting(words, form)
    return words


def _forms(value: str) -> Sequence[str]:
    """A text as it may stand in a command: as it is, in JSON, and either of them between quotes of the shell."""
    in_json = json.dumps(value)[1:-1]
    every = (value, in_json, *(one.replace("'", "'\"'\"'") for one in (value, in_json)))
    return [one for one in dict.fromkeys(every) if one.strip()]


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in cast("Mapping[str, object]", value).values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in cast("list[object]", value):
            yield from _texts(one)
