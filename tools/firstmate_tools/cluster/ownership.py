"""What is kept of field ownership: who last set the few fields whose change breaks things.

`scrub` calls it for every entry of an object's managed fields. Names of fields stay, values never: sets, whose entries
are values, are none of these fields. What is left has the shape of `fieldsV1`, so that reducing twice changes nothing.
Must never raise.

Format: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
"""

from typing import Any, cast

from firstmate_tools.fields import Obj

Shape = dict[str, Any]
"""Fields to keep: by name, `k:` for entries of a list by `name`, `*` for any name; None for a field kept as a whole."""

_CONTAINER: Shape = {
    **dict.fromkeys(("f:image", "f:command", "f:args", "f:env", "f:envFrom", "f:livenessProbe", "f:readinessProbe")),
    "f:resources": {"f:limits": {"*": None}, "f:requests": {"*": None}},
}
_TEMPLATE: Shape = {"f:spec": {"f:containers": {"k:": _CONTAINER}, "f:initContainers": {"k:": _CONTAINER}}}
_WORKLOAD: Shape = {"f:spec": {"f:replicas": None, "f:template": _TEMPLATE}}
_DATA: Shape = {key: {"*": None} for key in ("f:data", "f:binaryData", "f:stringData")}

SHAPES: dict[str, Shape] = {
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet"), _WORKLOAD),
    "CronJob": {"f:spec": {"f:jobTemplate": {"f:spec": {"f:template": _TEMPLATE}}}},
    **dict.fromkeys(("ConfigMap", "Secret"), _DATA),
    "ServiceAccount": {"f:metadata": {"f:annotations": {"f:eks.amazonaws.com/role-arn": None}}},
}
MOST = 500
"""Names that are kept of one map."""


def reduced(owned: Obj, kind: str) -> Obj:
    """The part of a `fieldsV1` that is kept; {} where nothing is.

    Args:
        owned: as it came.
        kind: the object's.
    """
    shape = SHAPES.get(kind)
    return _kept(owned, shape) if shape else {}


def _kept(owned: Obj, shape: Shape) -> Obj:
    found: Obj = {}
    for key, inner in list(owned.items())[:MOST]:
        field = shape.get("k:" if key.startswith('k:{"name":') else key, shape.get("*", ...))
        if field is ... or (key.startswith(("v:", "i:")) or key == "."):
            continue
        if field is None:
            found[key] = {}
        elif isinstance(inner, dict) and (kept := _kept(cast("Obj", inner), field)):
            found[key] = kept
    return found
