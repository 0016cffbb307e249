"""Spans, and what this thread works on: logs carry its task, job, attempt and trace. [H2]

Spans cost nothing unless AGENTAPP_OTLP_URL names a collector; then agentapp.observability.otel makes them. Attributes
are names, ids and counts: no prompts, payloads, addresses with paths, or messages of errors.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agentapp import conf
from agentapp.policies import traceparent as contexts

Value = str | int | float | bool
Attributes = Mapping[str, Value]


class Span(Protocol):
    """`traceparent` is the context of what hangs below it, empty where nothing is traced."""

    traceparent: str

    def set(self, attributes: Attributes) -> None: ...

    def failed(self, error: BaseException) -> None:
        """Mark it as failed with the class of an error; its message may quote anything."""


class Tracer(Protocol):
    def span(
        self, name: str, *, kind: str, attributes: Attributes, parent: str, links: Sequence[str]
    ) -> AbstractContextManager[Span]: ...

    def past(self, name: str, *, attributes: Attributes, parent: str, since: datetime, until: datetime) -> None: ...

    def current(self) -> str:
        """The context of the span that is open in this thread, empty without one."""

    def flush(self) -> None: ...


class _Nothing:
    traceparent = ""

    def set(self, attributes: Attributes) -> None: ...

    def failed(self, error: BaseException) -> None: ...


@dataclass(frozen=True)
class Work:
    """What a thread works on. `is_passed_on`: others are told of its trace, because the client named it."""

    task: str
    job: str
    attempt: int
    traceparent: str
    is_passed_on: bool


NOTHING = _Nothing()
_work: ContextVar[Work | None] = ContextVar("agentapp_work", default=None)
_tracer: Tracer | None = None


def install(process: str, tracer: Tracer | None = None) -> None:
    """Let this process make spans, by a tracer or as AGENTAPP_OTLP_URL says. In a child of a pool, after the fork."""
    global _tracer
    if tracer is None and conf.otlp_url():
        from agentapp.observability import otel

        tracer = otel.to_collector(conf.otlp_url(), process=process)
    _tracer = tracer


def is_on() -> bool:
    """Whether this process makes spans."""
    return _tracer is not None


def flush() -> None:
    """Send what was not sent yet: this process ends."""
    if _tracer is not None:
        _tracer.flush()


@contextmanager
def span(
    name: str,
    attributes: Attributes | None = None,
    *,
    kind: str = "internal",
    parent: str = "",
    links: Sequence[str] = (),
) -> Iterator[Span]:
    """A span around a block, below the one that is open in this thread, or below `parent`. `kind` is internal, server,
    client or consumer. An error that leaves the block marks it as failed."""
    if _tracer is None:
        yield NOTHING
        return
    with _tracer.span(name, kind=kind, attributes=attributes or {}, parent=parent, links=links) as opened:
        yield opened


def past(name: str, attributes: Attributes, *, parent: str, since: datetime, until: datetime) -> None:
    """A span of what is over, which no thread worked on."""
    if _tracer is not None:
        _tracer.past(name, attributes=attributes, parent=parent, since=since, until=until)


@contextmanager
def working(work: Work, name: str, attributes: Attributes, *, links: Sequence[str]) -> Iterator[Span]:
    """An attempt of a job, in this thread."""
    token = _work.set(work)
    try:
        with span(name, attributes, kind="consumer", parent=work.traceparent, links=links) as opened:
            yield opened
    finally:
        _work.reset(token)


def headers() -> dict[str, str]:
    """What a request to others carries: the open span, or the trace that the client named."""
    if _tracer is not None and (current := _tracer.current()):
        return {"traceparent": current}
    work = _work.get()
    return {"traceparent": work.traceparent} if work is not None and work.is_passed_on else {}


class WorkFilter(logging.Filter):
    """Adds task, job, attempt and trace to each line that is written meanwhile, whichever library writes it."""

    def filter(self, record: logging.LogRecord) -> bool:
        work = _work.get()
        if work is not None:
            known = {"task": work.task, "job": work.job, "attempt": work.attempt}
            for name, value in {**known, "trace": contexts.trace_id(work.traceparent)}.items():
                if not hasattr(record, name):
                    setattr(record, name, value)
        return True
