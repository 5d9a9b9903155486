"""The cluster's DNS: where it stands, what its Corefile and its log say, and who complains. Pure.

CoreDNS as kubeadm, EKS and most others install it: Service kube-system/kube-dns, configuration in the ConfigMap that
its Deployment mounts (https://kubernetes.io/docs/tasks/administer-cluster/dns-custom-nameservers/).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import backends, hosts, lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref, ref_of

SERVICE = Ref("Service", "kube-system", "kube-dns")
PLACE = SERVICE.namespace
CONFIG = Ref("ConfigMap", PLACE, "coredns")
UNRESOLVED = re.compile(
    r"""(?i)no\ such\ host|ENOTFOUND|EAI_AGAIN|(?:could|can)\ ?not\ (?:translate|resolve)|name\ or\ service\ not\ known
    |name\ resolution|nodename\ nor\ servname|unknown\ ?host|name\ does\ not\ resolve|bad\ address|getaddrinfo|NXDOMAIN
    |server\ misbehaving|lookup\ \S+.{0,40}(?:timeout|refused)|:53:\ |SERVFAIL|can't\ (?:find|resolve)""",
    re.VERBOSE,
)
"""What programs say of a name that they could not look up."""
_PLUGINS = frozenset({
    "acl", "any", "auto", "autopath", "azure", "bind", "bufsize", "cache", "cancel", "chaos", "clouddns",
    "debug", "dns64", "dnssec", "dnstap", "erratic", "errors", "etcd", "file", "forward", "geoip", "grpc",
    "grpc_server", "header", "health", "hosts", "https", "https3", "import", "k8s_external", "kubernetes",
    "loadbalance", "log", "local", "loop", "metadata", "metrics", "minimal", "multisocket", "nomad", "nsid",
    "on", "pprof", "prometheus", "quic", "ready", "reload", "rewrite", "root", "route53", "secondary", "sign",
    "template", "timeouts", "tls", "trace", "transfer", "tsig", "view", "whoami",
})  # fmt: skip
"""Directives that CoreDNS knows (plugin.cfg, v1.12); a build of one's own may know more."""
_LOOP = re.compile(r"plugin/loop: Loop \(.{0,200}\) detected")
_PARSE = re.compile(r"(?i)Corefile:\d+ - Error|error during parsing|unknown directive|Restart failed|reload failed")
_UPSTREAM = re.compile(r"plugin/errors: .{0,300}-> ?\[?([0-9a-fA-F.:]+?)\]?:(\d+): (.{0,80})")
REPEATED = 3
"""Lines of the log from which an upstream is believed to be out of reach."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with the configuration.

    Attributes:
        why: in words, after "the Corefile …".
        field: where it shows, `value` what stands there.
        sure: whether the Corefile or CoreDNS itself says so; an upstream that fails may have come back since.
        often: whether the log says little else.
    """

    why: str
    field: str
    value: str
    sure: bool
    at: Ref | None = None
    often: bool = False


def in_scope(facts: Facts) -> bool:
    """Whether the question is about the whole cluster, or about the place of its DNS."""
    asked = facts.scope.object
    return facts.scope.namespace in {None, PLACE} and (asked is None or asked.namespace == PLACE)


def complaints(facts: Facts) -> dict[Ref, str]:
    """Workloads in scope of which a log cannot look names up, with such a line."""
    return facts.derived(_complaints)


def _complaints(facts: Facts) -> dict[Ref, str]:
    found: dict[Ref, str] = {}
    for pod, _, log in hosts.logs_read(facts):
        lines = [line for line in log.splitlines() if UNRESOLVED.search(line[:1000])]
        if lines and pod.namespace != PLACE:
            found.setdefault(facts.workload(pod), lines[-1].strip())
    return found


def workload(facts: Facts) -> Ref | None:
    """The Deployment (or DaemonSet) behind the Service, None where the Service selects none."""
    behind = backends.workloads_behind(facts, SERVICE)
    return next((ref for ref in behind if ref.kind in {"Deployment", "DaemonSet"}), behind[0] if behind else None)


