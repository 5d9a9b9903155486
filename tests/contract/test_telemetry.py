"""Telemetry: what is measured of a call, and that nothing of a cluster or a caller's own words stands in it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import anyio
import pytest
from contract.server_doubles import Clusters, record_shop, shop
from google.protobuf.json_format import MessageToDict
from mcp import Client, StdioServerParameters
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from firstmate import telemetry
from firstmate.calls import Calls
from firstmate.catalogue import all_tools
from firstmate_tools.errors import ConfigurationError, FirstmateError

NAMES = frozenset(spec.name for spec in all_tools())


def points(reader: InMemoryMetricReader) -> dict[str, list[dict[str, Any]]]:
    """The data points of each metric."""
    told = json.loads(reader.get_metrics_data().to_json())  # type: ignore[union-attr]
    every = told["resource_metrics"][0]["scope_metrics"][0]["metrics"]
    return {metric["name"]: metric["data"]["data_points"] for metric in every}


def measured(*calls: tuple[str, dict[str, object]]) -> dict[str, list[dict[str, Any]]]:
    reader = InMemoryMetricReader()
    told = telemetry.over(MeterProvider([reader]), NAMES, lambda: None)

    async def ask() -> None:
        over = Calls(Clusters(prod=shop()), all_tools(), [told.call])
        for name, arguments in calls:
            try:
                await over.call(name, arguments)
            except FirstmateError:
                continue

    anyio.run(ask)
    told.sent("pod_status", 120)
    return points(reader)


def test_duration_requests_and_tokens_are_measured_by_tool_and_outcome() -> None:
    found = measured(("pod_status", {"namespace": "shop"}), ("pod_status", {"namespace": "shop"}), ("diagnose", {}))
    calls = {
        (p["attributes"]["gen_ai.tool.name"], p["attributes"]["outcome"]): p for p in found["firstmate.tool.duration"]
    }
    assert {key: p["count"] for key, p in calls.items()} == {
        ("pod_status", "ok"): 2,
        ("diagnose", "problems_found"): 1,
    }
    assert all(p["attributes"]["cluster"] == "prod" for p in calls.values())
    assert all(p["value"] > 0 for p in found["firstmate.tool.requests"])
    assert found["firstmate.tool.tokens"][0]["value"] == 120


def test_names_that_callers_make_up_do_not_become_series() -> None:
    found = measured(("evil_tool_1", {}), ("evil_tool_2", {}), ("pod_status", {"cluster": "made-up"}))
    told = json.dumps(found)
    assert "evil" not in told
    assert "made-up" not in told
    assert {p["attributes"]["gen_ai.tool.name"] for p in found["firstmate.tool.duration"]} == {"_OTHER", "pod_status"}


def test_nothing_is_imported_or_sent_where_no_endpoint_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    assert telemetry.start(NAMES, "1") is None
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert telemetry.start(NAMES, "1") is None


def test_a_missing_extra_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.metrics", None)
    with pytest.raises(ConfigurationError, match="is not installed") as caught:
        telemetry.start(NAMES, "1")
    assert "firstmate[otel]" in caught.value.hint


class Collector(BaseHTTPRequestHandler):
    """Takes what an OpenTelemetry SDK sends by HTTP."""

    heard: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        import gzip

        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.heard.append(
            (self.path, gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        )
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[str]:
    Collector.heard.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_served_call_reaches_a_collector_without_a_word_of_the_cluster(collector: str, tmp_path: Path) -> None:
    arguments = ["-m", "firstmate", "serve", "--snapshot", str(record_shop(tmp_path))]
    process = StdioServerParameters(
        command=sys.executable, args=arguments, env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": collector}
    )

    async def ask() -> None:
        async with Client(process) as client:
            answer = await client.call_tool("diagnose", {"namespace": "shop"})
            assert "cart" in answer.content[0].text
            await client.call_tool("pod_status", {"namespace": "no-such-place"})

    anyio.run(ask)
    spans, metrics = ExportTraceServiceRequest(), ExportMetricsServiceRequest()
    for path, body in Collector.heard:
        (spans if path.endswith("traces") else metrics).MergeFromString(body)
    told = [span for r in spans.resource_spans for scope in r.scope_spans for span in scope.spans]
    calls = {span.name: {a.key: MessageToDict(a.value) for a in span.attributes} for span in told}
    assert calls["tools/call diagnose"]["firstmate.outcome"] == {"stringValue": "problems_found"}
    assert int(calls["tools/call diagnose"]["firstmate.tokens"]["intValue"]) > 100
    names = {m.name for r in metrics.resource_metrics for scope in r.scope_metrics for m in scope.metrics}
    assert {"firstmate.tool.duration", "firstmate.tool.requests", "firstmate.tool.tokens"} <= names
    everything = str(spans) + str(metrics)
    for word in ("cart", "registry.shop.example", "no-such-place", "ImagePullBackOff"):
        assert word not in everything


def test_serving_without_an_endpoint_imports_no_sdk(tmp_path: Path) -> None:
    script = (
        "import sys; from firstmate.cli.serve import _built; from firstmate.settings import load;"
        "_built(load(snapshot='demo'), http=False);"
        "print([m for m in sys.modules if m.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout.strip() == "[]"
