"""Findings about a network plugin whose packets do not fit."""

import pytest
from builders import container, obj
from hypothesis import given
from hypothesis import strategies as st
from verdicts import damaged, finding, roots, shuffled, verdicts

from firstmate_tools.fields import Obj

MTU = "network-mtu-mismatch"


def plugin(namespace: str = "kube-system", **variables: str) -> Obj:
    env = [{"name": name, "value": value} for name, value in variables.items()]
    template = {"spec": {"containers": [container("aws-node", env=env), container("aws-eks-nodeagent")]}}
    return obj("DaemonSet", "aws-node", namespace, api="apps/v1", spec={"template": template}, status={})


def test_pods_that_send_more_than_the_interface_takes() -> None:
    found = finding(plugin(AWS_VPC_ENI_MTU="1500", POD_MTU="9001"))
    assert (found.cause, str(found.object), found.severity, found.confidence) == (
        MTU,
        "daemonset/aws-node",
        "warning",
        "possible",
    )
    assert "up to 9001 bytes over interfaces that take 1500" in found.summary
    assert [(one.field.rpartition("[")[2], one.value) for one in found.evidence] == [
        ("POD_MTU]", "9001"),
        ("AWS_VPC_ENI_MTU]", "1500"),
    ]


def test_without_a_word_the_interface_takes_what_a_vpc_carries() -> None:
    assert "AWS_VPC_ENI_MTU 9001 (its default)" in finding(plugin(POD_MTU="9100")).summary
    assert "carries at most 9001" in finding(plugin(AWS_VPC_ENI_MTU="9500")).summary


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"AWS_VPC_ENI_MTU": "9001"},
        {"AWS_VPC_ENI_MTU": "1500"},
        {"AWS_VPC_ENI_MTU": "9001", "POD_MTU": "1500"},
        {"AWS_VPC_ENI_MTU": "1500", "POD_MTU": "1500"},
        {"POD_MTU": "9001"},
        {"POD_MTU": "", "AWS_VPC_ENI_MTU": "x"},
        {"POD_MTU": "-1"},
    ],
)
def test_packets_that_fit_are_none(variables: dict[str, str]) -> None:
    assert roots(plugin(**variables)) == []


def test_another_namespaces_daemonset_of_that_name_is_another() -> None:
    assert roots(plugin("shop", POD_MTU="9100")) == []


@given(st.data(), st.integers(0, 5))
def test_damaged_and_shuffled_objects_raise_nothing(data: st.DataObject, seed: int) -> None:
    verdicts(*data.draw(damaged([plugin(AWS_VPC_ENI_MTU="1500", POD_MTU="9001")])))
    assert roots(*shuffled([plugin(POD_MTU="9100")], seed)) == [(MTU, "daemonset/aws-node")]
