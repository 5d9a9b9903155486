"""Changes to a recording that must not change what is wrong: new names, healthy company, more replicas of the same.

Called by `invariance`. Pure functions over `Held`; must never change what a fault is made of.
"""

from __future__ import annotations

import copy
import re
import uuid
from collections.abc import Callable
from typing import Any

from evals.lab.held import CLUSTER, Held, Obj


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\S+", text))


# --- new names

_NAMED = _words(
    """pods deployments.apps replicasets.apps statefulsets.apps daemonsets.apps jobs.batch cronjobs.batch services
    ingresses.networking.k8s.io configmaps secrets serviceaccounts persistentvolumeclaims resourcequotas limitranges
    horizontalpodautoscalers.autoscaling poddisruptionbudgets.policy networkpolicies.networking.k8s.io"""
)
"""Resources whose objects are called as their owners like."""
_KNOWN_PLACES = re.compile(
    r"default|kube-.*|.*system.*|argo-?cd|cert-manager|karpenter|keda|external-secrets|monitoring"
)
_PRODUCTS = frozenset(
    _words(
        """ack admission agent alb alloy amazon apiserver app argo argocd autoscaler aws azure bookkeeper calico cert
    certmanager cilium clickhouse cloudwatch cluster cni coredns consul containerd controller csi daprd datadog
    default dns driver ebs ecr efs eks elasticsearch envoy etcd external exporter falco filebeat flannel flux fluent
    fluentbit gateway gatekeeper git grafana haproxy helm ingress injector istio jaeger kafka karpenter keda kube
    kubelet kyverno linkerd loki manager metrics minio mongo mongodb mysql nats neuron nginx node nodes nvidia
    operator opensearch otel pod pods postgres postgresql prometheus promtail provisioner proxy rabbitmq redis
    rollout scheduler secrets server service sidecar snapshot source tempo thanos traefik vault vector velero vpa
    vpc webhook zookeeper image images container containers volume volumes memory cpu disk api config data main job
    jobs http https grpc tcp port ports host hosts name names test state secret token user users role roles policy
    policies error failed true false none key keys file files class zone primary replica leader master worker
    standby active blue green canary stable current version release track slot color tier"""
    )
)
"""Words that rules, the control plane or its messages may know: who is called by one keeps the name."""
_PLAIN = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_TELLING_LABELS = frozenset({"app", "name", "run", "k8s-app", "component", "service"})
_STRUCTURE = frozenset(
    _words(
        """apiVersion kind type reason phase operator effect fieldsType manager operation uid resourceVersion key
    topologyKey whenUnsatisfiable protocol scheme imagePullPolicy restartPolicy dnsPolicy medium action group groups
    resources verbs apiGroups volumeMode storageClassName provisioner accessModes schedulerName priorityClassName
    qosClass ingressClassName driver creationTimestamp subresource"""
    )
)
"""Fields whose values mean something to Kubernetes."""
GROUPS = {
    "customresourcedefinitions.apiextensions.k8s.io": "CustomResourceDefinition",
    "apiservices.apiregistration.k8s.io": "APIService",
}
"""What is called by an API group, which keeps its name; the kinds by the resources."""


def own_places(held: Held) -> list[str]:
    """The namespaces that the scenario made, but for those that are called after products."""
    return sorted(n for n in held.manifest.get("every_namespace") or () if not _KNOWN_PLACES.fullmatch(n))


def new_names(held: Held) -> dict[str, str]:
    """Old names and new ones: of namespaces, of what lies in them, of nodes, and the labels that select by a name."""
    places = set(own_places(held))
    found, nodes = {place for place in places if _may_go(place)}, set[str]()
    for (resource, place), rows in held.objects.items():
        if place in places and resource in _NAMED:
            for one in rows:
                found |= _names_in(one)
        elif resource == "nodes":
            nodes |= {str(one["metadata"]["name"]) for one in rows}
    if any(held.of("certificatesigningrequests.certificates.k8s.io")):
        nodes.clear()  # requests hold the names of nodes encoded
    tellable = {name for name in nodes if len(name) > 5 and not name.isalpha()}
    chosen = {*filter(_may_go, found), *tellable}
    # Within the word, not before it: what is sorted by names stays in its order beside names that are kept.
    return {name: f"{name[0]}q{name[1:]}" for name in chosen}


