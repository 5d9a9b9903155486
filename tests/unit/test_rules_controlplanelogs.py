"""Findings about the control plane by what logs say, its own and those of programs that use it."""

import pytest
from builders import node, owner, pod
from verdicts import app, finding, roots

from firstmate_tools.diagnosis.engine import judge
from firstmate_tools.diagnosis.rule import LogWant, all_rules
from firstmate_tools.diagnosis.scope import Scope
from firstmate_tools.fields import Obj
from firstmate_tools.refs import Ref

THROTTLED = (
    "I1121 01:5{}:00.112233       1 request.go:697] Waited for 7.39{}s due to client-side throttling, not priority and "
    "fairness, request: GET:https://10.96.0.1:443/apis/apps/v1/namespaces/shop/deployments/cart"
)
FULL = "E1121 01:58:00.1 1 status.go:71] apiserver received an error: etcdserver: mvcc: database space exceeded"
LATE = "E1121 01:58:0{}.1 1 status.go:71] apiserver received an error: etcdserver: request timed out"
EXPIRED = (
    "E1121 01:58:0{}.1 1 authentication.go:73] tls: failed to verify certificate: x509: certificate has expired or is "
    "not yet valid: current time 2026-11-21T01:58:00Z is after 2026-11-20T00:00:00Z"
)


def static(component: str, on: str = "cp-1") -> Obj:
    """A part of the control plane, as kubeadm runs it."""
    one = pod(f"{component}-{on}", "kube-system", labels={"component": component, "tier": "control-plane"}, node=on)
    one["metadata"]["ownerReferences"] = owner("Node", on, api="v1")
    one["spec"]["containers"][0]["name"] = component
    one["status"]["containerStatuses"][0]["name"] = component
    return one


def said(component: str, *lines: str) -> dict[tuple[str, str, str, bool], str]:
    return {("kube-system", f"{component}-cp-1", component, False): "\n".join(lines)}


PLANE = [static("kube-apiserver"), static("etcd"), node("cp-1")]


def test_a_client_that_holds_itself_back_is_told_of_its_own_limit() -> None:
    log = {("shop", "cart-1-0", "app", False): "\n".join(THROTTLED.format(n, n) for n in range(5))}
    found = finding(*app(), logs=log)
    assert (found.cause, str(found.object), found.severity) == ("client-side-throttling", "deployment/cart", "warning")
    assert "5 waits of up to 7.394 s" in found.summary


def test_the_words_of_newer_clients_are_known() -> None:
    line = 'request.go:752] "Waited before sending request" delay="2.{}s" reason="client-side throttling, not priority'
    log = {("shop", "cart-1-0", "app", False): "\n".join(line.format(n) for n in range(3))}
    assert roots(*app(), logs=log) == [("client-side-throttling", "deployment/cart")]


@pytest.mark.parametrize(
    "lines", [[THROTTLED.format(1, 1)], ["Waited for 189.1ms due to client-side throttling, not priority"] * 9]
)
def test_a_burst_at_the_start_is_no_throttling(lines: list[str]) -> None:
    assert roots(*app(), logs={("shop", "cart-1-0", "app", False): "\n".join(lines)}) == []


def test_a_full_etcd_is_named_by_what_the_api_server_says_of_it() -> None:
    found = finding(*PLANE, logs=said("kube-apiserver", FULL))
    assert (found.cause, found.object, found.severity) == (
        "etcd-space-exceeded",
        Ref("Pod", "kube-system", "etcd-cp-1"),
        "critical",
    )


def test_an_etcd_that_is_late_again_and_again_is_degraded_and_one_that_was_late_once_is_not() -> None:
    late = [LATE.format(n) for n in range(4)]
    assert roots(*PLANE, logs=said("kube-apiserver", *late)) == [("etcd-degraded", "pod/etcd-cp-1")]
    assert roots(*PLANE, logs=said("kube-apiserver", late[0])) == []


def test_an_expired_certificate_of_the_control_plane_is_told_and_one_of_a_webhook_is_not() -> None:
    lines = [EXPIRED.format(n) for n in range(3)]
    plane = [*PLANE, static("kube-scheduler")]
    scheduler = said(
        "kube-scheduler", *(line.replace("authentication.go:73", "leaderelection.go:436") for line in lines)
    )
    assert roots(*plane, logs=scheduler) == [("control-plane-certificate-expired", "pod/kube-scheduler-cp-1")]
    hooks = [line.replace("tls:", "failed calling webhook: tls:") for line in lines]
    assert roots(*plane, logs=said("kube-apiserver", *hooks)) == []
    clients = {("shop", "cart-1-0", "app", False): "\n".join("Get https://pay.example/: " + line for line in lines)}
    assert roots(*app(), logs=clients) == []


def test_the_control_planes_logs_are_read_where_the_question_is_about_it() -> None:
    from builders import facts_of

    rules = {rule.name: rule for rule in all_rules()}
    wants = rules["etcd"].wants
    assert wants is not None
    asked = set(wants(facts_of(*PLANE)))
    assert LogWant("kube-system", "etcd-cp-1", "etcd", aside=True) in asked
    assert set(wants(facts_of(*PLANE, scope=Scope(namespace="shop")))) == set()
    assert judge(facts_of(*PLANE), all_rules())[0] == []


def test_a_recording_keeps_the_logs_of_the_api_itself() -> None:
    from firstmate_tools.cluster.unwell import due_logs

    (due,) = due_logs(static("etcd"))
    assert (due.pod, due.rank, due.previous) == ("etcd-cp-1", 3, False)
    (other,) = due_logs(static("kube-proxy"))
    assert other.rank > due.rank, "others that run well come after them"


def test_etcd_and_the_api_server_together_tell_of_a_slow_disk() -> None:
    slow = '{"level":"warn","msg":"slow fdatasync","took":"3.404s"}'
    both = {
        **said("etcd", slow, "waiting for ReadIndex response took too long"),
        **said("kube-apiserver", LATE.format(1)),
    }
    assert roots(*PLANE, logs=both) == [("etcd-degraded", "pod/etcd-cp-1")]
    assert roots(*PLANE, logs=said("etcd", slow)) == []
