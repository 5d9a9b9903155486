"""The RBAC rules that declared reads need, as a ClusterRole. `firstmate doctor` prints the missing ones."""

from collections.abc import Iterable, Sequence

import orjson

from firstmate_tools.reads import Declared, Read

Rule = dict[str, list[str]]


def rules(reads: Iterable[Declared]) -> list[Rule]:
    """The least rules: resources of the same group and verbs together, in a stable order.

    `AnyKindButSecrets` adds nothing: what it may read, it reads with the rights that the caller has.
    """
    verbs: dict[tuple[str, str], set[str]] = {}
    for read in reads:
        if isinstance(read, Read):
            name = f"{read.kind.plural}/{read.subresource}" if read.subresource else read.kind.plural
            verbs.setdefault((read.kind.group, name), set()).update(read.verbs)
    grouped: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), wanted in sorted(verbs.items()):
        grouped.setdefault((group, tuple(sorted(wanted))), []).append(resource)
    return [
        {"apiGroups": [group], "resources": resources, "verbs": list(wanted)}
        for (group, wanted), resources in sorted(grouped.items())
    ]


def cluster_role(name: str, given: Sequence[Rule]) -> str:
    """A ClusterRole as YAML."""
    lines = ["apiVersion: rbac.authorization.k8s.io/v1", "kind: ClusterRole", "metadata:", f"  name: {name}", "rules:"]
    for rule in given:
        for index, (key, values) in enumerate(rule.items()):
            # A JSON array of strings is one of YAML as well.
            lines.append(f"{'- ' if index == 0 else '  '}{key}: {orjson.dumps(values).decode()}")
    return "\n".join(lines) + "\n"
