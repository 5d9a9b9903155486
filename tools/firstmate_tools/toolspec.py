"""What a tool is: an async function with a declaration, found by the catalogue.

    @tool(toolset="core", title="Pods and why they are unwell", reads=(Read(POD), Read(EVENT)))
    async def pod_status(cluster: Cluster, namespace: Namespace = None, limit: Limit = 50) -> PodStatus:
        '''What a model reads when it chooses a tool.'''

The first parameter says what the tool is given: `Cluster` (of one call), `ClusterSet`, or what calls other tools. All
others are the arguments that callers name; their annotations are what both MCP and the command line validate.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from firstmate_tools.reads import Declared
from firstmate_tools.results import Answer

Given = Literal["cluster", "clusters", "calls", "nothing"]
Family = Literal["read", "logs", "plan", "apply"]
FAMILIES: tuple[Family, ...] = ("read", "logs", "plan", "apply")
"""What a caller over HTTP needs a scope for: looking, log text, planning a change, making it."""
READING = frozenset[Family](("read", "logs"))
"""Those of tools that change nothing: what other tools, and steps of runbooks, may ask."""

F = TypeVar("F", bound=Callable[..., Awaitable[Answer]])


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """The declaration of one tool.

    Attributes:
        name: as callers name it; the function's.
        title: a few words for people.
        description: what a model reads when it chooses; the function's docstring.
        toolset: the set by which servers register tools.
        function: the tool itself.
        given: what its first parameter receives.
        family: which scope its callers need; `logs` where log text is what it is for.
        reads: what it may read, asked late because the rules of a diagnosis are found late.
        untrusted: whether its result carries text that somebody in the cluster wrote (log lines, messages).
        deadline_s: seconds after which it answers with what it has.
        tokens: the most that a model is given of its result; what is cut is said. A token is 4 characters.
    """

    name: str
    title: str
    description: str
    toolset: str
    function: Callable[..., Awaitable[Answer]]
    given: Given
    family: Family
    reads: Callable[[], Iterable[Declared]]
    untrusted: bool
    deadline_s: float
    tokens: int

    def parameters(self) -> list[inspect.Parameter]:
        """The arguments that callers name, annotations resolved."""
        every = list(inspect.signature(self.function, eval_str=True).parameters.values())
        return every if self.given == "nothing" else every[1:]

    def result(self) -> type[Answer]:
        """The pydantic model that it answers with."""
        return inspect.signature(self.function, eval_str=True).return_annotation


def tool(
    *,
    title: str,
    toolset: str = "core",
    given: Given = "cluster",
    family: Family = "read",
    reads: Iterable[Declared] | Callable[[], Iterable[Declared]] = (),
    untrusted: bool = True,
    deadline_s: float = 30.0,
    tokens: int = 4000,
) -> Callable[[F], F]:
    """Declares an async function as a tool; see the module's text for the shape."""

    def declare(function: F) -> F:
        fixed = None if callable(reads) else tuple(reads)
        spec = ToolSpec(
            name=function.__name__,
            title=title,
            description=inspect.cleandoc(function.__doc__ or ""),
            toolset=toolset,
            function=function,
            given=given,
            family=family,
            reads=reads if callable(reads) else lambda: fixed or (),
            untrusted=untrusted,
            deadline_s=deadline_s,
            tokens=tokens,
        )
        if not spec.description:
            raise TypeError(f"{function.__name__}: a tool needs a docstring, by which models choose it")
        setattr(function, _MARK, spec)
        return function

    return declare


_MARK = "__firstmate_tool__"


def spec_of(value: Any) -> ToolSpec | None:
    """The declaration of a tool function, None for anything else."""
    found = getattr(value, _MARK, None)
    return found if isinstance(found, ToolSpec) else None
