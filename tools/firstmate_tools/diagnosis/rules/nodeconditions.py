"""Faults that only agents on a node see and say: a full table of connections, a wrong clock, failed GPUs.

Agents are node-problem-detector and EKS' node monitoring agent; the polarity of each condition is known (`nodestate`),
any other condition is no finding. What an agent says by an event alone counts while it is fresh.
"""

from collections.abc import Iterable

from firstmate_tools import fields, kinds, nodestate
from firstmate_tools.diagnosis import lib, nodewords, sicknodes
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, fact
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.rule import Verdicts, rule
from firstmate_tools.diagnosis.rules.containers import OBSERVED
from firstmate_tools.diagnosis.sicknodes import Ill
from firstmate_tools.fields import Obj
from firstmate_tools.refs import ref_of

CONNTRACK, CLOCK, GPU = "conntrack-table-full", "node-clock-skew", "gpu-device-unhealthy"
OBSERVES = (*OBSERVED, kinds.NODE)


def _by_condition(facts: Facts, types: Iterable[str], bad: str) -> list[Ill]:
    found: list[Ill] = []
    for node in sicknodes.concerned(facts):
        words = [_told(node, entry) for type_ in types if (entry := _of(node, type_)).get("status") == bad]
        if words:
            found.append(Ill(node, tuple(words), words[0].at))
    return found


def _of(node: Obj, type_: str) -> Obj:
    return fields.condition(node, type_)


def _told(node: Obj, entry: Obj) -> Evidence:
    value = f"{fields.text(entry, 'status')}: {nodestate.said(entry)}"
    path = f"status.conditions[{fields.text(entry, 'type')}]"
    return fact(ref_of(node, kinds.NODE), path, value, fields.time_at(entry, "lastTransitionTime"))


def _heard(facts: Facts, *reasons: str) -> list[Ill]:
    """Nodes of which an agent said something lately, by an event alone."""
    found: list[Ill] = []
    for node in sicknodes.concerned(facts):
        rows = [row for row in nodewords.of_node(facts, fields.name_of(node), *reasons) if lately(facts, row)]
        if rows:
            found.append(Ill(node, (said(rows[0]),), rows[0].first))
    return found


@rule(causes=(CONNTRACK,), observes=OBSERVES)
def connection_tables(facts: Facts) -> Verdicts:
    """node-problem-detector's config/network-problem-monitor.json (an event), or a condition of that name.

    https://docs.aws.amazon.com/eks/latest/userguide/node-health-nma.html (ConntrackExceededKernel)
    """
    lasting = _by_condition(facts, ("ConntrackFull", "ConntrackFullProblem"), "True")
    known = {ill.name for ill in lasting}
    ills = [*lasting, *(i for i in _heard(facts, "ConntrackFull", "ConntrackExceededKernel") if i.name not in known)]
    if ills:
        yield sicknodes.finding(
            facts,
            CONNTRACK,
            ills,
            "has its kernel's table of connections full, and drops packets of new ones",
            confidence="likely",
            severity="warning",
        )


@rule(causes=(CLOCK,), observes=OBSERVES)
def clocks(facts: Facts) -> Verdicts:
    """node-problem-detector's config/custom-plugin-monitor.json (NTPProblem)."""
    ills = _by_condition(facts, ("NTPProblem",), "True")
    if ills:
        yield sicknodes.finding(
            facts,
            CLOCK,
            ills,
            "does not keep its clock in time: certificates and tokens may count as expired or not yet valid there",
            confidence="likely",
            severity="warning",
        )


@rule(causes=(GPU,), observes=OBSERVES)
def accelerators(facts: Facts) -> Verdicts:
    """https://docs.aws.amazon.com/eks/latest/userguide/node-health-nma.html (AcceleratedHardwareReady)"""
    ills = _by_condition(facts, ("AcceleratedHardwareReady",), "False")
    if ills:
        users = [ref_of(p, kinds.POD) for p in sicknodes.tenants(facts, [i.name for i in ills]) if _uses_device(p)]
        yield sicknodes.finding(
            facts,
            GPU,
            ills,
            f"has accelerated hardware that failed; {lib.count(len(users), 'pod')} there {_use(len(users))} devices",
            victims=users,
            severity="warning",
        )


def _use(pods: int) -> str:
    return "uses" if pods == 1 else "use"


def _uses_device(pod: Obj) -> bool:
    requests = [fields.mapping(c, "resources", "limits") for c in fields.items(pod, "spec", "containers")]
    return any("/" in name and not name.startswith("kubernetes.io/") for one in requests for name in one)
