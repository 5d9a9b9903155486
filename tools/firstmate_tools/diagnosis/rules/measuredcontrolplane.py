"""What metrics tell of the control plane and of cluster DNS: requests refused, a store that fills up, queries in vain.

These weigh on everybody. Asked about a namespace, only what refuses a good part of the requests is said.
"""

import re

from firstmate_tools import fields, kinds
from firstmate_tools.diagnosis import lib
from firstmate_tools.diagnosis.facts import Facts
from firstmate_tools.diagnosis.findings import Finding
from firstmate_tools.diagnosis.metrics import SYSTEM, about_cluster, asked, part, percent, told
from firstmate_tools.diagnosis.questions import API_REJECTS, DNS_ANSWERS, ETCD_SIZE, METRICS_KNOWN
from firstmate_tools.diagnosis.rule import Verdicts, rule
from firstmate_tools.diagnosis.rules.containers import OBSERVED
from firstmate_tools.prometheus.answers import Series
from firstmate_tools.quantity import show
from firstmate_tools.refs import Ref, ref_of
from firstmate_tools.results import Confidence, Severity

OVERLOADED, NEARLY_FULL, AMPLIFIED = "api-server-overloaded", "etcd-database-near-limit", "dns-search-amplification"
FEW, MANY = 0.01, 0.20
"""Refused shares of a priority level's requests: what an SLO of 99 % allows (KubeAPIErrorBudgetBurn of the mixin), and
what KubeAPITerminatedRequests calls too many."""
NEAR, FULL = 0.85, 0.95
"""Of the limit: etcdDatabaseQuotaLowSpace of etcd's own mixin is the second; Mirantis' etcdDbSizeMajor the first."""
GIB = 1024**3
EKS_LIMIT, ETCD_DEFAULT = 8 * GIB, 2 * GIB
"""https://docs.aws.amazon.com/eks/latest/userguide/clusters.html (tiers of a provisioned control plane have more), and
https://etcd.io/docs/v3.6/dev-guide/limit/."""
IN_VAIN = 0.6
"""NXDOMAIN among all answers. With `ndots:5` a name of the own cluster in two words costs one such answer for each good
one, a name outside three or four: a share beyond one half comes from the latter.

https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
"""
BUSY_DNS, SLOW_DNS_S = 1.0, 4.0
"""Answers a second below which a share says nothing; the 99th percentile that CoreDNSLatencyHigh of its mixin calls
critical."""
API_SERVER = Ref("Service", "default", "kubernetes")
_LEVEL = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")


@rule(causes=(OVERLOADED,), observes=(), digs=(METRICS_KNOWN, API_REJECTS), wants=asked(API_REJECTS))
def refused_requests(facts: Facts) -> Verdicts:
    """https://kubernetes.io/docs/concepts/cluster-administration/flow-control/#observability"""
    answer = facts.series(API_REJECTS)
    flows = [one for one in part(answer, "rejected") if _LEVEL.fullmatch(one.label("flow_schema"))]
    for share in part(answer, "share"):
        level = share.label("priority_level")
        if not _LEVEL.fullmatch(level) or (share.value < FEW and not about_cluster(facts)):
            continue
        ref = Ref("PriorityLevelConfiguration", "", level)
        mine = sorted((one for one in flows if one.label("priority_level") == level), key=lambda one: -one.value)
        rate = sum(one.value for one in mine)
        who = lib.some(one.label("flow_schema") for one in mine[:3])
        yield Finding(
            cause=OVERLOADED,
            object=ref,
            severity="info" if share.value < FEW else "warning" if share.value < MANY else "critical",
            confidence="likely",
            summary=(
                f"The API server refuses {percent(share.value)} of the requests of priority level {level} "
                f"({rate:.2g} a second over the last 10 minutes{f', of flow schema {who}' if who else ''}): "
                "whoever sends them gets 429 and tries again."
            ),
            evidence=(
                told(
                    share, ref, "apiserver_flowcontrol_rejected_requests_total", f"{percent(share.value)} of requests"
                ),
                *(
                    told(one, ref, f"rejected[{one.label('flow_schema')}]", f"{one.value:.2g}/s {_reason(one)}".strip())
                    for one in mine[:3]
                ),
            ),
            culprit=level,
            next=(lib.ask("get", "how many seats it has", kind="prioritylevelconfiguration", name=level),),
        )


def _reason(series: Series) -> str:
    reason = series.label("reason")
    return reason if _LEVEL.fullmatch(reason) else ""


