"""The steps of a runbook: what each kind holds, and reading them out of YAML with the line of every key.

`document.py` asks here for each fenced `yaml step`; `render.py` writes them back. What steps say of each other and of
tools is judged elsewhere (`checks.py`). Nothing here runs anything. Imports YAML and JMESPath when first used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator
from pydantic_core import ErrorDetails

from firstmate.nearest import nearest
from firstmate.runbooks.expressions import checked_expression, checked_template
from firstmate.runbooks.outcome import StepKind

FENCE = "yaml step"

StepId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=64)]
Expression = Annotated[str, Field(min_length=1), AfterValidator(checked_expression)]
Template = Annotated[str, Field(min_length=1), AfterValidator(checked_template)]
Values = Annotated[dict[str, JsonValue], AfterValidator(lambda values: checked_template(values))]
AnswerType = Literal["string", "integer", "number", "boolean"]


class StepPart(BaseModel):
    # Built when first used: whoever only lists tools needs none of them.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Branch(StepPart):
    """One way out of a `decide`."""

    when: Expression
    reading: str = Field(min_length=1)
    go: StepId


class Answer(StepPart):
    """What a question wants to hear."""

    name: StepId
    type: AnswerType
    choices: tuple[str | int | float, ...] | None = Field(default=None, min_length=1)


class RollBack(StepPart):
    """What undoes an act: another one, or why nothing can."""

    act: Name | None = None
    parameters: Values = Field(default_factory=dict[str, JsonValue])
    none: str | None = None

    @model_validator(mode="after")
    def _one(self) -> "RollBack":
        if (self.act is None) == (self.none is None):
            raise ValueError("either `act` with `parameters`, or `none` with the reason why it cannot be undone")
        if self.none is not None and self.parameters:
            raise ValueError("`parameters` go with `act`")
        return self


class StepBase(StepPart):
    """What every step has.

    `kind` is the key by which a step is told from the others, `sections` where in a runbook it may stand.
    """

    kind: ClassVar[StepKind]
    sections: ClassVar[tuple[str, ...]]

    id: StepId
    title: str | None = Field(default=None, min_length=1, max_length=100)


class Check(StepBase):
    """Asks a read-only tool."""

    kind: ClassVar[StepKind] = "check"
    sections: ClassVar[tuple[str, ...]] = ("Diagnose",)

    check: Name
    arguments: Values = Field(default_factory=dict[str, JsonValue])
    expect: Expression | None = None
    then: StepId | None = None
    otherwise: StepId | None = None
    unknown: StepId | None = None

    @model_validator(mode="after")
    def _otherwise_with_expect(self) -> "Check":
        if (self.expect is None) != (self.otherwise is None):
            raise ValueError("`expect` and `otherwise` go together")
        return self


class Decide(StepBase):
    """Goes the first way that is true."""

    kind: ClassVar[StepKind] = "decide"
    sections: ClassVar[tuple[str, ...]] = ("Diagnose",)

    decide: tuple[Branch, ...] = Field(min_length=1)
    otherwise: StepId
    unknown: StepId | None = None


class Ask(StepBase):
    """Asks a person."""

    kind: ClassVar[StepKind] = "ask"
    sections: ClassVar[tuple[str, ...]] = ("Diagnose",)

    ask: Template
    answer: Answer
    then: StepId | None = None


class Act(StepBase):
    """Proposes an action; the run ends with it."""

    kind: ClassVar[StepKind] = "act"
    sections: ClassVar[tuple[str, ...]] = ("Fix",)

    act: Name
    parameters: Values = Field(default_factory=dict[str, JsonValue])
    cause: Slug
    because: Template
    verify: StepId
    roll_back: RollBack


class Verify(StepBase):
    """Asks a read-only tool until it says what is expected, or time is up."""

    kind: ClassVar[StepKind] = "verify"
    sections: ClassVar[tuple[str, ...]] = ("Verify",)

    verify: Name
    arguments: Values = Field(default_factory=dict[str, JsonValue])
    expect: Expression
    within_s: int = Field(default=0, ge=0, le=86_400)
    then: StepId | None = None
    otherwise: StepId


class Wait(StepBase):
    """Lets time pass."""

    kind: ClassVar[StepKind] = "wait"
    sections: ClassVar[tuple[str, ...]] = ("Verify",)

    wait: int = Field(ge=1, le=86_400)
    why: Template
    then: StepId | None = None


class Conclude(StepBase):
    """Ends the run with a cause, or with `none`."""

    kind: ClassVar[StepKind] = "conclude"
    sections: ClassVar[tuple[str, ...]] = ("Diagnose",)

    conclude: Slug
    because: Template
    fix: Template | None = None
    runbook: Slug | None = None


class Escalate(StepBase):
    """Ends the run with somebody to call."""

    kind: ClassVar[StepKind] = "escalate"
    sections: ClassVar[tuple[str, ...]] = ("Diagnose", "Escalate")

    escalate: Template
    hand_over: tuple[Template, ...] = ()
    because: Template


Step = Check | Decide | Ask | Act | Verify | Wait | Conclude | Escalate
KINDS: Mapping[str, type[Step]] = {one.kind: one for one in (Check, Decide, Ask, Act, Verify, Wait, Conclude, Escalate)}
NONE = "none"
"""What `conclude` says where it is not what the runbook is about."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A step where it stands.

    Attributes:
        step: what it says.
        section: the heading (of the second level) under which it stands.
        line: of its fence in the file, from 1.
        lines: of its keys, by path (`decide.0.when`).
        indent: what stands before its fence, where it belongs to an item of a list.
    """

    step: Step
    section: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)
    lines: Mapping[str, int] = field(default_factory=dict[str, int], compare=False)
    indent: str = field(default="", compare=False)

    def line_of(self, *path: str | int) -> int:
        """The line of a key, or of the nearest one above it that stands in the file."""
        parts = [str(one) for one in path]
        while parts:
            if (line := self.lines.get(".".join(parts))) is not None:
                return line
            parts.pop()
        return self.line


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
    import yaml

    try:
        node = cast("Any", yaml).compose(content, yaml.SafeLoader)
        lines, twice = _lines(node, line + 1)
        given: object = yaml.safe_load(content)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = line + 1 + (mark.line if mark is not None else 0)
        raise StepError((at, f"not YAML: {getattr(error, 'problem', None) or error}")) from error
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


def written(step: Step) -> dict[str, Any]:
    """A step as YAML has it: what was given, in the order `id`, `title`, kind, rest."""
    return step.model_dump(mode="json", exclude_unset=True)
