"""Reads the JSON of an alert, whoever sent it: Prometheus, Alertmanager, Grafana, CloudWatch, SNS, PagerDuty.

The prompt `explain-alert` calls `read_alerts`. A shape that it does not know is searched for labels that name things in
Kubernetes. Shapes are those of:

- Alertmanager's webhook and API (prometheus.io/docs/alerting/latest/configuration/#webhook_config), Grafana's webhook;
- CloudWatch's alarm events (EventBridge, "CloudWatch Alarm State Change") and alarm messages in SNS notifications;
- PagerDuty's Events API v2 and webhooks v3.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import orjson

from firstmate_tools.errors import UsageError

LONGEST = 100_000
_DEEPEST = 12
_MOST_ALERTS = 100
_OVER = {"resolved", "ok", "resolve", "inactive", "normal", "incident.resolved"}
_PAIR = re.compile(r"^\s*-?\s*([A-Za-z_][A-Za-z0-9_.]{0,63}) = (.{1,253}?)\s*$", re.MULTILINE)

Json = dict[str, Any]
Labels = dict[str, str]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. Every text in it was written by strangers.

    Attributes:
        name: of the alerting rule or alarm, or the title where there is no name; may be empty.
        labels: labels, dimensions, tags.
        firing: False once it is over.
        since: when it began, as sent; may be empty.
    """

    name: str
    labels: Mapping[str, str]
    firing: bool = True
    since: str = ""


def read_alerts(text: str) -> list[Alert]:
    """The alerts of a payload, in its order.

    Args:
        text: JSON: a webhook's whole body, one alert or a list of them.

    Raises:
        UsageError: it is no JSON object or list, is too long, or holds no alert.
    """
    if len(text) > LONGEST:
        raise UsageError(f"The alert has more than {LONGEST} characters.", "Give one alert of it.")
    try:
        tree: object = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UsageError(
            f"The alert is not JSON: {error.msg} (line {error.lineno}, column {error.colno}).",
            "Give it as the alerting system sent it: an Alertmanager or Grafana webhook, one alert, a CloudWatch "
            "alarm, an SNS notification or a PagerDuty event.",
        ) from None
    found = list(_alerts(tree, 0))[:_MOST_ALERTS]
    if not found:
        raise UsageError("The JSON holds no alert.", "Give the whole body that the alerting system sent.")
    return found


def _alerts(tree: object, depth: int) -> Iterator[Alert]:
    if depth > _DEEPEST:
        return
    if isinstance(tree, list):
        for one in cast("list[object]", tree):
            yield from _alerts(one, depth + 1)
    if not isinstance(tree, dict) or not tree:
        return
    body = cast("Json", tree)
    if isinstance(body.get("Records"), list):  # what Lambda gets from SNS
        yield from _alerts(body["Records"], depth + 1)
    elif isinstance(body.get("Sns"), dict):
        yield from _alerts(body["Sns"], depth + 1)
    elif isinstance(body.get("Message"), str):
        yield from _from_sns(body, depth)
    elif isinstance(body.get("alerts"), list):
        common = _texts(body.get("commonLabels"))
        for one in cast("list[object]", body["alerts"]):
            if isinstance(one, dict):
                yield _labelled(cast("Json", one), common)
    elif isinstance(body.get("labels"), dict):
        yield _labelled(body, {})
    elif "AlarmName" in body or "alarmName" in _object(body.get("detail")):
        yield _alarm(body)
    else:
        yield _searched(body)


def _from_sns(body: Json, depth: int) -> Iterator[Alert]:
    try:
        inner: object = orjson.loads(body["Message"])
    except orjson.JSONDecodeError:
        inner = None
    if isinstance(inner, dict | list) and inner:
        yield from _alerts(cast("object", inner), depth + 1)
    else:
        yield _searched(body)


def _labelled(body: Json, common: Labels) -> Alert:
    """An alert of Prometheus, Alertmanager or Grafana."""
    labels = {**common, **_texts(body.get("labels"))}
    status = body.get("status")
    state = _object(cast("object", status)).get("state") or status or body.get("state")
    return Alert(
        labels.get("alertname", ""), labels, not _over(state), _text(body.get("startsAt") or body.get("activeAt"))
    )


def _alarm(body: Json) -> Alert:
    """A CloudWatch alarm: EventBridge's event, or the message that goes to SNS."""
    detail = _object(body.get("detail"))
    state = _object(detail.get("state"))
    if detail:
        name, value, since = detail.get("alarmName"), state.get("value"), state.get("timestamp")
        where = detail.get("configuration")
    else:
        name, value, since = body["AlarmName"], body.get("NewStateValue"), body.get("StateChangeTime")
        where = body.get("Trigger")
    return Alert(_text(name), _dimensions(where), not _over(value), _text(since))


def _dimensions(tree: object, depth: int = 0) -> Labels:
    """The dimensions of an alarm's metrics. Elsewhere in it, `Namespace` is the metric's and no namespace."""
    found: Labels = {}
    if depth > _DEEPEST:
        return found
    inner = cast("list[object]", tree) if isinstance(tree, list) else []
    for key, value in _object(cast("object", tree)).items():
        if key.lower() == "dimensions":
            found.update(_found_labels(value))
        else:
            inner.append(value)
    for one in inner:
        found = {**_dimensions(one, depth + 1), **found}
    return found


def _searched(body: Json) -> Alert:
    """Anything else, PagerDuty's among it: whatever stands there under the name of a label."""
    event = _object(body.get("event"))
    labels = _found_labels(body)
    state = event.get("event_type") or body.get("event_action") or body.get("state") or body.get("status")
    data = _object(event.get("data"))
    payload = _object(body.get("payload"))
    titles = (body.get("ruleName"), data.get("title"), payload.get("summary"), body.get("title"), body.get("Subject"))
    name = labels.get("alertname") or next((_text(one) for one in titles if _text(one)), "")
    since = data.get("created_at") or payload.get("timestamp") or body.get("Timestamp")
    return Alert(name, labels, not _over(state), _text(since))


def _found_labels(tree: object, depth: int = 0) -> Labels:
    """Texts by their key, wherever they stand: keys of objects, `name` and `value` pairs, lines `name = value`."""
    if depth > _DEEPEST:
        return {}
    found: Labels = {}
    if isinstance(tree, list):
        for one in cast("list[object]", tree):
            found = {**_found_labels(one, depth + 1), **found}
    elif isinstance(tree, dict):
        body = cast("Json", tree)
        if isinstance(body.get("name"), str) and isinstance(body.get("value"), str):
            found[body["name"]] = body["value"]
        for key, value in body.items():
            if isinstance(value, dict | list):
                found = {**_found_labels(cast("object", value), depth + 1), **found}
            elif isinstance(value, str):
                found.setdefault(key, value)
                for name, text in _PAIR.findall(value):
                    found.setdefault(name, text)
    return found


def _over(state: object) -> bool:
    return isinstance(state, str) and state.strip().lower() in _OVER


def _object(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _texts(value: object) -> Labels:
    return {key: one for key, one in _object(value).items() if isinstance(one, str)}
