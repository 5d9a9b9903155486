"""Faults that only agents on a node see and say: a full table of connections, a wrong clock, failed GPUs.

Agents are node-problem-detector and EKS' node monitoring agent; the polarity of each condition is known (`nodestate`),
any other condition is no finding. What an agent says by an event alone counts while it is fresh.
"""

import re
from collections.abc import Iterable
from dataclasses import replace

from firstmate_tools import fields, kinds, nodestate, podstate
from firstmate_tools.diagnosis import lib, nodewords, sicknodes, trouble
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Evidence, fact
from firstmate_tools.diagnosis.heard import lately, said
from firstmate_tools.diagnosis.rule import Verdicts, Want, explains, rule
from firstmate_tools.diagnosis.rules.containers import LOGS, OBSERVED
from firstmate_tools.diagnosis.sicknodes import Ill
from firstmate_tools.fields import Obj
from firstmate_tools.podresources import amounts
from firstmate_tools.quantity import show
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.scheduling.devices import is_accelerator
from firstmate_tools.scheduling.fit import Why

CONNTRACK, CLOCK, GPU = "conntrack-table-full", "node-clock-skew", "gpu-device-unhealthy"
OBSERVES = (*OBSERVED, kinds.NODE)
_NOT_YET = re.compile(r"x509: certificate has expired or is not yet valid: current time \S+ is before ")
_XID = re.compile(r"XidCriticalError: Xid=\d+ on Device=\S+?[;,]? marking device as unhealthy")
"""k8s-device-plugin, internal/rm/health.go."""


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


def _of_failing_probes(facts: Facts) -> Iterable[Want]:
    """What agents say of the nodes of pods whose probes fail lately: lost packets show there first."""
    rows = (row for row in facts.every_event() if row.reason == "Unhealthy" and lately(facts, row))
    pods = (facts.get(row.about) or {} for row in rows)
    yield from nodewords.wanted(facts, {fields.text(pod, "spec", "nodeName") for pod in pods})


@rule(causes=(CONNTRACK,), observes=OBSERVES, digs=(Read(kinds.EVENT, ("list",)),), wants=_of_failing_probes)
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


@rule(
    causes=(CLOCK,),
    observes=OBSERVES,
    digs=LOGS,
    explains=explains("application-exits-on-error", "init-container-failing", along=("owns",)),
)
def clocks(facts: Facts) -> Verdicts:
    """node-problem-detector's config/custom-plugin-monitor.json (NTPProblem), an event of EKS' agent
    (ClockUnsynchronized), and certificates that only one node's programs find not yet valid (crypto/x509: `current time
    … is before …`).
    """
    ills = _by_condition(facts, ("NTPProblem",), "True")
    known = {ill.name for ill in ills}
    ills += [ill for ill in _heard(facts, "ClockUnsynchronized") if ill.name not in known]
    words = "does not keep its clock in time: certificates and tokens may count as expired or not yet valid there"
    if ills:
        yield sicknodes.finding(facts, CLOCK, ills, words, confidence="likely", severity="warning")
        return
    early = logged_on(facts, _NOT_YET)
    if len(early) == 1:  # where several nodes say so, it is the certificate
        ((name, (pod, line)),) = early.items()
        node, workload = facts.get(Ref(kinds.NODE.kind, "", name)), facts.workload(pod)
        siblings = {fields.text(p, "spec", "nodeName") for p in lib.pods_of(facts, workload) if podstate.ready(p)}
        if node is not None:
            yield sicknodes.finding(
                facts,
                CLOCK,
                [Ill(node, (line,))],
                "may have its clock behind: a certificate is not yet valid there",
                confidence="likely" if siblings - {name} else "possible",
                victims=[pod],
            )


