"""DNS records that external-dns does not write, told from its log, the only place where it says so.

What it says counts while it is the last that it said: a round in which everything was up to date takes it back.

Source: kubernetes-sigs/external-dns v0.15-v0.19 (controller/controller.go, provider/aws/aws.go, registry/txt).
"""

import re
from collections.abc import Iterable, Iterator

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact
from firstmate_tools.diagnosis.rule import LogWant, Verdicts, Want, explains, rule
from firstmate_tools.reads import Read
from firstmate_tools.refs import Ref, ref_of

_IMAGE = re.compile(r"(?:^|/)external-dns(?:[:@]|$)")
_DONE = re.compile(r"All records are already up to date|record\(s\) .{0,80}were successfully updated", re.IGNORECASE)
_SIGNS = (
    (re.compile(r"AccessDenied|is not authorized to perform", re.IGNORECASE), "AWS refuses it"),
    (re.compile(r"No hosted zone matching record|no matching hosted zone|zone .{0,80}not found", re.IGNORECASE),
     "no hosted zone that it may use holds the name"),
    (re.compile(r"owner id does not match", re.IGNORECASE), "the record belongs to another owner (TXT registry)"),
    (re.compile(r"level=(?:error|fatal).{0,200}(?:Failed to do run once|failed to submit)", re.IGNORECASE),
     "its rounds fail"),
)  # fmt: skip


def wanted(facts: Facts) -> Iterable[Want]:
    """The log of external-dns, where it stands in what is looked at."""
    for pod, container, ended in facts.each(_pods):
        yield LogWant(pod.namespace, pod.name, container, ended, aside=not ended)


def _pods(facts: Facts) -> Iterator[tuple[Ref, str, bool]]:
    """Its containers, and whether the log of the run before tells: some of its versions end when a round fails."""
    for pod in facts.all(kinds.POD):
        for container in fields.items(pod, "spec", "containers"):
            if not _IMAGE.search(fields.text(container, "image")):
                continue
            name = fields.text(container, "name")
            ended = any(c.name == name and c.restarts and not c.ready for c in podstate.containers(pod))
            if (podstate.ready(pod) or ended) and not podstate.finished(pod) and not podstate.terminating(pod):
                yield ref_of(pod, kinds.POD), name, ended


@rule(
    causes=("external-dns-record-missing",),
    observes=(kinds.POD, kinds.INGRESS, kinds.SERVICE),
    digs=(Read(kinds.POD, ("get",), "log"),),
    wants=wanted,
    explains=explains("application-exits-on-error", along=("owns",)),
)
def external_dns(facts: Facts) -> Verdicts:
    for pod, container, ended in facts.each(_pods):
        lines = (facts.log(pod.namespace, pod.name, container, previous=ended) or "").splitlines()
        fresh = lines[max((i for i, line in enumerate(lines) if _DONE.search(line)), default=-1) + 1 :]
        for pattern, words in _SIGNS:
            told = [line for line in fresh if pattern.search(line)]
            if told:
                yield _finding(facts, pod, container, ended, words, told)
                break


def _finding(facts: Facts, pod: Ref, container: str, ended: bool, words: str, told: list[str]) -> Finding:
    workload = facts.workload(pod)
    hosts = sorted({host for host in _hosts(facts) if any(host in line for line in told)})
    whose = f" for {lib.some(hosts)}" if hosts else ""
    return Finding(
        cause="external-dns-record-missing",
        object=workload,
        severity="warning",
        confidence="certain" if len(told) > 1 else "likely",
        summary=f"external-dns ({workload}) writes no records{whose}: {words}.",
        evidence=tuple(fact(pod, f"log[{container}]", line) for line in told[-2:]),
        affects=(workload, *_showing(facts, hosts)),
        next=(lib.ask_logs(pod, container, "what it was about to write", previous=ended),),
    )


def _hosts(facts: Facts) -> Iterator[str]:
    for ingress in facts.everywhere(kinds.INGRESS):
        yield from filter(None, (fields.text(one, "host") for one in fields.items(ingress, "spec", "rules")))


def _showing(facts: Facts, hosts: list[str]) -> Iterator[Ref]:
    for ingress in facts.everywhere(kinds.INGRESS):
        if any(fields.text(one, "host") in hosts for one in fields.items(ingress, "spec", "rules")):
            yield ref_of(ingress, kinds.INGRESS)
