"""Observe, judge, confirm, link: one question from the first read to the report.

Called by the `diagnose` tool. Reads only through `Observer`; everything else is pure, so that the same facts give the
same bytes.
"""

from collections import Counter
from collections.abc import Iterable

from firstmate_tools import kinds as known_kinds
from firstmate_tools.cluster.base import Cluster
from firstmate_tools.customkinds import addressed
from firstmate_tools.diagnosis import dates, link, metrics, report, revisions, sources
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, RuledOut
from firstmate_tools.diagnosis.observe import Observer
from firstmate_tools.diagnosis.rule import GetWant, ListWant, Rule, Want, all_rules
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.diagnosis.unwell import unexplained
from firstmate_tools.errors import UsageError
from firstmate_tools.kinds import Kind
from firstmate_tools.refs import Ref
from firstmate_tools.results import Coverage, Outcome

ROUNDS = 3
"""How often wants may lead to further wants."""
MOST_CONFIRMED = 5
"""Namespaces whose lists are read once more before a finding is said."""
MOST_VISITED = 1
"""Namespaces into which a cause is followed."""
FOLLOWED = frozenset(
    {
        *("Pod", "ReplicaSet", "Deployment", "StatefulSet", "DaemonSet"),
        *("Event", "Service", "PersistentVolumeClaim", "Node"),
    }
)
"""Kinds that are read there: those that may keep a backend of others from running, and nothing else."""
INCONCLUSIVE = frozenset({"denied", "failed", "timed_out", "not_collected"})


async def diagnose(
    cluster: Cluster, scope: Scope, rules: tuple[Rule, ...] | None = None, *, detailed: bool = False
) -> report.Diagnosis:
    """Finds the root causes of whatever is wrong within a scope.

    Args:
        scope: what is asked about.
        rules: for tests; all rules where left out.
        detailed: names every workload that suffers, not only the first ones.

    Raises:
        UsageError: the object that is asked about does not exist.
    """
    rules = rules if rules is not None else all_rules()
    facts = Facts(scope, cluster.now, cluster.identity.version)
    observer = Observer(cluster, facts)
    await observer.lists(plan(rules, scope))
    await _find_asked(observer, facts)
    await _dig(observer, facts, rules)
    found, ruled_out = judge(facts, rules)
    guests = await _followed(observer, facts, rules, found)
    if found and cluster.is_live:
        found, ruled_out, guests = await _confirmed(observer, facts, rules, (found, ruled_out, guests))
    linked = link.concerning(link.link(link.merge([*found, *guests]), rules, facts.graph), found)
    roots = [dates.dated(root, facts) for root in link.ranked(link.within(linked, facts))]
    suffering = {root.finding: link.suffering(root, facts) for root in roots}
    most = None if detailed else report.MOST_AFFECTED
    for finding, workloads in suffering.items():
        report.note_cut(finding, workloads, most, observer.cut)
    coverage = observer.coverage()
    unasked = sources.unread(rules, observer.absent, metrics.seen(facts, observer.no_metrics))
    coverage = coverage.model_copy(update={"not_checked": [*coverage.not_checked, *unasked]})
    left = unexplained(facts, roots)
    named = {root.finding.cause for root in roots} | {e.cause for root in roots for e in root.explained}
    return report.Diagnosis(
        cluster=cluster.identity,
        observed_at=facts.now,
        scope=str(scope),
        outcome=_outcome(roots, coverage, bool(left)),
        root_causes=[
            report.root_cause(
                root.finding,
                suffering[root.finding][:most],
                list(root.explained),
                revisions.revised(facts, root.finding.object),
            )
            for root in roots
        ],
        unexplained=left,
        ruled_out=[report.RuledOut(cause=r.cause, why=r.why) for r in _distinct(ruled_out) if r.cause not in named],
        coverage=coverage,
    )


def plan(rules: Iterable[Rule], scope: Scope) -> list[ListWant]:
    """The lists that every question of this scope starts with."""
    observed = {kind for rule in rules for kind in rule.observes}
    return [ListWant(kind, scope.namespace if kind.namespaced else None) for kind in observed]


def judge(facts: Facts, rules: Iterable[Rule]) -> tuple[list[Finding], list[RuledOut]]:
    """What all rules say of these facts."""
    verdicts = [verdict for rule in rules for verdict in facts.each(rule.judge)]
    return [v for v in verdicts if isinstance(v, Finding)], [v for v in verdicts if isinstance(v, RuledOut)]


def _elsewhere(facts: Facts) -> list[Facts]:
    """The same facts, as seen from each namespace into which a cause was followed."""
    return [facts.beside(place) for place in sorted(facts.places - {facts.scope.namespace or ""})]


async def _dig(observer: Observer, facts: Facts, rules: Iterable[Rule]) -> None:
    for _ in range(ROUNDS):
        views = (facts, *_elsewhere(facts))
        wants: list[Want] = [want for rule in rules if rule.wants for view in views for want in view.each(rule.wants)]
        if not await observer.dig(wants):
            return


