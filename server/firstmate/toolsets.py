"""Toolsets: which tools a server registers, so that a model reads no more than it needs.

`serve --toolsets core,network`, the setting `toolsets` and `firstmate rbac --toolsets` choose with `chosen`. A tool
names its set beside its code; a set that is new gets a row here. The choice comes from configuration alone, never from
what a cluster happens to serve, so that every connection sees the same list in the same order.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from firstmate.nearest import nearest
from firstmate_tools.errors import ConfigurationError
from firstmate_tools.toolspec import ToolSpec

ALL = "all"
DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Toolset:
    """A set of tools: what it is for, and whether it is registered where nobody chooses."""

    about: str
    default: bool = True


TOOLSETS = {
    "core": Toolset("root causes, pods, workloads, events, logs, nodes, any object, runbooks, clusters"),
}
"""Every set, in the order in which `firstmate tools list` shows them."""


def names_of(given: str | Iterable[str]) -> tuple[str, ...]:
    """Names as a flag or a setting has them: `core,network`, or a list."""
    parts = given.split(",") if isinstance(given, str) else given
    return tuple(name for part in parts if (name := part.strip()))


def chosen(tools: Sequence[ToolSpec], names: Iterable[str] = (DEFAULT,)) -> tuple[ToolSpec, ...]:
    """The tools of these sets, in their own order.

    Args:
        tools: every tool that there is.
        names: of toolsets; `default` and `all` stand for several.

    Raises:
        ConfigurationError: there is no such set, or none is named.
    """
    wanted: set[str] = set()
    for name in names:
        if name == ALL:
            wanted |= TOOLSETS.keys()
        elif name == DEFAULT:
            wanted |= {one for one, toolset in TOOLSETS.items() if toolset.default}
        elif name in TOOLSETS:
            wanted.add(name)
        else:
            near = nearest(name, [*TOOLSETS, ALL, DEFAULT])
            hint = f"Did you mean `{near}`? " if near else ""
            raise ConfigurationError(
                f"There is no toolset {name[:100]!r}.", f"{hint}There are: {', '.join([*TOOLSETS, DEFAULT, ALL])}."
            )
    if not wanted:
        raise ConfigurationError("No toolset is named.", f"There are: {', '.join([*TOOLSETS, DEFAULT, ALL])}.")
    return tuple(spec for spec in tools if spec.toolset in wanted)
