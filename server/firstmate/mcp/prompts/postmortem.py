"""The prompt `postmortem`: an incident is over, and somebody has to write down what happened."""

from datetime import UTC, datetime

from firstmate.mcp.prompts.guide import (
    CLUSTER,
    NAMESPACE,
    SCOPE,
    Asked,
    Guide,
    PromptInput,
    PromptSpec,
    arguments_of,
)
from firstmate.mcp.prompts.window import window

_AGO = ("1h", "2h", "6h", "12h", "24h", "2d", "7d")
_DOCUMENT = """\
Write the document in this shape, without blame, times in UTC:
- Title, date, duration, severity, authors (leave open what only people know).
- Summary: three sentences: what broke for whom, why, what ended it.
- Impact: what was unavailable or slow, for how long. Only from evidence; else "not known".
- Timeline: one line each: time, what happened, its source as (object, field, value). Mark what is inferred.
- Root cause: the cause, its confidence (certain, likely, possible), the chain in explains[], the evidence.
- What contributed: missing limits, probes, alerts, quotas, reviews: only what an answer showed.
- Detection and response: what told people, what they did, what helped. Ask the people; do not invent it.
- Actions: what, why, owner (open), so that this cause cannot come back unseen. Prefer the runbook's prevention.
- Not known: every coverage.not_checked and coverage.cut that concerns the time, and what the cluster had forgotten."""


def render(asked: Asked) -> str:
    when = window(asked.text("start") or "", asked.text("end"), asked.now)
    place = asked.place()
    what = arguments_of(place)
    where = {"namespace": place.namespace or None}
    guide = Guide(asked.calls, {CLUSTER.name: asked.cluster()})
    guide.say(
        f"Write a postmortem of what happened between {_utc(when.start)} and {_utc(when.end)}, with firstmate's tools. "
        "Every statement rests on an answer that you quote; what no answer shows is not known. Change nothing."
    )
    guide.say(
        "A cluster remembers little: events for about an hour, logs of the last two runs of a container, its last "
        "state, the revisions of a workload. So ask at once, and say what was gone. `since_minutes` counts back from "
        "now, over a recording from its `observed_at`."
    )
    guide.step("clusters", {}, "Which cluster is meant, and is it the one that answers?")
    guide.step("diagnose", what, "What is still broken? A root cause that is there now may have been there then.")
    guide.step(
        "events",
        {**what, "type": "all", "since_minutes": when.minutes_back},
        "The timeline: first and last time, counts. Leave out what lies outside the time.",
    )
    if place.object is None or place.object.kind != "Node":
        guide.step(
            "workload_status",
            where if place.object is None or place.object.kind in {"Pod", "Service", "Ingress"} else what,
            "Which revision came when, and what it changed: a change shortly before the start is the first suspect.",
        )
        if place.object is None or place.namespace:
            guide.step("pod_status", where, "Restarts, exit codes and reasons of the last state, with their times.")
    guide.step("node_status", {}, "Which nodes were new, not ready, under pressure or cordoned, since when?")
    if guide.offers("logs"):
        guide.ask(
            f"Where a container died, call `logs` with its pod as `scope`, `previous` = only and "
            f"`since_minutes` = {when.minutes_back}: the last lines before it died."
        )
    if guide.offers("get_runbook"):
        guide.ask("For each root cause call `get_runbook`: what prevents it belongs into the actions.")
    guide.say(_DOCUMENT)
    return guide.written()


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


PROMPT = PromptSpec(
    "postmortem",
    "Write a postmortem",
    "Collects what the cluster still knows of an incident, in which order, and shapes the document.",
    (
        PromptInput("start", "When it began: 2026-11-21T14:00:00Z, or how long ago: 2h", True, _AGO),
        PromptInput("end", "When it was over, likewise; left out: now", completions=("now", *_AGO)),
        SCOPE,
        CLUSTER,
        NAMESPACE,
    ),
    render,
)
