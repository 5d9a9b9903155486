"""What `workload_status` promises: how a rollout stands, why it is stuck, and what the new revision changed."""

import pytest
from builders import ago, container, deployment, event, node, obj, owner, pod, replica_set
from doubles import DENIED, FakeCluster, ask

from firstmate_tools import kinds
from firstmate_tools.errors import DeniedError, UsageError
from firstmate_tools.template_diff import changes
from firstmate_tools.workloads import workload_status

pytestmark = pytest.mark.anyio
ERROR = {"reason": "Error", "exitCode": 1}


def template(**spec):
    app = container(**{key: spec.pop(key) for key in ("image", "env", "args", "resources") if key in spec})
    return {"metadata": {"labels": {"app": "cart"}}, "spec": {"containers": [app], **spec}}


def revision(name: str, number: int, *, of="cart", ready=0, replicas=1, **spec):
    made = replica_set(name, of=of, replicas=replicas, template=template(**spec))
    made["metadata"]["labels"] = {"app": of}
    made["metadata"]["annotations"] = {"deployment.kubernetes.io/revision": str(number)}
    made["status"] = {"replicas": replicas, "readyReplicas": ready}
    return made


def condition(type_: str, status: str, reason: str = "", message: str = ""):
    return {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": ago(120)}


def cart(replicas=3, updated=3, ready=3, available=None, total=None, conditions=(), **more):
    status = {
        "observedGeneration": 2,
        "replicas": replicas if total is None else total,
        "updatedReplicas": updated,
        "readyReplicas": ready,
        "availableReplicas": ready if available is None else available,
        "conditions": list(conditions),
    }
    return deployment("cart", replicas=replicas, status=status, metadata={"generation": 2}, **more)


async def one(*objects, scope=None, **arguments):
    answer = await ask(workload_status, FakeCluster(*objects), scope=scope, namespace="shop", **arguments)
    return answer.workloads[0]


STUCK = condition("Progressing", "False", "ProgressDeadlineExceeded", "timed out progressing")


def stuck_rollout():
    old, new = revision("cart-1", 1, ready=3, replicas=3), revision("cart-2", 2, image="registry/app:2")
    pods = [pod(f"cart-1-{n}", owned_by=("ReplicaSet", "cart-1"), labels={"app": "cart"}) for n in range(3)]
    bad = pod(
        "cart-2-x",
        owned_by=("ReplicaSet", "cart-2"),
        labels={"app": "cart"},
        phase="Pending",
        waiting="ImagePullBackOff",
        message='Back-off pulling image "registry/app:2": not found',
    )
    return cart(updated=1, ready=3, total=4, conditions=[STUCK]), old, new, *pods, bad


async def test_a_stuck_rollout_says_which_pods_of_which_revision_and_what_changed():
    row = await one(*stuck_rollout(), scope="deployment/cart")
    assert (row.state, row.healthy, row.desired, row.ready, row.updated) == ("stuck", False, 3, 3, 1)
    assert row.why[0].startswith("1 of 4 pods ImagePullBackOff (revision 2, the newest): app container app waits")
    assert "timed out progressing" in row.why[-1]
    assert row.pods == {"Running": 3, "ImagePullBackOff": 1}
    assert row.unready_pods == ["cart-2-x"]
    assert [(r.revision, r.replicas, r.ready) for r in row.revisions] == [(2, 1, 0), (1, 3, 3)]
    assert [(c.field, c.before, c.after) for c in row.changed] == [
        ("spec.containers[app].image", "registry.shop.example/app:1", "registry/app:2")
    ]
    assert row.since is not None


@pytest.mark.parametrize(
    ("made", "state", "well"),
    [
        (cart(), "complete", True),
        (cart(replicas=0, updated=0, ready=0), "scaled to zero", True),
        (cart(updated=1, spec={"paused": True}), "paused", True),
        (cart(updated=1, total=4), "progressing", True),
        (cart(total=4), "progressing", True),
        (cart(ready=1, conditions=[condition("Progressing", "True", "NewReplicaSetAvailable")]), "unready pods", False),
        (cart(ready=1, conditions=[condition("Progressing", "True", "ReplicaSetUpdated")]), "progressing", True),
        (cart(updated=1, ready=1, conditions=[STUCK]), "stuck", False),
        (
            cart(updated=0, ready=0, conditions=[condition("ReplicaFailure", "True", "FailedCreate", "quota full")]),
            "cannot create pods",
            False,
        ),
        (deployment("new", metadata={"generation": 1}), "progressing", True),
    ],
)
async def test_states_of_a_deployment(made, state, well):
    row = await one(made)
    assert (row.state, row.healthy) == (state, well)


async def test_a_refused_pod_tells_the_servers_words():
    row = await one(
        cart(updated=0, ready=0, conditions=[condition("ReplicaFailure", "True", "FailedCreate", "exceeded quota: q")])
    )
    assert row.why[0] == "ReplicaFailure is True: FailedCreate: exceeded quota: q"


async def test_a_rollout_on_its_way_with_failing_pods_is_held_up():
    objects = [cart(updated=1, ready=0, total=1), revision("cart-1", 1)]
    calm = pod("cart-1-a", owned_by=("ReplicaSet", "cart-1"), ready=False, age=10, labels={"app": "cart"})
    assert (await one(*objects, calm)).state == "progressing"
    failing = pod("cart-1-a", owned_by=("ReplicaSet", "cart-1"), waiting="CrashLoopBackOff", labels={"app": "cart"})
    row = await one(*objects, failing)
    assert (row.state, row.healthy) == ("held up", False)
    assert row.why[0].startswith("1 of 1 pods CrashLoopBackOff")


def stateful(replicas=3, *, ready, updated=0, current="web-a", newest="web-a", **spec):
    labels = {"app": "web"}
    body = {"metadata": {"labels": labels}, "spec": {"containers": [container()]}}
    return obj(
        "StatefulSet",
        "web",
        api="apps/v1",
        spec={
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "podManagementPolicy": "OrderedReady",
            "template": body,
            **spec,
        },
        status={
            "replicas": ready + 1 if ready < replicas else replicas,
            "readyReplicas": ready,
            "updatedReplicas": updated,
            "currentRevision": current,
            "updateRevision": newest,
        },
    )


def web_pod(number: int, revision_name: str, **more):
    labels = {"app": "web", "controller-revision-hash": revision_name}
    return pod(f"web-{number}", owned_by=("StatefulSet", "web"), labels=labels, **more)


def web_revision(name: str, number: int, image: str):
    return obj(
        "ControllerRevision",
        name,
        api="apps/v1",
        metadata={"ownerReferences": owner("StatefulSet", "web"), "labels": {"app": "web"}},
        revision=number,
        data={"spec": {"template": {**template(image=image), "$patch": "replace"}}},
    )


@pytest.mark.parametrize(
    ("made", "state"),
    [
        (stateful(ready=3), "complete"),
        (stateful(ready=3, newest="web-b", updated=1), "progressing"),
        (stateful(ready=3, newest="web-b", updateStrategy={"type": "OnDelete"}), "waits for its pods to be deleted"),
        (
            stateful(ready=3, newest="web-b", updated=1, updateStrategy={"rollingUpdate": {"partition": 2}}),
            "up to its partition",
        ),
        (stateful(replicas=0, ready=0), "scaled to zero"),
        (stateful(replicas=1, ready=0), "unready pods"),
    ],
)
async def test_states_of_a_stateful_set(made, state):
    assert (await one(made)).state == state


async def test_a_stateful_set_waits_for_its_broken_pod_and_says_so():
    first = web_pod(0, "web-a", waiting="CrashLoopBackOff", restarts=3, last=ERROR)
    row = await one(stateful(ready=0), first, scope="sts/web")
    assert "its pods are created in order: the next one waits until web-0 is ready" in row.why
    objects = [
        stateful(ready=1, newest="web-b"),
        web_revision("web-a", 1, "app:1"),
        web_revision("web-b", 2, "app:2"),
        web_pod(0, "web-a"),
        web_pod(1, "web-a", waiting="CrashLoopBackOff", restarts=3, last=ERROR),
    ]
    row = await one(*objects, scope="sts/web")
    assert any("a StatefulSet waits for and does not replace: delete it" in line for line in row.why)
    assert row.why[0].startswith("1 of 2 pods CrashLoopBackOff (revision 1, an old one)")
    assert [(c.field, c.after) for c in row.changed] == [("spec.containers[app].image", "app:2")]
    assert [(r.revision, r.replicas, r.ready) for r in row.revisions] == [(2, 0, 0), (1, 2, 1)]


def daemon(desired, ready, updated=None, available=None, **spec):
    return obj(
        "DaemonSet",
        "agent",
        api="apps/v1",
        spec={"selector": {"matchLabels": {"app": "agent"}}, "template": template(), **spec},
        status={
            "desiredNumberScheduled": desired,
            "numberReady": ready,
            "updatedNumberScheduled": desired if updated is None else updated,
            "numberAvailable": ready if available is None else available,
        },
    )


@pytest.mark.parametrize(
    ("made", "state"),
    [
        (daemon(3, 3), "complete"),
        (daemon(3, 2), "unready pods"),
        (daemon(3, 3, updated=1), "progressing"),
        (daemon(3, 3, updated=1, updateStrategy={"type": "OnDelete"}), "waits for its pods to be deleted"),
        (daemon(0, 0), "scaled to zero"),
    ],
)
async def test_states_of_a_daemon_set(made, state):
    assert (await one(made)).state == state


def job(name="import", cron="", age=600, **status):
    metadata = {"creationTimestamp": ago(age)}
    if cron:
        metadata["ownerReferences"] = owner("CronJob", cron, api="batch/v1")
    return obj("Job", name, api="batch/v1", metadata=metadata, spec={"completions": 1}, status=status)


DONE, FAILED = [condition("Complete", "True")], [condition("Failed", "True", "BackoffLimitExceeded", "too often")]


@pytest.mark.parametrize(
    ("made", "state", "well"),
    [
        (job(succeeded=1, conditions=DONE), "succeeded", True),
        (job(failed=4, conditions=FAILED), "failed", False),
        (job(conditions=[condition("Suspended", "True")]), "suspended", True),
        (job(active=1, ready=1), "running", True),
        (job(active=1, ready=0), "starting", True),
        (job(active=1, ready=1, failed=2), "retrying", False),
    ],
)
async def test_states_of_a_job(made, state, well):
    row = await one(made)
    assert (row.state, row.healthy) == (state, well)


async def test_a_job_whose_pod_is_refused_is_not_well():
    made = job()
    refused = event(made, "FailedCreate", "Error creating: exceeded quota: q", count=3)
    row = await one(made, refused)
    assert (row.state, row.healthy) == ("held up", False)
    assert row.why[0].startswith("FailedCreate: Error creating: exceeded quota: q (3 times")


async def test_a_cron_job_answers_for_its_jobs():
    cron = obj("CronJob", "nightly", api="batch/v1", spec={"schedule": "0 4 * * *"}, status={})
    runs = [
        job("nightly-1", "nightly", age=9000, succeeded=1, conditions=DONE),
        job("nightly-2", "nightly", age=900, failed=3, conditions=FAILED),
    ]
    answer = await ask(workload_status, FakeCluster(cron, *runs), namespace="shop")
    assert len(answer.workloads) == 1
    row = answer.workloads[0]
    assert (row.state, row.healthy, row.schedule) == ("last run failed", False, "0 4 * * *")
    assert [(run.job, run.state) for run in row.runs] == [("nightly-2", "failed"), ("nightly-1", "succeeded")]
    alone = await one(cron, *runs, scope="cronjob/nightly")
    assert [run.job for run in alone.runs] == ["nightly-2", "nightly-1"]
    suspended = obj("CronJob", "n", api="batch/v1", spec={"suspend": True}, status={})
    assert (await one(suspended)).state == "suspended"


def test_changes_are_named_by_what_they_are_and_keep_secrets():
    before = template(
        image="app:1",
        env=[{"name": "DB_PASSWORD", "value": "old-secret-1"}, {"name": "MODE", "value": "a"}],
        args=["--level=info"],
    )
    after = template(
        image="app:1",
        env=[{"name": "DB_PASSWORD", "value": "new-secret-2"}, {"name": "API_TOKEN", "value": "zzz-secret-3"}],
        args=["--level=debug"],
        volumes=[{"name": "tmp", "emptyDir": {}}],
    )
    found = {c.field: (c.before, c.after) for c in changes(before, after)}
    assert found["spec.containers[app].env[DB_PASSWORD].value"] == ("[redacted:value]", "[redacted:value]")
    assert found["spec.containers[app].env[MODE]"] == ('{"name":"MODE","value":"a"}', None)
    assert found["spec.containers[app].args"] == ('["--level=info"]', '["--level=debug"]')
    assert found["spec.volumes"] == (None, '[{"name":"tmp","emptyDir":{}}]')
    assert "secret-" not in str(found)


def test_what_controllers_write_is_no_change_and_order_of_init_containers_is():
    one_, two = container("one"), container("two")
    before = {"metadata": {"labels": {"pod-template-hash": "1"}}, "spec": {"initContainers": [one_, two]}}
    after = {"metadata": {"labels": {"pod-template-hash": "2"}}, "spec": {"initContainers": [two, one_]}}
    assert [c.field for c in changes(before, after)] == ["spec.initContainers (order)"]
    assert changes({}, after) == []


async def test_in_a_list_the_healthy_are_brief_and_those_in_trouble_come_first():
    fine = deployment("fine", status={"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1})
    answer = await ask(workload_status, FakeCluster(fine, *stuck_rollout()), namespace="shop")
    assert [(w.object.name, w.healthy) for w in answer.workloads] == [("cart", False), ("fine", True)]
    assert answer.states == {"complete": 1, "stuck": 1}
    brief = answer.workloads[1].model_dump(exclude_none=True, exclude_defaults=True)
    assert brief.keys() == {"object", "healthy", "state", "desired", "ready"}


async def test_requests_do_not_grow_with_workloads():
    many = [
        x
        for n in range(30)
        for x in ({**o, "metadata": {**o["metadata"], "namespace": f"ns{n}"}} for o in stuck_rollout())
    ]
    cluster = FakeCluster(*many)
    answer = await ask(workload_status, cluster)
    assert cluster.usage.requests == 5 + 3
    assert len(answer.workloads) == 20
    assert all(w.revisions for w in answer.workloads)
    alone = FakeCluster(*stuck_rollout())
    await ask(workload_status, alone, scope="deploy/cart", namespace="shop")
    assert alone.usage.requests == 4
    assert "list pods in shop where app=cart" in alone.asked


async def test_what_may_not_be_read_is_not_checked():
    cluster = FakeCluster(*stuck_rollout(), denied={kinds.DAEMON_SET: DENIED, kinds.REPLICA_SET: DENIED})
    answer = await ask(workload_status, cluster, namespace="shop")
    assert [n.what for n in answer.coverage.not_checked] == ["daemonsets.apps", "replicasets.apps"]
    assert not {"daemonsets.apps", "replicasets.apps"} & set(answer.coverage.checked)
    everything = dict.fromkeys(
        (kinds.DEPLOYMENT, kinds.STATEFUL_SET, kinds.DAEMON_SET, kinds.JOB, kinds.CRON_JOB), DENIED
    )
    with pytest.raises(DeniedError):
        await ask(workload_status, FakeCluster(denied=everything))


@pytest.mark.parametrize("scope", ["pod/a", "node/n1", "deployment/", "deployment/a/b", "bogus/x", "deployment/--all"])
async def test_what_is_no_workload_is_refused(scope):
    with pytest.raises(UsageError):
        await ask(workload_status, FakeCluster(node("n1"), pod("a")), scope=scope, namespace="shop")


async def test_objects_without_status_are_on_their_way():
    bare = [obj(kind, "bare", api=api) for kind, api in (("Deployment", "apps/v1"), ("StatefulSet", "apps/v1"))]
    answer = await ask(workload_status, FakeCluster(*bare), namespace="shop")
    assert {w.state for w in answer.workloads} == {"progressing"}


async def test_what_should_move_and_has_not_for_long_is_not_well():
    old = {"metadata": {"creationTimestamp": ago(3600)}}
    for made in (deployment("cart", **old), obj("StatefulSet", "web", api="apps/v1", **old), job(age=3600, active=1)):
        row = await one(made)
        assert (row.state, row.healthy) == ("held up", False)
        assert row.why == ["nothing of it has moved for 60m, and neither pods nor warnings say why"]
