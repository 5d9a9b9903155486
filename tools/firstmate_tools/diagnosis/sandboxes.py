"""Pods that have a node and no sandbox there, and what the kubelet is told why. Pure.

Called by the rules about nodes' networks and runtimes. A failed try that a later one got over is no sign: only pods of
which nothing runs are looked at, and only by what was said lately. Reasons: pkg/kubelet/events/event.go, v1.36.
"""

import re
from dataclasses import dataclass
from typing import Literal

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib, nodefaults, starting
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.heard import heard, lately
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, ref_of

REASONS = ("FailedCreatePodSandBox", "NetworkNotReady")
Sign = Literal["blocks", "rights", "addresses", "plugin", "runtime"]

_SIGNS: tuple[tuple[Sign, re.Pattern[str]], ...] = (
    ("blocks", re.compile(r"InsufficientCidrBlocks|not have enough free cidr blocks")),
    ("rights", re.compile(r"MissingIAMPermissions|UnauthorizedOperation|not authorized to perform: ec2:")),
    (
        "addresses",
        re.compile(
            r"""(?ix) failed\ to\ assign\ an\ IP\ address | InsufficientFreeAddressesInSubnet
            | no\ (?:more\ |free\ |available\ )?(?:IPs?|IP\ addresses|addresses|IP/Prefix)\b[^:;,]*\bavailable
            | no\ available\ (?:IP|address) | no\ more\ (?:IPs|free\ IP|addresses) | pool\ is\ (?:full|exhausted)
            | (?:addresses|pools?)\ (?:are\ |is\ )?exhausted | unable\ to\ allocate\ (?:an\ )?IP\b
            """
        ),
    ),
    (
        "plugin",
        re.compile(
            r"(?i)\bcni\b|plugin type=|networkplugin|network is not ready|network for sandbox|"
            r"failed to (?:setup|set up) (?:pod )?network|"
            r"/etc/cni/net\.d|127\.0\.0\.1:50051"
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class NoSandbox:
    """One pod that waits for its sandbox.

    Attributes:
        row: the newest failure that is known.
        sign: what the text points to; `runtime` where nothing says that it is the network.
    """

    ref: Ref
    node: str
    row: EventRow
    sign: Sign


def failing(facts: Facts) -> list[NoSandbox]:
    """The pods in scope whose sandbox could not be made lately, by name; none of nodes that are down altogether."""
    found: list[NoSandbox] = []
    for pod in lib.unsettled(facts):
        node = fields.text(pod, "spec", "nodeName")
        if not node or podstate.ready(pod) or podstate.finished(pod) or podstate.terminating(pod):
            continue
        if _runs(pod) or nodefaults.down(facts, node):
            continue
        ref = ref_of(pod, kinds.POD)
        rows = [row for row in heard(facts, ref, pod, "", *REASONS) if lately(facts, row)]
        if rows and not starting.low_memory(rows[0].message):
            found.append(NoSandbox(ref, node, rows[0], sign_of(rows[0].message)))
    return found


def _runs(pod: Obj) -> bool:
    """Whether the pod has a sandbox: its condition says so, or something in it runs or was started there."""
    told = fields.condition(pod, "PodReadyToStartContainers").get("status")
    every = [c for c in podstate.containers(pod) if c.role != "ephemeral"]
    if told == "True" or any(c.running for c in every):
        return True
    begun = any(c.newest_end or c.waiting_reason not in starting.CALM_WAITING for c in every)
    return begun and told != "False"


def sign_of(message: str) -> Sign:
    """What the text of a failure points to."""
    for sign, pattern in _SIGNS:
        if pattern.search(message):
            return sign
    return "runtime"


def standing(pod: Obj) -> str:
    """Why a pod is not ready, as its containers have it: `aws-node CrashLoopBackOff, 7 restarts`."""
    for container in podstate.containers(pod):
        if not container.ready and container.role in {"app", "sidecar"}:
            reason = container.waiting_reason or fields.text(container.terminated, "reason") or "not ready"
            return f"{container.name} {reason}, {container.restarts} restarts"
    return podstate.status_text(pod)