def config(facts: Facts) -> Ref:
    """The ConfigMap that holds the Corefile: what the workload mounts, else what every installer calls it."""
    above = workload(facts)
    template = lib.named_template(facts, above) if above else {}
    for volume in fields.items(template, "spec", "volumes"):
        name = fields.text(volume, "configMap", "name")
        keys = {fields.text(entry, "key") for entry in fields.items(volume, "configMap", "items")}
        if name and (not keys or "Corefile" in keys) and "custom" not in name:
            return Ref("ConfigMap", PLACE, name)
    return CONFIG


def pods(facts: Facts) -> list[Obj]:
    return backends.pods_behind(facts, SERVICE)


def mistakes(facts: Facts) -> list[Mistake]:
    """What is wrong with the configuration, what is read from it before what is heard."""
    held = facts.get(config(facts)) or {}
    text = fields.string_map(held, "data").get("Corefile", "")
    addresses = set(fields.strings(facts.get(SERVICE) or {}, "spec", "clusterIPs"))
    addresses.add(fields.text(facts.get(SERVICE) or {}, "spec", "clusterIP"))
    return [*(_of_corefile(text, addresses - {"", "None"}) if text else []), *_heard(facts)]


def _of_corefile(text: str, own: set[str]) -> Iterator[Mistake]:
    """What the syntax and the plugins of a Corefile tell (https://coredns.io/manual/configuration/)."""
    depth, lines, plugins = 0, text.splitlines(), set[str]()
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if depth == 1 and words and words[0] != "}":
            plugins.add(words[0])
            yield from _of_line(words, number, own)
        depth += words.count("{") - words.count("}")
        if depth < 0:
            yield Mistake(f"closes a block in line {number} that none opened", f"data.Corefile:{number}", line, True)
            return
    if depth:
        yield Mistake(f"leaves {lib.count(depth, 'block')} open at its end", "data.Corefile", lines[-1], True)
    elif plugins and not plugins & {"kubernetes", "import", "forward"}:
        yield Mistake("has no plugin that answers for the cluster or asks others", "data.Corefile", text[:300], True)
    elif plugins and not plugins & {"kubernetes", "import"}:
        yield Mistake("lacks the kubernetes plugin, so that no Service has a name", "data.Corefile", text[:300], True)


def _of_line(words: list[str], number: int, own: set[str]) -> Iterator[Mistake]:
    name, place = words[0], f"data.Corefile:{number}"
    if name not in _PLUGINS:
        near = get_close_matches(name, _PLUGINS, 1, 0.75)
        if near:
            yield Mistake(
                f"asks for {name} in line {number}, which is no plugin: probably {near[0]}",
                place,
                " ".join(words),
                True,
            )
    if name in {"forward", "proxy"}:
        back = [to for to in words[2:] if to.removeprefix("dns://").partition(":")[0] in own or to in own]
        if back:
            yield Mistake(
                f"forwards to {back[0]}, its own Service: queries run in a circle", place, " ".join(words), True
            )
    if name == "kubernetes" and len(words) > 1 and "cluster.local" not in [w.rstrip(".") for w in words]:
        near = get_close_matches("cluster.local", words[1:], 1, 0.8)
        if near:
            yield Mistake(f"answers for {near[0]}, while pods ask for cluster.local", place, " ".join(words), True)


def _heard(facts: Facts) -> Iterator[Mistake]:
    """What the log of CoreDNS says of its configuration and of those that it asks."""
    mine = {ref_of(pod, kinds.POD) for pod in pods(facts)}
    for pod, container, log in hosts.logs_read(facts, PLACE):
        if pod in mine:
            yield from _of_log(pod, f"log[{container}]", log.splitlines())


def _of_log(ref: Ref, field: str, lines: list[str]) -> Iterator[Mistake]:
    for pattern, why in ((_LOOP, "makes queries run in a circle"), (_PARSE, "cannot be read by CoreDNS")):
        found = [line for line in lines if pattern.search(line[:1000])]
        if found:
            yield Mistake(why, field, found[-1].strip(), True, ref)
    failed = [(line, match) for line in lines if (match := _UPSTREAM.search(line[:1000]))]
    if len(failed) >= REPEATED:
        line, match = failed[-1]
        upstreams = lib.some({one[1] for _, one in failed})
        why = f"sends what is not of the cluster to {upstreams}, which does not answer ({len(failed)} lines of the log)"
        often = len(failed) * 2 >= sum("plugin/errors" in one or "[WARNING]" in one for one in lines)
        yield Mistake(why, field, line.strip(), False, ref, often)
