"""Spans by OpenTelemetry, the optional extra `otel`. Sampler, headers and name of the service are those of its own
variables, such as OTEL_TRACES_SAMPLER."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime

from opentelemetry import context, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from agentapp import redaction
from agentapp.observability.tracing import Attributes, Span, Value

_KINDS = {
    "internal": SpanKind.INTERNAL, "server": SpanKind.SERVER, "client": SpanKind.CLIENT, "consumer": SpanKind.CONSUMER,
}  # fmt: skip
_W3C = TraceContextTextMapPropagator()
# A collector that is away must not keep a process from its end.
FLUSH_MS = 2_000


class OpenSpan:
    def __init__(self, span: trace.Span) -> None:
        self._span = span
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, trace.set_span_in_context(span))
        self.traceparent = carrier.get("traceparent", "")

    def set(self, attributes: Attributes) -> None:
        self._span.set_attributes({name: _clean(value) for name, value in attributes.items()})

    def failed(self, error: BaseException) -> None:
        self._span.set_attribute("error.type", type(error).__name__)
        self._span.set_status(Status(StatusCode.ERROR))


class Tracer:
    """Makes spans that a processor exports."""

    def __init__(self, processor: SpanProcessor, *, process: str) -> None:
        resource = Resource.create({"service.name": "agentapp", "agentapp.process": process})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("agentapp")

    @contextmanager
    def span(
        self, name: str, *, kind: str, attributes: Attributes, parent: str, links: Sequence[str]
    ) -> Iterator[Span]:
        around = _context(parent) if parent else None
        linked = [Link(trace.get_current_span(_context(each)).get_span_context()) for each in links]
        with self._tracer.start_as_current_span(
            redaction.redacted(name), context=around, kind=_KINDS[kind], links=linked, record_exception=False,
            set_status_on_exception=False,
        ) as started:  # fmt: skip
            opened = OpenSpan(started)
            opened.set(attributes)
            with _told_to(opened):
                yield opened

    def past(self, name: str, *, attributes: Attributes, parent: str, since: datetime, until: datetime) -> None:
        span = self._tracer.start_span(redaction.redacted(name), context=_context(parent), start_time=_ns(since))
        OpenSpan(span).set(attributes)
        span.end(_ns(until))

    def current(self) -> str:
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return carrier.get("traceparent", "")

    def flush(self) -> None:
        self._provider.force_flush(FLUSH_MS)


def _told_to(span: OpenSpan) -> ExitStack:
    """What leaves the block marks the span, and goes on."""

    def leaves(kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if error is not None:
            span.failed(error)
        return False

    stack = ExitStack()
    stack.push(leaves)
    return stack


def to_collector(url: str, *, process: str) -> Tracer:
    """Send spans in batches, from a thread of its own; where the collector is away they are dropped."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return Tracer(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)), process=process)


def _context(traceparent: str) -> context.Context:
    return _W3C.extract({"traceparent": traceparent}, context.Context())


def _ns(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1_000


def _clean(value: Value) -> Value:
    return redaction.redacted(value) if isinstance(value, str) else value
