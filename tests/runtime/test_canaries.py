"""Secrets are nowhere, whatever a body does with them; and without the redaction they would be found. [B3]"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import cast

import pytest
import redis
from django.conf import settings
from django.db import connection
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agentapp import redaction
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Artifact, Workflow
from agentapp.observability import otel, tracing
from agentapp.observability.log_handler import RedactingHandler
from agentapp.runtime.preview import Preview
from agentapp.services import dead_letters
from agentapp.services.principals import Principal
from config import known_secrets
from tests import canaries
from tests.agents import leaking
from tests.harness import run_workflow

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log, as a process of the deployment writes it. The secrets are in the environment, and this process knows
    them."""
    monkeypatch.setattr(redaction, "_values", {})
    monkeypatch.setattr(redaction, "_forms", ())
    for name, value in leaking.CANARIES.items():
        monkeypatch.setenv(name, value)
    redaction.learn(*known_secrets.values(leaking.CANARIES, more=(settings.SECRET_KEY, settings.BROKER_URL)))
    handler = RedactingHandler(io.StringIO())
    logging.getLogger().addHandler(handler)
    yield handler.stream
    logging.getLogger().removeHandler(handler)


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """What this process would send to a collector of traces."""
    exporter = InMemorySpanExporter()
    tracing.install("test", otel.Tracer(SimpleSpanProcessor(exporter), process="test"))
    yield exporter
    tracing.install("test")


def places(task: Workflow, broker: redis.Redis, log: io.StringIO) -> dict[str, str]:
    with connection.cursor() as cursor:
        rows = canaries.of_rows(cursor)
    artifacts = [artifact.file.open("rb").read().decode() for artifact in Artifact.objects.all()]
    previews = " ".join(canaries.of_broker(broker).values())
    return {**rows, "artifacts": " ".join(artifacts), "log": log.getvalue(), "broker": previews}


def leaked(principal: Principal) -> Workflow:
    task = run_workflow(principal, "leaking")
    assert task.state == "needs_attention", "all of its bodies have run"
    return task


def test_no_secret_is_written_anywhere(principal: Principal, broker: redis.Redis, lines: io.StringIO) -> None:
    task = leaked(principal)

    found = places(task, broker, lines)

    assert len(leaking.held()) >= 3
    assert canaries.hits(found, leaking.held()) == set()
    marked = {place for place, text in found.items() if redaction.MARK in text}
    assert {"agentapp_job", "agentapp_attempt", "agentapp_effect", "artifacts", "log"} <= marked
    # What people and clients are shown is read from these rows.
    (letter,) = dead_letters.listing(principal)
    assert redaction.MARK in str(letter.error)


def test_no_span_has_a_secret_nor_what_a_client_sent(
    principal: Principal, lines: io.StringIO, spans: InMemorySpanExporter
) -> None:
    leaked(principal)
    with tracing.span(leaking.held()[0], {"agentapp.said": leaking.held()[1]}):
        pass

    found = {str(number): span.to_json() for number, span in enumerate(spans.get_finished_spans())}

    assert len([text for text in found.values() if '"name": "job leak_' in text]) == 3
    assert canaries.hits(found, leaking.held()) == set()


def test_a_preview_shows_no_secret_that_comes_in_pieces(principal: Principal, lines: io.StringIO) -> None:
    task = run_workflow(principal, "leaking")
    shown = Preview(cast("Claimed", task.jobs.first()))
    for secret in leaking.held():
        for piece in (secret[:7], secret[7:], " "):
            shown.write(piece)
    shown.end(is_whole=True)

    assert shown._text.decode().split() == [redaction.MARK] * len(leaking.held())


def test_without_the_redaction_they_are_found(
    principal: Principal, broker: redis.Redis, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redaction, "_forms", ())
    task = leaked(principal)

    found = canaries.hits(places(task, broker, lines), leaking.held())

    assert {"agentapp_job", "agentapp_attempt", "agentapp_effect", "artifacts", "log"} <= found
