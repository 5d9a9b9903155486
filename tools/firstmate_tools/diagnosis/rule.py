"""What a rule is, and how the engine finds them: one module per family in `rules/`, one decorator per rule.

    @rule(causes=("image-not-found",), observes=(POD, EVENT), explains=BACKENDS)
    def image_pull(facts: Facts) -> Iterator[Finding | RuledOut]: ...

A rule is a pure function of facts: same facts, same findings, in a stable order; it never raises, whatever the objects
look like. What it needs beyond the lists that it observes it asks for with `wants`, which is pure too: the engine reads
what the wants name, and runs the rules when everything is there (or noted as not checked).
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from firstmate_tools.diagnosis import rules as rules_package
from firstmate_tools.diagnosis.causes import CAUSES
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, RuledOut
from firstmate_tools.graph import Edge
from firstmate_tools.kinds import Kind
from firstmate_tools.reads import NonResource, PrometheusRead, Read
from firstmate_tools.refs import Ref


@dataclass(frozen=True, slots=True, order=True)
class ListWant:
    """A list that is needed only because of what was seen. `namespace` None: in all namespaces, or cluster-scoped."""

    kind: Kind
    namespace: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class GetWant:
    """One object that is needed because of what was seen; `optional` where the rule declares the read as that."""

    kind: Kind
    ref: Ref
    optional: bool = False


@dataclass(frozen=True, slots=True, order=True)
class LogWant:
    """The end of one container's log; `aside` where nothing looks wrong: nobody misses it where it cannot be read."""

    namespace: str
    pod: str
    container: str
    previous: bool = False
    aside: bool = False


@dataclass(frozen=True, slots=True, order=True)
class ReasonWant:
    """The events of one reason in all namespaces: for questions about the whole cluster, which read no Normal ones."""

    reason: str


@dataclass(frozen=True, slots=True, order=True)
class TextWant:
    """The lines of a path that is no resource (`/metrics`) that hold a word; asked for by a review first."""

    path: str
    only: str


@dataclass(frozen=True, slots=True)
class MetricWant:
    """The answer of Prometheus to a declared question; `namespace` None: about all, or about no namespace."""

    read: PrometheusRead
    namespace: str | None = None


Want = ListWant | GetWant | LogWant | ReasonWant | TextWant | MetricWant
Dug = Read | NonResource | PrometheusRead
Verdicts = Iterator[Finding | RuledOut]


@dataclass(frozen=True, slots=True)
class Explains:
    """Which findings a rule's findings explain, and along which edges of the graph the trouble travels.

    A finding U explains a finding V with one of `causes` when V's object can be reached from U's object, or from what U
    affects, along `along`.
    """

    causes: frozenset[str]
    along: tuple[Edge, ...]


def explains(*causes: str, along: tuple[Edge, ...]) -> tuple[Explains, ...]:
    """Shorthand for one `Explains`."""
    return (Explains(frozenset(causes), along),)


BACKENDS = (
    *explains("service-endpoints-not-ready", along=("owns", "selects")),
    *explains("rollout-new-revision-failing", along=("owns",)),
    *explains("pvc-waiting-for-unschedulable-pod", "volume-mount-timeout", along=("owns",)),
    *explains("job-retries-or-deadline-exceeded", "cronjob-schedule-missed", along=("owns",)),
)
"""What whatever keeps a workload's pods from being ready explains: a Service without ready endpoints, a rollout that is
stuck, a claim that waits for its pod, a kubelet that gives up waiting for volumes, a Job that gave up and the runs that
it kept out."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule and its declaration.

    Attributes:
        name: the function's.
        causes: the slugs that it can rule in or out.
        judge: the function itself.
        observes: lists that are read for every question.
        digs: reads that its `wants` may ask for, where a signal calls for them.
        wants: what it needs to see because of what was observed.
        explains: what its findings explain.
        confirms: lists that are read once more before its findings are said, because it compares lists that were read
            at different moments.
    """

    name: str
    causes: tuple[str, ...]
    judge: Callable[[Facts], Verdicts]
    observes: tuple[Kind, ...]
    digs: tuple[Dug, ...]
    wants: Callable[[Facts], Iterable[Want]] | None
    explains: tuple[Explains, ...]
    confirms: tuple[Kind, ...]

    def reads(self) -> Iterator[Dug]:
        """Everything that the rule may read."""
        for kind in self.observes:
            yield Read(kind, ("list",))
        yield from self.digs


_declared: dict[str, Rule] = {}


def rule(
    *,
    causes: tuple[str, ...],
    observes: tuple[Kind, ...],
    digs: tuple[Dug, ...] = (),
    wants: Callable[[Facts], Iterable[Want]] | None = None,
    explains: tuple[Explains, ...] = (),
    confirms: tuple[Kind, ...] = (),
) -> Callable[[Callable[[Facts], Verdicts]], Callable[[Facts], Verdicts]]:
    """Declares a rule; the function stays callable as it is. See `Rule` for the arguments.

    Raises:
        TypeError: a cause that the catalogue does not know, or two rules of one name.
    """

    def declare(judge: Callable[[Facts], Verdicts]) -> Callable[[Facts], Verdicts]:
        unknown = [cause for cause in causes if cause not in CAUSES]
        if unknown or judge.__name__ in _declared:
            raise TypeError(f"rule {judge.__name__}: unknown causes {unknown}, or declared twice")
        _declared[judge.__name__] = Rule(judge.__name__, causes, judge, observes, digs, wants, explains, confirms)
        return judge

    return declare


@cache
def all_rules() -> tuple[Rule, ...]:
    """Every rule of every module in `rules/`, by name."""
    for info in pkgutil.iter_modules(rules_package.__path__):
        importlib.import_module(f"{rules_package.__name__}.{info.name}")
    return tuple(_declared[name] for name in sorted(_declared))
