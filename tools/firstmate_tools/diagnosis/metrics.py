"""What rules that ask Prometheus share: their wants, what they could not see, which node a series is about. Pure."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, fact
from firstmate_tools.diagnosis.questions import METRICS_KNOWN
from firstmate_tools.diagnosis.rule import MetricWant, Rule, Want
from firstmate_tools.errors import NotConfiguredError
from firstmate_tools.prometheus.answers import Series
from firstmate_tools.reads import PrometheusRead
from firstmate_tools.refs import Ref, ref_of

SYSTEM = "kube-system"
_NODE_LABELS = ("node", "nodename", "kubernetes_node", "instance")


def asked(*reads: PrometheusRead, where: Callable[[Facts], bool] | None = None) -> Callable[[Facts], Iterable[Want]]:
    """The wants of a rule that puts these questions, and the one that tells what an empty answer means.

    Args:
        where: whether the question that is asked calls for them; None for always.
    """

    def wants(facts: Facts) -> Iterable[Want]:
        if where is None or where(facts):
            yield MetricWant(METRICS_KNOWN)
            for read in reads:
                yield MetricWant(read, facts.scope.namespace if read.namespaced else None)

    return wants


def about_cluster(facts: Facts) -> bool:
    """Whether the question is about the cluster, a node, or the control plane's own namespace."""
    return facts.scope.namespace in {None, SYSTEM}


def told(series: Series, about: Ref, metric: str, value: str) -> Evidence:
    """What a series says of an object, with the moment of its newest point."""
    return fact(about, f"prometheus {metric}", value, series.at)


def part(found: Iterable[Series], of: str) -> list[Series]:
    """The series of one part of an answer."""
    return [one for one in found if one.label("of") == of]


def percent(share: float) -> str:
    """`0 %`, `2.5 %`, `62 %`."""
    value = share * 100
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.1f} %"


def node_of(facts: Facts, series: Series) -> Ref | None:
    """The node that a series of an exporter is about: by a label that names it, or by the address it was scraped at."""
    return next((ref for name in _NODE_LABELS if (ref := facts.derived(_nodes).get(_host(series.label(name))))), None)


def _nodes(facts: Facts) -> dict[str, Ref]:
    found: dict[str, Ref] = {}
    for node in facts.everywhere(kinds.NODE):
        ref = ref_of(node, kinds.NODE)
        for address in fields.items(node, "status", "addresses"):
            found.setdefault(fields.text(address, "address"), ref)
        found[ref.name] = ref
    found.pop("", None)
    return found


def _host(instance: str) -> str:
    """The host of `host:port`, with brackets around an IPv6 address taken off."""
    host, colon, port = instance.rpartition(":")
    return host.strip("[]") if colon and port.isdigit() and (host.count(":") == 0 or host[0] == "[") else instance


@dataclass(frozen=True, slots=True)
class Seen:
    """How far Prometheus could be asked.

    Attributes:
        why_not: what to do to have it asked, where nobody said where it is; None where it was.
        known: the metrics that it has; None where it did not say.
    """

    why_not: str | None
    known: frozenset[str] | None

    def lacks(self, read: PrometheusRead) -> bool:
        """Whether none of the metrics that a question needs is there, so that its empty answer tells nothing."""
        return self.known is not None and bool(read.metrics) and self.known.isdisjoint(read.metrics)


def seen(facts: Facts, unconfigured: NotConfiguredError | None) -> Seen:
    """See `Seen`."""
    if unconfigured is not None:
        return Seen(unconfigured.hint or unconfigured.message, None)
    names = {one.label("__name__") for one in facts.series(METRICS_KNOWN)}
    return Seen(None, frozenset(names) if facts.asked(METRICS_KNOWN) else None)


def needing(rules: Collection[Rule]) -> dict[str, set[PrometheusRead]]:
    """Causes that only Prometheus shows, with the questions that would."""
    found: dict[str, set[PrometheusRead]] = {}
    others: set[str] = set()
    for rule in rules:
        reads = {read for read in rule.digs if isinstance(read, PrometheusRead)} - {METRICS_KNOWN}
        for cause in rule.causes:
            if reads:
                found.setdefault(cause, set()).update(reads)
            else:
                others.add(cause)
    return {cause: reads for cause, reads in found.items() if cause not in others}
