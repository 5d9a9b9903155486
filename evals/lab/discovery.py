"""Which kinds a lab's API server knows, and where their objects lie.

Called by `client.LabClient`. One pair of requests (aggregated discovery) answers for all groups; an unknown kind asks
once more, because a scenario may have brought a CustomResourceDefinition in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from evals.lab.errors import LabError

_AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


class UnknownKindError(LabError):
    """The server serves no such kind (yet)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One served kind."""

    group: str
    version: str
    kind: str
    resource: str
    namespaced: bool
    verbs: frozenset[str]
    subresources: frozenset[str]
    other_names: frozenset[str]

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, name: str | None, namespace: str | None = None) -> str:
        """The path of one object, or of the collection without a name; `default` where no namespace is given."""
        where = f"/namespaces/{quote(namespace or 'default')}" if self.namespaced else ""
        return f"{self._root()}{where}/{self.resource}" + (f"/{quote(name, safe='')}" if name else "")

    def path_everywhere(self) -> str:
        return f"{self._root()}/{self.resource}"

    def _root(self) -> str:
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def answers_to(self, name: str, api_version: str | None) -> bool:
        if api_version is not None:
            return self.kind == name and self.api_version == api_version
        wanted, _, group = name.lower().partition(".")
        if group and group not in {self.group, f"{self.version}.{self.group}"}:
            return False
        return wanted in {self.kind.lower(), self.resource} or wanted in self.other_names


class Discovery:
    """The kinds of one API server, asked for when first needed."""

    def __init__(self, request: Callable[..., Any]) -> None:
        self._request = request
        self._kinds: list[Kind] = []

    def find(self, name: str, api_version: str | None = None) -> Kind:
        """The kind of that name; core before other groups, the server's preferred version first.

        Raises:
            UnknownKindError: not served, even after asking again.
        """
        for fresh in (False, True):
            if fresh or not self._kinds:
                self._kinds = list(self._ask())
            for kind in self._kinds:
                if kind.answers_to(name, api_version):
                    return kind
        raise UnknownKindError(f"the lab serves no kind {name}" + (f" in {api_version}" if api_version else ""))

    def serves(self, name: str, api_version: str) -> bool:
        """Whether a kind is served now."""
        try:
            return bool(self.find(name, api_version))
        except UnknownKindError:
            return False

    def all(self) -> list[Kind]:
        """Every kind that the server serves now."""
        self._kinds = list(self._ask())
        return self._kinds

    def _ask(self) -> Iterator[Kind]:
        for root in ("/api", "/apis"):
            for group in self._request("GET", root, accept=_AGGREGATED)["items"]:
                for version in group["versions"]:
                    for resource in version.get("resources", ()):
                        yield _kind(group["metadata"].get("name", ""), version["version"], resource)


def _kind(group: str, version: str, resource: dict[str, Any]) -> Kind:
    return Kind(
        group=group,
        version=version,
        kind=resource["responseKind"]["kind"],
        resource=resource["resource"],
        namespaced=resource["scope"] == "Namespaced",
        verbs=frozenset(resource["verbs"]),
        subresources=frozenset(one["subresource"] for one in resource.get("subresources", ())),
        other_names=frozenset([resource.get("singularResource", ""), *resource.get("shortNames", ())]) - {""},
    )
