"""Findings about objects that are too large, by the words of those who write them."""

import pytest
from builders import pod
from verdicts import app, finding, roots

CAUSE = "etcd-object-too-large"
DIED = {"waiting": "CrashLoopBackOff", "restarts": 5, "last": {"exitCode": 1, "reason": "Error"}}


def log(*lines: str, previous: bool = True) -> dict[tuple[str, str, str, bool], str]:
    return {("shop", "cart-1-0", "app", previous): "\n".join(lines)}


@pytest.mark.parametrize(
    "line",
    [
        "rpc error: code = InvalidArgument desc = etcdserver: request is too large",
        'ConfigMap "index" is invalid: []: Too long: may not be more than 1048576 bytes',
        "Error from server (RequestEntityTooLarge): Request entity too large: limit is 3145728",
        "rpc error: code = ResourceExhausted desc = trying to send message larger than max (2101443 vs. 2097152)",
        'CustomResourceDefinition "a" is invalid: metadata.annotations: Too long: must have at most 262144 bytes',
    ],
)
def test_a_writer_that_dies_of_it_is_told(line: str) -> None:
    assert roots(*app(**DIED), logs=log("writing", line)) == [(CAUSE, "deployment/cart")]


def test_what_is_too_large_is_named_where_the_line_names_it() -> None:
    found = finding(
        *app(**DIED), logs=log('ConfigMap "index" is invalid: []: Too long: may not be more than 1048576 bytes')
    )
    assert "ConfigMap index" in found.summary and found.severity == "critical"


def test_other_limits_are_no_such_finding() -> None:
    lines = ["413 Request Entity Too Large", "message larger than max", "Too long: may not be more than 63 bytes"]
    assert roots(*app(**DIED), logs=log(*lines)) == [("application-exits-on-error", "deployment/cart")]


def test_what_the_api_server_itself_logs_is_not_its_fault() -> None:
    one = pod("kube-apiserver-1", "kube-system", labels={"component": "kube-apiserver"})
    said = {("kube-system", "kube-apiserver-1", "app", False): "etcdserver: request is too large"}
    assert roots(one, logs=said) == []
