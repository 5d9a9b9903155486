"""AWS on 127.0.0.1, as a test tells it to answer. Requests and answers are held against botocore's models.

    with fake_aws() as aws, aws.environment(tmp_path):
        aws.on("eks", "DescribeCluster", {"cluster": {...}})        # or a function of the parameters, or a Refusal
        ...
        assert aws.asked("eks", "DescribeCluster") == [{"name": "prod"}]

It knows no AWS: what it is not told, it refuses, and `aws.broken` says what no model allows. Every protocol that the
services of `aws/operations.py` speak is understood. `tests/` builds on it wherever AWS is asked.
"""

import contextlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import botocore.session
import fake_aws_wire as wire

from firstmate_tools.aws import session as sessions
from firstmate_tools.aws.operations import CREDENTIALS, READS

ACCOUNT = "111122223333"
KEY = "AKIAEXAMPLEEXAMPLE00"


@dataclass(frozen=True)
class Refusal:
    """An error in place of an answer."""

    code: str
    message: str = "refused by the test"
    status: int = 400


Answer = dict[str, Any] | Refusal | Callable[[dict[str, Any]], dict[str, Any] | Refusal]


@dataclass
class Seen:
    """One request that came."""

    service: str
    operation: str
    parameters: dict[str, Any]
    region: str
    key: str
    user_agent: str


@dataclass
class FakeAws:
    """See the module."""

    seen: list[Seen] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    requests: int = 0
    delay_s: float = 0.0
    url: str = ""
    _answers: dict[tuple[str, str], list[Answer]] = field(default_factory=dict)

    def on(self, service: str, operation: str, *answers: Answer) -> None:
        """Sets the answers of an operation, given in turn; the last one stays.

        Raises:
            BrokenError: the model does not allow such an answer.
        """
        shape = _model(service).operation_model(operation).output_shape
        for one in answers:
            if isinstance(one, dict):
                wire.check(shape, wire.moments(shape, one), f"{service}.{operation} answer")
        self._answers[service, operation] = list(answers)

    def asked(self, service: str, operation: str) -> list[dict[str, Any]]:
        """The parameters of each request for an operation."""
        return [one.parameters for one in self.seen if (one.service, one.operation) == (service, operation)]

    @contextlib.contextmanager
    def environment(
        self, folder: Path, *, config: str = "", credentials: str | None = None, **more: str
    ) -> Iterator[None]:
        """The AWS settings of this test alone: nothing of the machine's, no metadata service, and all leads here.

        Args:
            folder: for the files of the AWS configuration.
            config: the config file.
            credentials: the credentials file; None for a default profile that has some.
            more: further variables.
        """
        if credentials is None:
            credentials = f"[default]\naws_access_key_id = {KEY}\naws_secret_access_key = s\n"
        (folder / "aws-config").write_text(config)
        (folder / "aws-credentials").write_text(credentials)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        ours = {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CONFIG_FILE": str(folder / "aws-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "aws-credentials"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        sessions.forget()
        with patch.dict(os.environ, {**kept, **ours, **more}, clear=True):
            yield
        sessions.forget()

    def respond(self, method: str, target: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.requests += 1
        time.sleep(self.delay_s)
        parts = urlsplit(target)
        model, region, key = _signed(headers.get("Authorization", ""))
        if model is None:
            return wire.refusal(None, "MissingAuthenticationToken", "not signed for a service that is listed", 403)
        try:
            operation, labels = wire.operation_of(model, method, parts.path, headers, body)
            given = wire.parameters(model, operation, parts.query, labels, headers, body)
            shape = operation.input_shape
            given = wire.moments(shape, given)
            wire.check(shape, given, f"{model.service_name}.{operation.name} request")
        except wire.BrokenError as error:
            self.broken.append(str(error))
            return wire.refusal(model, "ValidationException", str(error), 400)
        agent = headers.get("User-Agent", "")
        self.seen.append(Seen(model.service_name, operation.name, given, region, key, agent))
        return self._answered(model, operation, given)

    def _answered(self, model: Any, operation: Any, given: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        answers = self._answers.get((model.service_name, operation.name))
        if answers is None:
            return wire.refusal(model, "NotImplementedByTest", f"no answer for {operation.name}", 501)
        one = answers.pop(0) if len(answers) > 1 else answers[0]
        found = one(given) if callable(one) else one
        if isinstance(found, Refusal):
            return wire.refusal(model, found.code, found.message, found.status)
        shape = operation.output_shape
        value = wire.moments(shape, found)
        try:
            wire.check(shape, value, f"{model.service_name}.{operation.name} answer")
        except wire.BrokenError as error:
            self.broken.append(str(error))
            return wire.refusal(model, "BrokenByTest", str(error), 500)
        return wire.answer(model, operation, value)


@cache
def _models() -> Any:
    return botocore.session.get_session()


@cache
def _model(service: str) -> Any:
    return _models().get_service_model(service)


@cache
def _by_signature() -> dict[str, str]:
    """Services by the name that requests are signed for."""
    return {
        _model(service).signing_name: service
        for service in sorted({*READS, *CREDENTIALS} - {"sso", "sso-oidc", "signin"})
    }


def _signed(authorization: str) -> tuple[Any, str, str]:
    """The service, the region and the key that a request is signed for and with."""
    scope = re.search(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/", authorization)
    if scope is None or scope.group(3) not in _by_signature():
        return None, "", ""
    return _model(_by_signature()[scope.group(3)]), scope.group(2), scope.group(1)


@contextlib.contextmanager
def fake_aws() -> Iterator[FakeAws]:
    """One that is up for as long as the block."""
    aws = FakeAws()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, content = aws.respond(self.command, self.path, self.headers, body)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_any  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    aws.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield aws
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
