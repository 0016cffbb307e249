"""Effects are fenced: by the attempt that sends, and by the number of its send. [D7]"""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.errors import BeingSent, CannotBeSent, EffectUnknown, IllegalMove, NotSentYet, TransientError
from agentapp.lifecycle import database, dead_letters, effects, lose
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Effect, Job, Workflow
from agentapp.runtime.context import JobContext
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.harness import drain, make_due, path
from tests.lifecycle.test_locks import lease_runs_out, take

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "mail:line-of-forks"
REQUEST = {"to": "reader@sample.test"}


def running(principal: Principal) -> Claimed:
    """A job that runs, of a task of its own."""
    workflow = workflows.submit(principal, kind="probe_fan", input={"text": "a", "parts": []})
    claimed = take(Job.objects.get(workflow=workflow, type="probe_first"))
    assert isinstance(claimed, Claimed)
    return claimed


def begin(job: Claimed, asked: effects.Entry | None = None) -> effects.Entry:
    return effects.begin(job, KEY, type="mail", request_sha256="0" * 64, asked=asked)


def next_attempt(job: Claimed) -> Claimed:
    """The lease of an attempt runs out while it hangs, and another one begins."""
    lost(job)
    again = take(Job.objects.get(pk=job.id))
    assert isinstance(again, Claimed)
    return again


def lost(job: Claimed) -> None:
    """The worker of a job dies, and the rescuer ends its attempt."""
    lease_runs_out(Job.objects.get(pk=job.id))
    (row,) = lose.expired()
    assert lose.lose(row, actor="dispatcher") is not None


def state() -> tuple[str, int]:
    effect = Effect.objects.get(key=KEY)
    return effect.state, effect.sends


def test_while_a_sender_holds_its_lease_another_one_waits(principal: Principal) -> None:
    origin, fork = running(principal), running(principal)
    assert begin(origin).status == "begun"

    found = begin(fork)
    assert (found.status, found.until is not None) == ("sending", True)
    assert begin(fork, asked=found).status == "sending", "whatever the provider says, the sender is at it"
    assert state() == ("sent", 1)

    lost(origin)
    left = begin(fork)
    assert left.status == "sent"
    assert (begin(fork, asked=left).status, state()) == ("begun", ("sent", 2))


def test_a_late_attempt_says_nothing_about_a_later_send(principal: Principal) -> None:
    hangs = running(principal)
    first = begin(hangs)
    second = next_attempt(hangs)
    sent = begin(second, asked=begin(second))
    assert (sent.status, sent.sends) == ("begun", 2)

    effects.withdraw(hangs, first)
    assert not effects.mark_unknown(hangs, first)

    assert state() == ("sent", 2)
    effects.withdraw(second, sent)
    assert state() == ("prepared", 2)


def test_what_a_provider_said_about_an_earlier_send_does_not_allow_a_later_one(principal: Principal) -> None:
    one, two, three = running(principal), running(principal), running(principal)
    begin(one)
    lost(one)
    old_news = begin(two)
    begin(three, asked=begin(three))
    lost(three)

    again = begin(two, asked=old_news)

    assert (again.status, again.sends, state()) == ("sent", 2, ("sent", 2))


def test_a_send_of_the_previous_release_counts_as_on_its_way_while_its_job_runs(principal: Principal) -> None:
    old, new = running(principal), running(principal)
    begin(new)
    lost(new)
    # What `agentapp_begin_effect_v1` writes: it knows of no sender.
    Effect.objects.filter(key=KEY).update(state="sent", sends=2, job_id=old.id)

    third = running(principal)
    assert begin(third).status == "sending"
    lost(old)
    assert begin(third).status == "sent"


def test_a_dead_letter_is_not_replayed_as_not_sent_while_its_effect_is_being_sent(principal: Principal) -> None:
    """Origin and fork hold a dead letter of one effect; a person says of both that nothing has arrived."""
    origin, fork = (workflows.submit(principal, kind="probe_fan", input={"text": "a", "parts": []}) for _ in range(2))
    letters = [dead(workflow) for workflow in (origin, fork)]

    dead_letters.replay(letters[0], actor="user:a", effect_happened=False)
    sender = take(letters[0])
    assert isinstance(sender, Claimed)
    assert begin(sender).status == "begun"
    with pytest.raises(IllegalMove, match=f"sending its effect {KEY} right now"):
        dead_letters.replay(letters[1], actor="user:b", effect_happened=False)

    assert state() == ("sent", 2)


