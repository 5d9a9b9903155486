"""The lab's own client: it applies, waits and deletes on a lab's API server.

Used by the lab, the scenario runner and live tests. It writes as cluster administrator, without asking anybody: it
must never be part of the product, nor be pointed at a cluster that is not a lab (it takes the kubeconfig that a lab
wrote, and refuses a server that is not on 127.0.0.1).
"""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import urllib3
import yaml

from evals.lab.discovery import Discovery, Kind
from evals.lab.errors import ApiError, LabError, SetupError

Object = dict[str, Any]
USER_AGENT = "firstmate-lab"
_TIMEOUT = urllib3.Timeout(connect=5, read=60)
_BUSY_RETRIES = 8


class LabClient:
    """Talks JSON to the API server of one lab. Safe to share between threads.

    Args:
        kubeconfig: one that a lab wrote.
        field_manager: who owns what is applied. What the lab itself holds has an owner of its own, so that applying a
            part of a default node (a cordon, a taint) does not take the rest of it away.
    """

    def __init__(self, kubeconfig: Path, field_manager: str = "firstmate-lab") -> None:
        self._manager = field_manager
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self.server: str = cluster["server"]
        if urlsplit(self.server).hostname != "127.0.0.1":
            raise LabError(f"{kubeconfig} leads to {self.server}: the lab's client writes to labs on 127.0.0.1 only")
        context = ssl.create_default_context(cadata=_pem(cluster["certificate-authority-data"]))
        user = config["users"][0]["user"]
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:  # ssl takes a client pair from a file only
            pair.write(_pem(user["client-certificate-data"]) + _pem(user["client-key-data"]))
            pair.flush()
            context.load_cert_chain(pair.name)
        self._pool = urllib3.PoolManager(
            maxsize=32, ssl_context=context, timeout=_TIMEOUT, retries=urllib3.Retry(3, redirect=0)
        )
        self.discovery = Discovery(self.request)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: dict[str, Any] | None = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Any:
        """One request; a 429 is repeated after the time that the server asks for.

        Raises:
            ApiError: the server refused.
            LabError: the server could not be reached.
        """
        url = self.server + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": accept, "User-Agent": USER_AGENT}
        data = None
        if body is not None:
            headers["Content-Type"] = content_type
            data = json.dumps(body)
        answer = self._send(method, url, data, headers)
        for _ in range(_BUSY_RETRIES):
            if answer.status != 429 or path.endswith("/eviction"):  # there 429 is the answer
                break
            time.sleep(min(float(answer.headers.get("Retry-After", 1)), 5))
            answer = self._send(method, url, data, headers)
        if answer.status >= 400:
            raise _refused(answer, f"{method} {path}")
        return json.loads(answer.data) if "json" in answer.headers.get("Content-Type", "") else answer.data.decode()

    def _send(self, method: str, url: str, data: str | None, headers: dict[str, str]) -> urllib3.BaseHTTPResponse:
        try:
            return self._pool.request(method, url, body=data, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise LabError(f"{method} {url}: no answer from the lab's API server: {error}") from error

    # --- objects

    def kind(self, kind: str, api_version: str | None = None) -> Kind:
        """Looks a kind up: `Pod`, `deployment`, `Kind.group`, or a kind with its apiVersion."""
        return self.discovery.find(kind, api_version)

    def path(self, document: Object) -> str:
        """The path of the object that a document describes."""
        metadata = document["metadata"]
        return self.kind(document["kind"], document["apiVersion"]).path(metadata.get("name"), metadata.get("namespace"))

    def apply(self, document: Object, *, subresource: str = "") -> Object:
        """Server-side apply with force, of any kind that the server knows."""
        query = {"fieldManager": self._manager, "force": "true"}
        path = self.path(document) + (f"/{subresource}" if subresource else "")
        return self.request("PATCH", path, body=document, query=query, content_type="application/apply-patch+yaml")

    def apply_yaml(self, text: str) -> list[Object]:
        """Applies every document of a YAML text, in order."""
        return [self.apply(document) for document in yaml.safe_load_all(text) if document]

    def create(self, document: Object) -> Object:
        metadata = document["metadata"]
        kind = self.kind(document["kind"], document["apiVersion"])
        path = kind.path(None, metadata.get("namespace"))
        return self.request("POST", path, body=document, query={"fieldManager": self._manager})

    def patch(self, kind: str, name: str, body: Any, namespace: str | None = None, *, subresource: str = "") -> Object:
        """A merge patch, for changes that a server-side apply would own too much for."""
        path = self.kind(kind).path(name, namespace) + (f"/{subresource}" if subresource else "")
        return self.request("PATCH", path, body=body, content_type="application/merge-patch+json")

    def get(self, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None when there is none."""
        try:
            return self.request("GET", self.kind(kind).path(name, namespace))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, kind: str, namespace: str | None = None, *, selector: str | None = None) -> list[Object]:
        """All objects of a kind, in one namespace or in all, each with its apiVersion and kind."""
        found = self.kind(kind)
        path = found.path(None, namespace) if namespace or not found.namespaced else found.path_everywhere()
        answer = self.request("GET", path, query={"labelSelector": selector} if selector else None)
        items: list[Object] = answer.get("items") or []
        return [{"apiVersion": found.api_version, "kind": found.kind, **item} for item in items]

    def delete(self, kind: str, name: str, namespace: str | None = None, *, grace_s: int | None = None) -> bool:
        """Deletes, dependents in the background; false when it was not there."""
        return self.delete_path(self.kind(kind).path(name, namespace), grace_s=grace_s)

    def delete_path(self, path: str, *, grace_s: int | None = None) -> bool:
        body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        try:
            self.request("DELETE", path, body=body)
        except ApiError as error:
            if error.status == 404:
                return False
            raise
        return True

    def logs(self, namespace: str, pod: str, container: str | None = None, *, previous: bool = False) -> str:
        query = {"previous": str(previous).lower()} | ({"container": container} if container else {})
        path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/log"
        return self.request("GET", path, query=query, accept="*/*")

    # --- waiting

    def wait_until(self, what: str, holds: Callable[[], bool], *, timeout_s: float = 60, every_s: float = 0.1) -> None:
        """Waits until something holds.

        Raises:
            SetupError: it did not within the time; names `what`.
        """
        deadline = time.monotonic() + timeout_s
        while not holds():
            if time.monotonic() > deadline:
                raise SetupError(f"waited {timeout_s:.0f} s in vain: {what}")
            time.sleep(every_s)


def _pem(encoded: str) -> str:
    return base64.b64decode(encoded).decode()


def _refused(answer: urllib3.BaseHTTPResponse, what: str) -> ApiError:
    try:
        status = json.loads(answer.data)
        return ApiError(answer.status, status.get("reason", ""), status.get("message", ""), what)
    except (ValueError, AttributeError):
        return ApiError(answer.status, "", answer.data[:300].decode(errors="replace").strip(), what)
