"""What an action is: a model of its parameters that knows its command and can say what it would change.

    @action(title="Restart a rollout", risk="low", undone_by=None)
    class RolloutRestart(OnWorkload):
        def kubectl(self) -> Sequence[str]:
            return ["rollout", "restart", self.workload]

        def changes(self) -> str:
            return f"new pods for {self.workload}, by its own rollout strategy"

`@action` names it after its class (`rollout-restart`). Parameters are validated when the class is instantiated: a name
that is none never becomes a word of a command.
"""

import json
import re
import shlex
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

Risk = Literal["low", "medium", "high"]
"""low: undone in a moment, hurts nobody; medium: restarts pods or lets more in; high: may lose data or stop users."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.:-]*[a-z0-9])?$", max_length=253)]
"""A name as the API server takes it (RFC 1123 subdomain; RBAC names may hold colons)."""
Namespace = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)]
Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$", max_length=317)]
"""The key of a label, annotation, taint or finalizer, with its prefix; or of a ConfigMap, or a resource's name."""
Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$", max_length=30)]
"""A Kubernetes quantity that is not negative: `500m`, `1Gi`."""
Label = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$", max_length=63)]
Image = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._:/@+-]*[A-Za-z0-9])?$", max_length=1000)]
"""The reference of an image, with its registry, tag or digest."""
Text = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


def lower(value: object) -> object:
    """Kinds are taken as objects spell them (`Deployment`) and as kubectl does."""
    return value.lower() if isinstance(value, str) else value


WorkloadKind = Annotated[Literal["deployment", "statefulset", "daemonset"], BeforeValidator(lower)]
AnyKind = Annotated[str, BeforeValidator(lower), StringConstraints(pattern=r"^[a-z][a-z0-9.-]*$", max_length=253)]
"""A kind as kubectl takes it, with its group where two share a name: `deployment`, `certificate.cert-manager.io`."""


class Action(BaseModel):
    """One change with its parameters filled in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @abstractmethod
    def command(self, context: str = "CONTEXT") -> str:
        """The command that a person would run: shell words, quoted.

        Args:
            context: the kubeconfig context that it names.
        """

    @abstractmethod
    def changes(self) -> str:
        """What would be different afterwards, in one sentence without a full stop."""


class Kubectl(Action):
    """A change that one call of kubectl makes."""

    @abstractmethod
    def kubectl(self) -> Sequence[str]:
        """The words after `kubectl --context CONTEXT`, with the namespace where there is one."""

    def command(self, context: str = "CONTEXT") -> str:
        return shlex.join(["kubectl", "--context", context, *self.kubectl()])


class ByShell(Action):
    """Changes something in one namespace, by another program or with something that only a shell puts in."""

    namespace: Namespace

    def within(self, context: str, *words: str) -> str:
        """The shell words of a call of kubectl in the namespace, quoted."""
        return shlex.join(["kubectl", "--context", context, "-n", self.namespace, *words])


class InNamespace(Kubectl):
    """Changes something in one namespace."""

    namespace: Namespace

    def within(self, *words: str) -> Sequence[str]:
        """kubectl's words, with the namespace before them."""
        return ["-n", self.namespace, *words]


class OnWorkload(InNamespace):
    """Changes a Deployment, StatefulSet or DaemonSet."""

    kind: WorkloadKind
    name: Name

    @property
    def workload(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """The declaration of one action.

    Attributes:
        name: as runbooks name it.
        title: a few words for people.
        parameters: the model whose fields are its parameters; an instance of it is the change.
        risk: see `Risk`.
        undone_by: the action that takes it back with the former values; None where it changes nothing that stays, or
            cannot be taken back.
    """

    name: str
    title: str
    parameters: type[Action]
    risk: Risk
    undone_by: str | None

    def filled(self, parameters: dict[str, Any]) -> Action:
        """The change with these parameters.

        Raises:
            pydantic.ValidationError: one is missing, unknown or no value of its type.
        """
        return self.parameters.model_validate(parameters)

    def command(self, parameters: dict[str, Any], context: str = "CONTEXT") -> str:
        """See `Action.command`.

        Raises:
            pydantic.ValidationError: as `filled`.
        """
        return self.filled(parameters).command(context)

    def changes(self, parameters: dict[str, Any]) -> str:
        """See `Action.changes`.

        Raises:
            pydantic.ValidationError: as `filled`.
        """
        return self.filled(parameters).changes()


A = TypeVar("A", bound=type[Action])
_MARK = "__firstmate_action__"


def action(*, title: str, risk: Risk, undone_by: str | None) -> Callable[[A], A]:
    """Declares a class as an action; see the module's text for the shape."""

    def declare(parameters: A) -> A:
        name = re.sub(r"(?<!^)(?=[A-Z])", "-", parameters.__name__).lower()
        setattr(parameters, _MARK, ActionSpec(name, title, parameters, risk, undone_by))
        return parameters

    return declare


def spec_of(value: object) -> ActionSpec | None:
    """The declaration of an action's class, None for anything else."""
    found = vars(value).get(_MARK) if isinstance(value, type) else None
    return found if isinstance(found, ActionSpec) else None


def merge(patch: dict[str, Any]) -> Sequence[str]:
    """The words of a JSON merge patch (RFC 7386)."""
    return ["--type=merge", "-p", json.dumps(patch, separators=(",", ":"))]


def strategic(patch: dict[str, Any]) -> Sequence[str]:
    """The words of a strategic merge patch, in which containers are found by their names. Not for custom resources."""
    return ["-p", json.dumps(patch, separators=(",", ":"))]


def pod_patch(container: dict[str, Any]) -> dict[str, Any]:
    """A patch of a workload that changes one container of its template, found by its name."""
    return {"spec": {"template": {"spec": {"containers": [container]}}}}
