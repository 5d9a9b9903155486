"""The objects that carry the canaries. Pure: canaries in, documents out; `planting.py` writes them into a lab."""

import base64
import json
from typing import Any

from canaries.table import Bystanders, Canary

NS = "canaries"
UNTOUCHED = {"sim.firstmate.dev/mode": "canaries"}
"""Pods of this label are left alone by the lab's stages: their status is ours."""
APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
CRD = "vaults.canary.example"
Object = dict[str, Any]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def made(kind: str, name: str, api: str = "v1", *, place: bool = True, **more: Any) -> Object:
    metadata = {"name": name, **({"namespace": NS} if place else {}), **more.pop("metadata", {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **more}


def namespace(text: dict[str, str]) -> Object:
    return made(
        "Namespace", NS, place=False, metadata={"annotations": {"example.com/notify": text["annotation-namespace"]}}
    )


def secrets(text: dict[str, str]) -> list[Object]:
    """Secrets; the last as `kubectl apply` leaves it, with a copy of itself in an annotation."""
    applied = made("Secret", "applied", data={"password": text["secret-last-applied"]})
    docker = {".dockerconfigjson": encoded(text["secret-dockerconfigjson"])}
    tls = {"tls.crt": encoded("public"), "tls.key": encoded(text["secret-tls-key"])}
    return [
        made("Secret", "plain", data={"password": encoded(text["secret-data"])}),
        made("Secret", "string", stringData={"password": text["secret-string-data"]}),
        made("Secret", "registry", type="kubernetes.io/dockerconfigjson", data=docker),
        made("Secret", "tls", type="kubernetes.io/tls", data=tls),
        made("Secret", "default-token-abcde", data={"token": encoded(text["secret-service-account-token"])}),
        {**applied, "metadata": {**applied["metadata"], "annotations": {APPLIED: json.dumps(applied)}}},
    ]


def config_maps(text: dict[str, str]) -> list[Object]:
    def kubeconfig() -> str:
        user = {
            "token": text["configmap-kubeconfig-token"],
            "client-key-data": text["configmap-kubeconfig-client-key"],
        }
        return "apiVersion: v1\nkind: Config\nusers:\n- name: ci\n  user:\n" + "".join(
            f"    {key}: {value}\n" for key, value in user.items()
        )

    aws = (
        "[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n"
        f"aws_secret_access_key = {text['configmap-aws-secret-key']}\n"
        f"aws_session_token = {text['configmap-aws-session-token']}\n"
    )
    files = {
        "kubeconfig": kubeconfig(),
        "config.json": text["configmap-dockerconfigjson"],
        ".npmrc": text["configmap-npmrc"],
        "id_rsa": text["configmap-id-rsa"],
        "credentials": aws,
        ".pgpass": text["configmap-pgpass"],
        ".netrc": text["configmap-netrc"],
        "application.properties": text["configmap-properties"],
        "config.yaml": text["configmap-yaml"],
        "settings.json": text["configmap-json"],
        "db-password": text["configmap-secret-key-name"],
    }
    return [made("ConfigMap", "files", data=files)]


def container(text: dict[str, str], known: Bystanders) -> Object:
    """Everything that a container spec has room for."""
    ordinary = {"TOKEN_TTL": "3600", "PASSWORD_FILE": "/etc/db/password", "GIT_SHA": known.commit}
    env = {
        "DB_PASSWORD": text["env-db-password"],
        "AWS_SECRET_ACCESS_KEY": text["env-aws-secret-access-key"],
        "GITHUB_TOKEN": text["env-github-token"],
        "CONNECTION_STRING": text["env-connection-string"],
        "DATABASE_URL": text["env-database-url"],
        "CONFIG_B64": text["env-base64-json"],
        **ordinary,
    }
    headers = [
        {"name": "Authorization", "value": text["probe-authorization"]},
        {"name": "X-Api-Key", "value": text["probe-api-key"]},
    ]
    return {
        "name": "app",
        "image": f"registry.example/app@{known.digest}",
        "command": ["/app"],
        "args": [
            text["arg-password-flag"],
            "--token",
            text["arg-token-word"],
            "-p",
            text["arg-p-word"],
            text["arg-url"],
            "--verbose",
        ],
        "env": [{"name": name, "value": value} for name, value in env.items()],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 80, "httpHeaders": headers}},
        "lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", text["arg-shell"]]}}},
    }


def pods(text: dict[str, str], known: Bystanders) -> list[Object]:
    leaky = made(
        "Pod",
        "leaky",
        metadata={
            "labels": {**UNTOUCHED, "app": "leaky", "example.com/key": text["label-github-token"]},
            "annotations": {"example.com/session": text["annotation-jwt"], "example.com/commit": known.commit},
        },
        spec={"nodeName": "node-a", "containers": [container(text, known)], "terminationGracePeriodSeconds": 0},
    )
    pulling = made(
        "Pod",
        "pulling",
        metadata={"labels": UNTOUCHED},
        spec={
            "nodeName": "node-a",
            "containers": [{"name": "app", "image": text["image-credentials"]}],
            "terminationGracePeriodSeconds": 0,
        },
    )
    return [leaky, pulling]