@rule(
    causes=(NEARLY_FULL,),
    observes=(kinds.POD,),
    digs=(METRICS_KNOWN, ETCD_SIZE),
    wants=asked(ETCD_SIZE, where=about_cluster),
)
def store_fills_up(facts: Facts) -> Verdicts:
    """https://etcd.io/docs/v3.6/op-guide/maintenance/#space-quota: past it every write is refused."""
    values = {one.label("of"): one for one in facts.series(ETCD_SIZE)}
    size = values.get("size")
    if size is None:
        return
    limit, sure, whose = _limit_of(facts, size, values.get("quota"))
    share = size.value / limit
    if share < NEAR:
        return
    where = sorted(
        ref_of(pod, kinds.POD)
        for pod in facts.all(kinds.POD, SYSTEM)
        if fields.labels_of(pod).get("component") == "etcd"
    )
    target = where[0] if where else API_SERVER
    used = values.get("used")
    loose = (
        f" Only {_bytes(used.value)} of it is in use: compaction and defragmentation give the rest back."
        if used is not None and used.value < size.value / 2
        else ""
    )
    severity: Severity = "critical" if share >= FULL and sure != "possible" else "warning"
    yield Finding(
        cause=NEARLY_FULL,
        object=target,
        severity=severity,
        confidence=sure,
        summary=f"The cluster's database holds {_bytes(size.value)}, {percent(share)} of {whose}.{loose}",
        evidence=(
            told(size, target, "apiserver_storage_size_bytes", _bytes(size.value)),
            *(told(values[of], target, name, _bytes(values[of].value)) for of, name in _MORE.items() if of in values),
        ),
        culprit=NEARLY_FULL,
        next=(lib.ask("events", "what is written most", namespace=SYSTEM),),
    )


_MORE = {"quota": "etcd_server_quota_backend_bytes", "used": "etcd_mvcc_db_total_size_in_use_in_bytes"}


def _limit_of(facts: Facts, size: Series, quota: Series | None) -> tuple[float, Confidence, str]:
    """How large the store may be, how sure that is, and in words."""
    if quota is not None and quota.value > 0:
        return quota.value, "certain", f"etcd's quota of {_bytes(quota.value)}"
    if "-eks-" in (facts.server_version or ""):
        return (
            EKS_LIMIT,
            "likely",
            "the 8Gi that Amazon EKS gives it (more only in a provisioned control plane's tiers)",
        )
    if size.value <= ETCD_DEFAULT:
        return ETCD_DEFAULT, "possible", "etcd's default quota of 2Gi (its own metrics would tell the real one)"
    return (
        EKS_LIMIT,
        "possible",
        "the 8Gi that etcd's quota should not go beyond (its own metrics would tell the real one)",
    )


def _bytes(amount: float) -> str:
    return show("storage", int(amount) * 1000)


@rule(
    causes=(AMPLIFIED,),
    observes=OBSERVED,
    digs=(METRICS_KNOWN, DNS_ANSWERS),
    wants=asked(DNS_ANSWERS, where=about_cluster),
)
def queries_in_vain(facts: Facts) -> Verdicts:
    """https://coredns.io/plugins/metrics/; who asks is not in them, so that the cluster's DNS is the object."""
    answer = facts.series(DNS_ANSWERS)
    by_code = {one.label("rcode"): one for one in part(answer, "answers")}
    total, vain = sum(one.value for one in by_code.values()), by_code.get("NXDOMAIN")
    if vain is None or total < BUSY_DNS or vain.value / total < IN_VAIN:
        return
    slowest = next(iter(part(answer, "slowest")), None)
    slow = slowest is not None and slowest.value >= SLOW_DNS_S
    target = Ref("Service", SYSTEM, "kube-dns")
    told_slow = f" One answer in a hundred takes {slowest.value:.2g} s or more." if slowest else ""
    yield Finding(
        cause=AMPLIFIED,
        object=target,
        severity="warning" if slow else "info",
        confidence="likely",
        summary=(
            f"{percent(vain.value / total)} of CoreDNS' {total:.0f} answers a second say that the name does not exist: "
            f"search domains (ndots:5) are tried before the name itself.{told_slow}"
        ),
        evidence=(
            told(vain, target, "coredns_dns_responses_total{rcode=NXDOMAIN}", f"{vain.value:.2f}/s of {total:.2f}/s"),
            *(
                [
                    told(
                        slowest,
                        target,
                        "coredns_dns_request_duration_seconds, 99th percentile",
                        f"{slowest.value:.3f} s",
                    )
                ]
                if slowest
                else []
            ),
        ),
        culprit=AMPLIFIED,
        next=(
            lib.ask(
                "logs", "which names are asked for, if it logs queries", namespace=SYSTEM, scope="deployment/coredns"
            ),
        ),
    )
