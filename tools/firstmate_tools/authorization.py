"""What Roles and bindings let a subject do, worked out from the objects alone; pure.

Used by rules: a snapshot has nothing else to ask, and a review of another's access is a right that few have. Follows
the RBAC authorizer of Kubernetes v1.36 (plugin/pkg/auth/authorizer/rbac/rbac.go, pkg/registry/rbac/validation/rule.go,
pkg/apis/rbac/v1/evaluation_helpers.go): permissions only add up, and a binding whose role does not exist gives nothing.
Other authorizers (webhooks, the node authorizer, EKS access policies) may allow more: who concludes "may not" from here
says so only of what an API server has refused.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from firstmate_tools import fields
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import CLUSTER_ROLE, CLUSTER_ROLE_BINDING, ROLE, ROLE_BINDING
from firstmate_tools.refs import Ref

Obstacle = Literal["verb", "resource", "group", "name"]


@dataclass(frozen=True, slots=True, order=True)
class Account:
    """A service account as a subject."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    @property
    def groups(self) -> frozenset[str]:
        """https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-subjects"""
        every = f"system:serviceaccounts:{self.namespace}"
        return frozenset({"system:serviceaccounts", "system:authenticated", every})


@dataclass(frozen=True, slots=True, order=True)
class Attempt:
    """What somebody tries: a verb on a resource (with its subresource: `pods/log`).

    Attributes:
        namespace: "" for the whole cluster.
        name: "" where the request names none (list, create).
    """

    verb: str
    group: str
    resource: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        kind = f"{self.resource}.{self.group}" if self.group else self.resource
        where = f"in namespace {self.namespace}" if self.namespace else "in the whole cluster"
        return f"{self.verb} {kind} {where}"


def obstacles(rule: Obj, attempt: Attempt) -> set[Obstacle]:
    """What about a rule of a role does not fit an attempt; empty where it allows it."""
    found: set[Obstacle] = set()
    names = fields.strings(rule, "resourceNames")
    if not {"*", attempt.verb} & set(fields.strings(rule, "verbs")):
        found.add("verb")
    if not {"*", attempt.group} & set(fields.strings(rule, "apiGroups")):
        found.add("group")
    if not _resource_fits(fields.strings(rule, "resources"), attempt.resource):
        found.add("resource")
    if names and attempt.name not in names:
        found.add("name")
    return found


def _resource_fits(listed: Iterable[str], wanted: str) -> bool:
    sub = wanted.partition("/")[2]
    return bool({"*", wanted, *([f"*/{sub}"] if sub else [])} & set(listed))


def allows(role: Obj, attempt: Attempt) -> bool:
    """Whether a Role or ClusterRole has a rule that allows an attempt."""
    return any(not obstacles(rule, attempt) for rule in fields.items(role, "rules"))


def names_subject(binding: Obj, account: Account) -> bool:
    """Whether a binding is for a service account, by its name or by a group that it is in."""
    here = fields.namespace_of(binding)
    for subject in fields.items(binding, "subjects"):
        kind, name = fields.text(subject, "kind"), fields.text(subject, "name")
        # A ServiceAccount without a namespace is that of the RoleBinding's own.
        place = fields.text(subject, "namespace") or here
        if kind == "ServiceAccount" and (place, name) == (account.namespace, account.name):
            return True
        if (kind == "User" and name == str(account)) or (kind == "Group" and name in account.groups):
            return True
    return False


def role_of(binding: Obj) -> Ref:
    """The Role or ClusterRole that a binding gives; a ClusterRole where it says nothing else."""
    named = fields.mapping(binding, "roleRef")
    if fields.text(named, "kind") == ROLE.kind:
        return Ref(ROLE.kind, fields.namespace_of(binding), fields.text(named, "name"))
    return Ref(CLUSTER_ROLE.kind, "", fields.text(named, "name"))


def address_of(binding: Obj) -> Ref:
    """A RoleBinding's or ClusterRoleBinding's own address: which it is shows in whether it has a namespace."""
    namespace = fields.namespace_of(binding)
    kind = ROLE_BINDING.kind if namespace else CLUSTER_ROLE_BINDING.kind
    return Ref(kind, namespace, fields.name_of(binding))


@dataclass(frozen=True, slots=True)
class Bound:
    """A binding that names a subject, with its role.

    Attributes:
        role: None where it does not exist, or was not read (`read` tells which).
        read: whether anybody looked.
    """

    binding: Obj
    role_ref: Ref
    role: Obj | None
    read: bool

    @property
    def ref(self) -> Ref:
        return address_of(self.binding)

    def reaches(self, attempt: Attempt) -> bool:
        """Whether the binding counts where the attempt is made."""
        return not self.ref.namespace or self.ref.namespace == attempt.namespace

    def gives(self, attempt: Attempt) -> bool:
        return self.reaches(attempt) and self.role is not None and allows(self.role, attempt)


@dataclass(frozen=True, slots=True)
class Nearest:
    """The rule of a role that comes nearest to an attempt, and what about it does not fit."""

    bound: Bound
    rule: Obj
    missing: frozenset[Obstacle]


def nearest(bounds: Iterable[Bound], attempt: Attempt) -> Nearest | None:
    """The rule that lacks the least, among those that reach the attempt and know its resource or verb and group."""
    found = [
        Nearest(bound, rule, frozenset(missing))
        for bound in bounds
        if bound.reaches(attempt) and bound.role is not None
        for rule in fields.items(bound.role, "rules")
        if len(missing := obstacles(rule, attempt)) == 1 or missing == {"verb", "name"}
    ]
    order = {"verb": 0, "name": 1, "group": 2, "resource": 3}
    return min(found, key=lambda n: (len(n.missing), min(order[m] for m in n.missing), n.bound.ref), default=None)


def elsewhere(bounds: Iterable[Bound], attempt: Attempt) -> Iterator[Bound]:
    """Bindings whose role would allow an attempt, and that count in another namespace only."""
    for bound in bounds:
        if not bound.reaches(attempt) and bound.role is not None and allows(bound.role, attempt):
            yield bound
