"""The steps of a runbook: what each kind holds.

`stepyaml.py` reads them out of YAML. What steps say of each other and of tools is judged elsewhere (`checks.py`), and
`runner.py` carries them out. Imports JMESPath when first used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator

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
    """Ends the run with somebody to call; with the cause, where that is known and only the mend is not."""

    kind: ClassVar[StepKind] = "escalate"
    sections: ClassVar[tuple[str, ...]] = ("Diagnose", "Escalate")

    escalate: Template
    cause: Slug | None = None
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


def written(step: Step) -> dict[str, Any]:
    """A step as YAML has it: what was given, in the order `id`, `title`, kind, rest."""
    return step.model_dump(mode="json", exclude_unset=True)
