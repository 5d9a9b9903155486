"""What steps read and what they hand on: expressions against results, arguments against tools, parameters against
actions.

`checks.py` asks it once per runbook whose steps hang together. A result may be read where it has run on every way
(`flow.given_before`). Pure: knows tools and actions by their declarations, and calls neither.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from firstmate.arguments import CLUSTER, model_of
from firstmate.nearest import nearest
from firstmate.runbooks import flow
from firstmate.runbooks.document import Runbook
from firstmate.runbooks.expressions import expressions_in, pieces
from firstmate.runbooks.problem import Problem
from firstmate.runbooks.reading import RUNNER
from firstmate.runbooks.shapes import PARAMETERS, Shape, object_of, of_annotation, shape_of
from firstmate.runbooks.steps import Act, Answer, Ask, Check, Conclude, Decide, Escalate, Placed, Verify, Wait
from firstmate.runbooks.typed import type_of
from firstmate_tools.actions import ActionSpec
from firstmate_tools.customkinds import named
from firstmate_tools.diagnosis.cause import Cause
from firstmate_tools.toolspec import READING, ToolSpec

Path = tuple[str | int, ...]


class References:
    """Judges what the steps of one runbook read and hand on.

    Args:
        runbook: steps do not loop, and go on to steps that there are.
        tools: those that a check may name.
        causes: the catalogue.
        actions: those that an act may name.
    """

    def __init__(
        self,
        runbook: Runbook,
        tools: Sequence[ToolSpec],
        causes: Mapping[str, Cause],
        actions: Mapping[str, ActionSpec],
    ) -> None:
        self._runbook, self._causes, self._actions = runbook, causes, actions
        self._tools = {spec.name: spec for spec in tools if spec.family in READING and spec.name != RUNNER}
        self._given = flow.given_before(runbook)
        self._by_id = {placed.step.id: placed for placed in runbook.steps}
        self._asked = {one.step.answer.name: one.step.answer for one in runbook.steps if isinstance(one.step, Ask)}

    def problems(self) -> Iterator[Problem]:
        """What is wrong, step by step. Steps to which no way leads are not judged."""
        for placed in self._runbook.steps:
            if placed.step.id in self._given:
                yield from self._of(placed)

    def _of(self, placed: Placed) -> Iterator[Problem]:
        step, scope = placed.step, self._scope(placed.step.id)
        match step:
            case Check() | Verify():
                name = step.check if isinstance(step, Check) else step.verify
                yield from self._call(placed, step.kind, name, step.arguments, scope)
                if step.expect is not None:
                    own = self._result(name)
                    seen = object_of({**scope.entries, "result": own.called("the result")}, scope.why_absent)
                    yield from self._expression(placed, step.expect, ("expect",), seen)
            case Decide():
                for number, branch in enumerate(step.decide):
                    yield from self._expression(placed, branch.when, ("decide", number, "when"), scope)
            case Ask():
                yield from self._texts(placed, scope, ("ask", step.ask))
                yield from _answer(placed, step.answer)
            case Act():
                yield from self._texts(placed, scope, ("because", step.because))
                yield from self._action(placed, step.act, step.parameters, scope, ())
                back = step.roll_back
                if back.act is not None:
                    yield from self._action(placed, back.act, back.parameters, scope, ("roll_back",))
            case Wait():
                yield from self._texts(placed, scope, ("why", step.why))
            case Conclude():
                yield from self._texts(placed, scope, ("because", step.because), ("fix", step.fix))
            case Escalate():
                given = ("escalate", step.escalate), ("because", step.because), ("hand_over", step.hand_over)
                yield from self._texts(placed, scope, *given)

    def _scope(self, id_: str) -> Shape:
        """What expressions of a step see."""
        given = self._given[id_]
        results: dict[str, Shape] = {}
        not_run: dict[str, str] = {}
        for other, placed in self._by_id.items():
            if not isinstance(placed.step, Check | Verify):
                not_run[other] = f"step {other} ({placed.step.kind}) has no result to read"
            elif other in given:
                name = placed.step.check if isinstance(placed.step, Check) else placed.step.verify
                results[other] = self._result(name).called(f"the result of {name} in step {other}")
            elif other == id_:
                not_run[other] = f"step {other} reads its own result as `result`, in `expect`"
            else:
                not_run[other] = f"step {other} has not run on every way to here, so that its result cannot be read"
        params = {
            one.name: PARAMETERS[one.type].or_null(not one.required and one.default is None).called(one.name)
            for one in self._runbook.block.parameters
        }
        answers = {
            name: _shape_of_answer(one).called(name) for name, one in self._asked.items() if f"answers.{name}" in given
        }
        unasked = {
            name: f"`answers.{name}` was not asked on every way to here" for name in self._asked if name not in answers
        }
        here = {
            "params": object_of(params, about="params"),
            "answers": object_of(answers, unasked, about="answers"),
            "steps": object_of(results, not_run, about="steps"),
        }
        return object_of(
            here, {"result": "`result` is there in the `expect` of a check or verify alone"}, "what is known here"
        )

    def _result(self, tool: str) -> Shape:
        spec = self._tools.get(tool)
        return shape_of(spec.result()) if spec is not None else Shape("any", nullable=True)

    def _cause(self, slug: str) -> str | None:
        if slug in self._causes:
            return None
        near = nearest(slug, self._causes)
        return f"'{slug}' is no cause" + (f"; did you mean '{near}'?" if near else "")

    def _expression(self, placed: Placed, expression: str, path: Path, scope: Shape) -> Iterator[Problem]:
        _, faults = type_of(expression, scope, self._cause)
        yield from (_told(placed, path, fault) for fault in faults)

    def _texts(self, placed: Placed, scope: Shape, *given: tuple[str, object]) -> Iterator[Problem]:
        for key, value in given:
            for expression, path in expressions_in(value):
                yield from self._expression(placed, expression, (key, *path), scope)

    def _call(
        self, placed: Placed, key: str, name: str, arguments: Mapping[str, Any], scope: Shape
    ) -> Iterator[Problem]:
        spec = self._tools.get(name)
        if spec is None:
            near = nearest(name, self._tools)
            mend = f"did you mean `{near}`?" if near else f"there are: {', '.join(self._tools)}"
            yield Problem(placed.line_of(key), f"step {placed.step.id}: `{name}` is no tool that only reads", mend)
            return
        if CLUSTER in arguments:
            line = placed.line_of("arguments", CLUSTER)
            yield Problem(line, f"step {placed.step.id}: the cluster is that of the run", "leave `cluster` out")
        yield from self._handed(placed, name, model_of(spec), arguments, ("arguments",), scope)
        kind = arguments.get("kind")
        if isinstance(kind, str) and not any(expressions_in(kind)) and "." not in kind and named(kind) is None:
            words = f"nobody knows the kind `{kind}`"
            yield _told(placed, ("arguments", "kind"), words, "write it as kubectl does, with its group if it has one")

    def _action(
        self, placed: Placed, name: str, parameters: Mapping[str, Any], scope: Shape, above: Path
    ) -> Iterator[Problem]:
        spec = self._actions.get(name)
        if spec is None:
            near = nearest(name, self._actions)
            mend = f"did you mean `{near}`?" if near else f"there are: {', '.join(self._actions)}"
            yield Problem(placed.line_of(*above, "act"), f"step {placed.step.id}: there is no action `{name}`", mend)
            return
        yield from self._handed(placed, name, spec.parameters, parameters, (*above, "parameters"), scope)

    def _handed(
        self, placed: Placed, who: str, model: type[BaseModel], given: Mapping[str, Any], path: Path, scope: Shape
    ) -> Iterator[Problem]:
        """What a tool or an action is given."""
        for expression, inner in expressions_in(given):
            yield from self._expression(placed, expression, (*path, *inner), scope)
        shapes = {name: _one_expression(value, scope) for name, value in given.items()}
        literal = {name: value for name, value in given.items() if not any(expressions_in(value))}
        yield from _literals(placed, who, model, given, literal, path)
        for name, shape in shapes.items():
            if shape is None or (info := model.model_fields.get(name)) is None:
                continue
            wanted = of_annotation(info.annotation)
            if not _takes(wanted, shape):
                words = f"`{name}` of {who} is a {wanted.kind}, and ${{…}} gives a {shape.kind}"
                yield _told(placed, (*path, name), words)
            elif info.is_required() and (param := _optional_parameter(given[name], scope)) is not None:
                words = f"{who} cannot do without `{name}`, and the parameter `{param}` is optional"
                yield _told(placed, (*path, name), words, "find it out from a step's result, or ask for it")


def _literals(
    placed: Placed,
    who: str,
    model: type[BaseModel],
    given: Mapping[str, Any],
    literal: Mapping[str, Any],
    path: Path,
) -> Iterator[Problem]:
    """Unknown and missing names, and values that stand there as they are."""
    known = [name for name in model.model_fields if name != CLUSTER]
    for name in given:
        if name not in model.model_fields:
            near = nearest(name, known)
            mend = f"did you mean `{near}`?" if near else f"it takes {', '.join(known)}"
            yield _told(placed, (*path, name), f"{who} has no `{name}`", mend)
    try:
        model.model_validate({name: value for name, value in literal.items() if name in model.model_fields})
    except ValidationError as error:
        for one in error.errors(include_url=False):
            name = str(one["loc"][0]) if one["loc"] else ""
            if one["type"] == "missing" and name not in given:
                yield _told(placed, path, f"{who} needs `{name}`")
            elif one["type"] != "missing":
                said = one["msg"].removeprefix("Value error, ")
                inside = [part for part in one["loc"] if part in literal] if one["loc"] else []
                where = f"`{'.'.join(map(str, one['loc']))}` of {who}" if one["loc"] else who
                yield _told(placed, (*path, *inside), f"{where}: {said}")


def _one_expression(value: object, scope: Shape) -> Shape | None:
    """The shape of a text that is one expression; a text around several is a text; None for what stands as it is."""
    if not isinstance(value, str):
        return None
    parts = pieces(value)
    if len(parts) == 1 and isinstance(parts[0], tuple):
        return type_of(parts[0][0], scope)[0]
    return Shape("string") if any(isinstance(part, tuple) for part in parts) else None


def _takes(wanted: Shape, given: Shape) -> bool:
    """Whether a value of one shape may stand where the other is wanted. Numbers pass as text, as everywhere."""
    if "any" in (wanted.kind, given.kind) or wanted.kind == given.kind or given.kind == "null":
        return True
    if wanted.kind in ("string", "number", "boolean"):
        return given.kind in ("string", "number", "boolean")
    return {wanted.kind, given.kind} == {"map", "object"}


def _optional_parameter(value: object, scope: Shape) -> str | None:
    """The parameter that a text hands on, where that may be left out."""
    parts = pieces(value) if isinstance(value, str) else []
    params = scope.entries["params"].entries
    for part in parts:
        name = part[0].removeprefix("params.").strip() if isinstance(part, tuple) else ""
        if name in params and isinstance(part, tuple) and part[0].startswith("params.") and params[name].nullable:
            return name
    return None


def _shape_of_answer(answer: Answer) -> Shape:
    shape = PARAMETERS[answer.type]
    texts = tuple(one for one in answer.choices or () if isinstance(one, str))
    return Shape("string", choices=texts) if texts and shape.kind == "string" else shape


def _answer(placed: Placed, answer: Answer) -> Iterator[Problem]:
    wanted = {"string": str, "integer": int, "number": (int, float), "boolean": bool}[answer.type]
    for choice in answer.choices or ():
        if not isinstance(choice, cast("type", wanted)):
            yield _told(placed, ("answer", "choices"), f"{choice!r} is no {answer.type}")


def _told(placed: Placed, path: Path, fault: str, mend: str = "") -> Problem:
    what, _, hint = fault.partition("; ")
    return Problem(placed.line_of(*path), f"step {placed.step.id}: {what}", mend or hint)
