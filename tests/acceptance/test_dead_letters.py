"""Failures of a model provider: a dead letter that is fixed and replayed, a retry that keeps the provider's wish."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.acceptance.deployment import Deployment
from tests.acceptance.test_flower import QUESTION

pytestmark = pytest.mark.acceptance

# In the prompt of classify_ticket, in whatever form it asks for an answer: a refused form is followed by another.
TICKET = "You sort the tickets of a support desk"


def test_a_refused_request_is_a_dead_letter_that_a_replay_completes(deployment: Deployment) -> None:
    deployment.fail("status", status=400, times=None, match={"contains": TICKET})
    task = deployment.submit("support_reply", **QUESTION)

    waits = deployment.reach(task, "needs_attention")
    letters = deployment.ask("GET", "/dead-letters?type=classify_ticket", key="approver_api_key").json()["results"]
    (letter,) = [item for item in letters if item["task"] == task]
    assert (letter["task"], letter["type"], letter["attempt"]) == (task, "classify_ticket", 1)
    assert (letter["error"]["class"], letter["error"]["kind"]) == ("ModelRefused", "permanent")
    assert waits["blocked_by"][0] | {"type": "dead_letter"} == waits["blocked_by"][0]

    deployment.reset()
    answer = deployment.ask("POST", f"/dead-letters/{letter['id']}/replay", {}, key="approver_api_key")
    assert answer.status_code == 200, answer.text
    deployment.reach(task, "awaiting_approval")
    deployment.approve(task)
    deployment.reach(task, "completed")
    outcomes = [attempt["outcome"] for attempt in deployment.job(task, "classify_ticket")["attempts"]]
    assert outcomes == ["failed", "completed"]


def test_a_retry_waits_as_long_as_the_provider_asks(deployment: Deployment) -> None:
    deployment.fail("status", status=429, retry_after_s=300, match={"contains": TICKET})
    task = deployment.submit("support_reply", **QUESTION)

    job = deployment.reach_job(task, "classify_ticket", "retryable")
    failed_at, due_at = (datetime.fromisoformat(moment) for moment in (
        job["attempts"][0]["finished_at"], job["scheduled_at"]
    ))  # fmt: skip
    # The wish, and up to a tenth of it as jitter. Our own table would say ten seconds.
    assert timedelta(seconds=300) <= due_at - failed_at <= timedelta(seconds=331)
    assert job["attempts"][0]["error"]["class"] == "RateLimited"
    assert [reason["type"] for reason in deployment.task(task)["blocked_by"]] == ["retry"]
    cancelled = deployment.ask("POST", f"/tasks/{task}/cancel", {"reason": "it is not due today"})
    assert cancelled.json()["state"] == "cancelled"