def statuses(text: dict[str, str], known: Bystanders) -> dict[str, Object]:
    """What the pods say of themselves, by name."""
    gate = {"type": "example.com/gate", "status": "False", "reason": "Closed", "message": text["pod-condition"]}
    unready = {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}
    ended = {"exitCode": 1, "reason": "Error", "message": text["termination-message"]}
    ended |= {"startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:03Z"}
    crashing = {
        "name": "app",
        "image": "app",
        "imageID": f"registry.example/app@{known.digest}",
        "ready": False,
        "restartCount": 7,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}},
        "lastState": {"terminated": ended},
    }
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": text["waiting-message"]}}
    pulling = {**crashing, "imageID": "", "restartCount": 0, "state": waiting, "lastState": {}}
    return {
        "leaky": {"phase": "Running", "conditions": [unready, gate], "containerStatuses": [crashing]},
        "pulling": {"phase": "Pending", "conditions": [unready], "containerStatuses": [pulling]},
    }


def _workload(kind: str, name: str, env: dict[str, str], **more: Any) -> Object:
    one = {"name": "app", "image": "registry.example/app:1"}
    spec = {"containers": [{**one, "env": [{"name": key, "value": value} for key, value in env.items()]}]}
    template = {"metadata": {"labels": {"app": name}}, "spec": spec}
    return made(kind, name, "apps/v1", spec={"selector": {"matchLabels": {"app": name}}, "template": template}, **more)


def workloads(text: dict[str, str]) -> list[Object]:
    applied = _workload("Deployment", "applied", {"DB_PASSWORD": text["deployment-last-applied"]})
    command = {"name": "app", "image": "registry.example/app:1", "restartPolicy": "Never"}
    job = {
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "app",
                "image": command["image"],
                "command": ["sh", "-c", text["arg-curl-user"]],
                "args": [text["arg-query"]],
            }
        ],
    }
    return [
        {**applied, "metadata": {**applied["metadata"], "annotations": {APPLIED: json.dumps(applied)}}},
        _workload("DaemonSet", "agent", {"API_KEY": text["env-daemonset"]}),
        made(
            "CronJob",
            "nightly",
            "batch/v1",
            spec={
                "schedule": "0 3 * * *",
                "jobTemplate": {"spec": {"template": {"spec": job}}},
            },
        ),
    ]


def definition() -> Object:
    """A kind whose values are anybody's guess, with a set (whose values stand in managedFields) among them."""
    loose = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    tokens = {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}
    spec = {**loose, "properties": {"tokens": tokens}}
    schema = {"type": "object", "properties": {"spec": spec, "status": loose}}
    columns = [{"name": "Answer", "type": "string", "jsonPath": ".status.last.answer"}]
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return made(
        "CustomResourceDefinition",
        CRD,
        "apiextensions.k8s.io/v1",
        place=False,
        spec={
            "group": "canary.example",
            "scope": "Namespaced",
            "names": {"plural": "vaults", "singular": "vault", "kind": "Vault"},
            "versions": [{**version, "subresources": {"status": {}}, "additionalPrinterColumns": columns}],
        },
    )


def vault(text: dict[str, str], known: Bystanders) -> Object:
    deep = {"connection": {"levels": [{"auth": {"password": text["custom-spec-deep"], "user": "svc"}}]}}
    spec = {**deep, "tokens": [text["managed-fields-set"]], "note": text["custom-innocent-name"], "rev": known.commit}
    status = {"last": {"answer": text["custom-status-deep"], "at": "2026-01-01T00:00:00Z"}}
    return made("Vault", "main", "canary.example/v1", spec=spec, status=status)


def others(text: dict[str, str]) -> list[Object]:
    rule = {
        "http": {
            "paths": [
                {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "x", "port": {"number": 80}}}}
            ]
        }
    }
    snippet = f'proxy_set_header Authorization "{text["ingress-basic-auth"]}";'
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "leaky",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    return [
        made(
            "Ingress",
            "shop",
            "networking.k8s.io/v1",
            metadata={"annotations": {"nginx.ingress.kubernetes.io/configuration-snippet": snippet}},
            spec={"rules": [rule]},
        ),
        made(
            "PersistentVolumeClaim",
            "data",
            metadata={"annotations": {"example.com/cache": text["annotation-claim"]}},
            spec=claim,
        ),
    ]


def events(text: dict[str, str]) -> list[Object]:
    def event(name: str, reason: str, message: str) -> Object:
        about = {"kind": "Pod", "apiVersion": "v1", "name": "leaky", "namespace": NS}
        return made(
            "Event",
            f"leaky.{name}",
            involvedObject=about,
            reason=reason,
            message=message,
            type="Warning",
            count=3,
            source={"component": "kubelet", "host": "node-a"},
            firstTimestamp="2026-01-01T00:00:00Z",
        )

    return [event("a", "Unhealthy", text["event-bearer"]), event("b", "Failed", text["event-url"])]


LINES = (
    "log-password",
    "log-json",
    "log-json-escaped",
    "log-private-key",
    "log-jdbc",
    "log-go-env",
    "log-bearer",
    "log-mongodb",
    "log-url-encoded",
    "log-aws-token",
)


def log_lines(text: dict[str, str], known: Bystanders) -> list[str]:
    """What the container printed; errors, so that whoever picks lines picks these."""
    ordinary = [f"ERROR request {known.request} failed, trace {known.trace}, build {known.commit}"]
    return [line for name in LINES for line in f"ERROR {text[name]}".splitlines()] + ordinary


def texts(canaries: dict[str, Canary]) -> dict[str, str]:
    return {name: one.text for name, one in canaries.items()}
