"""Pods whose sandbox the node's runtime cannot make, where nothing says that it is the network."""

from collections import defaultdict
from dataclasses import replace

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import lib, sandboxes, sicknodes
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding
from firstmate_tools.diagnosis.heard import said
from firstmate_tools.diagnosis.rule import BACKENDS, Verdicts, rule
from firstmate_tools.diagnosis.rules.containers import OBSERVED
from firstmate_tools.diagnosis.sandboxes import NoSandbox
from firstmate_tools.diagnosis.sicknodes import Ill
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

CAUSE = "pod-sandbox-creation-failed"


@rule(causes=(CAUSE,), observes=(*OBSERVED, kinds.NODE), explains=BACKENDS)
def pod_sandboxes(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/architecture/cri/

    Pods with a runtime class of their own are told apart: it may be that class alone that the nodes do not have.
    """
    found = [one for one in facts.derived(sandboxes.failing) if one.sign == "runtime"]
    by_class: dict[str, list[NoSandbox]] = defaultdict(list)
    for one in found:
        by_class[_runtime_class(facts, one)].append(one)
    for name, ones in sorted(by_class.items()):
        nodes: dict[str, list[NoSandbox]] = defaultdict(list)
        for one in ones:
            nodes[one.node].append(one)
        ills = [
            Ill(_node(facts, host), tuple(said(one.row) for one in mine[:1]), lib.earliest(o.row.first for o in mine))
            for host, mine in sorted(nodes.items())
        ]
        handler = f" with runtime class {name}" if name else ""
        yield _of_class(
            name,
            sicknodes.finding(
                facts,
                CAUSE,
                ills,
                f"cannot set up new pods{handler}: its runtime fails to make their sandboxes",
                confidence="likely",
                victims=[one.ref for one in ones],
                following=(lib.ask("events", "what the runtime says", namespace=ones[0].ref.namespace),),
            ),
        )


def _of_class(name: str, finding: Finding) -> Finding:
    return replace(finding, culprit=f"{CAUSE} {name}")


def _runtime_class(facts: Facts, one: NoSandbox) -> str:
    return fields.text(facts.get(one.ref), "spec", "runtimeClassName")


def _node(facts: Facts, name: str) -> Obj:
    return facts.get(Ref("Node", "", name)) or {"kind": "Node", "metadata": {"name": name}}
