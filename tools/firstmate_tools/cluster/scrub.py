"""Drops what no reader may ever see from an object that was just parsed.

The gateway and the snapshot readers call it on every object, before anything else sees the object: values of Secrets,
and the copies of a whole object that appliers leave in its annotations (they hold a Secret's values too). Field
ownership (`fieldsV1`) goes as well, but for the little that tells who changed what (`ownership`): it is a third of an
object's bytes. It must never raise on an odd object, and must never be skipped for one.
"""

import re
from typing import Any, cast

from firstmate_tools.fields import Obj
from firstmate_tools.kinds import SECRET, Kind
from firstmate_tools.text import mark

from .ownership import reduced

APPLIED_COPIES = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "kapp.k14s.io/original",
        "objectset.rio.cattle.io/applied",
        "banzaicloud.com/last-applied",
    }
)
"""Annotations in which kubectl, kapp, Rancher and the Banzai operators keep a copy of the object as it was applied."""
_COPY_OF_SECRET = re.compile(r"[\"']?kind[\"']?\s{0,5}:\s{0,5}[\"']?Secret\b")
"""A Secret, as JSON or YAML, in whatever annotation."""


def scrub(obj: Obj, kind: Kind | None = None) -> Obj:
    """The same object, changed in place: without the values of Secrets, applied copies and field ownership.

    A Secret keeps the keys of `data` with empty values. A list object is scrubbed with all its items.

    Args:
        obj: an object or a list object, as parsed.
        kind: what it is; items of a list do not say their kind, so that Secrets are known by this alone.
    """
    name = obj.get("kind")
    if isinstance(name, str) and name.endswith("List") and isinstance(obj.get("items"), list):
        of_secrets = name == "SecretList" or kind == SECRET
        for item in cast("list[object]", obj["items"]):
            if isinstance(item, dict):
                scrub(cast("Obj", item), SECRET if of_secrets else kind)
    _scrub_metadata(obj.get("metadata"), name if isinstance(name, str) else kind.kind if kind else "")
    if name == "Secret" or (kind is not None and (kind.group, kind.plural) == (SECRET.group, SECRET.plural)):
        _empty_values(obj)
    return obj


def _scrub_metadata(metadata: Any, kind: str) -> None:
    if not isinstance(metadata, dict):
        return
    here = cast("Obj", metadata)
    annotations = here.get("annotations")
    if isinstance(annotations, dict):
        for key in APPLIED_COPIES & cast("Obj", annotations).keys():
            del annotations[key]
        for key, value in cast("Obj", annotations).items():
            if isinstance(value, str) and "Secret" in value and _COPY_OF_SECRET.search(value):
                annotations[key] = mark("secret-object")
    owners = here.get("managedFields")
    if isinstance(owners, list):
        for entry in cast("list[object]", owners):
            if isinstance(entry, dict):
                owned = cast("Obj", entry).pop("fieldsV1", None)
                if isinstance(owned, dict) and (kept := reduced(cast("Obj", owned), kind)):
                    cast("Obj", entry)["fieldsV1"] = kept


def _empty_values(secret: Obj) -> None:
    data = secret.get("data")
    if isinstance(data, dict):
        secret["data"] = dict.fromkeys(cast("Obj", data), "")
    else:
        secret.pop("data", None)
    secret.pop("stringData", None)
