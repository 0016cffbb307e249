"""However an attempt ends, its end is recorded: at once, in bounded words, with a bounded wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agentapp import clock as our_clock
from agentapp.models import Attempt, Effect, History, Job
from agentapp.policies import bounds, storable
from agentapp.runtime import failing
from agentapp.services.principals import Principal
from tests.agents import odd
from tests.harness import run_workflow

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]
RETRIED = {"memory", "far", "infinite", "not a number", "epoch", "no wait"}
SHORTEST = timedelta(seconds=failing.SHORTEST_WAIT_S)
LONGEST = timedelta(seconds=bounds.LONGEST_RETRY_AFTER_S * 1.1 + 60)


@pytest.mark.parametrize("way", odd.WAYS)
def test_every_end_of_a_body_is_recorded(principal: Principal, way: str) -> None:
    workflow = run_workflow(principal, "odd", {"way": way})

    job = Job.objects.get(workflow=workflow)
    assert (job.state, job.attempt) == ("retryable" if way in RETRIED else "dead_lettered", 1), job.error
    attempt = Attempt.objects.get(job=job)
    assert attempt.outcome == "failed"
    assert attempt.error_class
    assert 0 < len(attempt.error_message) <= storable.LONGEST_MESSAGE
    if job.scheduled_at is not None:
        assert job.scheduled_at < our_clock.now() + LONGEST


@pytest.mark.parametrize("way", odd.WAITS)
def test_a_wait_that_uses_up_no_attempt_is_bounded(principal: Principal, way: str) -> None:
    """Recorded at once, neither forever nor due at once."""
    began = our_clock.now()
    workflow = run_workflow(principal, "odd", {"way": way})

    job = Job.objects.get(workflow=workflow)
    assert (job.state, job.attempt) == ("retryable", 0), job.error
    assert Attempt.objects.get(job=job).error_class != "Unrecordable"
    assert job.scheduled_at is not None
    assert began + SHORTEST <= job.scheduled_at < our_clock.now() + LONGEST


def test_a_retry_after_that_is_not_believed_is_noted(principal: Principal) -> None:
    workflow = run_workflow(principal, "odd", {"way": "epoch"})

    job = Job.objects.get(workflow=workflow)
    assert job.error is not None
    assert "1790000000" in job.error["message"]
    assert "3600" in job.error["message"]


def test_a_long_message_is_stored_once(principal: Principal) -> None:
    workflow = run_workflow(principal, "odd", {"way": "endless"})

    rows = [repr(row) for row in History.objects.filter(workflow_id=workflow.pk).values()]
    assert sum(map(len, rows)) < 2 * storable.LONGEST_MESSAGE + 5_000
    assert (
        max(len(str(row.reason)) for row in History.objects.filter(workflow_id=workflow.pk)) <= storable.LONGEST_REASON
    )


@pytest.mark.parametrize("way", odd.ANSWERS)
def test_whatever_a_provider_answers_its_effect_is_confirmed(principal: Principal, way: str) -> None:
    workflow = run_workflow(principal, "odd_effect", {"way": way})

    assert Job.objects.get(workflow=workflow).state == "completed"
    effect: Any = Effect.objects.get(workflow_id=workflow.pk)
    assert effect.state == "confirmed"
    assert effect.response


def test_an_output_that_cannot_be_kept_says_where(principal: Principal) -> None:
    workflow = run_workflow(principal, "odd", {"way": "output nul"})

    job = Job.objects.get(workflow=workflow)
    assert job.error is not None
    assert "text: Take out the character NUL" in job.error["message"]
