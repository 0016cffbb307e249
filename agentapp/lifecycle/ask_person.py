"""running -> retryable, by a body that asks a person; approval: -> pending"""

from __future__ import annotations

from typing import Any

from agentapp.errors import LostLease
from agentapp.lifecycle import database
from agentapp.lifecycle.opened import Claimed, Opened, Settled
from agentapp.lifecycle.requests import SettleRequest
from agentapp.policies import storable
from agentapp.states import AttemptOutcome, JobState


def ask_person(job: Claimed, question: dict[str, Any], *, worker: str, usage: dict[str, Any] | None = None) -> Settled:
    """End an attempt that asks a person: the question and the wait of the job are one commit. The attempt does not
    count. `question` is {"key", "content", "content_sha256", "summary", "risk", "sources", "evaluation",
    "expires_in_s"}; where the same is asked already, the job waits for that.

    Raises:
        LostLease: the job is somebody else's, and nothing was asked.
    """
    request = SettleRequest(
        workflow=str(job.workflow_id), job=str(job.id), token=str(job.token), state=JobState.RETRYABLE.value,
        outcome=AttemptOutcome.HANDED_BACK.value, asks=True, **(usage or {}),
        # A history is shown to who may not see payloads: the key says which question, and not what is asked.
        reason=storable.text(f"asks a person: {question['key']}", most=storable.LONGEST_REASON),
    )  # fmt: skip
    answer = database.call("ask_person", ending=vars(request), question=question, actor=worker)
    if answer["status"] == "lost":
        raise LostLease(f"{job.type} {job.id}: attempt {job.attempt} of {worker} no longer owns it.")
    return Settled(Opened.of(answer), None, bool(answer.get("awaited")), "")