def logged_on(facts: Facts, pattern: re.Pattern[str]) -> dict[str, tuple[Ref, Evidence]]:
    """The nodes on which a log that was read has a line of a pattern, with one such pod and its newest line."""
    found: dict[str, tuple[Ref, Evidence]] = {}
    for (namespace, name, container, _), content in facts.logs():
        pod = facts.get(Ref(kinds.POD.kind, namespace, name))
        lines = [line for line in content.splitlines() if pattern.search(line[:2000])]
        if pod is not None and lines and facts.scope.namespace in {None, namespace}:
            ref = ref_of(pod, kinds.POD)
            found.setdefault(fields.text(pod, "spec", "nodeName"), (ref, fact(ref, f"log[{container}]", lines[-1])))
    return {name: found[name] for name in sorted(found) if name}


def of_devices(name: str) -> str:
    """What names a node's failed devices, whoever finds them: pods that wait, a kubelet that refuses, an agent."""
    return f"{name} {Why.DEVICES_ILL.name}"


_OF_DEVICES = re.compile(
    r"(?i)cuda|cudnn|nccl|nvml|nvidia|\bxid\b|\bgpus?\b|neuron|\bnrt_|hip error|no (?:usable )?accelerator"
)


@rule(
    causes=(GPU,),
    observes=OBSERVES,
    digs=LOGS,
    explains=explains("application-exits-on-error", "init-container-failing", along=("owns",)),
)
def accelerators(facts: Facts) -> Verdicts:
    """What an agent says (AcceleratedHardwareReady), what NVIDIA's plugin logs, and devices that are not allocatable.

    https://docs.aws.amazon.com/eks/latest/userguide/node-health-nma.html
    """
    said_so = {ill.name: ill for ill in _by_condition(facts, ("AcceleratedHardwareReady",), "False")}
    failures = logged_on(facts, _XID)
    ills: list[Ill] = []
    for node in sicknodes.concerned(facts):
        known, lacking = said_so.get(fields.name_of(node)), _lacking(node)
        told = [words for name, (_, words) in failures.items() if name == fields.name_of(node)]
        if known or lacking or told:
            ills.append(Ill(node, (*(known.words if known else ()), *lacking, *told), known.since if known else None))
    if ills:
        users = [ref_of(p, kinds.POD) for p in sicknodes.tenants(facts, [i.name for i in ills]) if _uses_device(p)]
        users = [ref for ref in users if _for_devices(facts, ref)]
        found = sicknodes.finding(
            facts,
            GPU,
            ills,
            f"has accelerated hardware that failed; {lib.count(len(users), 'pod')} there {_use(len(users))} devices",
            victims=users,
            severity="warning",
        )
        yield replace(found, culprit=of_devices(ills[0].name))


def _for_devices(facts: Facts, pod: Ref) -> bool:
    """Whether a pod's troubles, if it has any, may be its device's: what ended says so, or says nothing."""
    mine = [one for one in trouble.troubled(facts) if one.ref == pod and one.end]
    logs = [trouble.log_of(facts, one) or fields.text(one.end, "message") for one in mine]
    return all(not log or _OF_DEVICES.search(log) for log in logs)


def _lacking(node: Obj) -> tuple[Evidence, ...]:
    """Accelerators of which a node offers some, and fewer than it has. One that offers none may lack its plugin."""
    has, offers = (amounts(node, "status", part) for part in ("capacity", "allocatable"))
    short = [name for name in sorted(has) if is_accelerator(name) and 0 < offers.get(name, 0) < has[name]]
    told = [f"capacity {show(name, has[name])}, allocatable {show(name, offers[name])}" for name in short]
    ref = ref_of(node, kinds.NODE)
    return tuple(fact(ref, f"status[{name}]", words) for name, words in zip(short, told, strict=True))


def _use(pods: int) -> str:
    return "uses" if pods == 1 else "use"


def _uses_device(pod: Obj) -> bool:
    limits = [fields.mapping(c, "resources", "limits") for c in fields.items(pod, "spec", "containers")]
    return any(is_accelerator(name) for one in limits for name in one)
