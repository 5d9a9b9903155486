"""A small broken shop in which one text stands wherever somebody in a cluster may write, for tests over doubles."""

from collections.abc import Iterator
from typing import Any

from builders import ago, container, deployment, event, node, obj, pod, replica_set, service
from doubles import FakeCluster

from firstmate_tools.fields import Obj

ERROR = {"exitCode": 1, "reason": "Error", "startedAt": ago(65), "finishedAt": ago(60)}


def shop(text: str, word: str) -> FakeCluster:
    """The shop: `cart` crashes, `web` cannot pull its image, `idle` waits for a node.

    Args:
        text: planted as it is.
        word: planted where a label's value must stand.
    """
    return FakeCluster(*_objects(text, word), logs=_logs(text))


def _logs(text: str) -> dict[str, str | Any]:
    log = f"starting\n{text}\nERROR cannot open the basket store\n"
    return {"cart-2b-x/app": log, "cart-2b-x/app/previous": log}


def _objects(text: str, word: str) -> Iterator[Obj]:
    notes = {"note": text, "meta.helm.sh/notes": text, "kubernetes.io/change-cause": text}
    yield obj("Namespace", "shop", None, metadata={"annotations": {"owner": text}})
    yield from _cart(text, word, notes)
    yield from _web(text, word)
    yield pod(
        "idle",
        node=None,
        phase="Pending",
        statuses=[],
        conditions=[
            {
                "type": "PodScheduled",
                "status": "False",
                "reason": "Unschedulable",
                "message": text,
                "lastTransitionTime": ago(300),
            }
        ],
    )
    sick = node("n1")
    sick["metadata"].setdefault("labels", {})["team"] = word
    sick["status"].setdefault("conditions", []).append(
        {"type": "KernelDeadlock", "status": "True", "reason": text, "message": text}
    )
    sick["status"].setdefault("nodeInfo", {})["kubeletVersion"] = text
    yield sick
    yield obj("ConfigMap", "runbook", data={"RUNBOOK.md": f"# When cart crashes\n\n{text}\n", "motd": text})
    yield obj(
        "Widget",
        "blue",
        api="example.org/v1",
        metadata={"annotations": notes, "labels": {"team": word}},
        spec={"title": text, "deep": {"list": [{"anything": text}], text: "as a key"}},
        status={"phase": text, "conditions": [{"type": "Ready", "status": "False", "reason": text, "message": text}]},
    )
    yield service("cart", selector={"app": "cart"})


def _cart(text: str, word: str, notes: dict[str, str]) -> Iterator[Obj]:
    def template(note: str) -> Obj:
        one = container(args=["--motd", text, f"--note={text}"], env=[{"name": "NOTE", "value": note}])
        return {"metadata": {"labels": {"app": "cart"}, "annotations": {"note": note}}, "spec": {"containers": [one]}}

    stuck = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": text}
    yield deployment(
        "cart",
        template=template(text),
        metadata={"annotations": notes, "labels": {"team": word}},
        status={"replicas": 1, "updatedReplicas": 1, "conditions": [{**stuck, "lastUpdateTime": ago(200)}]},
    )
    for name, number, note, replicas in (("cart-1a", "1", "before", 0), ("cart-2b", "2", text, 1)):
        made = replica_set(name, of="cart", template=template(note), replicas=replicas)
        made["metadata"]["annotations"] = {
            "deployment.kubernetes.io/revision": number,
            "kubernetes.io/change-cause": text,
        }
        yield made
    broken = pod(
        "cart-2b-x",
        owned_by=("ReplicaSet", "cart-2b"),
        labels={"app": "cart", "team": word},
        waiting="CrashLoopBackOff",
        message=text,
        last={**ERROR, "message": text},
        restarts=7,
        containers=[container(args=["--motd", text], env=[{"name": "NOTE", "value": text}])],
        metadata={"annotations": notes},
        conditions=[
            {"type": "Ready", "status": "False", "reason": text, "message": text, "lastTransitionTime": ago(500)},
            {"type": "PodScheduled", "status": "True"},
        ],
    )
    yield broken
    yield event(broken, "BackOff", text, count=9)
    yield {**event(broken, text, text), "source": {"component": text}}
    yield event({"kind": text, "metadata": {"name": text, "namespace": "shop"}}, "Odd", text)


def _web(text: str, word: str) -> Iterator[Obj]:
    image = f"registry.shop.example/web:2 {text}"
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container(image=image)]}}
    yield deployment("web", template=template)
    yield replica_set("web-3c", of="web", template=template)
    message = f'Failed to pull image "{image}": {text}: not found'
    stuck = pod(
        "web-3c-y",
        owned_by=("ReplicaSet", "web-3c"),
        labels={"app": "web", "team": word},
        waiting="ImagePullBackOff",
        message=message,
        containers=[container(image=image)],
    )
    yield stuck
    yield event(stuck, "Failed", message)
    missing = f'secret "{text}" not found'
    lost = pod("lost", labels={"app": "lost"}, waiting="CreateContainerConfigError", message=missing)
    lost["metadata"]["ownerReferences"] = [
        {"apiVersion": "v1", "kind": text, "name": text, "uid": "uid-odd", "controller": True}
    ]
    yield lost
