"""An attempt in values: each error has one outcome, and what became of an attempt has one word."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from agentapp import errors
from agentapp.models import Job
from agentapp.runtime import handover, outcome
from agentapp.runtime.claiming import PendingClaim
from agentapp.runtime.outcome import End
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.agents import odd as odd  # registers the kind
from tests.harness import be_a_worker

CHANGED = errors.ContentChanged("changed", approval_id=uuid4(), content={}, sha256="")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.LostLease("a"), outcome.Gone),
        (errors.Cancelled("a"), outcome.Gone),
        (errors.HandedBack("a"), outcome.HandedBack),
        (CHANGED, outcome.ContentChanged),
        (errors.AsksPerson("a", question={}), outcome.Asks),
        (errors.Unavailable("a"), outcome.MustWait),
        (errors.BeingSent("a"), outcome.MustWait),
        (errors.TimedOut("a"), outcome.Failed),
        (errors.DatabaseBusy("a"), outcome.Failed),
        (errors.PermanentError("a"), outcome.Failed),
        (SystemExit(), outcome.Failed),
    ],
)
def test_an_error_of_a_body_has_one_outcome(error: BaseException, expected: Any) -> None:
    assert type(outcome.of(error)) is expected


def test_flower_shows_these_words() -> None:
    assert [end.value for end in End] == [
        "completed", "retryable", "dead lettered", "waits: a store was away", "waits: its effect is being sent",
        "waits: the budget of its tenant's day is used up", "waits: the task that it runs is open",
        "waits: its receiver has enough requests", "waits: a person is asked",
        "approval opened again", "handed back",
        "cancelled", "lost lease", "not recorded",
    ]  # fmt: skip


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("way", "word"), [("nul", "dead lettered"), ("epoch", "retryable")])
def test_a_word_is_a_plain_string(principal: Principal, way: str, word: str) -> None:
    """Celery shows the `repr` of what a task returns, and that of an enum's member is another."""
    be_a_worker()
    ran = handover.perform("odd", PendingClaim(str(first_job(principal, "odd", way).pk)), on_step=None)

    assert repr(ran.summary) == repr(ran.word) == repr(word)


def first_job(principal: Principal, kind: str, way: str) -> Job:
    workflow = workflows.submit(principal, kind=kind, input={"way": way})
    return Job.objects.get(workflow=workflow)
