"""LimitRanges against a pod: which bound of which LimitRange it breaks.

Source: plugin limitranger (plugin/pkg/admission/limitranger/admission.go, v1.36): minConstraint, maxConstraint,
limitRequestRatioConstraint, and what it holds claims to. Bounds of containers hold for init containers too; bounds of
type Pod hold for the sums; those of type PersistentVolumeClaim for the claims that a StatefulSet's templates make.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from firstmate_tools import fields
from firstmate_tools.admission.defaults import containers
from firstmate_tools.fields import Obj
from firstmate_tools.podresources import Amounts, amounts, pod_limits, pod_requests
from firstmate_tools.quantity import milli, show

CLAIM = "PersistentVolumeClaim"


@dataclass(frozen=True, slots=True)
class Broken:
    """One bound that a pod breaks.

    Attributes:
        limit_range: its name.
        kind: `Container`, `Pod` or `PersistentVolumeClaim`.
        container: which container or claim template, "" for a bound of the whole pod.
        bound: `min`, `max` or `maxLimitRequestRatio`.
        allowed: the bound, as it is written.
        actual: what the pod has in its place, in words: `limit 2Gi`, `no request`, `ratio 4`.
    """

    limit_range: str
    kind: str
    container: str
    resource: str
    bound: str
    allowed: str
    actual: str


def broken(limit_ranges: Iterable[Obj], pod: Obj) -> list[Broken]:
    """Every bound that a pod breaks, in a stable order.

    Args:
        pod: with defaults filled in (`defaults.admitted`).
    """
    return [b for limit_range in sorted(limit_ranges, key=fields.name_of) for b in _broken(limit_range, pod)]


def broken_by_claims(limit_ranges: Iterable[Obj], templates: Iterable[Obj]) -> list[Broken]:
    """Every bound that claims of a StatefulSet's templates break, in a stable order."""
    held = [(fields.name_of(t), amounts(t, "spec", "resources", "requests")) for t in templates]
    return [
        Broken(fields.name_of(one), CLAIM, claim, resource, bound, str(allowed), actual)
        for one in sorted(limit_ranges, key=fields.name_of)
        for item in fields.items(one, "spec", "limits")
        if fields.text(item, "type") == CLAIM
        for claim, requests in held
        for bound in ("min", "max")
        for resource, allowed in sorted(fields.mapping(item, bound).items())
        if (actual := _asks_outside(bound, resource, milli(allowed), requests.get(resource)))
    ]


def _asks_outside(bound: str, resource: str, allowed: int | None, request: int | None) -> str:
    """What a claim asks for outside a bound, "" where it keeps to it. A claim has no limits."""
    if allowed is None or request is None:
        return ""
    outside = request < allowed if bound == "min" else request > allowed
    return f"request {show(resource, request)}" if outside else ""


def _broken(limit_range: Obj, pod: Obj) -> Iterator[Broken]:
    for item in fields.items(limit_range, "spec", "limits"):
        kind = fields.text(item, "type")
        if kind == "Container":
            held = [
                (fields.text(c, "name"), amounts(c, "resources", "requests"), amounts(c, "resources", "limits"))
                for c in containers(pod)
            ]
        elif kind == "Pod":
            held = [("", pod_requests(pod, overhead=False), pod_limits(pod))]
        else:
            continue
        for container, requests, limits in held:
            for bound in ("min", "max", "maxLimitRequestRatio"):
                for resource, allowed in sorted(fields.mapping(item, bound).items()):
                    actual = _actual(bound, resource, milli(allowed), requests, limits)
                    if actual:
                        name = fields.name_of(limit_range)
                        yield Broken(name, kind, container, resource, bound, str(allowed), actual)


def _actual(bound: str, resource: str, allowed: int | None, requests: Amounts, limits: Amounts) -> str:
    """What stands in a bound's way, "" where nothing does."""
    request, limit = requests.get(resource), limits.get(resource)
    if allowed is None:
        return ""
    if bound == "min":
        return _below(resource, allowed, request, limit)
    if bound == "max":
        return _above(resource, allowed, request, limit)
    if not request or not limit:
        return "no request" if not request else "no limit"
    return f"ratio {limit / request:g}" if limit * 1000 > allowed * request else ""


def _below(resource: str, allowed: int, request: int | None, limit: int | None) -> str:
    if request is None:
        return "no request"
    if request < allowed:
        return f"request {show(resource, request)}"
    return f"limit {show(resource, limit)}" if limit is not None and limit < allowed else ""


def _above(resource: str, allowed: int, request: int | None, limit: int | None) -> str:
    if limit is None:
        return "no limit"
    if limit > allowed:
        return f"limit {show(resource, limit)}"
    return f"request {show(resource, request)}" if request is not None and request > allowed else ""
