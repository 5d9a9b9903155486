"""What `logs` promises: every container that matters, the run before, errors first, repeats folded, the end kept."""

import time

import pytest
from builders import container, deployment, obj, owner, pod, service
from doubles import DENIED, FakeCluster, ask

from firstmate_tools.errors import DeniedError, FailedReadError, UsageError
from firstmate_tools.kinds import POD
from firstmate_tools.logs import logs

pytestmark = pytest.mark.anyio
ERROR = {"reason": "Error", "exitCode": 1}


def restarted(name="a", **more):
    return pod(name, waiting="CrashLoopBackOff", restarts=3, last=ERROR, **more)


async def read(cluster, scope="pod/a", **arguments):
    return await ask(logs, cluster, scope=scope, namespace="shop", **arguments)


async def test_the_run_before_comes_by_itself_and_first():
    cluster = FakeCluster(restarted(), logs={"a/app": "starting\n", "a/app/previous": "panic: no config\n"})
    answer = await read(cluster)
    assert [(log.previous, log.tail) for log in answer.logs] == [(True, ["panic: no config"]), (False, ["starting"])]
    assert answer.logs[0].state == "waiting (CrashLoopBackOff)"
    assert [log.previous for log in (await read(cluster, previous="never")).logs] == [False]
    assert [log.previous for log in (await read(cluster, previous="only")).logs] == [True]
    calm = FakeCluster(pod("a"), logs={"a/app": "fine\n", "a/app/previous": "old\n"})
    assert [log.previous for log in (await read(calm)).logs] == [False]


async def test_what_the_node_serves_twice_is_told_once():
    same = FakeCluster(restarted(), logs={"a/app": "panic\n", "a/app/previous": "panic\n"})
    assert [log.previous for log in (await read(same)).logs] == [True]


async def test_errors_come_first_repeats_are_folded_and_the_tail_is_kept():
    lines = [f"2026-11-21T02:00:{n % 60:02}Z INFO served request {n} in {n} ms" for n in range(150)]
    lines[70:70] = ["2026-11-21T02:00:10Z ERROR cannot reach db:5432"] * 3
    lines += ["panic: out of ideas"]
    answer = await read(FakeCluster(pod("a"), logs={"a/app": "\n".join(lines)}))
    (log,) = answer.logs
    assert log.lines == 154
    assert [(t.error, t.count) for t in log.templates] == [(True, 3), (True, 1), (False, 150)]
    assert log.templates[0].line.endswith("cannot reach db:5432")
    assert log.tail[-1] == "panic: out of ideas"
    assert len(log.tail) < 10


