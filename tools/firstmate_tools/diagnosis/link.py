"""From findings to root causes: merges what is one problem, links what explains what, ranks what is left. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from firstmate_tools.diagnosis.causes import CAUSES
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding
from firstmate_tools.diagnosis.rule import Explains, Rule
from firstmate_tools.graph import Graph
from firstmate_tools.refs import Ref

_SEVERITY = {"critical": 0, "warning": 1, "info": 2}
_CONFIDENCE = {"certain": 0, "likely": 1, "possible": 2}
MOST_EVIDENCE = 6


@dataclass(frozen=True, slots=True)
class Root:
    """A finding that no other explains, with what it explains."""

    finding: Finding
    explained: tuple[Finding, ...]


def merge(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for each problem: those of the same cause and culprit (or object) become one.

    The object is the first by severity and address; evidence is joined up to a bound; the earliest `since` wins.
    """
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault(_key(finding), []).append(finding)
    return [_merged(group) for group in groups.values()]


def _key(finding: Finding) -> tuple[str, str]:
    return finding.cause, finding.culprit or repr(finding.object)


def _merged(group: list[Finding]) -> Finding:
    group = sorted(group, key=lambda f: (_SEVERITY[f.severity], _CONFIDENCE[f.confidence], f.object))
    first = group[0]
    if len(group) == 1:
        return first
    others = [f.object for f in group[1:] if f.object != first.object]
    also = f" The same holds for {_names(others)}." if others else ""
    evidence = dict.fromkeys(e for f in group for e in f.evidence)
    return replace(
        first,
        summary=first.summary + also,
        evidence=tuple(evidence)[:MOST_EVIDENCE],
        affects=tuple(dict.fromkeys([a for f in group for a in f.affects] + others)),
        since=min((f.since for f in group if f.since), default=None),
        awaits=tuple(dict.fromkeys(a for f in group for a in f.awaits)),
    )


def _names(refs: list[Ref]) -> str:
    shown = ", ".join(str(ref) for ref in sorted(set(refs))[:3])
    more = len(set(refs)) - 3
    return f"{shown} and {more} more" if more > 0 else shown


def link(findings: list[Finding], rules: Iterable[Rule], graph: Graph) -> list[Root]:
    """The findings that nothing explains, each with those that it explains, directly or through others."""
    declared: dict[str, set[Explains]] = defaultdict(set)  # a cause may be told by several rules
    for rule in rules:
        for cause in rule.causes:
            declared[cause].update(rule.explains)
    below: dict[int, set[int]] = {i: set() for i in range(len(findings))}
    for i, upper in enumerate(findings):
        touched = {upper.object, *upper.affects}
        below[i] |= {j for j, f in enumerate(findings) if j != i and touched & set(f.awaits) and _may(upper, f)}
        for spec in declared[upper.cause]:
            candidates = [j for j, f in enumerate(findings) if j != i and f.cause in spec.causes and _may(upper, f)]
            if candidates:
                reached = graph.reach({upper.object, *upper.affects}, *spec.along)
                below[i] |= {
                    j for j in candidates if findings[j].object in reached or reached & set(findings[j].affects)
                }
    reach = {i: set(_reached(i, below)) for i in below}
    above = {i: {j for j in below if i in reach[j]} for i in below}
    # Findings that explain each other in a circle are all kept, since none is known to come first; but a victim in a
    # circle with others is never what began it.
    roots = [
        i
        for i, finding in enumerate(findings)
        if above[i] <= reach[i]
        and not (CAUSES[finding.cause].victim and any(not CAUSES[findings[j].cause].victim for j in above[i]))
    ]
    return [Root(findings[i], tuple(findings[j] for j in sorted(reach[i]))) for i in roots]


def _may(upper: Finding, lower: Finding) -> bool:
    """A weakness that hurts nobody explains nothing that does: it would take it out of sight."""
    return upper.severity != "info" or lower.severity == "info"


def _reached(start: int, below: dict[int, set[int]]) -> list[int]:
    seen: set[int] = set()
    queue = [start]
    while queue:
        for j in below[queue.pop()] - seen - {start}:
            seen.add(j)
            queue.append(j)
    return sorted(seen)


def ranked(roots: Iterable[Root]) -> list[Root]:
    """Worst first: severity, then how much it explains and affects, then how sure it is, then by name."""
    return sorted(
        roots,
        key=lambda root: (
            _SEVERITY[root.finding.severity],
            CAUSES[root.finding.cause].victim,
            -len(root.explained) - len(root.finding.affects),
            _CONFIDENCE[root.finding.confidence],
            root.finding.cause,
            root.finding.object,
        ),
    )


def within(roots: Iterable[Root], facts: Facts) -> list[Root]:
    """Only those roots that have to do with the object that was asked about."""
    asked = facts.scope.object
    if asked is None:
        return list(roots)
    family = facts.graph.related(asked)
    return [
        root
        for root in roots
        if family & {root.finding.object, *root.finding.affects}
        or any(e.object in family or family & set(e.affects) for e in root.explained)
    ]


def concerning(roots: Iterable[Root], found: Iterable[Finding]) -> list[Root]:
    """Only those roots that are, or explain, something that was found where the question was asked."""
    own = {_key(finding) for finding in found}
    return [root for root in roots if any(_key(f) in own for f in (root.finding, *root.explained))]


def suffering(root: Root, facts: Facts) -> list[Ref]:
    """The workloads that a root cause reaches, without the object at fault itself, sorted."""
    touched = {*root.finding.affects, *(a for e in root.explained for a in e.affects)}
    return sorted({facts.workload(ref) for ref in touched} - {root.finding.object})
