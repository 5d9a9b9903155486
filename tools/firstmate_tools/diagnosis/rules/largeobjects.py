"""Programs that die, or complain, because an object that they write is larger than the API server or etcd takes.

Only the writer hears of it: the limit is in its request, and nothing in the cluster changes. What a controller says of
it in an event is told by `refusedwrites`.
"""

import re
from collections.abc import Iterator

from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding, fact
from firstmate_tools.diagnosis.rule import Verdicts, explains, rule
from firstmate_tools.diagnosis.rules.containers import LOGS, OBSERVED
from firstmate_tools.diagnosis.rules.controlplanelogs import Spoken, spoken

CAUSE = "etcd-object-too-large"
_TOO_LARGE = re.compile(
    r"etcdserver: request is too large|Request entity too large: limit is|"
    r"Too long: (?:must have at most|may not be more than) (?:262144|1048576) (?:bytes|characters)|"
    r"trying to send message larger than max"
)
"""etcd's --max-request-bytes, the API server's limit of a body (3 MiB, v1.36 pkg/endpoints/handlers), those of
ConfigMaps and Secrets (1 MiB) and of all annotations together (256 KiB), and of gRPC between API server and etcd."""
_WHICH = re.compile(r'([A-Z][A-Za-z]+)(?:\.[a-z0-9.-]+)? "([a-z0-9][a-z0-9.-]*)" is invalid')


@rule(
    causes=(CAUSE,),
    observes=OBSERVED,
    digs=LOGS,
    explains=explains(
        "application-exits-on-error", "init-container-failing", "job-retries-or-deadline-exceeded", along=("owns",)
    ),
)
def told_too_large(facts: Facts) -> Verdicts:
    """https://etcd.io/docs/v3.6/dev-guide/limit/ and the size limits of ConfigMaps and annotations."""
    told = [(one, lines) for one in facts.derived(spoken) if not one.component and (lines := list(_lines(one)))]
    for one, lines in told:
        workload = facts.workload(one.ref)
        which = next((m for line in reversed(lines) if (m := _WHICH.search(line))), None)
        what = f"{which.group(1)} {which.group(2)}" if which else "an object"
        yield Finding(
            cause=CAUSE,
            object=workload,
            severity=lib.severity(facts, workload),
            confidence="likely",
            summary=f"{workload} writes {what} larger than the API server takes, and is refused.",
            evidence=tuple(fact(one.ref, f"log[{one.container}]", line) for line in lines[-2:]),
            affects=(workload, one.ref),
            culprit=f"{workload} {workload.namespace}",
            next=(lib.ask_logs(one.ref, one.container, "which object it writes", previous=False),),
        )


def _lines(one: Spoken) -> Iterator[str]:
    for line in one.lines:
        if _TOO_LARGE.search(line[:4000]):
            yield line