def dead(workflow: Workflow) -> Job:
    """The job of a task, as a dead letter that does not know what became of the effect."""
    job = take(Job.objects.get(workflow=workflow, type="probe_first"))
    assert isinstance(job, Claimed)
    entry = begin(job)
    if entry.status == "begun":
        effects.mark_unknown(job, entry)
    answer = database.call("settle", {
        "workflow": str(job.workflow_id), "job": str(job.id), "token": str(job.token), "to": "dead_lettered",
        "outcome": "failed", "actor": "test", "worker": "test", "effects": [], "watched": False, "reason": "in doubt",
        "error": {"class": "EffectUnknown", "kind": "permanent", "message": "in doubt", "effect": str(entry.id)},
    })  # fmt: skip
    assert answer["status"] == "ok"
    return Job.objects.get(pk=job.id)


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (NotSentYet("nobody answers"), "prepared"),
        (CannotBeSent("a comma in the sender"), "prepared"),
        (TransientError("time-out"), "sent"),
        (ConnectionError("reset"), "sent"),
        (EffectUnknown("no answer"), "unknown"),
        (KeyError("a bug"), "sent"),
    ],
)
def test_only_what_is_proven_not_sent_may_be_sent_again(principal: Principal, error: Exception, left: str) -> None:
    job = running(principal)

    with pytest.raises(type(error)):
        JobContext(job).effect(KEY, raising(error), type="mail", request=REQUEST)

    assert state() == (left, 1)


def raising(error: Exception) -> Any:
    def call(effect_id: str) -> dict[str, Any]:
        raise error

    return call


def test_a_transient_failure_is_asked_about_before_the_next_send(principal: Principal) -> None:
    job, calls = running(principal), []
    with pytest.raises(TransientError):
        JobContext(job).effect(KEY, raising(TransientError("cut off")), type="mail", request=REQUEST)
    second = next_attempt(job)

    def ask(effect_id: str) -> dict[str, Any]:
        calls.append(effect_id)
        return {"receipt": "it had arrived"}

    answer = JobContext(second).effect(KEY, raising(AssertionError()), type="mail", request=REQUEST, ask=ask)

    assert (answer, len(calls), state()) == ({"receipt": "it had arrived"}, 1, ("sent", 1))
    with pytest.raises(EffectUnknown):
        JobContext(second).effect(KEY, raising(AssertionError()), type="mail", request=REQUEST)
    assert state() == ("unknown", 1)


def test_a_job_that_waits_for_another_sender_loses_no_attempt(principal: Principal, clock: Any) -> None:
    sender = running(principal)
    key = f"probe:{sender.id}"
    effects.begin(sender, key, type="probe", request_sha256="0" * 64)
    workflow = workflows.submit(principal, kind="probe_same_effect", input={"text": key})

    drain(workflow)
    job = Job.objects.get(workflow=workflow, type="probe_same_effect")
    assert (job.state, job.attempt, (job.error or {})["class"]) == ("retryable", 0, BeingSent.__name__)

    database.call("end_send", {"effect": str(Effect.objects.get(key=key).pk), "sends": 1, "to": "prepared",
                               "token": str(sender.token)})  # fmt: skip
    make_due(clock, 5)
    drain(workflow)
    assert path(job) == "available > running > retryable > available > running > completed"
    assert Effect.objects.get(key=key).state == "confirmed"


@pytest.mark.timeout(60)
def test_a_provider_that_answers_nothing_has_answered(principal: Principal) -> None:
    job = running(principal)
    nothing: Any = None

    assert JobContext(job).effect(KEY, lambda effect_id: nothing, type="mail", request=REQUEST) == {}

    Effect.objects.filter(key=KEY).update(state="confirmed", response=None)
    assert JobContext(job).effect(KEY, raising(AssertionError()), type="mail", request=REQUEST) == {}


def test_the_same_key_twice_in_one_attempt_is_sent_once(principal: Principal) -> None:
    ctx = JobContext(running(principal))
    first = ctx.effect(KEY, lambda effect_id: {"receipt": effect_id}, type="mail", request=REQUEST)

    assert ctx.effect(KEY, raising(AssertionError()), type="mail", request=REQUEST) == first
    assert state() == ("sent", 1)


def test_a_person_knows_nothing_yet_of_a_send_that_began_after_the_death(principal: Principal) -> None:
    """The origin was replayed as not sent, sends and dies; the fork's dead letter is from before that."""
    origin, fork = (workflows.submit(principal, kind="probe_fan", input={"text": "a", "parts": []}) for _ in range(2))
    letters = [dead(workflow) for workflow in (origin, fork)]
    dead_letters.replay(letters[0], actor="user:a", effect_happened=False)
    sender = take(letters[0])
    assert isinstance(sender, Claimed)
    begin(sender)
    lost(sender)

    dead_letters.replay(letters[1], actor="user:b", effect_happened=False)

    assert state() == ("sent", 2)
