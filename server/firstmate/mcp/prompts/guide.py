"""What prompts are written with: their declaration, the checks of their arguments, and steps that name a tool's call.

Every step passes through `Guide.call`, so that a prompt never names a tool that this server does not offer. Arguments
come from a person who filled in a form: wrong ones are errors that say what is right.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from firstmate.answers import compact
from firstmate.caller import current
from firstmate.calls import Calls
from firstmate.mcp import egress
from firstmate.nearest import nearest
from firstmate.runbooks.library import Library
from firstmate_tools.diagnosis.scope import SUPPORTED, Scope, parse_scope
from firstmate_tools.errors import UsageError
from firstmate_tools.text import clipped

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
SCOPES = ("cluster", "namespace/", *(f"{kind.kind.lower()}/" for kind in SUPPORTED))
"""How a scope may begin. Names of objects are not completed: that would ask the cluster at every key."""


@dataclass(frozen=True, slots=True)
class PromptInput:
    """One argument of a prompt.

    Attributes:
        completions: values that are offered when it is typed; those of `cluster` are the configured names.
    """

    name: str
    description: str
    required: bool = False
    completions: Sequence[str] = ()


CLUSTER = PromptInput("cluster", "Name of a cluster, as `clusters` lists it; left out: the default")
NAMESPACE = PromptInput("namespace", "Namespace of the object; left out: the context's")
SCOPE = PromptInput("scope", "cluster, namespace/NAME or KIND/NAME (deployment/cart)", completions=SCOPES)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a prompt is rendered from.

    Attributes:
        given: the arguments, all of them known.
        calls: which tools and clusters there are.
        runbooks: which runbooks there are.
        now: the machine's time.
    """

    given: Mapping[str, str]
    calls: Calls
    runbooks: Library
    now: datetime

    def text(self, name: str) -> str | None:
        """An argument, None where it was left out or is blank."""
        return self.given.get(name, "").strip() or None

    def cluster(self) -> str | None:
        """The named cluster.

        Raises:
            UsageError: there is none of this name.
        """
        name = self.text(CLUSTER.name)
        if name is None or name in (known := list(self.calls.clusters.names())):
            return name
        near = nearest(name, known)
        hint = f"Did you mean `{near}`?" if near else "The tool `clusters` lists them."
        raise UsageError(f"No cluster {clipped(name, 100)!r} is configured.", hint)

    def place(self) -> Scope:
        """What `scope` and `namespace` mean together; a namespace that nobody names is "", the cluster's own default.

        Raises:
            UsageError: they mean nothing.
        """
        namespace = self.text(NAMESPACE.name)
        if namespace is not None and not _NAME.fullmatch(namespace):
            raise UsageError(f"{clipped(namespace, 100)!r} cannot be the name of a namespace.")
        scope = parse_scope(self.text(SCOPE.name), namespace, "")
        name = scope.object.name if scope.object is not None else scope.namespace
        if name is not None and not _NAME.fullmatch(name):
            raise UsageError(f"{clipped(name, 100)!r} cannot be the name of an object in Kubernetes.")
        return scope


@dataclass(frozen=True, slots=True)
class PromptSpec:
    """One prompt.

    Attributes:
        render: writes the message; raises UsageError where an argument is wrong.
    """

    name: str
    title: str
    description: str
    inputs: Sequence[PromptInput]
    render: Callable[[Asked], str]

    def check(self, given: Mapping[str, str]) -> None:
        """Refuses arguments that it does not know, and the lack of those that it needs.

        Raises:
            UsageError: says which, and which there are.
        """
        known = [one.name for one in self.inputs]
        hint = f"{self.name} takes {', '.join(known)}."
        for name in given:
            if name not in known:
                near = nearest(name, known)
                meant = f"; did you mean `{near}`?" if near else "."
                raise UsageError(f"The prompt {self.name} has no argument `{clipped(name, 100)}`{meant}", hint)
        for one in self.inputs:
            if one.required and not given.get(one.name, "").strip():
                raise UsageError(f"The prompt {self.name} needs the argument `{one.name}`: {one.description}.", hint)


class Guide:
    """A message that is being written: paragraphs, and numbered steps that call tools.

    Args:
        calls: which tools there are; steps with others, and with those that the caller may not use, are left out.
        common: arguments of every step whose tool takes them, such as the cluster.
    """

    def __init__(self, calls: Calls, common: Mapping[str, str | None]) -> None:
        families = current().families
        self._takes = {
            spec.name: {one.name for one in spec.parameters()} | _cluster_of(spec.given)
            for spec in calls.tools
            if spec.family in families
        }
        self._common = {name: value for name, value in common.items() if value is not None}
        self._parts: list[str] = []
        self._steps = 0

    def say(self, *lines: str) -> None:
        """A paragraph."""
        self._parts.append("\n".join(lines))

    def step(self, tool: str, given: Mapping[str, str | int | None], why: str) -> None:
        """A call to make, and what to look for in the answer. Nothing where this server does not offer the tool."""
        if tool not in self._takes:
            return
        own = {name: value for name, value in given.items() if value is not None}
        shared = {name: value for name, value in self._common.items() if name in self._takes[tool]}
        self._steps += 1
        self._parts.append(f"{self._steps}. Call `{tool}` with `{compact({**own, **shared})}`. {why}")

    def ask(self, words: str) -> None:
        """A step without a call whose arguments are known."""
        self._steps += 1
        self._parts.append(f"{self._steps}. {words}")

    def quote(self, introduction: str, text: str) -> None:
        """Text of strangers, cleaned, redacted and fenced. Nothing where nothing is left of it."""
        if quoted := egress.quoted(text):
            self._parts.append(f"{introduction}\n{quoted}")

    def offers(self, tool: str) -> bool:
        return tool in self._takes

    def written(self) -> str:
        return "\n\n".join(self._parts)


def _cluster_of(given: str) -> set[str]:
    return {CLUSTER.name} if given == "cluster" else set()


def arguments_of(place: Scope) -> dict[str, str | None]:
    """A scope as tools take it."""
    if place.object is None:
        return {"scope": f"namespace/{place.namespace}" if place.namespace else "cluster"}
    return {"scope": f"{place.object.kind.lower()}/{place.object.name}", "namespace": place.object.namespace or None}
