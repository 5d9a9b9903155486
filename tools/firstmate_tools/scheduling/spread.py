"""Topology spread constraints that forbid a node (`whenUnsatisfiable: DoNotSchedule`).

Rules of kube-scheduler v1.36, plugin podtopologyspread (common.go, filtering.go): a pod may go to a domain while
`pods there + itself - the emptiest domain <= maxSkew`. Domains are counted over the nodes that have every topology key
of the pod's constraints and pass the two inclusion policies. Only pods of the same namespace that are not terminating
count; an absent selector counts nobody.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from firstmate_tools import fields, podstate, selectors
from firstmate_tools.fields import Obj
from firstmate_tools.scheduling import predicates


@dataclass(frozen=True, slots=True)
class Blocked:
    """Why one constraint forbids one node.

    Attributes:
        key: the topology key.
        domain: the node's value of it, None where the node lacks the label.
        here: matching pods in that domain.
        fewest: matching pods in the emptiest domain, 0 where there are fewer domains than `minDomains`.
        max_skew: what the constraint allows.
    """

    key: str
    domain: str | None
    here: int
    fewest: int
    max_skew: int


@dataclass(frozen=True, slots=True)
class Counted:
    """One constraint with the matching pods of each domain.

    Attributes:
        itself: 1 where the pod matches its own selector.
    """

    key: str
    max_skew: int
    min_domains: int
    itself: int
    pods: dict[str, int]

    def fewest(self) -> int:
        """The global minimum; 0 where domains are missing, and large where there is none to compare with."""
        if len(self.pods) < self.min_domains:
            return 0
        return min(self.pods.values(), default=2**31 - 1)

    def blocks(self, labels: dict[str, str]) -> Blocked | None:
        """Why this constraint forbids a node of these labels, None where it does not."""
        domain = labels.get(self.key)
        here = self.pods.get(domain, 0) if domain is not None else 0
        if domain is not None and here + self.itself - self.fewest() <= self.max_skew:
            return None
        fewest = min(self.fewest(), min(self.pods.values(), default=0)) if domain is None else self.fewest()
        return Blocked(self.key, domain, here, fewest, self.max_skew)

    def open_domains(self) -> list[str]:
        """Domains to which the pod may go, by name."""
        fewest = self.fewest()
        return sorted(d for d, here in self.pods.items() if here + self.itself - fewest <= self.max_skew)


def constraints(pod: Obj) -> list[Obj]:
    """The constraints that forbid; those that only prefer are left out."""
    found = fields.items(pod, "spec", "topologySpreadConstraints")
    return [
        c for c in found if fields.text(c, "whenUnsatisfiable") != "ScheduleAnyway" and fields.text(c, "topologyKey")
    ]


def counted(pod: Obj, nodes: Iterable[Obj], pods: Iterable[Obj]) -> list[Counted]:
    """The forbidding constraints of a pod, each with what its domains hold now.

    Args:
        nodes: all nodes of the cluster.
        pods: at least the pods of the pod's namespace; others are left out.
    """
    wanted = constraints(pod)
    if not wanted:
        return []
    labels, namespace = fields.labels_of(pod), fields.namespace_of(pod)
    by_node: dict[str, list[dict[str, str]]] = defaultdict(list)
    for other in pods:
        if fields.namespace_of(other) == namespace and not podstate.terminating(other) and not podstate.finished(other):
            by_node[fields.text(other, "spec", "nodeName")].append(fields.labels_of(other))
    keys = [fields.text(c, "topologyKey") for c in wanted]
    domains = [node for node in nodes if all(key in fields.labels_of(node) for key in keys)]
    return [_count(pod, labels, constraint, domains, by_node) for constraint in wanted]


def _count(
    pod: Obj, labels: dict[str, str], constraint: Obj, domains: list[Obj], by_node: dict[str, list[dict[str, str]]]
) -> Counted:
    key = fields.text(constraint, "topologyKey")
    found: dict[str, int] = defaultdict(int)
    counts_nobody = _empty(constraint)
    for node in domains:
        if not _included(pod, constraint, node):
            continue
        others = by_node.get(fields.name_of(node), [])
        matching = 0 if counts_nobody else sum(1 for other in others if _matches(constraint, labels, other))
        found[fields.labels_of(node)[key]] += matching
    return Counted(
        key=key,
        max_skew=fields.number(constraint, "maxSkew", default=1),
        min_domains=fields.number(constraint, "minDomains", default=1),
        itself=int(_matches(constraint, labels, labels)),
        pods=dict(found),
    )


def _empty(constraint: Obj) -> bool:
    """Whether the selector is `{}` with no label keys added: it matches everything, and yet counts no pods."""
    selector = fields.at(constraint, "labelSelector")
    return selector is not None and not (
        fields.mapping(selector, "matchLabels")
        or fields.items(selector, "matchExpressions")
        or fields.strings(constraint, "matchLabelKeys")
    )


def _matches(constraint: Obj, own: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether labels match a constraint's selector, `matchLabelKeys` of the pod's own labels included."""
    keys = [key for key in fields.strings(constraint, "matchLabelKeys") if key in own]
    return selectors.matches(fields.at(constraint, "labelSelector"), labels) and all(
        labels.get(key) == own[key] for key in keys
    )


def _included(pod: Obj, constraint: Obj, node: Obj) -> bool:
    """The inclusion policies: by default node affinity is honoured and taints are ignored."""
    if fields.text(constraint, "nodeAffinityPolicy") != "Ignore" and not (
        predicates.selector_matches(pod, node) and predicates.affinity_matches(pod, node)
    ):
        return False
    return fields.text(constraint, "nodeTaintsPolicy") != "Honor" or not (
        predicates.refusing_taints(pod, node) or predicates.cordoned(pod, node)
    )