async def _followed(observer: Observer, facts: Facts, rules: tuple[Rule, ...], found: list[Finding]) -> list[Finding]:
    """What is found in other namespaces, of which findings say that they wait for something there."""
    home = facts.scope.namespace
    if home is None:
        return []
    awaited = Counter(ref.namespace for f in found if f.severity != "info" for ref in f.awaits)
    places = sorted(awaited.keys() - {home, ""}, key=lambda place: (-awaited[place], place))
    if len(places) > MOST_VISITED:
        more = ", ".join(places[MOST_VISITED:])
        observer.cut.append(f"namespaces on which findings depend as well were not looked at: {more}")
    for place in places[:MOST_VISITED]:
        observer.visit(place)
        lists = [want for want in plan(rules, Scope(namespace=place)) if want.kind.kind in FOLLOWED]
        await observer.lists(want for want in lists if not facts.knows(want.kind, want.namespace))
    if places:
        await _dig(observer, facts, rules)
    return _guests(facts, rules)


def _guests(facts: Facts, rules: Iterable[Rule]) -> list[Finding]:
    return [finding for view in _elsewhere(facts) for finding in judge(view, rules)[0]]


async def _find_asked(observer: Observer, facts: Facts) -> None:
    """Makes sure that what is asked about exists: an API server lists a namespace that does not as an empty one.

    Raises:
        UsageError: it does not.
    """
    asked, place = facts.scope.object, facts.scope.namespace
    if asked is not None and facts.get(asked) is not None:
        return
    if place is not None and not any(facts.all(kind) for kind in known_kinds.KNOWN if kind.namespaced):
        await observer.dig([GetWant(known_kinds.NAMESPACE, Ref("Namespace", "", place))])
        if facts.exists(Ref("Namespace", "", place)) is False:
            hint = "Look at its spelling and at the cluster; `get` with kind=namespace lists them."
            raise UsageError(f"There is no namespace {place!r} in cluster {observer.cluster.identity.name}.", hint)
    if asked is None:
        return
    kind = addressed(asked.kind)
    if kind is not None and not facts.knows(kind, asked.namespace or None):
        await observer.dig([GetWant(kind, asked)])
    if facts.exists(asked) is False:
        near = sorted(o for o in _names(facts, kind) if o[:3] == asked.name[:3])[:5]
        place = f" in namespace {asked.namespace}" if asked.namespace else ""
        hint = f"There are: {', '.join(near)}." if near else "Look at the name, the namespace and the cluster."
        raise UsageError(f"No {asked.kind.lower()} {asked.name!r}{place}.", hint)


def _names(facts: Facts, kind: Kind | None) -> list[str]:
    return [str(obj.get("metadata", {}).get("name", "")) for obj in facts.all(kind)] if kind else []


Judged = tuple[list[Finding], list[RuledOut], list[Finding]]
"""What was found, what was ruled out, and what was found elsewhere."""


async def _confirmed(observer: Observer, facts: Facts, rules: tuple[Rule, ...], judged: Judged) -> Judged:
    """Findings that hold when the lists that they compare are read once more, closer together."""
    every = [*judged[0], *judged[2]]
    by_cause = {cause: rule for rule in rules for cause in rule.causes}
    wants: set[ListWant] = set()
    places = sorted({n for f in every for n in _namespaces(f)})
    if len(places) > MOST_CONFIRMED:
        observer.cut.append(f"findings of {len(places) - MOST_CONFIRMED} more namespaces were not read a second time")
    for namespace in places[:MOST_CONFIRMED]:
        for finding in every:
            if namespace in _namespaces(finding):
                confirms = by_cause[finding.cause].confirms
                wants |= {ListWant(kind, namespace if kind.namespaced else None) for kind in confirms}
    seen, home = facts.version, facts.scope.namespace
    if home is not None:  # at home first: what is left may be all that this question may ask
        ordered = sorted(wants, key=lambda want: (want.namespace != home, want.kind.resource, want.namespace or ""))
        room = observer.room()
        if len(ordered) > room:
            observer.cut.append(f"{len(ordered) - room} lists that findings compare were not read a second time")
        wants = set(ordered[:room])
    await observer.lists(wants, again=True)
    await _dig(observer, facts, rules)
    if facts.version == seen:
        return judged
    still, ruled_out = judge(facts, rules)
    before = {(f.cause, f.object) for f in every}
    guests = [f for f in _guests(facts, rules) if (f.cause, f.object) in before]
    return [f for f in still if (f.cause, f.object) in before], ruled_out, guests


def _namespaces(finding: Finding) -> set[str]:
    return {ref.namespace for ref in (finding.object, *finding.affects)} - {""}


def _outcome(roots: list[link.Root], coverage: Coverage, left: bool) -> Outcome:
    if any(root.finding.severity != "info" for root in roots):
        return "problems_found"
    if left or any(entry.why in INCONCLUSIVE for entry in coverage.not_checked):
        return "inconclusive"
    return "nothing_found"


def _distinct(ruled_out: Iterable[RuledOut]) -> list[RuledOut]:
    return sorted(set(ruled_out), key=lambda r: (r.cause, r.why))
