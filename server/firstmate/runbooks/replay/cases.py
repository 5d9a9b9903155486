"""Replay cases: one run of a runbook over a snapshot, and how it has to go.

`cases_in` reads `<folder>/<slug>/<case>.yaml` and says all that is wrong with a case, each with its line.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from firstmate.nearest import nearest
from firstmate.runbooks.outcome import Ended
from firstmate.runbooks.steps import Slug, StepId
from firstmate_tools.errors import UsageError

SNAPSHOTS = "snapshots"
"""The folder beside those of the runbooks that holds what was recorded."""


class CaseError(UsageError):
    """Cases that cannot be read."""


class Case(BaseModel):
    """What a case file holds.

    Attributes:
        snapshot: the recording, relative to the folder of all cases.
        params, answers: what the run is given.
        start: the step to begin at (`from`), the first one when left out.
        denied: steps whose tool is refused: what a run makes of what it may not see.
        then_on: a recording on which the run goes on at the verify of what it proposed.
        must_reach, must_not_reach: ids of steps.
        ends: how the run ends.
        cause: in which it ends, `none` where in none; see `ending.cause_of`.
        scenario: from which the snapshot was recorded.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    snapshot: Annotated[str, Field(min_length=1)]
    scenario: Slug
    params: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    answers: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    start: StepId | None = Field(default=None, alias="from")
    denied: tuple[StepId, ...] = ()
    then_on: str | None = None
    must_reach: tuple[StepId, ...] = Field(min_length=1)
    must_not_reach: tuple[StepId, ...] = ()
    ends: Ended
    cause: Slug

    @model_validator(mode="after")
    def _reached_or_not(self) -> "Case":
        if both := set(self.must_reach) & set(self.must_not_reach):
            raise ValueError(f"must and must not be reached: {', '.join(sorted(both))}")
        return self


@dataclass(frozen=True, slots=True)
class Placed:
    """A case where it lies."""

    path: Path
    slug: str
    case: Case


def cases_in(folder: Path, slugs: Collection[str] = (), *, held: bool = True) -> Sequence[Placed]:
    """The cases below a folder, by path.

    Args:
        folder: holds `<slug>/<case>.yaml` and the snapshots.
        slugs: only of these runbooks; of all when left out.
        held: whether their snapshots have to be there.

    Raises:
        CaseError: says all that is wrong with all of them, as `file:line: what`.
    """
    wrong: list[str] = []
    found: list[Placed] = []
    for path in sorted(folder.glob("*/*.yaml")):
        if slugs and path.parent.name not in slugs:
            continue
        try:
            found.append(Placed(path, path.parent.name, read_case(path, folder, held=held)))
        except CaseError as error:
            wrong.append(error.message)
    if wrong:
        raise CaseError("\n".join(wrong))
    return found


def read_case(path: Path, folder: Path, *, held: bool = True) -> Case:
    """One case.

    Args:
        path: of its file.
        folder: within which its snapshots lie.
        held: whether they have to be there.

    Raises:
        CaseError: it is none.
    """
    import yaml

    try:
        text = path.read_text()
        node = cast("Any", yaml).compose(text, yaml.SafeLoader)
        given: object = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CaseError(f"{path}: cannot be read: {error}") from error
    if not isinstance(given, dict):
        raise CaseError(f"{path}:1: a case is a mapping")
    lines = {str(key.value): key.start_mark.line + 1 for key, _ in node.value}
    try:
        case = Case.model_validate(given)
    except ValidationError as error:
        said = [
            _told(path, lines, str(one["loc"][0] if one["loc"] else ""), one["type"], one["msg"])
            for one in error.errors()
        ]
        raise CaseError("\n".join(said)) from error
    for key, name in (("snapshot", case.snapshot), ("then_on", case.then_on)):
        if name is None:
            continue
        place = (folder / name).resolve()
        if not place.is_relative_to(folder.resolve()) or (held and not place.is_file()):
            raise CaseError(f"{path}:{lines[key]}: {key}: no file {name} in {folder}")
    return case


def _told(path: Path, lines: dict[str, int], key: str, type_: str, words: str) -> str:
    if type_ == "extra_forbidden":
        near = nearest(key, [field.alias or name for name, field in Case.model_fields.items()])
        words = f"unknown key{f'; `{near}`?' if near else ''}"
    return f"{path}:{lines.get(key, 1)}: {key}: {words}" if key else f"{path}:1: {words}"
