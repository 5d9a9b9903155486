"""OpenTelemetry: a span and metrics for every tool call, sent where the standard `OTEL_*` variables say.

`serve` calls `start` once. The MCP SDK opens a span for every message; this adds to it what the call cost, and keeps
the metrics. Without an endpoint in the environment, nothing is sent and no OpenTelemetry SDK is imported. Names follow
OpenTelemetry's conventions for MCP and generative AI where these have one. Must never put into a span or a metric what
came out of a cluster, or what a caller wrote: tool, outcome, the configured name of the cluster, and numbers.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firstmate.calls import CallRecord
from firstmate_tools.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider

SIGNALS = ("TRACES", "METRICS")
UNKNOWN = "_OTHER"
"""The tool of a call that names none of ours, by OpenTelemetry's convention for values that nobody listed."""
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What is told of calls.

    Attributes:
        call: an observer of calls.
        sent: told the name of a tool and the tokens of its answer, when it has left.
        close: sends what is left; may wait for the collector.
    """

    call: Callable[[CallRecord], None]
    sent: Callable[[str, int], None]
    close: Callable[[], None]


def wanted() -> bool:
    """Whether the environment names a place to send to, and does not switch OpenTelemetry off."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    names = ["OTEL_EXPORTER_OTLP_ENDPOINT", *(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT" for signal in SIGNALS)]
    return any(os.environ.get(name) for name in names)


def start(tools: frozenset[str], version: str) -> Telemetry | None:
    """Begins to send spans and metrics by OTLP over HTTP, where the environment wants it.

    Args:
        tools: names that may stand in metrics; others become one.
        version: of firstmate.

    Raises:
        ConfigurationError: it is wanted, but the extra is not installed.
    """
    if not wanted():
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigurationError(
            "The environment names an OpenTelemetry endpoint (OTEL_EXPORTER_OTLP_…), but what sends is not installed.",
            "Install firstmate[otel], or set OTEL_SDK_DISABLED=true.",
        ) from error
    from opentelemetry import trace

    resource = Resource.create({"service.name": "firstmate", "service.version": version})
    spans = TracerProvider(resource=resource)
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(spans)
    metrics = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], resource=resource)

    def close() -> None:
        spans.shutdown()
        metrics.shutdown()

    return over(metrics, tools, close)


def over(provider: "MeterProvider", tools: frozenset[str], close: Callable[[], None]) -> Telemetry:
    """What is told of calls, into the metrics of this provider and the span of the moment.

    Args:
        provider: of meters.
        tools: see `start`.
        close: see `Telemetry`.
    """
    from opentelemetry.trace import get_current_span

    meter = provider.get_meter("firstmate")
    duration = meter.create_histogram(
        "firstmate.tool.duration", "s", "Time of a tool call", explicit_bucket_boundaries_advisory=_SECONDS
    )
    requests = meter.create_counter("firstmate.tool.requests", "{request}", "Requests to API servers")
    received = meter.create_counter("firstmate.tool.received", "By", "Bytes from API servers, compressed")
    tokens = meter.create_counter("firstmate.tool.tokens", "{token}", "Tokens of answers; a token is 4 characters")

    def call(record: CallRecord) -> None:
        name = record.tool if record.tool in tools else UNKNOWN
        about = {"gen_ai.tool.name": name, "outcome": record.outcome}
        if record.cluster is not None:
            about["cluster"] = record.cluster
        duration.record(record.seconds, about)
        requests.add(record.requests, about)
        received.add(record.bytes, about)
        cost = {"firstmate.requests": record.requests, "firstmate.received": record.bytes}
        get_current_span().set_attributes({**{f"firstmate.{k}": v for k, v in about.items() if "." not in k}, **cost})

    def sent(tool: str, count: int) -> None:
        tokens.add(count, {"gen_ai.tool.name": tool if tool in tools else UNKNOWN})
        get_current_span().set_attribute("firstmate.tokens", count)

    return Telemetry(call, sent, close)
