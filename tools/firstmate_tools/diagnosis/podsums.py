"""What the pods of a node ask for in all, against what the node has. Pure."""

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.podresources import container_limits, pod_limits, pod_requests
from firstmate_tools.quantity import milli, show
from firstmate_tools.refs import Ref


def memory_text(facts: Facts, node: Ref) -> str:
    """` Its pods may use 40Gi of 32Gi, …`, as far as all pods of the node were read; "" where they were not."""
    room = milli(fields.at(facts.get(node) or {}, "status", "allocatable", "memory"))
    if room is None or not facts.knows(kinds.POD):
        return ""
    pods = [pod for pod in facts.everywhere(kinds.POD) if fields.text(pod, "spec", "nodeName") == node.name]
    pods = [pod for pod in pods if not podstate.finished(pod)]
    asked = sum(pod_requests(pod).get("memory", 0) for pod in pods)
    limits = sum(pod_limits(pod).get("memory", 0) for pod in pods)
    boundless = sum(1 for pod in pods if _boundless(pod))
    more = f", and {boundless} of its {len(pods)} pods may use any amount" if boundless else ""
    may = f"may use {show('memory', limits)}{more}"
    return f" Its pods ask for {show('memory', asked)} of {show('memory', room)} and {may}."


def _boundless(pod: fields.Obj) -> bool:
    if "memory" in fields.mapping(pod, "spec", "resources", "limits"):
        return False
    every = [c for c in podstate.containers(pod) if c.role in {"app", "sidecar"}]
    return any("memory" not in container_limits(c.spec) for c in every)
