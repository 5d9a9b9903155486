"""Which hosts the settings of a workload name, and which Services those would be. Pure; for the rules of the network.

Settings are environment variables (also those that a ConfigMap gives, where it was read), command and arguments. A host
counts as a URL, with a port, with its namespace, or alone in a setting that by its name holds one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import Kind
from firstmate_tools.refs import Ref, controller_of, ref_of

TEMPLATED: tuple[Kind, ...] = (
    kinds.DEPLOYMENT,
    kinds.STATEFUL_SET,
    kinds.DAEMON_SET,
    kinds.REPLICA_SET,
    kinds.JOB,
    kinds.CRON_JOB,
)
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_URL = re.compile(
    rf"\b([a-z][a-z0-9+.:-]{{1,40}})://(?:[^\s/@\"']{{1,200}}@)?({_HOST})(?::(\d{{1,5}}))?(?=[/\s\"',?#;)]|$)"
)
_WITH_PORT = re.compile(rf"(?<![\w./:@-])(?:[^\s/@\"',]{{1,200}}@)?({_HOST}):(\d{{2,5}})(?![\d:.\w])")
_QUALIFIED = re.compile(
    r"(?<![\w./@-])([a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,2}\.svc(?:\.[a-z0-9.-]{1,100})?)(?![\w-])"
)
_ALONE = re.compile(rf"{_HOST}")
_NAMED_SO = re.compile(
    r"(?i)(?:host|hostname|addr|address|url|uri|endpoint|server|servers|service|svc|upstream|brokers?|dsn|target|peer"
    r"|backend|origin|api)$"
)
_VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_DEFAULT_PORTS = {
    "http": 80, "ws": 80, "https": 443, "wss": 443, "postgres": 5432, "postgresql": 5432, "jdbc:postgresql": 5432,
    "mysql": 3306, "jdbc:mysql": 3306, "mariadb": 3306, "redis": 6379, "rediss": 6380, "amqp": 5672, "amqps": 5671,
    "mongodb": 27017, "nats": 4222,
}  # fmt: skip
MOST_READ = 4000


@dataclass(frozen=True, slots=True, order=True)
class Host:
    """A host that a setting names.

    Attributes:
        name: lower case, without a dot at its end.
        port: 0 where neither setting nor scheme tells.
        field: where it stands, from the pod spec on: `containers[app].env[DB_HOST]`.
        value: of the setting.
        holder: the ConfigMap that holds the setting, None where the workload does itself.
    """

    name: str
    port: int
    field: str
    value: str
    holder: Ref | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """A workload, by its pod template, or a pod of its own.

    Attributes:
        template: what has `metadata.labels` and `spec`.
        prefix: where its spec stands in the object.
        wanted: how many pods it should have.
    """

    ref: Ref
    obj: Obj
    template: Obj
    prefix: str
    wanted: int


def clients(facts: Facts) -> tuple[Client, ...]:
    """The workloads in scope that a person edits, and pods that nobody owns, by kind and name."""
    return facts.derived(_clients)


def _clients(facts: Facts) -> tuple[Client, ...]:
    found: list[Client] = []
    for kind in TEMPLATED:
        for obj in facts.all(kind):
            owner = controller_of(obj)
            if owner is not None and kind in {kinds.REPLICA_SET, kinds.JOB}:
                continue
            steps = ("spec", "jobTemplate", "spec", "template") if kind == kinds.CRON_JOB else ("spec", "template")
            template = fields.mapping(obj, *steps)
            found.append(Client(ref_of(obj, kind), obj, template, ".".join((*steps, "spec")), _wanted(kind, obj)))
    living = [pod for pod in lib.lone(facts) if not podstate.finished(pod) and not podstate.terminating(pod)]
    found += [Client(ref_of(pod, kinds.POD), pod, pod, "spec", 1) for pod in living]
    return tuple(sorted(found, key=lambda client: client.ref))


def _wanted(kind: Kind, obj: Obj) -> int:
    if kind == kinds.DAEMON_SET:
        return fields.number(obj, "status", "desiredNumberScheduled")
    if kind == kinds.CRON_JOB:
        return 0 if fields.flag(obj, "spec", "suspend") else 1
    if kind == kinds.JOB:
        ended = any(fields.condition(obj, one).get("status") == "True" for one in ("Complete", "Failed"))
        return 0 if ended or fields.flag(obj, "spec", "suspend") else 1
    return fields.number(obj, "spec", "replicas", default=1)


def hosts(facts: Facts, client: Client) -> list[Host]:
    """The hosts that a workload's settings name, by field, each once; init containers' are left out."""
    return facts.derived(_hosts_of_all).get(client.ref, [])


def _hosts_of_all(facts: Facts) -> dict[Ref, list[Host]]:
    return {client.ref: sorted(set(_hosts(facts, client))) for client in clients(facts)}


def config_maps(client: Client) -> set[Ref]:
    """The ConfigMaps that give a workload settings."""
    sources = [
        source
        for container in _settled(client.template)
        for source in (
            *(fields.mapping(entry, "configMapRef") for entry in fields.items(container, "envFrom")),
            *(fields.mapping(entry, "valueFrom", "configMapKeyRef") for entry in fields.items(container, "env")),
        )
    ]
    names = {fields.text(source, "name") for source in sources} - {""}
    return {Ref("ConfigMap", client.ref.namespace, name) for name in names}


def _settled(template: Obj) -> Iterator[Obj]:
    for container in podstate.containers(template):
        if container.role in {"app", "sidecar"}:
            yield container.spec


def _hosts(facts: Facts, client: Client) -> Iterator[Host]:
    for container in _settled(client.template):
        own = f"{client.prefix}.containers[{fields.text(container, 'name')}]"
        known: dict[str, str] = {}
        for name, value, holder in _variables(facts, client, container):
            known[name] = value = _expanded(value, known)
            place = f"data.{name}" if holder else f"{own}.env[{name}]"
            for host, port in _in_setting(name, value):
                yield Host(host, port or _sibling(name, container), place, value, holder)
        for section in ("command", "args"):
            words = [_expanded(word, known) for word in fields.strings(container, section)]
            for index, word in enumerate(words):
                key, _, value = word.rpartition("=") if word.startswith("-") else ("", "", word)
                before = words[index - 1] if index and words[index - 1].startswith("-") else ""
                for host, port in _in_setting((key or before).lstrip("-").replace("-", "_"), value):
                    yield Host(host, port, f"{own}.{section}", word)


def _variables(facts: Facts, client: Client, container: Obj) -> Iterator[tuple[str, str, Ref | None]]:
    for entry in fields.items(container, "envFrom"):
        ref = Ref("ConfigMap", client.ref.namespace, fields.text(entry, "configMapRef", "name"))
        for key, value in sorted(fields.string_map(facts.get(ref) or {}, "data").items()):
            yield fields.text(entry, "prefix") + key, value, ref
    for entry in fields.items(container, "env"):
        value = fields.text(entry, "value")
        asked = fields.mapping(entry, "valueFrom", "configMapKeyRef")
        if value:
            yield fields.text(entry, "name"), value, None
        elif asked:
            ref = Ref("ConfigMap", client.ref.namespace, fields.text(asked, "name"))
            held = fields.string_map(facts.get(ref) or {}, "data").get(fields.text(asked, "key"), "")
            if held:
                yield fields.text(entry, "name"), held, ref


def _sibling(name: str, container: Obj) -> int:
    """The port that a variable beside that of a host gives: DB_PORT beside DB_HOST."""
    stem = re.sub(r"(?i)_?(?:host(?:name)?|addr(?:ess)?|server|service|endpoint)$", "", name)
    for entry in fields.items(container, "env"):
        value = fields.text(entry, "value")
        if fields.text(entry, "name") == f"{stem}_PORT" and value.isascii() and value.isdigit() and len(value) <= 5:
            return int(value)
    return 0


def _expanded(value: str, known: dict[str, str]) -> str:
    return _VARIABLE.sub(lambda found: known.get(found[1] or found[2], found[0]), value[:MOST_READ])[:MOST_READ]


def _in_setting(name: str, value: str) -> Iterator[tuple[str, int]]:
    value = value.strip()
    if not value or ("." not in value and ":" not in value and not _NAMED_SO.search(name)):
        return
    plain: set[tuple[str, int]] = set()
    for scheme, host, port in _URL.findall(value):
        plain.add((_clean(host), int(port or _DEFAULT_PORTS.get(scheme.lower(), 0))))
    if "://" not in value:
        plain |= {(_clean(host), int(port)) for host, port in _WITH_PORT.findall(value)}
    if not plain:
        plain |= {(_clean(host), 0) for host in _QUALIFIED.findall(value)}
    if not plain and _NAMED_SO.search(name):
        plain |= {(_clean(part), 0) for part in value.split(",") if _ALONE.fullmatch(part.strip())}
    yield from sorted((host, port) for host, port in plain if _is_name(host))


def _clean(host: str) -> str:
    return host.strip().rstrip(".").lower()


def _is_name(host: str) -> bool:
    """Whether it is a name, and not an address, a number or this very machine."""
    return host != "localhost" and not host.replace(".", "").isdigit() and any(c.isalpha() for c in host)


def service(facts: Facts, namespace: str, host: str) -> Ref | None:
    """The Service that a host name means to a pod of a namespace, None for what lies outside the cluster.

    https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/: `db`, `db.data`, `db.data.svc…`, and with
    the name of a pod before it. Two labels are a Service of another namespace only where that is known to exist.
    """
    parts = host.rstrip(".").lower().split(".")
    if "" in parts or len(parts) == 1:
        return Ref("Service", namespace, parts[0]) if parts[0] else None
    if len(parts) > 2:
        at = next((i for i in (2, 3) if len(parts) > i and parts[i] == "svc"), None)
        return Ref("Service", parts[at - 1], parts[at - 2]) if at is not None else None
    headless = Ref("Service", namespace, parts[1])
    if facts.get(headless) is not None:
        return headless
    other = Ref("Service", parts[1], parts[0])
    if facts.get(other) is not None or facts.exists(Ref("Namespace", "", parts[1])):
        return other
    return None


def foreign(namespace: str, host: str) -> str | None:
    """The other namespace that a host name may name, None where it certainly names none."""
    parts = host.rstrip(".").lower().split(".")
    at = 1 if len(parts) == 2 else next((i - 1 for i in (2, 3) if len(parts) > i and parts[i] == "svc"), None)
    return parts[at] if at is not None and parts[at] not in {"", namespace} else None


def users(facts: Facts, target: Ref) -> list[tuple[Client, Host]]:
    """The workloads that should run now and name a Service, without those behind it; one host each."""
    own = facts.graph.before(target, "selects")
    behind = {facts.workload(ref) for ref in own}
    found: list[tuple[Client, Host]] = []
    for client, host, named in facts.derived(named_services):
        if (
            named == target
            and client.wanted
            and client.ref not in behind
            and all(c.ref != client.ref for c, _ in found)
        ):
            found.append((client, host))
    return found


def named_services(facts: Facts) -> tuple[tuple[Client, Host, Ref], ...]:
    """Every client, host and Service that it means, existing or not, in a stable order."""
    return tuple(
        (client, host, named)
        for client in clients(facts)
        for host in hosts(facts, client)
        if (named := service(facts, client.ref.namespace, host.name)) is not None
    )


def logs_read(facts: Facts, namespace: str | None = None) -> list[tuple[Ref, str, str]]:
    """The logs that were read of the scope's namespace, or of another: pod, container, content, in a stable order."""
    place = namespace if namespace is not None else facts.scope.namespace
    return [
        (Ref("Pod", where, pod), container, content)
        for (where, pod, container, _), content in facts.logs()
        if place in {None, where}
    ]
