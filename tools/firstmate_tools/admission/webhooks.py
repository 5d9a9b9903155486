"""Admission webhooks: which requests they are asked about, and whether somebody is there to answer.

Source: k8s.io/apiserver pkg/admission/plugin/webhook (predicates/rules/rules.go, predicates/namespace/matcher.go,
predicates/object/matcher.go) and pkg/util/proxy/proxy.go for how a Service becomes an address, v0.36. `matchConditions`
(CEL) are not evaluated.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from firstmate_tools import fields
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import POD, Kind
from firstmate_tools.refs import Ref
from firstmate_tools.selectors import matches


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook of a configuration.

    Attributes:
        config: the configuration's address.
        name: the webhook's own, which refusals quote.
    """

    config: Ref
    name: str
    spec: Obj

    @property
    def must_answer(self) -> bool:
        """Whether a request is refused when it does not answer (`failurePolicy`, Fail unless it says Ignore)."""
        return fields.text(self.spec, "failurePolicy") != "Ignore"

    @property
    def service(self) -> Ref | None:
        """The Service that answers, None where it is called by URL."""
        service = fields.mapping(self.spec, "clientConfig", "service")
        if not service:
            return None
        return Ref("Service", fields.text(service, "namespace"), fields.text(service, "name"))

    @property
    def port(self) -> int:
        return fields.number(self.spec, "clientConfig", "service", "port", default=443)

    @property
    def url(self) -> str:
        return fields.text(self.spec, "clientConfig", "url")

    @property
    def conditional(self) -> bool:
        """Whether CEL conditions, which are not evaluated here, decide as well."""
        return bool(fields.items(self.spec, "matchConditions"))


def hooks(configurations: Iterable[Obj], kind: Kind) -> Iterator[Hook]:
    """The webhooks of configurations, by configuration and in their order."""
    for configuration in sorted(configurations, key=fields.name_of):
        ref = Ref(kind.kind, "", fields.name_of(configuration))
        for spec in fields.items(configuration, "webhooks"):
            yield Hook(ref, fields.text(spec, "name"), spec)


def asked_about(hook: Hook, kind: Kind = POD, operation: str = "CREATE") -> bool:
    """Whether a webhook's rules take in a request for objects of a kind."""
    return any(_rule_matches(rule, kind, operation) for rule in fields.items(hook.spec, "rules"))


def _rule_matches(rule: Obj, kind: Kind, operation: str) -> bool:
    scope = fields.text(rule, "scope") or "*"
    resources = [resource.partition("/") for resource in fields.strings(rule, "resources")]
    return (
        _named(fields.strings(rule, "apiGroups"), kind.group)
        and _named(fields.strings(rule, "apiVersions"), kind.version)
        and _named(fields.strings(rule, "operations"), operation)
        and scope in {"*", "Namespaced" if kind.namespaced else "Cluster"}
        and any(name in {"*", kind.plural} and sub in {"", "*"} for name, _, sub in resources)
    )


def _named(listed: list[str], wanted: str) -> bool:
    return "*" in listed or wanted in listed


def selects(hook: Hook, namespace_labels: dict[str, str] | None, object_labels: dict[str, str] | None) -> bool:
    """Whether a webhook's namespace and object selectors take in an object; an absent selector takes in everything.

    Args:
        namespace_labels, object_labels: None where they are not known: then the selector may take it in.
    """
    for field, labels in (("namespaceSelector", namespace_labels), ("objectSelector", object_labels)):
        selector = fields.at(hook.spec, field)
        if selector is not None and labels is not None and not matches(selector, labels):
            return False
    return True


def missing_backend(hook: Hook, service: Obj | None, slices: Iterable[Obj]) -> str:
    """Why nobody can answer a webhook that is called through a Service, "" where somebody can.

    Args:
        service: the Service, None where it does not exist.
        slices: its EndpointSlices; those of other Services are left out.
    """
    ref = hook.service
    if ref is None:
        return ""
    if service is None:
        return "does not exist"
    if fields.text(service, "spec", "type") == "ExternalName":
        return ""
    ports = [p for p in fields.items(service, "spec", "ports") if fields.number(p, "port") == hook.port]
    if not ports:
        return f"has no port {hook.port}"
    return "" if ready_endpoints(ref, slices, fields.text(ports[0], "name")) else "has no ready endpoint"


def ready_endpoints(service: Ref, slices: Iterable[Obj], port: str) -> int:
    """How many endpoints of a Service are ready at a port (an absent condition counts as ready).

    Args:
        port: name of the Service's port, "" where it has none.
    """
    return sum(
        1
        for one in slices
        if fields.namespace_of(one) == service.namespace
        and fields.labels_of(one).get("kubernetes.io/service-name") == service.name
        and any(fields.text(p, "name") == port for p in fields.items(one, "ports"))
        for endpoint in fields.items(one, "endpoints")
        if fields.at(endpoint, "conditions", "ready") is not False
    )
