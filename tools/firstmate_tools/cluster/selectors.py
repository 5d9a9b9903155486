"""Label and field selectors, written as in `kubectl get -l/--field-selector`, evaluated as an API server would.

`SnapshotCluster` filters its lists with them. (`firstmate_tools.selectors` is about selectors that stand in objects.)
Grammar and semantics: k8s.io/apimachinery pkg/labels/selector.go and pkg/fields/selector.go, v1.36; which fields a
kind takes: its `AddFieldLabelConversionFunc` in pkg/apis/*/v*/conversion.go. Must never ignore a part of a selector
that it does not understand: the list would be too long, and somebody would believe it.
"""

import re
from collections.abc import Callable

from firstmate_tools import fields
from firstmate_tools.errors import UsageError
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind

Test = Callable[[Obj], bool]

_KEY = r"(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?"
_REQUIREMENT = re.compile(
    rf"\s*(?:(?P<not>!)\s*(?P<absent>{_KEY})"
    rf"|(?P<key>{_KEY})\s*(?:(?P<op>==|=|!=|>|<)\s*(?P<value>{_VALUE})"
    rf"|\s(?P<set>in|notin)\s*\((?P<values>[^()]*)\))?)\s*(?:,|\Z)"
)
_EVERY = ("metadata.name", "metadata.namespace")
_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_FIELDS: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "pods"): (
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
        "status.podIPs",
        "status.nominatedNodeName",
    ),
    ("", "nodes"): ("spec.unschedulable",),
    ("", "namespaces"): ("status.phase",),
    ("", "secrets"): ("type",),
    ("", "services"): ("spec.clusterIP", "spec.type"),
    ("", "replicationcontrollers"): ("status.replicas",),
    ("batch", "jobs"): ("status.successful",),
    ("", "events"): ("reason", "reportingComponent", "source", "type", *(f"involvedObject.{f}" for f in _INVOLVED)),
    ("events.k8s.io", "events"): (
        "reason",
        "reportingController",
        "type",
        *(f"regarding.{f}" for f in _INVOLVED),
    ),
}
_BUILT_IN = re.compile(r"|apps|batch|autoscaling|policy|extensions|.*\.k8s\.io")
_FALSE_WHERE_ABSENT = frozenset({"spec.hostNetwork", "spec.unschedulable"})
_ZERO_WHERE_ABSENT = frozenset({"status.replicas", "status.successful"})


def label_test(selector: str) -> Test:
    """A test for the labels of an object.

    Args:
        selector: `app=cart,tier!=cache,env in (a, b),zone notin (c),!legacy,critical,weight>3`; "" takes everything.

    Raises:
        UsageError: it cannot be parsed, as an API server would answer (400).
    """
    tests: list[Callable[[dict[str, str]], bool]] = []
    at = 0
    while at < len(selector):
        match = _REQUIREMENT.match(selector, at)
        if match is None or match.end() == at or (match.end() == len(selector) and selector.rstrip().endswith(",")):
            raise UsageError(
                f"The label selector {selector[:120]!r} cannot be parsed.", "Use key=value, key!=value or key in (a,b)."
            )
        tests.append(_requirement(match, selector))
        at = match.end()

    def test(obj: Obj) -> bool:
        labels = fields.labels_of(obj)
        return all(holds(labels) for holds in tests)

    return test


def _requirement(match: re.Match[str], selector: str) -> Callable[[dict[str, str]], bool]:
    key, operator, value = match["key"] or match["absent"], match["op"], match["value"]
    if match["not"]:
        return lambda labels: key not in labels
    if match["set"]:
        values = [entry.strip() for entry in match["values"].split(",")]
        if not all(re.fullmatch(_VALUE, entry) for entry in values):
            raise UsageError(f"The label selector {selector[:120]!r} has a value that no label can have.")
        if match["set"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if operator in ("=", "=="):
        return lambda labels: labels.get(key) == value
    if operator == "!=":
        return lambda labels: labels.get(key) != value
    if operator in (">", "<"):
        if not re.fullmatch(r"-?\d+", value):
            raise UsageError(f"The label selector {selector[:120]!r} compares with something that is no integer.")
        return lambda labels: _compares(labels.get(key), operator, int(value))
    return lambda labels: key in labels


def _compares(here: str | None, operator: str, value: int) -> bool:
    if here is None or not re.fullmatch(r"-?\d+", here):
        return False
    return int(here) > value if operator == ">" else int(here) < value


def field_test(selector: str, kind: Kind) -> Test:
    """A test for the fields of an object of a kind.

    Args:
        selector: `status.phase!=Running,spec.nodeName=a`; `\\,`, `\\=` and `\\\\` are escapes; "" takes everything.

    Raises:
        UsageError: it cannot be parsed, or the kind cannot be selected by that field (an API server answers 400).
    """
    tests: list[tuple[str, bool, str]] = []
    whole = re.fullmatch(r"(?:\\[\\,=]|[^\\])*", selector)
    for term in re.findall(r"(?:\\.|[^,\\])+", selector) if whole else [selector]:
        match = re.fullmatch(r"\s*([A-Za-z][\w.]*)(==|=|!=)((?:\\.|[^\\=])*)", term)
        if match is None or whole is None:
            raise UsageError(
                f"The field selector {selector[:120]!r} cannot be parsed.", "Use field=value or field!=value."
            )
        path, operator, value = match.groups()
        _check_field(path, kind)
        tests.append((path, operator != "!=", re.sub(r"\\(.)", r"\1", value)))
    return lambda obj: all((_field(obj, path, kind) == value) is wanted for path, wanted, value in tests)


def _check_field(path: str, kind: Kind) -> None:
    if path in _EVERY or path in _FIELDS.get((kind.group, kind.plural), ()):
        return
    if _BUILT_IN.fullmatch(kind.group):
        raise UsageError(f"{kind.resource} cannot be selected by the field {path[:80]!r}.")


def _field(obj: Obj, path: str, kind: Kind) -> str:
    if path == "source" and kind.plural == "events":
        return fields.text(obj, "source", "component") or fields.text(obj, "reportingComponent")
    value = fields.at(obj, *path.split("."))
    if value is None:
        return "false" if path in _FALSE_WHERE_ABSENT else "0" if path in _ZERO_WHERE_ABSENT else ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""
