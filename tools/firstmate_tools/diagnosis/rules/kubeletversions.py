"""Kubelets whose version the API server does not support: newer than it, or too many minor versions older."""

import re
from dataclasses import replace

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import lib, sicknodes
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact
from firstmate_tools.diagnosis.rule import Verdicts, rule
from firstmate_tools.diagnosis.sicknodes import Ill
from firstmate_tools.refs import ref_of

CAUSE = "kubelet-version-skew"
_VERSION = re.compile(r"v?(\d+)\.(\d+)")
OLD_KUBELET, MOST, MOST_OLD = 25, 3, 2
"""Kubelets from v1.25 on may be three minor versions older, those before two."""


@rule(causes=(CAUSE,), observes=(kinds.NODE,))
def kubelet_versions(facts: Facts) -> Verdicts:
    """https://kubernetes.io/releases/version-skew-policy/#kubelet

    A fault of the cluster, told where somebody asks about it or about the node: no namespace can mend it.
    """
    server = _minor(facts.server_version)
    if server is None or facts.scope.namespace is not None:
        return
    behind: list[Ill] = []
    ahead: list[Ill] = []
    for node in sicknodes.concerned(facts):
        words = fields.text(node, "status", "nodeInfo", "kubeletVersion")
        minor = _minor(words)
        if minor is None:
            continue
        ill = Ill(node, (fact(ref_of(node, kinds.NODE), "status.nodeInfo.kubeletVersion", words),))
        if minor > server:
            ahead.append(ill)
        elif server - minor > (MOST if minor >= OLD_KUBELET else MOST_OLD):
            behind.append(ill)
    if ahead:
        yield _told(facts, ahead, "which is newer than")
    if behind:
        yield _told(facts, behind, "too old for")


def _told(facts: Facts, ills: list[Ill], how: str) -> Finding:
    versions = sorted({fields.text(ill.node, "status", "nodeInfo", "kubeletVersion") for ill in ills})
    runs = "runs" if len(ills) == 1 else "each runs"
    words = f"{runs} kubelet {lib.some(versions)}, {how} the API server's {facts.server_version}"
    found = sicknodes.finding(facts, CAUSE, ills, words, severity="warning", victims=())
    return replace(found, culprit=f"{CAUSE} {how}")


def _minor(version: str | None) -> int | None:
    """The minor version, None where it cannot be read."""
    match = _VERSION.match(version or "")
    return int(match.group(2)) if match and match.group(1) == "1" else None
