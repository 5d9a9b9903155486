"""The address of an object: kind, namespace, name."""

import re
from functools import lru_cache
from typing import Any, NamedTuple

from . import fields, kinds
from .customkinds import address_kind, address_of
from .fields import Obj
from .kinds import Kind
from .text import inline

_PLAIN = re.compile(r"[A-Za-z0-9._:/-]{1,320}")
"""Names as the API server takes them. Owner references and events may name anything."""


class Ref(NamedTuple):
    """Names one object within a cluster; `namespace` is "" for cluster-scoped objects.

    A tuple, because graphs hash and compare hundreds of thousands of them.
    """

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """The short form that kubectl prints: `deployment/cart`."""
        short = f"{self.kind.lower()}/{self.name}"
        return short if _PLAIN.fullmatch(short) else inline(short)


def ref_of(obj: Obj, kind: Kind | str | None = None) -> Ref:
    """The address of an object that was read.

    Args:
        obj: the object; lists leave `kind` out of their items, so that it is given beside it.
        kind: its kind, where the object does not say.
    """
    name = address_of(kind) if isinstance(kind, Kind) else kind
    return Ref(name or _said(obj), fields.namespace_of(obj), fields.name_of(obj))


def involved(event: Obj) -> Ref:
    """What an event is about, in either Event API (`involvedObject` in core, `regarding` in events.k8s.io).

    Some who tell of a node name the namespace that the event lies in: a cluster-scoped kind has none.
    """
    about: Any = event.get("involvedObject") or event.get("regarding")
    kind = kinds.by_api_version(fields.text(about, "apiVersion"), fields.text(about, "kind"))
    namespace = fields.text(about, "namespace") if kind is None or kind.namespaced else ""
    return Ref(_said(about), namespace, fields.text(about, "name"))


def _said(obj: object) -> str:
    """The kind in an address, by what an object (or what names one) says of itself."""
    return address_kind(fields.text(obj, "apiVersion").rpartition("/")[0], fields.text(obj, "kind"))


def controller_of(obj: Obj) -> Ref | None:
    """The controlling owner of a namespaced object, in its own namespace (cluster-scoped owners keep none)."""
    owners = fields.items(obj, "metadata", "ownerReferences")
    owner = next((o for o in owners if o.get("controller") is True), owners[0] if owners else None)
    if owner is None:
        return None
    name, namespaced = _owner(fields.text(owner, "apiVersion"), fields.text(owner, "kind"))
    return Ref(name, fields.namespace_of(obj) if namespaced else "", fields.text(owner, "name"))


@lru_cache(maxsize=1024)
def _owner(api_version: str, kind: str) -> tuple[str, bool]:
    """The kind of an owner in an address, and whether it lies in a namespace: thousands of pods have one of a few."""
    known = kinds.by_api_version(api_version, kind)
    return address_kind(api_version.rpartition("/")[0], kind), known.namespaced if known else True
