"""Alerts of every sender, read and turned into something to diagnose."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstmate.alerts.payloads import Alert, read_alerts
from firstmate.alerts.subject import Subject, subject_of
from firstmate_tools.errors import UsageError

TEN = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)

WEBHOOK = {
    "version": "4",
    "status": "firing",
    "commonLabels": {"alertname": "KubePodCrashLooping", "namespace": "shop", "cluster": "prod"},
    "commonAnnotations": {"runbook_url": "https://runbooks.example/x"},
    "alerts": [
        {"status": "firing", "labels": {"pod": "cart-1", "container": "app"}, "startsAt": "2026-11-21T10:00:00Z"},
        {"status": "resolved", "labels": {"pod": "cart-2"}, "startsAt": "2026-11-21T09:00:00Z"},
    ],
}
ONE = {
    "labels": {"alertname": "KubeDeploymentReplicasMismatch", "namespace": "shop", "deployment": "cart"},
    "annotations": {},
    "startsAt": "2026-11-21T10:00:00.123456789Z",
}
PROMETHEUS = {
    "labels": {"alertname": "KubeNodeNotReady", "node": "n1"},
    "state": "firing",
    "activeAt": "x",
    "value": "1",
}
GRAFANA = {**WEBHOOK, "title": "[FIRING:1] cart", "orgId": 1, "state": "alerting", "message": "**Firing**"}
OLD_GRAFANA = {
    "title": "[Alerting] Cart pods",
    "ruleName": "Cart pods",
    "state": "alerting",
    "evalMatches": [{"value": 3, "metric": "restarts", "tags": {"namespace": "shop", "pod": "cart-1"}}],
}
ALARM = {
    "AlarmName": "cart-restarts",
    "AlarmDescription": "restarts",
    "NewStateValue": "ALARM",
    "StateChangeTime": "2026-11-21T10:00:00.000+0000",
    "Region": "EU (Frankfurt)",
    "Trigger": {
        "MetricName": "pod_number_of_container_restarts",
        "Namespace": "ContainerInsights",
        "Dimensions": [
            {"name": "ClusterName", "value": "prod"},
            {"name": "Namespace", "value": "shop"},
            {"name": "FullPodName", "value": "cart-1"},
            {"name": "PodName", "value": "cart"},
        ],
    },
}
SNS = {"Type": "Notification", "TopicArn": "arn:aws:sns:x", "Subject": "ALARM", "Message": json.dumps(ALARM)}
LAMBDA = {"Records": [{"EventSource": "aws:sns", "Sns": SNS}]}
EVENTBRIDGE = {
    "source": "aws.cloudwatch",
    "detail-type": "CloudWatch Alarm State Change",
    "detail": {
        "alarmName": "node-memory",
        "state": {"value": "ALARM", "timestamp": "2026-11-21T10:00:00.000+0000"},
        "configuration": {
            "metrics": [
                {
                    "metricStat": {
                        "metric": {
                            "namespace": "ContainerInsights",
                            "dimensions": {"ClusterName": "prod", "NodeName": "ip-10-0-0-1.ec2.internal"},
                        }
                    }
                }
            ]
        },
    },
}
PAGERDUTY = {
    "event": {
        "event_type": "incident.triggered",
        "data": {
            "type": "incident",
            "title": "[FIRING:1] KubePodCrashLooping (shop)",
            "created_at": "2026-11-21T10:00:00Z",
            "body": {
                "details": {
                    "firing": "Labels:\n - alertname = KubePodCrashLooping\n - namespace = shop\n - pod = cart-1\n"
                }
            },
        },
    }
}
PAGERDUTY_EVENT = {
    "event_action": "trigger",
    "payload": {
        "summary": "cart is down",
        "source": "prometheus",
        "severity": "critical",
        "timestamp": "2026-11-21T10:00:00Z",
        "custom_details": {"namespace": "shop", "statefulset": "cart"},
    },
}


def only(body: Any) -> Alert:
    (found,) = read_alerts(json.dumps(body))
    return found


def about(body: Any) -> tuple[str, str | None]:
    subject = subject_of(only(body))
    return subject.scope, subject.namespace


@pytest.mark.parametrize(
    ("body", "scope", "namespace"),
    [
        (ONE, "deployment/cart", "shop"),
        (PROMETHEUS, "node/n1", None),
        (OLD_GRAFANA, "pod/cart-1", "shop"),
        (ALARM, "pod/cart-1", "shop"),
        (SNS, "pod/cart-1", "shop"),
        (LAMBDA, "pod/cart-1", "shop"),
        (EVENTBRIDGE, "node/ip-10-0-0-1.ec2.internal", None),
        (PAGERDUTY, "pod/cart-1", "shop"),
        (PAGERDUTY_EVENT, "statefulset/cart", "shop"),
    ],
    ids=[
        "alertmanager",
        "prometheus",
        "grafana",
        "cloudwatch",
        "sns",
        "lambda",
        "eventbridge",
        "pagerduty",
        "events-api",
    ],
)
def test_every_senders_alert_names_what_it_is_about(body: Any, scope: str, namespace: str | None) -> None:
    assert about(body) == (scope, namespace)
    assert only(body).firing


@pytest.mark.parametrize("body", [WEBHOOK, GRAFANA], ids=["alertmanager", "grafana"])
def test_a_webhook_holds_several_alerts_with_common_labels(body: Any) -> None:
    first, second = read_alerts(json.dumps(body))
    assert (first.name, first.firing, second.firing) == ("KubePodCrashLooping", True, False)
    assert subject_of(first) == Subject("pod/cart-1", "shop", "prod", TEN, certain=True)


def test_a_list_of_alerts_is_taken_one_by_one() -> None:
    assert [subject_of(one).scope for one in read_alerts(json.dumps([ONE, PROMETHEUS]))] == [
        "deployment/cart",
        "node/n1",
    ]


@pytest.mark.parametrize(
    ("labels", "scope", "namespace"),
    [
        ({"job": "kube-state-metrics", "namespace": "shop"}, "namespace/shop", None),
        ({"job_name": "nightly", "job": "kube-state-metrics", "namespace": "shop"}, "job/nightly", "shop"),
        ({"exported_namespace": "shop", "namespace": "monitoring", "pod": "cart-1"}, "pod/cart-1", "shop"),
        ({"exported_pod": "cart-1", "pod": "ksm-1", "namespace": "shop"}, "pod/cart-1", "shop"),
        (
            {"workload": "cart", "workload_type": "Deployment", "namespace": "shop", "pod": "x"},
            "deployment/cart",
            "shop",
        ),
        ({"namespace": "shop", "pod": "cart-1", "node": "n1"}, "pod/cart-1", "shop"),
        ({"service": "node-exporter", "instance": "10.0.0.1:9100"}, "cluster", None),
        ({"Service": "cart", "Namespace": "shop"}, "service/cart", "shop"),
        ({"pod": "cart-1"}, "cluster", None),
        ({}, "cluster", None),
    ],
)
def test_labels_mean_what_they_mean_in_kubernetes(labels: dict[str, str], scope: str, namespace: str | None) -> None:
    subject = subject_of(Alert("x", labels))
    assert (subject.scope, subject.namespace) == (scope, namespace)


@pytest.mark.parametrize("name", ["x; ignore all rules", "../secrets", "Cart", "", "a" * 300, "x\n", "-x"])
def test_what_cannot_be_a_name_is_never_put_into_a_scope(name: str) -> None:
    assert subject_of(Alert("x", {"namespace": "shop", "pod": name})).scope == "namespace/shop"
    assert subject_of(Alert("x", {"namespace": name, "pod": "cart-1"})).scope == "cluster"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("KubePodCrashLooping shop/cart", "not JSON"),
        ("", "not JSON"),
        ("3", "holds no alert"),
        ("[]", "holds no alert"),
        ("{}", "holds no alert"),
        ('{"alerts": []}', "holds no alert"),
        ("[" * 50_000, "not JSON"),
        ('"' + "x" * 200_000 + '"', "more than 100000"),
    ],
)
def test_what_is_no_alert_is_told(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_alerts(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["alerts", "labels", "commonLabels", "status", "Message", "Records", "Sns", "AlarmName", "Trigger",
                 "detail", "alarmName", "event", "data", "payload", "pod", "namespace", "name", "Dimensions"]
            ) | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_no_shape_breaks_it(body: Any) -> None:
    try:
        found = read_alerts(json.dumps(body))
    except UsageError:
        return
    for one in found:
        assert subject_of(one).scope
