"""The scenario format: a folder that sets up one fault (or none), and says what the right answer is.

Called by the runner and by whoever checks scenario folders. Reads and validates only; must never talk to a cluster. An
unknown field is refused, because a misspelt `must_not` would otherwise make a scenario easier without a word.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self, cast

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from evals.lab.errors import ScenarioError
from evals.lab.kubepath import KubePathError, compile_path

DEFAULT_TIMEOUT_S = 60.0


class ObjectRef(NamedTuple):
    """An object by kind, namespace (empty when cluster-scoped) and name."""

    kind: str
    namespace: str
    name: str

    @classmethod
    def parse(cls, text: str) -> ObjectRef:
        parts = text.split("/", 2)
        if len(parts) != 3 or not parts[0] or not parts[2]:
            raise ValueError(f"an object is Kind/namespace/name, or Kind//name when cluster-scoped, not {text!r}")
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.kind}/{self.namespace}/{self.name}"


def _parse_ref(value: Any) -> Any:
    return ObjectRef.parse(value) if isinstance(value, str) else value


def _as_text(value: Any) -> Any:
    """YAML reads `value: true` and `value: 3` as no text; the comparison is with text."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def _check_jsonpath(value: str) -> str:
    try:
        compile_path(value)
    except KubePathError as error:
        raise ValueError(str(error)) from error
    return value


Ref = Annotated[ObjectRef, BeforeValidator(_parse_ref)]
Text = Annotated[str, BeforeValidator(_as_text)]
Slug = Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Wait(Strict):
    """What must hold before the next step: of one object by name, or of every object that a selector matches."""

    kind: str
    namespace: str | None = None
    name: str | None = None
    selector: str | None = None
    condition: str | None = None
    jsonpath: Annotated[str, AfterValidator(_check_jsonpath)] | None = None
    value: Text | None = None
    timeout_s: float = Field(default=DEFAULT_TIMEOUT_S, gt=0)

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.name is None) == (self.selector is None):
            raise ValueError("a wait has one of name and selector")
        if (self.condition is None) == (self.jsonpath is None):
            raise ValueError("a wait has one of condition and jsonpath")
        if (self.jsonpath is None) != (self.value is None):
            raise ValueError("value belongs to jsonpath, and jsonpath needs one")
        if self.condition is not None and not re.fullmatch(r"[^=\s]+(=\S+)?", self.condition):
            raise ValueError(f"condition is Type=Status, not {self.condition!r}")
        return self

    def __str__(self) -> str:
        what = self.name if self.name is not None else f"-l {self.selector}"
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.kind} {what}{where}: {self.condition or f'{self.jsonpath} is {self.value!r}'}"


class WaitStep(Strict):
    """A wait between two files."""

    wait: Wait


class Expect(Strict):
    """The right answer: healthy, or one or two faults with their objects (without one, the slug alone decides)."""

    healthy: bool = False
    root_causes: tuple[Slug, ...] = ()
    object: Ref | None = None
    objects: tuple[Ref, ...] = ()
    also_objects: tuple[Ref, ...] = ()
    also_acceptable: tuple[Slug, ...] = ()
    must_not: tuple[Slug, ...] = ()

    @model_validator(mode="after")
    def _healthy_or_not(self) -> Self:
        if self.healthy:
            if self.root_causes or self.object or self.objects:
                raise ValueError("a healthy scenario has no root causes and no objects")
            return self
        if not self.root_causes:
            raise ValueError("either healthy: true, or root_causes")
        if len(self.root_causes) > 2:
            raise ValueError("at most two root causes")
        if self.objects and len(self.objects) != len(self.root_causes):
            raise ValueError(f"objects: one for each of {len(self.root_causes)} root causes, not {len(self.objects)}")
        if both := set(self.must_not) & {*self.root_causes, *self.also_acceptable}:
            raise ValueError(f"must_not and right at the same time: {', '.join(sorted(both))}")
        return self


class Scenario(Strict):
    """One scenario, with its folder."""

    id: str = Field(min_length=1)
    summary: str
    scope: str = Field(min_length=1)
    namespace: str | None = None
    apply: tuple[str | WaitStep, ...] = ()
    stages: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    metrics_api: bool = False
    wait: tuple[Wait, ...] = ()
    expect: Expect
    folder: Path = Field(exclude=True)

    def file(self, name: str) -> Path:
        return self.folder / name

    @property
    def home(self) -> str:
        """The namespace that the question is about; where a wait without a namespace looks."""
        kind, _, name = self.scope.partition("/")
        return name if kind == "namespace" and name else self.namespace or "default"

    @model_validator(mode="after")
    def _files_exist(self) -> Self:
        for name in (*self.stages, *self.logs, *(step for step in self.apply if isinstance(step, str))):
            path = self.file(name).resolve()
            if self.folder.resolve() not in path.parents:
                raise ValueError(f"{name} lies outside the scenario's folder")
            if not path.is_file():
                raise ValueError(f"there is no file {name}")
        return self


def load(folder: Path) -> Scenario:
    """Reads one scenario folder.

    Raises:
        ScenarioError: not a scenario; names the file and the field.
    """
    path = folder / "scenario.yaml"
    fields = read_fields(folder)
    try:
        return Scenario.model_validate({**fields, "folder": folder.absolute()})
    except ValidationError as error:
        raise ScenarioError(f"{path}: {'; '.join(_problem(dict(one)) for one in error.errors())}") from error


def read_fields(folder: Path) -> dict[str, Any]:
    """The fields of scenario.yaml as they stand there, unchecked.

    Raises:
        ScenarioError: no file, no YAML, or no mapping.
    """
    path = folder / "scenario.yaml"
    try:
        fields: Any = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ScenarioError(f"{path}: no valid YAML: {error}") from error
    if not isinstance(fields, dict) or "folder" in fields:
        raise ScenarioError(f"{path}: a mapping of fields is wanted, `folder` not among them")
    return cast("dict[str, Any]", fields)


def folders(root: Path) -> list[Path]:
    """The scenario folders below a folder, in order of their names; the folder itself if it is one.

    Raises:
        ScenarioError: there are none.
    """
    if (root / "scenario.yaml").is_file():
        return [root]
    found = sorted(path.parent for path in root.rglob("scenario.yaml"))
    if not found:
        raise ScenarioError(f"no scenario.yaml below {root}")
    return found


def _problem(error: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in error["loc"] if part not in {"function-after", "WaitStep", "str"})
    if error["type"] == "extra_forbidden":
        return f"unknown field {where}"
    return f"{where}: {error['msg']}" if where else str(error["msg"])
