"""`python -m evals.causes`: writes docs/causes.md, the catalogue of causes as the code has it.

A test compares: a rule that changes without its line in the catalogue fails.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import yaml

from firstmate_tools.diagnosis.cause import Cause
from firstmate_tools.diagnosis.causes import CAUSES, SECTIONS
from firstmate_tools.diagnosis.rule import Rule, all_rules
from firstmate_tools.diagnosis.sources import PLACES, PRODUCTS
from firstmate_tools.reads import Declared, PrometheusRead, Read

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "causes.md"
SCENARIOS = ROOT / "evals" / "scenarios"

_HEAD = """\
# Causes

Made by `python -m evals.causes`; do not edit. {told} of {every} causes have a rule; the others are listed in
`coverage.not_checked` of every diagnosis, by what would show them. How a rule is written: [diagnosis](diagnosis.md).

*Reads* is what the rule looks at, `+` what it asks for only where a signal calls for it. *Scenarios* counts those of
`evals/scenarios` in which the cause is the right answer. A *victim* is a root cause only where nothing explains it.
"""


def page() -> str:
    """The whole page."""
    rules = {cause: rule for rule in all_rules() for cause in rule.causes}
    counts = scenarios()
    parts = [_HEAD.format(told=len(rules), every=len(CAUSES))]
    for section, causes in SECTIONS.items():
        parts.append(f"\n## {section.capitalize()}\n")
        parts.append("| cause | what it is | shown by | reads | rule | scenarios | runbook |")
        parts.append("|---|---|---|---|---|---|---|")
        parts += [_row(cause, rules.get(cause.slug), counts[cause.slug]) for cause in causes]
    return "\n".join(parts) + "\n"


def scenarios() -> dict[str, int]:
    """How many scenarios have each cause as a right answer."""
    counts: dict[str, int] = defaultdict(int)
    for path in sorted(SCENARIOS.glob("*/scenario.yaml")):
        for cause in yaml.safe_load(path.read_text())["expect"].get("root_causes") or ():
            counts[cause] += 1
    return counts


def _row(cause: Cause, rule: Rule | None, count: int) -> str:
    title = f"{cause.title} (victim)" if cause.victim else cause.title
    shown = {**PLACES, **PRODUCTS}.get(cause.source, cause.source)
    module = rule.judge.__module__.rpartition(".")[2] if rule is not None else "–"
    cells = [f"`{cause.slug}`", title, shown, _reads(rule), module, str(count or "–"), cause.runbook]
    return f"| {' | '.join(cells)} |"


def _reads(rule: Rule | None) -> str:
    if rule is None:
        return "–"
    observed = sorted({kind.plural for kind in rule.observes})
    dug = sorted({_name(read) for read in rule.digs} - set(observed))
    return ", ".join(observed + [f"+{name}" for name in dug])


def _name(read: Declared) -> str:
    if isinstance(read, PrometheusRead):
        return read.resource
    if not isinstance(read, Read):
        return getattr(read, "path", str(read))
    return f"{read.kind.plural}/{read.subresource}" if read.subresource else read.kind.plural


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stderr.write(f"wrote {PAGE.relative_to(ROOT)}\n")
