"""Effects are fenced: by the attempt that sends, and by the number of its send. [D7]"""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.clock import Clock
from agentapp.errors import BeingSent, CannotBeSent, EffectUnknown, IllegalMove, NotSentYet, TransientError
from agentapp.lifecycle import database, dead_letters, effects
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Effect, Job
from agentapp.runtime.context import JobContext
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.harness import drain, make_due, path
from tests.lifecycle.effect_moves import (
    KEY,
    LATE_S,
    REQUEST,
    begin,
    dead,
    flight_ends,
    lost,
    next_attempt,
    raising,
    running,
    state,
)
from tests.lifecycle.test_locks import take

pytestmark = pytest.mark.django_db(transaction=True)


def test_while_a_sender_holds_its_lease_another_one_waits(principal: Principal, clock: Clock) -> None:
    origin, fork = running(principal), running(principal)
    assert begin(origin).status == "begun"

    found = begin(fork)
    assert (found.status, found.until is not None) == ("sending", True)
    assert begin(fork, asked=found).status == "sending", "whatever the provider says, the sender is at it"
    assert state() == ("sent", 1)

    lost(origin)
    flight_ends(clock)
    left = begin(fork)
    assert left.status == "sent"
    assert (begin(fork, asked=left).status, state()) == ("begun", ("sent", 2))


def test_a_late_attempt_says_nothing_about_a_later_send(principal: Principal, clock: Clock) -> None:
    hangs = running(principal)
    first = begin(hangs)
    second = next_attempt(hangs)
    flight_ends(clock)
    sent = begin(second, asked=begin(second))
    assert (sent.status, sent.sends) == ("begun", 2)

    assert not effects.mark_unknown(hangs, first)
    effects.withdraw(hangs, first)

    assert state() == ("sent", 2)
    effects.withdraw(second, sent)
    assert state() == ("prepared", 2)


def test_what_a_provider_said_about_an_earlier_send_does_not_allow_a_later_one(
    principal: Principal, clock: Clock
) -> None:
    one, two, three = running(principal), running(principal), running(principal)
    begin(one)
    lost(one)
    flight_ends(clock)
    old_news = begin(two)
    begin(three, asked=begin(three))
    lost(three)
    flight_ends(clock)

    again = begin(two, asked=old_news)

    assert (again.status, again.sends, state()) == ("sent", 2, ("sent", 2))


def test_a_send_of_a_previous_release_counts_as_on_its_way_while_its_job_runs(
    principal: Principal, clock: Clock
) -> None:
    old, new = running(principal), running(principal)
    effects.came_back(new, begin(new))
    # What earlier releases write: the first knew of no sender, and none what has become of a call.
    Effect.objects.filter(key=KEY).update(state="sent", sends=2, job_id=old.id)

    third = running(principal)
    assert begin(third).status == "sending"
    lost(old)
    assert begin(third).status == "in flight"
    flight_ends(clock)
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


def test_a_transient_failure_is_asked_about_before_the_next_send(principal: Principal, clock: Clock) -> None:
    job, calls = running(principal), []
    with pytest.raises(TransientError):
        JobContext(job).effect(KEY, raising(TransientError("cut off")), type="mail", request=REQUEST)
    second = next_attempt(job)

    def ask(effect_id: str) -> dict[str, Any]:
        calls.append(effect_id)
        return {"receipt": "it had arrived"}

    answer = JobContext(second).effect(KEY, raising(AssertionError()), type="mail", request=REQUEST, ask=ask)

    assert (answer, len(calls), state()) == ({"receipt": "it had arrived"}, 1, ("sent", 1))
    clock.advance(LATE_S)
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

    effect = Effect.objects.get(key=key).pk
    database.call("end_send", effect=effect, sends=1, to="prepared", token=sender.token)
    make_due(clock, 5)
    drain(workflow)
    assert path(job) == "available > running > retryable > available > running > completed"
    assert Effect.objects.get(key=key).state == "confirmed"


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


def test_a_person_knows_nothing_yet_of_a_send_that_began_after_the_death(principal: Principal, clock: Clock) -> None:
    """The origin was replayed as not sent, sends and dies; the fork's dead letter is from before that."""
    origin, fork = (workflows.submit(principal, kind="probe_fan", input={"text": "a", "parts": []}) for _ in range(2))
    letters = [dead(workflow) for workflow in (origin, fork)]
    dead_letters.replay(letters[0], actor="user:a", effect_happened=False)
    sender = take(letters[0])
    assert isinstance(sender, Claimed)
    clock.advance(1)
    begin(sender)
    lost(sender)
    not_yet = f"sends its effect {KEY} has not come back and may still do it, until 2030-01-01 12:01:31 UTC"
    with pytest.raises(IllegalMove, match=not_yet):
        dead_letters.replay(letters[1], actor="user:b", effect_happened=False)
    flight_ends(clock)

    dead_letters.replay(letters[1], actor="user:b", effect_happened=False)

    assert state() == ("sent", 2)
