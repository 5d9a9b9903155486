"""The prompt `explain-alert`: an alert fired, and somebody asks what is behind it.

The alert is text of strangers. Names out of it go into arguments only where they can be names in Kubernetes or are
those of configured clusters; a runbook is named only where its own metadata names the alert. Everything else stands
fenced at the end.
"""

import re
from collections.abc import Sequence

from firstmate.alerts.payloads import Alert, read_alerts
from firstmate.alerts.subject import Subject, subject_of
from firstmate.mcp.prompts.guide import CLUSTER, Asked, Guide, PromptInput, PromptSpec
from firstmate.runbooks.library import Library
from firstmate_tools.text import shorten, untrusted

_MOST = 5
_QUOTED = 6000
_WORD = re.compile(r"[A-Za-z0-9_]+")


def render(asked: Asked) -> str:
    text = asked.text("alert") or ""
    every = read_alerts(text)
    firing = [one for one in every if one.firing]
    subjects = _distinct(firing or every)
    named = asked.cluster()
    guide = Guide(asked.calls, {})
    guide.say("Find out what is behind this alert, with firstmate's tools, and whether it is still so. Change nothing.")
    if len(subjects) > _MOST:
        guide.say(
            f"It is about {len(subjects)} things; here are the first {_MOST}. The others often share their cause."
        )
    if not firing:
        guide.say("The alert is over. What it was about may be well by now, and its events may be gone.")
    elif len(firing) < len(every):
        guide.say(f"Of its {len(every)} alerts {len(every) - len(firing)} are over, and left out here.")
    known = list(asked.calls.clusters.names())
    if named is None and any(one.cluster and _configured(one.cluster, known) is None for one in subjects):
        guide.ask(
            "The alert names a cluster that is not configured here under that name (see its labels below). Call "
            "`clusters`, choose the one that is meant, and give it as `cluster` in every call below. If none is, "
            "stop and say so."
        )
    for subject in subjects[:_MOST]:
        _steps(guide, subject, named or _configured(subject.cluster, known))
    _runbooks(guide, _known_runbooks(asked.runbooks, firing or every))
    guide.say(
        "Answer with: is it still so; the root cause and its evidence; what it breaks; the fix and its risk; and if "
        "the alert misleads (wrong object, threshold, or a symptom only), what should alert instead."
    )
    guide.quote("The alert as it was given.", shorten(untrusted(text), _QUOTED))
    return guide.written()


def _distinct(alerts: Sequence[Alert]) -> list[Subject]:
    found: dict[tuple[str, str | None, str], Subject] = {}
    for alert in alerts:
        subject = subject_of(alert)
        found.setdefault((subject.scope, subject.namespace, subject.cluster), subject)
    return sorted(found.values(), key=lambda one: not one.certain)


def _steps(guide: Guide, subject: Subject, cluster: str | None) -> None:
    since = f" It has fired since {subject.since.isoformat(timespec='seconds')}." if subject.since is not None else ""
    if subject.certain:
        why = f"Is it broken now, and why?{since} If it does not exist any more, diagnose its namespace instead."
    elif subject.namespace is None and subject.scope == "cluster":
        why = f"The alert names no object that firstmate knows how to find.{since}"
    else:
        why = f"The alert names the namespace only.{since}"
    guide.step("diagnose", {"scope": subject.scope, "namespace": subject.namespace, CLUSTER.name: cluster}, why)


def _configured(label: str, known: Sequence[str]) -> str | None:
    """The configured cluster that a label means: by its name, or by the last part of an EKS ARN or context."""
    if not label:
        return None
    if label in known:
        return label
    same = [name for name in known if re.split(r"[/@]", name)[-1] == re.split(r"[/@]", label)[-1]]
    return same[0] if len(same) == 1 else None


def _known_runbooks(runbooks: Library, alerts: Sequence[Alert]) -> list[str]:
    """Runbooks whose metadata name a word of the alerts' names. The words themselves never leave here."""
    words = dict.fromkeys(word for one in alerts for word in _WORD.findall(one.name))
    return list(dict.fromkeys(slug for word in words for slug in runbooks.for_alert(word)))


def _runbooks(guide: Guide, slugs: Sequence[str]) -> None:
    if not guide.offers("get_runbook"):
        return
    if len(slugs) == 1:
        guide.step(
            "get_runbook", {"runbook": slugs[0]}, "It names this alert. Prefer root_causes[].runbook where they differ."
        )
    elif slugs:
        guide.ask(
            f"Runbooks that name this alert: {', '.join(slugs)}. Which one fits is what `diagnose` says in "
            "root_causes[].runbook: call `get_runbook` with that one."
        )
    else:
        guide.ask(
            "No runbook names this alert. Call `get_runbook` with root_causes[].runbook, or with a cause; without a "
            "root cause say that no runbook fits."
        )


PROMPT = PromptSpec(
    "explain-alert",
    "Explain an alert",
    "Finds what is behind an alert: reads its labels, diagnoses what they name, and names the runbook.",
    (
        PromptInput(
            "alert",
            "The alert's JSON: Alertmanager or Grafana webhook, one alert, CloudWatch alarm, SNS, PagerDuty",
            required=True,
        ),
        CLUSTER,
    ),
    render,
)
