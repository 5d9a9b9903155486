"""Why the driver of a claim's class makes it no volume. Pure; called by the storage rules."""

from datetime import timedelta

from firstmate_tools import fields, kinds, podstate
from firstmate_tools.diagnosis import claims, drivers
from firstmate_tools.diagnosis.drivers import Driver
from firstmate_tools.diagnosis.facts import EventRow, Facts
from firstmate_tools.diagnosis.findings import fact, quote
from firstmate_tools.diagnosis.heard import lately
from firstmate_tools.diagnosis.lib import ask
from firstmate_tools.diagnosis.unbound import NOT_RUNNING, UNAUTHORIZED, UNAUTHORIZED_WORDS, WAITS, Reason
from firstmate_tools.fields import Obj
from firstmate_tools.kinds import STORAGE_CLASS
from firstmate_tools.refs import Ref, ref_of

PATIENCE = timedelta(minutes=1)
"""How long a driver that may run elsewhere is given to make a volume."""


def dynamic(facts: Facts, claim: Obj, one: Obj) -> Reason | None:
    refused = next((row for row in _refused(facts, claim) if UNAUTHORIZED_WORDS.search(row.message)), None)
    driver = drivers.driver(facts, claims.provisioner(claim, one))
    if refused is not None and driver.state != "down":
        return _unauthorized(facts, one, driver, refused)
    if claims.waits_for_consumer(one) and not claims.selected_node(claim):
        return waits(facts, claim, one)
    if drivers.may_run_elsewhere(driver) and not claims.older(facts, claim, PATIENCE):
        return None
    if driver.state == "down" or (driver.state == "absent" and not _answers(facts, claim, driver)):
        return _not_running(claim, one, driver)
    return None


def _refused(facts: Facts, claim: Obj) -> list[EventRow]:
    """What the provisioner said lately; it tries again every five minutes at the latest."""
    return [row for row in claims.told(facts, claim, "ProvisioningFailed") if lately(facts, row)]


def _answers(facts: Facts, claim: Obj, driver: Driver) -> bool:
    """Whether somebody speaks in the driver's name: then it runs, wherever that may be."""
    return any(row.source.startswith(driver.name) or "rpc error" in row.message for row in _refused(facts, claim))


def _unauthorized(facts: Facts, one: Obj, driver: Driver, row: EventRow) -> Reason:
    accounts = [_account(ref, obj) for ref, obj in driver.workloads[:1]]
    acts = f", acting as service account {accounts[0].name} of {accounts[0].namespace}," if accounts else ""
    name = fields.name_of(one)
    return Reason(
        UNAUTHORIZED,
        f"the driver {driver.name}{acts} is refused by the cloud what it needs to make it",
        (claims.said(row), quote(ref_of(one, STORAGE_CLASS), one, "provisioner")),
        driver.name,
        confidence="likely",
        # In another namespace there is little to find: the role is AWS's, and following it there costs a dozen reads.
        awaits=tuple(a for a in accounts if facts.scope.namespace in {None, a.namespace}),
        following=(
            ask("get", "the role that the driver assumes", kind="serviceaccount", name=a.name, namespace=a.namespace)
            if accounts and (a := accounts[0])
            else ask("get", "what the class asks for", kind="storageclass", name=name),
        ),
    )


def _account(ref: Ref, workload: Obj) -> Ref:
    name = fields.text(workload, "spec", "template", "spec", "serviceAccountName") or "default"
    return Ref("ServiceAccount", ref.namespace, name)


def _not_running(claim: Obj, one: Obj, driver: Driver) -> Reason:
    ref, of_class = claims.ref(claim), ref_of(one, STORAGE_CLASS)
    evidence = [quote(of_class, one, "provisioner")]
    target, obj = driver.workloads[0] if driver.workloads else (None, {})
    certain = not driver.registered or driver.state == "down"
    if target is not None:
        evidence += [quote(target, obj, "spec", "replicas"), fact(target, "ready pods", "0")]
        following = ask("diagnose", "why it does not run", scope=_scope(target), namespace=target.namespace)
    else:
        evidence.append(fact(Ref("CSIDriver", "", driver.name), "metadata.name", _registration(driver)))
        following = ask("get", "the drivers that there are", kind="csidriver")
    evidence.append(fact(ref, "status.phase", claims.phase(claim)))
    return Reason(
        NOT_RUNNING,
        f"the driver {driver.name} of class {of_class.name} does not run: {drivers.how_it_is(driver)}",
        tuple(evidence),
        driver.name,
        confidence="certain" if certain else "likely",
        target=target,
        awaits=(target,) if target and fields.number(obj, "spec", "replicas", default=1) else (),
        following=(following,),
    )


def _registration(driver: Driver) -> str:
    return "exists, but no workload runs it" if driver.registered else "no such CSIDriver"


def _scope(ref: Ref) -> str:
    return f"{ref.kind.lower()}/{ref.name}"


def unplaced(facts: Facts, claim: Obj) -> list[Obj]:
    """The pods that use a claim and that the scheduler places nowhere, or that never come before it."""
    pods = claims.users(facts, claims.ref(claim))
    return [pod for pod in pods if podstate.unschedulable(pod) or _bypasses(facts, pod)]


def _bypasses(facts: Facts, pod: Obj) -> bool:
    """Whether a pod was bound to its node by name, so that the scheduler never sees to its volumes."""
    placed = bool(fields.text(pod, "spec", "nodeName")) and not podstate.ready(pod)
    since = podstate.not_ready_since(pod)
    return placed and since is not None and facts.now - since > podstate.START_UP


def waits(facts: Facts, claim: Obj, one: Obj) -> Reason | None:
    pods = unplaced(facts, claim)
    if not pods:
        return None
    ref, pod = claims.ref(claim), ref_of(pods[0], kinds.POD)
    pinned = fields.text(pods[0], "spec", "nodeName")
    why = (
        f"pod {pod.name} was put on node {pinned} by name, past the scheduler, which is the one to choose a volume"
        if pinned
        else f"its volume is made once its pod has a node, and pod {pod.name} has none"
    )
    scheduled = fields.condition(pods[0], "PodScheduled")
    moment = fields.time_at(scheduled, "lastTransitionTime")
    return Reason(
        WAITS,
        why,
        (
            quote(ref_of(one, STORAGE_CLASS), one, "volumeBindingMode"),
            fact(pod, "status.conditions[PodScheduled].message", fields.text(scheduled, "message"), moment),
        ),
        f"{ref.namespace}/{facts.workload(pod)}",
    )
