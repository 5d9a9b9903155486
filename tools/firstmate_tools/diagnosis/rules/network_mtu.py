"""A network plugin that is told to make packets larger than the interface below it takes.

Told from configuration alone, so never more than possible: whether a large packet was lost is not seen.
"""

from collections.abc import Mapping

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact
from firstmate_tools.diagnosis.rule import Verdicts, rule
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

CAUSE = "network-mtu-mismatch"
PLUGIN = Ref("DaemonSet", "kube-system", "aws-node")
JUMBO = 9001
"""Bytes: what a VPC carries, and what the plugin gives interfaces where it is told nothing."""
INTERFACE, POD = "AWS_VPC_ENI_MTU", "POD_MTU"


@rule(causes=(CAUSE,), observes=(kinds.DAEMON_SET,))
def pods_send_more_than_fits(facts: Facts) -> Verdicts:
    """https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/network_mtu.html; the variables: README of the VPC CNI."""
    plugin = facts.get(PLUGIN)
    if plugin is None:
        return
    set_ = _variables(plugin)
    interface, pod = _bytes(set_, INTERFACE), _bytes(set_, POD)
    below = interface if interface is not None else JUMBO
    if pod is not None and pod > below:
        told = f"{POD} is {pod}, {INTERFACE} {below}{'' if interface is not None else ' (its default)'}"
        words = f"pods send packets of up to {pod} bytes over interfaces that take {below}: {told}"
    elif interface is not None and interface > JUMBO:
        words = f"{INTERFACE} is {interface}, and a VPC carries at most {JUMBO} bytes"
    else:
        return
    evidence = tuple(
        fact(PLUGIN, f"spec.template.spec.containers[*].env[{name}]", set_[name])
        for name in (POD, INTERFACE)
        if name in set_
    )
    yield Finding(
        cause=CAUSE,
        object=PLUGIN,
        severity="warning",
        confidence="possible",
        summary=f"The network plugin is configured so that {words}. Large packets may be lost while small ones pass.",
        evidence=evidence,
        culprit=str(PLUGIN),
    )


def _variables(plugin: Obj) -> Mapping[str, str]:
    """Environment variables with a value of their own, of all containers; the last one counts, as for a process."""
    return {
        fields.text(one, "name"): fields.text(one, "value")
        for container in fields.items(plugin, "spec", "template", "spec", "containers")
        for one in fields.items(container, "env")
    }


def _bytes(variables: Mapping[str, str], name: str) -> int | None:
    value = variables.get(name, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < 7 else None