async def test_several_containers_the_failing_one_first_and_finished_init_containers_left_out():
    statuses = [
        {"name": "proxy", "ready": True, "restartCount": 0, "state": {"running": {}}},
        {
            "name": "app",
            "ready": False,
            "restartCount": 2,
            "state": {"running": {}},
            "lastState": {"terminated": ERROR},
        },
    ]
    done = {"name": "migrate", "ready": True, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    made = pod(
        "a",
        containers=[container("proxy"), container("app")],
        statuses=statuses,
        init=[container("migrate")],
        init_statuses=[done],
    )
    texts = {"a/proxy": "ok\n", "a/app": "up\n", "a/app/previous": "died\n", "a/migrate": "migrated\n"}
    answer = await read(FakeCluster(made, logs=texts))
    assert [(log.container, log.previous) for log in answer.logs] == [("app", True), ("app", False), ("proxy", False)]
    assert "init containers that ended well: migrate" in answer.coverage.cut[0]
    asked = await read(FakeCluster(made, logs=texts), container="migrate")
    assert [log.tail for log in asked.logs] == [["migrated"]]


async def test_containers_that_wrote_nothing_are_named_with_their_state():
    waiting = pod("a", waiting="ImagePullBackOff", phase="Pending")
    answer = await read(FakeCluster(waiting))
    assert answer.logs == []
    assert [s.model_dump() for s in answer.silent] == [
        {"pod": "a", "container": "app", "state": "waiting (ImagePullBackOff)"}
    ]
    quiet = await read(FakeCluster(pod("a"), logs={"a/app": ""}))
    assert [(s.container, s.state) for s in quiet.silent] == [("app", "running")]


async def test_of_a_workload_the_worst_pods_are_read_by_one_list():
    pods = [pod(f"cart-{n}", labels={"app": "cart"}) for n in range(9)]
    pods.append(restarted("cart-x", labels={"app": "cart"}))
    texts = {f"{p['metadata']['name']}/app": "hello\n" for p in pods}
    cluster = FakeCluster(deployment("cart"), service("cart"), *pods, pod("other"), logs=texts)
    answer = await read(cluster, "deployment/cart")
    assert [log.pod for log in answer.logs] == ["cart-x", "cart-0", "cart-1"]
    assert answer.coverage.cut == ["7 more pods that are better off; name one with pod/NAME"]
    assert cluster.usage.by_resource == {"deployments.apps": 1, "pods": 1, "pods/log": 4}
    assert (await read(cluster, "svc/cart")).logs[0].pod == "cart-x"


async def test_of_a_cron_job_the_newest_job_is_read():
    def run(name, created):
        return obj(
            "Job",
            name,
            api="batch/v1",
            metadata={"ownerReferences": owner("CronJob", "nightly", "batch/v1"), "creationTimestamp": created},
            spec={"selector": {"matchLabels": {"job": name}}},
        )

    cluster = FakeCluster(
        obj("CronJob", "nightly", api="batch/v1"),
        run("nightly-1", "2026-11-20T04:00:00Z"),
        run("nightly-2", "2026-11-21T04:00:00Z"),
        pod("nightly-1-x", labels={"job": "nightly-1"}),
        pod("nightly-2-x", labels={"job": "nightly-2"}),
        logs={"nightly-1-x/app": "old\n", "nightly-2-x/app": "new\n"},
    )
    assert [log.tail for log in (await read(cluster, "cronjob/nightly")).logs] == [["new"]]


async def test_many_logs_are_no_longer_to_read_than_one():
    text = "\n".join(f"{word} {n} happened" for n in range(200) for word in ("alpha", "beta", "gamma", "delta"))
    names = [f"c{n}" for n in range(12)]
    statuses = [{"name": n, "ready": True, "restartCount": 0, "state": {"running": {}}} for n in names]
    made = pod("a", containers=[container(n) for n in names], statuses=statuses)
    answer = await read(FakeCluster(made, logs={f"a/{n}": text for n in names}))
    assert len(answer.logs) == 8
    assert "4 more logs; name a pod or a container" in answer.coverage.cut
    assert sum(len(log.tail) for log in answer.logs) <= 64
    assert len(answer.model_dump_json(exclude_none=True)) / 4 < 3500


async def test_matching_searches_further_back_and_ignores_case():
    text = "\n".join(["Connection REFUSED by db"] + [f"tick {n}" for n in range(900)])
    answer = await read(FakeCluster(pod("a"), logs={"a/app": text}), matching="refused")
    assert answer.logs[0].tail == ["Connection REFUSED by db"]
    assert answer.logs[0].lines == 1
    short = await read(FakeCluster(pod("a"), logs={"a/app": text}))
    assert short.coverage.cut == ["a/app: lines before the last 200; tail reads more"]


async def test_a_line_of_two_megabytes_and_bytes_that_are_no_text():
    long = "start " + "x" * 2_000_000 + " the end: connection refused"
    begin = time.process_time()
    answer = await read(FakeCluster(pod("a"), logs={"a/app": f"before\n{long}\n\ufffd\ufffd bytes\n"}))
    assert time.process_time() - begin < 5
    (log,) = answer.logs
    assert all(len(line) <= 400 for line in log.tail)
    assert log.tail[-2].endswith("the end: connection refused")
    assert len(answer.model_dump_json()) < 5000


async def test_secrets_do_not_leave_even_over_several_lines():
    text = (
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQ\n-----END PRIVATE KEY-----\nPGPASSWORD=hunter22x\n"
    )
    answer = (await read(FakeCluster(pod("a"), logs={"a/app": text}))).model_dump_json()
    assert not any(secret in answer for secret in ("MIIEvQ", "kqhkiG", "hunter22x"))
    hidden = await read(FakeCluster(pod("a"), logs={"a/app": "pass\x1b[0mword=hunter22x\n"}))
    assert "hunter22x" not in hidden.model_dump_json()


async def test_refused_logs_are_not_checked_and_refused_pods_an_error():
    answer = await read(FakeCluster(pod("a"), denied={"pods/log": DENIED}))
    assert (answer.logs, [n.why for n in answer.coverage.not_checked]) == ([], ["denied"])
    assert answer.coverage.checked == ["pods"]
    assert answer.silent == []
    partly = FakeCluster(restarted(), logs={"a/app": "up\n", "a/app/previous": FailedReadError("The node is gone.")})
    half = await read(partly)
    assert [log.previous for log in half.logs] == [False]
    assert half.coverage.not_checked[0].how_to_enable == "The node is gone."
    with pytest.raises(DeniedError):
        await read(FakeCluster(denied={POD: DENIED}))


@pytest.mark.parametrize("scope", ["node/n1", "ingress/x", "cluster", "namespace/shop", "", "pod/", "a;b/c", "bogus/x"])
async def test_what_has_no_logs_is_refused(scope):
    with pytest.raises(UsageError):
        await read(FakeCluster(pod("a")), scope)


@pytest.mark.parametrize("scope", ["cluster", "namespace", "namespace/shop", "ns/shop"])
async def test_a_scope_without_an_object_is_told_to_name_one(scope):
    with pytest.raises(UsageError, match="name a pod or a workload"):
        await read(FakeCluster(pod("a"), pod("cluster")), scope)
    named = await read(FakeCluster(pod("cluster"), logs={"cluster/app": "up\n"}), "pod/cluster")
    assert [log.pod for log in named.logs] == ["cluster"]


@pytest.mark.parametrize("name", ["--previous", "$(id)", "a/../b", "a b", "a%2f"])
async def test_names_are_only_names(name):
    with pytest.raises(UsageError):
        await read(FakeCluster(pod("a")), f"pod/{name}")
    with pytest.raises(UsageError):
        await read(FakeCluster(pod("a")), container=name)


async def test_a_workload_without_pods_or_selector_says_so():
    with pytest.raises(UsageError, match="no pods"):
        await read(FakeCluster(deployment("cart")), "deployment/cart")
    with pytest.raises(UsageError, match="by no labels"):
        await read(FakeCluster(service("ext", selector={})), "svc/ext")
    with pytest.raises(UsageError, match=r"no container 'web'.*app"):
        await read(FakeCluster(pod("a")), container="web")


async def test_a_pod_without_status_is_silent():
    bare = obj("Pod", "a", spec={"containers": [container()]})
    assert [s.state for s in (await read(FakeCluster(bare))).silent] == ["not reported"]
