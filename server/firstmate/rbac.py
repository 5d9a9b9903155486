"""The least rights that declared reads need: as RBAC objects for a cluster, rules first.

`firstmate rbac` prints them, `firstmate doctor` those that are missing. Everything comes from what the tools declare:
a new tool, or a new rule of `diagnose`, needs no edit here. Must never print a right that nobody declared.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson

from firstmate_tools.kinds import NAMESPACE
from firstmate_tools.reads import Declared, NonResource, Read
from firstmate_tools.toolspec import ToolSpec

GROUP = "rbac.authorization.k8s.io"
NAME = "firstmate-read"
Rule = dict[str, list[str]]
Document = dict[str, Any]
_WIDTH = 116
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9./-]*")
_NO_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def rules(reads: Iterable[Declared], *, optional: bool = False, namespaced: bool = False) -> list[Rule]:
    """The least rules: resources of the same group and verbs together, in a stable order; paths last.

    `AnyKindButSecrets` adds nothing: what it may read, it reads with the rights that the caller has.

    Args:
        reads: what is declared.
        optional: with what is declared as optional.
        namespaced: only what a Role can give: namespaced kinds, and the namespace itself.
    """
    verbs: dict[tuple[str, str], set[str]] = {}
    paths: set[str] = set()
    for read in reads:
        if isinstance(read, Read) and (optional or not read.optional) and not (namespaced and _beyond(read)):
            name = f"{read.kind.plural}/{read.subresource}" if read.subresource else read.kind.plural
            wanted = {"get"} if namespaced and not read.kind.namespaced else read.verbs
            verbs.setdefault((read.kind.group, name), set()).update(wanted)
        elif isinstance(read, NonResource) and (optional or not read.optional) and not namespaced:
            paths.add(read.path)
    grouped: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), wanted in sorted(verbs.items()):
        grouped.setdefault((group, tuple(sorted(wanted))), []).append(resource)
    found: list[Rule] = [
        {"apiGroups": [group], "resources": resources, "verbs": list(wanted)}
        for (group, wanted), resources in sorted(grouped.items())
    ]
    return [*found, {"nonResourceURLs": sorted(paths), "verbs": ["get"]}] if paths else found


def _beyond(read: Read) -> bool:
    """Whether no Role can give it. A Role gives `get` of its own namespace, whose requests count as inside it."""
    return not read.kind.namespaced and not (read.kind == NAMESPACE and "get" in read.verbs)


def left_out(reads: Iterable[Declared]) -> list[str]:
    """What a Role in one namespace cannot give."""
    return sorted(
        {read.resource for read in reads if isinstance(read, Read) and not read.optional and _beyond(read)}
        | {read.path for read in reads if isinstance(read, NonResource) and not read.optional}
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to print.

    Attributes:
        tools: those that are enabled.
        namespace: a Role in this namespace in place of a ClusterRole.
        secrets: with the reads that are optional: names and keys of Secrets.
        account: namespace and name of a ServiceAccount to make and bind.
    """

    tools: Sequence[ToolSpec]
    namespace: str | None = None
    secrets: bool = False
    account: tuple[str, str] | None = None

    def reads(self) -> list[Declared]:
        return [read for spec in self.tools for read in spec.reads()]


def documents(wanted: Wanted) -> list[Document]:
    """The RBAC objects, the role first."""
    here = {"namespace": wanted.namespace} if wanted.namespace else {}
    kind = "Role" if wanted.namespace else "ClusterRole"
    role: Document = {
        "apiVersion": f"{GROUP}/v1",
        "kind": kind,
        "metadata": {"name": NAME, **here},
        "rules": rules(wanted.reads(), optional=wanted.secrets, namespaced=wanted.namespace is not None),
    }
    if wanted.account is None:
        return [role]
    namespace, name = wanted.account
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return [
        role,
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}},
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": f"{kind}Binding",
            "metadata": {"name": NAME, **here},
            "subjects": [subject],
            "roleRef": {"apiGroup": GROUP, "kind": kind, "name": NAME},
        },
    ]


def manifest(wanted: Wanted) -> str:
    """The same as YAML, with comments that say which tools need each rule."""
    role, *others = documents(wanted)
    users = _users(wanted)
    lines = _comment(_heading(wanted))
    lines += [*_block(role, without="rules"), "rules:" if role["rules"] else "rules: []"]
    for rule in role["rules"]:
        resources = rule.get("resources", rule.get("nonResourceURLs", []))
        group = rule.get("apiGroups", [""])[0]
        lines += [line for name in resources for line in _comment(f"{name}: {', '.join(users[group, name])}", "  ")]
        lines += [f"  {'- ' if i == 0 else '  '}{key}: {_flow(rule[key])}" for i, key in enumerate(rule)]
    text = "\n".join(lines) + "\n"
    return text + "".join("---\n" + "\n".join(_block(one)) + "\n" for one in others)


def cluster_role(name: str, given: Sequence[Rule]) -> str:
    """A ClusterRole as YAML."""
    lines = [f"apiVersion: {GROUP}/v1", "kind: ClusterRole", "metadata:", f"  name: {name}", "rules:"]
    for rule in given:
        for index, (key, values) in enumerate(rule.items()):
            lines.append(f"{'- ' if index == 0 else '  '}{key}: {_flow(values)}")
    return "\n".join(lines) + "\n"


def _users(wanted: Wanted) -> dict[tuple[str, str], list[str]]:
    """Which tools need a resource, by group and name; paths have no group."""
    users: dict[tuple[str, str], set[str]] = {}
    for spec in wanted.tools:
        for rule in rules(spec.reads(), optional=True):
            group = rule.get("apiGroups", [""])[0]
            for name in rule.get("resources", rule.get("nonResourceURLs", [])):
                users.setdefault((group, name), set()).add(spec.name)
    return {key: sorted(names) for key, names in users.items()}


def _heading(wanted: Wanted) -> str:
    secrets = (
        "Secrets: get alone, for their keys; firstmate drops the values while parsing."
        if wanted.secrets
        else "No Secrets: firstmate rbac --secrets adds the right to look at their keys."
    )
    beyond = left_out(wanted.reads()) if wanted.namespace else []
    missing = f" Not in it, because no Role can give it: {', '.join(beyond)}." if beyond else ""
    return (
        f"What firstmate needs to read, printed by `firstmate rbac`. Comments name the tools that need each rule. "
        f"Version, discovery and reviews of one's own access are open to every authenticated user. {secrets}{missing}"
    )


def _block(document: Document, *, without: str = "") -> list[str]:
    """A document as YAML of two levels, all that RBAC objects have beside rules."""
    lines: list[str] = []
    for key, value in document.items():
        if key == without:
            continue
        if isinstance(value, str):
            lines.append(f"{key}: {_word(value)}")
            continue
        lines.append(f"{key}:")
        for one in cast("list[dict[str, str]]", value if isinstance(value, list) else [value]):
            dash = "- " if isinstance(value, list) else ""
            for index, (name, inner) in enumerate(one.items()):
                lines.append(f"  {dash if index == 0 else ' ' * len(dash)}{name}: {_word(inner)}")
    return lines


def _word(value: str) -> str:
    """A scalar; what YAML could take for something else is quoted."""
    return value if _PLAIN.fullmatch(value) and value.lower() not in _NO_WORDS else _flow(value)


def _flow(value: Any) -> str:
    """JSON, which is YAML as well."""
    return orjson.dumps(value).decode().replace('","', '", "')


def _comment(text: str, indent: str = "") -> list[str]:
    from textwrap import wrap

    return wrap(text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}#   ", break_on_hyphens=False)