def _names_in(one: Obj) -> set[str]:
    metadata, spec = one.get("metadata") or {}, one.get("spec") or {}
    selector = spec.get("selector") or {}
    labels = [metadata.get("labels"), selector, selector.get("matchLabels")]
    labels.append(((spec.get("template") or {}).get("metadata") or {}).get("labels"))
    owned = bool(metadata.get("ownerReferences"))
    values = [v for some in labels if isinstance(some, dict) for k, v in some.items() if _by_name(k)]
    return {name for name in (*values, *([] if owned else [metadata.get("name")])) if isinstance(name, str)}


def _by_name(label: str) -> bool:
    return label in _TELLING_LABELS or label.startswith("app.kubernetes.io/")


def _may_go(name: str) -> bool:
    return len(name) > 2 and bool(_PLAIN.fullmatch(name)) and not _PRODUCTS & set(name.split("-"))


def renamer(names: dict[str, str]) -> Callable[[str], str]:
    """What gives every text its new names: whole ones, and those that generated names begin with."""
    if not names:
        return lambda text: text
    longest = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    pattern = re.compile(rf"(?<![A-Za-z0-9-])(?:{longest})(?![A-Za-z0-9])")
    return lambda text: pattern.sub(lambda match: names[match.group()], text)


def renamed(held: Held, names: dict[str, str]) -> Held:
    """The same cluster under other names."""
    new = renamer(names)

    def value(here: Any, key: str = "") -> Any:
        if isinstance(here, dict):
            return {k: value(v, str(k)) for k, v in here.items()}
        if isinstance(here, list):
            return [value(one, key) for one in here]
        if not isinstance(here, str) or (key in _STRUCTURE and not (key == "type" and "/" in here)):
            return here
        # A condition's type is structure; one of a controller's own may hold names (`target-health…/shop_cart_80`).
        return new(here)

    manifest = value(held.manifest)
    for field in ("resources", "discovery", "cluster"):
        manifest[field] = copy.deepcopy(held.manifest[field])
    for entry in manifest["resources"].values():
        entry["namespaces"] = {new(place): said for place, said in entry["namespaces"].items()}
    return Held(
        manifest,
        {
            (resource, new(place)): [_regrouped(value(one), one) for one in rows] if resource in GROUPS else value(rows)
            for (resource, place), rows in held.objects.items()
        },
        {(new(place), new(pod), new(file)): new(text) for (place, pod, file), text in held.logs.items()},
        held.rest,
    )


def _regrouped(new: Obj, old: Obj) -> Obj:
    """What is called by an API group, under its own name and of its own group again."""
    spec = {**new.get("spec", {}), **{k: v for k, v in old.get("spec", {}).items() if k in {"group", "names"}}}
    return {**new, "metadata": {**new["metadata"], "name": old["metadata"]["name"]}, "spec": spec}


# --- healthy company


def accompanied(held: Held, home: str | None) -> Held:
    """The same cluster with a healthy workload more in the namespace, and a namespace more with another."""
    company = held.copied()
    node = _roomy(held)
    if node is None:
        return company
    elsewhere = "zz-elsewhere"
    company.manifest["every_namespace"] = sorted({*(held.manifest.get("every_namespace") or ()), elsewhere})
    made = held.manifest["recorded_at"]
    meta = {"name": elsewhere, "uid": _uid(elsewhere), "creationTimestamp": made}
    company.put("namespaces", CLUSTER, {"metadata": meta, "spec": {}, "status": {"phase": "Active"}})
    for place in {elsewhere, *([home] if home else [])}:
        _bystander(company, place, node, made)
    return company


