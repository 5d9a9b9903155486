"""A pod template as admission sees it: with the defaults of the namespace's LimitRanges and of the API server.

Source: plugin limitranger (admission.go, PodMutateLimitFunc, v1.36) and SetDefaults_Pod (pkg/apis/core/v1/defaults.go):
a container's limits stand in for requests that it does not state, before LimitRanges fill in what is still missing.
"""

from collections.abc import Iterable

from firstmate_tools import fields
from firstmate_tools.fields import Obj

SECTIONS = ("initContainers", "containers")


def admitted(template: Obj, namespace: str, limit_ranges: Iterable[Obj] = ()) -> Obj:
    """A pod as a controller would create it from a template.

    Args:
        template: `spec.template` of a workload.
        limit_ranges: those of the namespace.
    """
    requests, limits = _defaults(limit_ranges)
    spec = dict(fields.mapping(template, "spec"))
    for section in SECTIONS:
        if section in spec:
            spec[section] = [_filled(c, requests, limits) for c in fields.items(spec, section)]
    metadata = {**fields.mapping(template, "metadata"), "namespace": namespace}
    return {"metadata": metadata, "spec": spec}


def containers(pod: Obj) -> list[Obj]:
    """Init containers and containers, in that order."""
    return [c for section in SECTIONS for c in fields.items(pod, "spec", section)]


def _defaults(limit_ranges: Iterable[Obj]) -> tuple[Obj, Obj]:
    """Default requests and limits of containers; of several LimitRanges the first by name wins."""
    requests: Obj = {}
    limits: Obj = {}
    for limit_range in sorted(limit_ranges, key=fields.name_of):
        own_requests: Obj = {}
        own_limits: Obj = {}
        for item in fields.items(limit_range, "spec", "limits"):
            if fields.text(item, "type") == "Container":
                own_limits.update(fields.mapping(item, "default"))
                own_requests.update(fields.mapping(item, "defaultRequest"))
        requests, limits = {**own_requests, **requests}, {**own_limits, **limits}
    return requests, limits


def _filled(container: Obj, requests: Obj, limits: Obj) -> Obj:
    stated = fields.mapping(container, "resources")
    own_limits = fields.mapping(stated, "limits")
    own_requests = {**own_limits, **fields.mapping(stated, "requests")}
    resources = {**stated, "requests": {**requests, **own_requests}, "limits": {**limits, **own_limits}}
    return {**container, "resources": resources}
