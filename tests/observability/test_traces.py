"""One trace from the request through every job, attempt, model, tool and HTTP call to the webhook. [H2]"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pytest_django import Settings
from pythonjsonlogger.json import JsonFormatter

from agentapp import clock as clock_module
from agentapp import redaction
from agentapp.errors import InvalidInput
from agentapp.models import Attempt, Job, Workflow
from agentapp.observability import events, otel, tracing
from agentapp.observability.log_handler import RedactingHandler
from agentapp.observability.tracing import Work
from agentapp.policies import traceparent
from agentapp.services import approvals, forks
from agentapp.services.principals import Principal
from config import log
from tests.admin.conftest import Start
from tests.admin.conftest import start as start
from tests.api.conftest import Api
from tests.api.conftest import api as api
from tests.api.conftest import make_key as make_key
from tests.delivery.receiver import Receiver
from tests.harness import drain, make_due, run_workflow
from tests.offline_model.process import OfflineModel
from tests.tasks.agent_runs import call, script
from tests.tasks.conftest import agent_model as agent_model
from tests.tasks.conftest import model as model
from tests.tasks.conftest import model_process as model_process
from tests.tasks.conftest import outbox as outbox
from tests.tasks.conftest import provider as provider
from tests.tasks.conftest import support_model as support_model
from tests.webhooks.conftest import loopback_is_allowed as loopback_is_allowed
from tests.webhooks.conftest import well as well
from tests.webhooks.world import deliver, endpoint

pytestmark = pytest.mark.django_db

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GIVEN = f"00-{TRACE}-{SPAN}-01"
SAID = "What is two and three"


class Spans:
    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self._exporter = exporter

    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all() if span.name == name]


@pytest.fixture
def spans() -> Iterator[Spans]:
    """What this process sends to a collector that keeps it in memory."""
    exporter = InMemorySpanExporter()
    tracing.install("test", otel.Tracer(SimpleSpanProcessor(exporter), process="test"))
    yield Spans(exporter)
    tracing.install("test")


def trace_of(span: ReadableSpan) -> str:
    return f"{span.context.trace_id:032x}"


def parent_of(span: ReadableSpan) -> str:
    return f"{span.parent.span_id:016x}" if span.parent else ""


def id_of(span: ReadableSpan) -> str:
    return f"{span.context.span_id:016x}"


def told(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_everything_of_a_task_is_one_trace_whose_parent_its_client_named(
    api: Api, principal: Principal, support_model: OfflineModel, well: Receiver, spans: Spans,
    clock: clock_module.Clock,
) -> None:  # fmt: skip
    endpoint(principal, well)
    support_model.fail("status", status=503, times=1)
    asked = {"kind": "agent", "input": {"instruction": SAID + script([call("calculate", expression="2 + 3")], "Five.")}}
    api.headers["traceparent"] = GIVEN
    task = Workflow.objects.get(pk=api.post("/tasks", asked).json()["id"])
    drain(task)
    make_due(clock, 60)
    drain(task)
    task.refresh_from_db()
    assert task.state == "completed", task.error
    deliver()

    found = spans.all()
    assert {trace_of(span) for span in found} == {TRACE}
    (posted,) = spans.named("POST /tasks")
    assert parent_of(posted) == SPAN and told(posted)["agentapp.task.id"] == str(task.pk)
    # Each attempt of each job has its span below that of the request; the first of the first failed.
    jobs = [span for span in found if span.name.startswith("job ")]
    attempts = Attempt.objects.exclude(job__workflow__origin="webhook").values_list("job_id", "number")
    seen = {(told(span)["agentapp.job.id"], told(span)["agentapp.job.attempt"]) for span in jobs}
    assert {(str(job), number) for job, number in attempts} <= seen
    assert {told(span)["agentapp.job.id"] for span in jobs} == {
        str(job) for job in Job.objects.exclude(attempt=0).values_list("pk", flat=True)
    }
    of_task = [span for span in jobs if told(span)["agentapp.task.id"] == str(task.pk)]
    assert {parent_of(span) for span in of_task} == {id_of(posted)}
    failed = [told(span)["agentapp.job.attempt"] for span in of_task if "error.type" in told(span)]
    assert failed == [1]
    ids = {id_of(span): span.name for span in found}
    calls = [span for span in found if span.name.startswith("chat ")]
    assert [ids[parent_of(span)] for span in calls] == ["job agent_turn"] * 3
    assert told(calls[-1])["gen_ai.usage.output_tokens"] > 0 and told(calls[0])["error.type"]
    (tool,) = spans.named("execute_tool calculate")
    assert (ids[parent_of(tool)], told(tool)["gen_ai.tool.name"]) == ("job run_tool", "calculate")
    posts = spans.named("POST")
    assert {ids[parent_of(span)] for span in posts} == {"job deliver_webhook"}
    # The receiver may hang its own spans below.
    sent = [request.headers["traceparent"].split("-") for request in well.requests]
    assert sent and {(trace, ids[span]) for _, trace, span, _ in sent} == {(TRACE, "job deliver_webhook")}
    shown = json.dumps([told(span) for span in found])
    assert not any(text in shown for text in (SAID, "2 + 3", "Five", "/hooks"))


def test_a_task_without_a_client_s_trace_has_one_of_its_own_which_later_tasks_link_to(
    principal: Principal, spans: Spans
) -> None:
    task = run_workflow(principal, "probe_fan", {"parts": [1]})
    own = traceparent.of_task(task.pk)
    assert {trace_of(span) for span in spans.all()} == {task.pk.hex} == {traceparent.trace_id(own)}

    fork = forks.fork(principal, task.pk, from_stage="probe_first")
    drain(fork)

    later = [span for span in spans.all() if trace_of(span) == fork.pk.hex]
    assert len(later) == Job.objects.filter(workflow=fork, state="completed").count() > 1
    assert {link.context.trace_id for span in later for link in span.links} == {task.pk.int}


def test_the_wait_for_a_person_is_a_span_of_the_task_until_it_is_decided(
    start: Start, principal: Principal, spans: Spans, clock: clock_module.Clock
) -> None:
    run = start()
    approval = run.approvals.get()
    clock.advance(3 * 86_400)
    shown = approval.content_sha256
    with pytest.raises(InvalidInput):
        approvals.decide(principal, approval.pk, decision="reject", content_sha256=shown)
    assert not spans.named("approval")
    approvals.decide(principal, approval.pk, decision="approve", content_sha256=shown)
    drain(run)

    (waited,) = spans.named("approval")
    assert waited.end_time and waited.start_time and waited.end_time - waited.start_time == 3 * 86_400 * 10**9
    assert (told(waited)["agentapp.approval.id"], told(waited)["agentapp.approval.state"]) == (
        str(approval.pk), "approved"
    )  # fmt: skip
    (sent,) = spans.named("job sample_send")
    assert (trace_of(waited), parent_of(waited)) == (trace_of(sent), parent_of(sent)) and parent_of(sent)

    fork = forks.fork(principal, run.pk, from_stage="sample_draft")
    drain(fork)
    asked = fork.approvals.get()
    approvals.decide(principal, asked.pk, decision="reject", content_sha256=asked.content_sha256, reason="No.")
    assert [trace_of(span) for span in spans.named("approval")] == [run.pk.hex, fork.pk.hex]
    assert {link.context.trace_id for span in spans.named("job sample_draft")[1:] for link in span.links} == {
        run.pk.int
    }


def test_without_a_collector_a_client_s_trace_goes_on_to_its_receivers_and_no_other(
    api: Api, principal: Principal, well: Receiver
) -> None:
    endpoint(principal, well)
    for headers in ({"traceparent": GIVEN}, {}):
        api.headers = {key: value for key, value in api.headers.items() if key != "traceparent"} | headers
        drain(Workflow.objects.get(pk=api.post("/tasks", {"kind": "probe_fan", "input": {"parts": [1]}}).json()["id"]))
    deliver()

    ours = {request.headers.get("traceparent", "")[3:35] for request in well.requests}
    assert TRACE in ours and len(ours) == 2
    assert tracing.span("nothing").__enter__() is tracing.NOTHING


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (GIVEN, GIVEN),
        (f" {GIVEN} ", GIVEN),
        (f"01-{TRACE}-{SPAN}-00-more", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-01-more", ""),
        (f"ff-{TRACE}-{SPAN}-01", ""),
        (f"00-{'0' * 32}-{SPAN}-01", ""),
        (f"00-{TRACE}-{'0' * 16}-01", ""),
        (GIVEN.upper(), ""),
        ("", ""),
        ("00-'; DROP TABLE", ""),
        ("0" * 5000, ""),
    ],
)
def test_a_context_that_cannot_be_used_is_left_out(header: str, kept: str) -> None:
    assert traceparent.read(header) == kept


def test_logs_name_task_job_attempt_and_trace_and_no_secret() -> None:
    settings = log.configuration(format_name="json", level="INFO")
    handler = RedactingHandler(io.StringIO())
    formatter = settings["formatters"]["json"]
    handler.setFormatter(JsonFormatter(formatter["format"], rename_fields=formatter["rename_fields"]))
    assert settings["filters"]["work"]["()"].endswith("WorkFilter")
    handler.addFilter(tracing.WorkFilter())
    redaction.learn("s3cret-of-a-test-9871")
    logger = logging.getLogger("agentapp")
    logger.addHandler(handler)
    try:
        with tracing.working(Work("t1", "j1", 2, GIVEN, is_passed_on=False), "job x", {}, links=()):
            events.emit("job.retried", level=logging.WARNING, error="s3cret-of-a-test-9871")
        events.emit("job.retried", level=logging.WARNING)
    finally:
        logger.removeHandler(handler)

    within, outside = (json.loads(line) for line in handler.stream.getvalue().splitlines())
    assert {name: within[name] for name in ("task", "job", "attempt", "trace")} == {
        "task": "t1", "job": "j1", "attempt": 2, "trace": TRACE,
    }  # fmt: skip
    assert within["error"] == redaction.MARK and "trace" not in outside


def test_spans_reach_a_collector_over_http(well: Receiver, settings: Settings) -> None:
    settings.AGENTAPP_OTLP_URL = f"{well.url}/v1/traces"
    tracing.install("worker")
    try:
        with tracing.span("work", {"agentapp.queue": "model"}):
            assert tracing.headers()["traceparent"].startswith("00-")
        tracing.flush()
    finally:
        settings.AGENTAPP_OTLP_URL = ""
        tracing.install("test")

    (request,) = well.requests
    assert request.line.startswith("POST ") and "/v1/traces" in request.line
    assert request.headers["content-type"] == "application/x-protobuf"
