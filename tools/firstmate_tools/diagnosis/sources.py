"""Which causes a diagnosis could not look for, because what would show them is not there. Pure.

The engine adds these to `coverage.not_checked`: one entry for each place that nothing reads, one for the products whose
custom resources the cluster does not serve. They make no outcome inconclusive: nobody said that these places exist.
"""

from collections import Counter
from collections.abc import Collection
from functools import cache

from firstmate_tools.diagnosis.cause import Source
from firstmate_tools.diagnosis.causes import CAUSES
from firstmate_tools.diagnosis.metrics import Seen, needing
from firstmate_tools.diagnosis.rule import Rule, all_rules
from firstmate_tools.kinds import Kind, custom
from firstmate_tools.reads import Read
from firstmate_tools.results import NotChecked

PLACES: dict[Source, str] = {
    "aws": "AWS",
    "audit": "audit log",
    "flows": "network flows",
    "prometheus": "Prometheus",
}
"""Places beside the cluster that facts come from."""
PRODUCTS: dict[Source, str] = {
    "ack": "ACK",
    "argo-cd": "Argo CD",
    "aws-load-balancer-controller": "AWS Load Balancer Controller",
    "cert-manager": "cert-manager",
    "external-secrets": "External Secrets",
    "flux": "Flux",
    "karpenter": "Karpenter",
    "keda": "KEDA",
}
"""Products whose custom resources show causes."""


def unread(rules: Collection[Rule], absent: Collection[Kind], metrics: Seen) -> list[NotChecked]:
    """What was not looked for.

    Args:
        rules: those that judged.
        absent: custom kinds that rules wanted and the cluster does not serve.
        metrics: how far Prometheus could be asked.
    """
    return [*_without_rule(), *_without_metrics(rules, metrics), *_not_installed(rules, absent)]


def _without_metrics(rules: Collection[Rule], metrics: Seen) -> list[NotChecked]:
    """Causes that only Prometheus shows, where nobody said where it is, or where it lacks what they need."""
    needed = needing(rules)
    if metrics.why_not is not None:
        if not needed:
            return []
        what = f"{PLACES['prometheus']}: {_counted(len(needed))}"
        return [NotChecked(what=what, why="not_configured", how_to_enable=metrics.why_not)]
    blind = {cause: reads for cause, reads in needed.items() if all(map(metrics.lacks, reads))}
    if not blind:
        return []
    names = sorted({read.metrics[0] for reads in blind.values() for read in reads})
    what = f"metrics that Prometheus does not have: {_counted(len(blind))}"
    how = f"Have these collected: {', '.join(names)}."
    return [NotChecked(what=what, why="not_installed", how_to_enable=how)]


@cache
def _without_rule() -> tuple[NotChecked, ...]:
    """Causes of the catalogue that no rule can tell, by the place that would show them."""
    told = {cause for rule in all_rules() for cause in rule.causes}
    missing = Counter(cause.source for cause in CAUSES.values() if cause.slug not in told)
    entries = [
        NotChecked(what=f"{label}: {_counted(missing[source])}", why="not_configured", how_to_enable="not read yet")
        for source, label in PLACES.items()
        if missing[source]
    ]
    others = sum(count for source, count in missing.items() if source not in PLACES)
    if others:
        words = "no rule tells them yet: see docs/diagnosis.md"
        entries.append(NotChecked(what=f"further {_counted(others)}", why="not_configured", how_to_enable=words))
    return tuple(entries)


def _not_installed(rules: Collection[Rule], absent: Collection[Kind]) -> list[NotChecked]:
    """Products of which the cluster serves no resource that a rule reads."""
    gone: dict[str, set[str]] = {}
    there: set[str] = set()
    for rule in rules:
        wanted = {read.kind for read in rule.reads() if isinstance(read, Read) and custom(read.kind)}
        for cause in rule.causes:
            label = PRODUCTS.get(CAUSES[cause].source)
            if wanted and label is not None:
                if wanted <= set(absent):
                    gone.setdefault(label, set()).add(cause)
                else:
                    there.add(label)
    labels = sorted(gone.keys() - there)
    if not labels:
        return []
    count = len({cause for label in labels for cause in gone[label]})
    return [NotChecked(what=f"{', '.join(labels)}: {_counted(count)}", why="not_installed")]


def _counted(number: int) -> str:
    return f"{number} cause{'' if number == 1 else 's'}"
