"""What kubectl and helm can be asked: their subcommands, and the flags that take a value before them.

`commands.py` asks. Sources: `kubectl help` of v1.36 and `helm help` of v3.19, read as lists of names.
"""

from collections.abc import Mapping, Sequence


def _named(names: str) -> frozenset[str]:
    return frozenset(names.split())


KUBECTL: Mapping[str, frozenset[str] | None] = {
    **dict.fromkeys(
        _named(
            "alpha annotate api-resources api-versions apply attach autoscale certificate cluster-info completion "
            "config cordon cp create debug delete describe diff drain edit events exec explain expose get kustomize "
            "label logs options patch plugin port-forward proxy replace run scale taint top uncordon version wait"
        )
    ),
    "auth": frozenset({"can-i", "reconcile", "whoami"}),
    "certificate": frozenset({"approve", "deny"}),
    "config": _named(
        "current-context delete-cluster delete-context delete-user get-clusters get-contexts get-users rename-context "
        "set set-cluster set-context set-credentials unset use-context view"
    ),
    "rollout": frozenset({"history", "pause", "restart", "resume", "status", "undo"}),
    "set": frozenset({"env", "image", "resources", "selector", "serviceaccount", "subject"}),
    "top": frozenset({"node", "nodes", "no", "pod", "pods", "po"}),
}
"""Subcommands of kubectl, with those below them where they are a closed list."""

WITHOUT_CLUSTER = frozenset({"config", "completion", "plugin", "kustomize", "options"})
"""Subcommands of kubectl that need no context."""

HELM: Mapping[str, frozenset[str] | None] = {
    **dict.fromkeys(
        _named(
            "completion create dependency env history install lint list ls package plugin pull push registry repo "
            "rollback search show status template test uninstall upgrade verify version"
        )
    ),
    "get": frozenset({"all", "hooks", "manifest", "metadata", "notes", "values"}),
    "repo": frozenset({"add", "index", "list", "remove", "update"}),
    "show": frozenset({"all", "chart", "crds", "readme", "values"}),
}
HELM_WITHOUT_CLUSTER = _named(
    "completion create dependency env lint package plugin pull push registry repo search show template verify version"
)

_TAKES_VALUE = _named(
    "--context --namespace -n --kubeconfig --as --as-group --as-uid --cluster --user --server -s --token --v -v "
    "--request-timeout --cache-dir --certificate-authority --client-certificate --client-key --kube-context "
    "--kube-apiserver --kube-as-user --kube-token --region --profile --output --query --endpoint-url "
    "--cli-read-timeout --cli-connect-timeout --color --ca-bundle"
)


def subcommands(words: Sequence[str]) -> list[str]:
    """The words after the program that are no flags and no values of global flags, in order.

    Args:
        words: what follows the program.
    """
    found: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word == "--":
            break
        elif word.startswith("-") and word != "-":
            skip = "=" not in word and word in _TAKES_VALUE
        else:
            found.append(word)
    return found