def _roomy(held: Held) -> str | None:
    """A node that is well, takes anything, and has room for some pods more."""
    counts: dict[str, int] = {}
    for pod in held.of("pods"):
        name = (pod.get("spec") or {}).get("nodeName") or ""
        counts[name] = counts.get(name, 0) + 1
    for node in held.of("nodes"):
        spec, status, name = node.get("spec") or {}, node.get("status") or {}, node["metadata"]["name"]
        states = {c.get("type"): c.get("status") for c in status.get("conditions") or ()}
        room = int((status.get("allocatable") or {}).get("pods") or 0) - counts.get(name, 0)
        bad = any(states.get(kind) == "True" for kind in states if kind != "Ready")
        if states.get("Ready") == "True" and not bad and not spec.get("taints") and room > 8:
            return str(name)
    return None


def _uid(*words: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, "/".join(words)))


def _bystander(held: Held, place: str, node: str, made: str) -> None:
    name, labels = "zz-bystander", {"app": "zz-bystander"}
    container = {
        "name": "zz-bystander",
        "image": "registry.example/zz/bystander:1.0.0",
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "resources": {},
        "imagePullPolicy": "IfNotPresent",
    }
    body = {
        "containers": [container],
        "restartPolicy": "Always",
        "serviceAccountName": "default",
        "schedulerName": "default-scheduler",
        "dnsPolicy": "ClusterFirst",
        "terminationGracePeriodSeconds": 30,
    }

    def meta(of: str, **more: Any) -> Obj:
        return {"name": of, "namespace": place, "uid": _uid(place, of), "creationTimestamp": made, **more}

    def owner(kind: str, of: str) -> list[Obj]:
        return [{"apiVersion": "apps/v1", "kind": kind, "name": of, "uid": _uid(place, of), "controller": True}]

    template = {"metadata": {"labels": labels}, "spec": body}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    counts = {"replicas": 2, "readyReplicas": 2, "availableReplicas": 2, "observedGeneration": 1}
    good = [{"type": kind, "status": "True", "lastTransitionTime": made} for kind in ("Available", "Progressing")]
    revision = {"deployment.kubernetes.io/revision": "1"}
    deployment = {
        "metadata": meta(name, labels=labels, generation=1, annotations=revision),
        "spec": {**spec, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%"}}},
        "status": {**counts, "updatedReplicas": 2, "conditions": good},
    }
    marks, rs = {**labels, "pod-template-hash": "zz"}, f"{name}-zz"
    under = {**spec, "selector": {"matchLabels": marks}, "template": {**template, "metadata": {"labels": marks}}}
    sets = {
        "metadata": meta(rs, labels=marks, ownerReferences=owner("Deployment", name), annotations=revision),
        "spec": under,
        "status": counts,
    }
    kinds = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    pods = [
        {
            "metadata": meta(f"{rs}-{letter}", labels=marks, ownerReferences=owner("ReplicaSet", rs)),
            "spec": {**body, "nodeName": node},
            "status": {
                "phase": "Running",
                "podIP": f"10.244.250.{number}",
                "conditions": [{"type": kind, "status": "True", "lastTransitionTime": made} for kind in kinds],
                "containerStatuses": [
                    {
                        "name": name,
                        "ready": True,
                        "started": True,
                        "restartCount": 0,
                        "image": container["image"],
                        "imageID": "",
                        "state": {"running": {"startedAt": made}},
                        "lastState": {},
                    }
                ],
            },
        }
        for number, letter in enumerate("ab", 1)
    ]
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    service = {
        "metadata": meta(name, labels=labels),
        "spec": {"selector": labels, "ports": ports, "type": "ClusterIP", "clusterIP": "10.0.250.1"},
        "status": {"loadBalancer": {}},
    }
    held.put("deployments.apps", place, deployment)
    held.put("replicasets.apps", place, sets)
    held.put("pods", place, *pods)
    held.put("services", place, service)
    held.put("configmaps", place, {"metadata": meta("zz-settings"), "data": {"greeting": "hello"}})
    held.put("serviceaccounts", place, *([] if _has_account(held, place) else [{"metadata": meta("default")}]))


def _has_account(held: Held, place: str) -> bool:
    return any(one["metadata"]["name"] == "default" for one in held.objects.get(("serviceaccounts", place), ()))


# --- more replicas of the same

_SPLIT = {"ReplicaSet": "replicasets.apps", "DaemonSet": "daemonsets.apps"}
_COUNTS = re.compile(
    r"[rR]eplicas$|^(?:desired|current|updated)NumberScheduled$|^number(?:Ready|Available|Unavailable)$"
)
_BOUND_BY_NUMBERS = _words(
    """resourcequotas horizontalpodautoscalers.autoscaling poddisruptionbudgets.policy statefulsets.apps jobs.batch"""
)
"""Where one of these lies beside, twice as many pods may be another fault."""


def split(held: Held) -> Held | None:
    """The same cluster with twice as many pods of each ReplicaSet and DaemonSet, half as much of it in each; None where
    the number of pods is part of the fault, or may be."""
    places = set(own_places(held))
    if any(
        rows for (resource, place), rows in held.objects.items() if resource in _BOUND_BY_NUMBERS and place in places
    ):
        return None
    more, made = held.copied(), 0
    for place in places:
        copies: dict[str, str] = {}
        for pod in held.objects.get(("pods", place), ()):
            owner = next((o for o in pod["metadata"].get("ownerReferences") or () if o.get("controller")), {})
            if owner.get("kind") not in _SPLIT:
                return None  # its share of a node that has twice the room would be another
            if _alone(pod):
                return None
            copies[pod["metadata"]["name"]] = _copy_pod(more, place, pod)
        made += len(copies)
        _copy_words(more, place, copies)
        for resource in (*_SPLIT.values(), "deployments.apps"):
            for one in more.objects.get((resource, place), ()):
                _double(one)
    if not made:
        return None
    for node in more.of("nodes"):
        for room in ("capacity", "allocatable"):
            amounts = (node.get("status") or {}).get(room) or {}
            amounts.update({name: _twice(str(amount)) for name, amount in amounts.items()})
    return more


def _alone(pod: Obj) -> bool:
    """Whether a second pod beside this one would not be as this one is: it waits for a place, or holds what is one."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    placed = bool(spec.get("nodeName")) and status.get("reason") not in {"Evicted", "NodeAffinity", "OutOfcpu"}
    ports = [p for c in spec.get("containers") or () for p in c.get("ports") or () if p.get("hostPort")]
    claims = [v for v in spec.get("volumes") or () if "persistentVolumeClaim" in v or "ephemeral" in v]
    bound = spec.get("topologySpreadConstraints") or (spec.get("affinity") or {}).get("podAntiAffinity")
    return not placed or bool(ports or claims or bound or spec.get("hostNetwork"))


def _copy_pod(held: Held, place: str, pod: Obj) -> str:
    twin = copy.deepcopy(pod)
    name = f"{pod['metadata']['name']}z"
    twin["metadata"] |= {"name": name, "uid": _uid(place, name)}
    held.objects["pods", place].append(twin)
    return name


def _copy_words(held: Held, place: str, copies: dict[str, str]) -> None:
    """What is said of pods is said of their twins."""
    for (namespace, pod, file), text in list(held.logs.items()):
        if namespace == place and pod in copies:
            held.logs[place, copies[pod], file] = text
    entries = held.manifest["logs"]
    twins = [e for e in entries if e["namespace"] == place and e["pod"] in copies]
    entries += [{**entry, "pod": copies[entry["pod"]]} for entry in twins]
    for resource, field in (("events", "involvedObject"), ("events.events.k8s.io", "regarding")):
        for event in list(held.objects.get((resource, place), ())):
            about = event.get(field) or {}
            if about.get("kind") == "Pod" and about.get("name") in copies:
                twin = copy.deepcopy(event)
                twin[field] |= {"name": copies[about["name"]], "uid": _uid(place, copies[about["name"]])}
                twin["metadata"] |= {"name": f"{event['metadata']['name']}z", "uid": _uid(event["metadata"]["name"])}
                held.objects[resource, place].append(twin)


def _double(workload: Obj) -> None:
    for part in ("spec", "status"):
        here = workload.get(part) or {}
        for key, value in here.items():
            if _COUNTS.search(key) and isinstance(value, int):
                here[key] = value * 2


def _twice(amount: str) -> str:
    number = re.match(r"\d+", amount)
    return f"{int(number.group()) * 2}{amount[number.end() :]}" if number else amount
