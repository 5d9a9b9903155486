"""Label and field selectors as an API server evaluates them (each line was compared with kube-apiserver v1.36)."""

import pytest

from firstmate_tools.cluster.selectors import field_test, label_test
from firstmate_tools.errors import UsageError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import EVENT, EVENTS_V1, NODE, POD, REPLICA_SET, Kind

WIDGET = Kind("Widget", "widgets", "example.org")


def labelled(**labels: str) -> Obj:
    return {"metadata": {"labels": {key.replace("__", "/"): value for key, value in labels.items()}}}


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ("", True),
        ("app=cart", True),
        ("app==cart", True),
        (" app = cart , tier != cache ", True),
        ("app=pay", False),
        ("app!=pay", True),
        ("missing!=x", True),
        ("missing=", False),
        ("app", True),
        ("!app", False),
        ("!missing", True),
        ("app in (pay, cart)", True),
        ("app in(pay)", False),
        ("app notin (pay)", True),
        ("missing notin (a)", True),
        ("missing in ()", False),
        ("weight>3", True),
        ("weight<4", False),
        ("app>3", False),
        ("example.org/team=a", False),
        ("app=cart,weight=4,!x", True),
    ],
)
def test_label_selectors(selector: str, fits: bool) -> None:
    assert label_test(selector)(labelled(app="cart", weight="4")) is fits


@pytest.mark.parametrize(
    "selector", ["a=b,", ",", "a in b", "a=b=c", "=x", "!a!", "a b", "A_b/c=d", "a in (b!)", "a>b", "a in (b", "-a=b"]
)
def test_a_label_selector_that_cannot_be_parsed(selector: str) -> None:
    with pytest.raises(UsageError, match="label selector"):
        label_test(selector)


POD_OBJ: Obj = {
    "metadata": {"name": "a", "namespace": "shop"},
    "spec": {"nodeName": "n,1"},
    "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}]},
}
EVENT_OBJ: Obj = {
    "metadata": {"name": "e"},
    "type": "Warning",
    "reason": "BackOff",
    "involvedObject": {"kind": "Pod", "name": "a"},
    "source": {"component": "kubelet"},
}


@pytest.mark.parametrize(
    ("kind", "obj", "selector", "fits"),
    [
        (POD, POD_OBJ, "status.phase=Running,metadata.namespace=shop", True),
        (POD, POD_OBJ, "status.phase!=Running", False),
        (POD, POD_OBJ, r"spec.nodeName=n\,1", True),
        (POD, POD_OBJ, "spec.hostNetwork=false", True),
        (POD, POD_OBJ, "status.podIP=", True),
        (POD, POD_OBJ, "status.podIPs!=x", True),
        (NODE, {"spec": {"unschedulable": True}}, "spec.unschedulable=true", True),
        (NODE, {"spec": {}}, "spec.unschedulable=false", True),
        (EVENT, EVENT_OBJ, "involvedObject.kind=Pod,involvedObject.name=a,type=Warning,reason=BackOff", True),
        (EVENT, EVENT_OBJ, "source=kubelet", True),
        (EVENT, EVENT_OBJ, "involvedObject.uid=x", False),
        (EVENTS_V1, {"regarding": {"name": "a"}}, "regarding.name=a", True),
        (WIDGET, {"spec": {"size": 3}}, "spec.size=3", True),
    ],
)
def test_field_selectors(kind: Kind, obj: Obj, selector: str, fits: bool) -> None:
    assert field_test(selector, kind)(obj) is fits


@pytest.mark.parametrize(
    ("kind", "selector"),
    [
        (POD, "spec.foo=x"),
        (POD, "status.phase"),
        (POD, "status.phase=a=b"),
        (POD, "status.phase=a\\"),
        (POD, "status.phase=a\\x"),
        (REPLICA_SET, "status.replicas=3"),
        (NODE, "status.phase=x"),
    ],
)
def test_a_field_selector_that_a_server_refuses(kind: Kind, selector: str) -> None:
    with pytest.raises(UsageError):
        field_test(selector, kind)
