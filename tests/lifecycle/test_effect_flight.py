"""A send is in doubt until it has ended: answered, proven not sent, or decided by a person. [D7]"""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from agentapp.admin import waits
from agentapp.clock import Clock
from agentapp.errors import BeingSent, EffectUnknown, IllegalMove
from agentapp.ids import uuid7
from agentapp.lifecycle import cancel, dead_letters, effects
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Effect, Job, Workflow
from agentapp.runtime import JobContext
from agentapp.services import reasons, workflows
from agentapp.services.principals import Principal
from tests.harness import drain, path
from tests.lifecycle.effect_moves import (
    KEY,
    LATE_S,
    REQUEST,
    TIMEOUT_S,
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


def test_an_earlier_send_stays_in_doubt_when_a_later_one_proves_that_it_sent_nothing(
    principal: Principal, clock: Clock
) -> None:
    hangs = running(principal)
    first = begin(hangs)
    second = next_attempt(hangs)
    flight_ends(clock)
    effects.withdraw(second, begin(second, asked=begin(second)))
    assert state() == ("sent", 2)

    third = running(principal)
    left = begin(third)
    assert left.status == "sent", "the first send may still arrive, so the provider is asked again"
    assert begin(third, asked=left).sends == 3
    assert Effect.objects.get(key=KEY).unfinished == {"1": str(hangs.token)}

    effects.withdraw(hangs, first)
    effects.withdraw(third, begin(third))
    assert (state(), Effect.objects.get(key=KEY).unfinished) == (("prepared", 3), None)


def test_the_last_of_several_sends_to_be_proven_ends_the_doubt(principal: Principal, clock: Clock) -> None:
    hangs = running(principal)
    first = begin(hangs)
    second = next_attempt(hangs)
    flight_ends(clock)
    effects.withdraw(second, begin(second, asked=begin(second)))

    effects.withdraw(second, first)
    assert state() == ("sent", 2), "the token of another attempt proves nothing"
    effects.withdraw(hangs, first)

    assert state() == ("prepared", 2)
    assert begin(second).status == "begun"


def test_a_sender_that_cannot_be_asked_leaves_the_first_send_to_a_person(principal: Principal, clock: Clock) -> None:
    first = running(principal)
    begin(first)
    lost(first)
    flight_ends(clock)
    second = running(principal)
    effects.withdraw(second, begin(second, asked=begin(second)))

    with pytest.raises(EffectUnknown):
        JobContext(second).effect(KEY, raising(AssertionError()), type="mail", request=REQUEST)

    assert state() == ("unknown", 2)


@pytest.mark.parametrize("end", ["cancelled", "timed out", "lost"])
def test_a_call_that_hangs_is_waited_for_whatever_became_of_its_job(
    principal: Principal, clock: Clock, end: str
) -> None:
    hangs, fork = running(principal), running(principal)
    begin(hangs)
    if end == "cancelled":
        cancel.cancel(hangs.workflow_id, actor="test", reason="enough")
    elif end == "timed out":
        clock.advance(1)
        next_attempt(hangs)
    else:
        lost(hangs)

    asked: list[str] = []

    def send(answer: dict[str, Any] | None) -> dict[str, Any]:
        def ask(effect_id: str) -> dict[str, Any] | None:
            asked.append(effect_id)
            return answer

        return JobContext(fork).effect(KEY, lambda effect_id: {"sent": 2}, type="mail", request=REQUEST, ask=ask)

    with pytest.raises(BeingSent, match="may still arrive") as waits:
        send(None)
    assert (len(asked), waits.value.retry_after_s, state()) == (1, 15, ("sent", 1))

    clock.advance(TIMEOUT_S + LATE_S - 3)
    with pytest.raises(BeingSent) as waits:
        send(None)
    assert 2 <= (waits.value.retry_after_s or 0) <= 3

    clock.advance(5)
    assert send(None) == {"sent": 2}
    assert state() == ("sent", 2)


def test_a_call_that_hangs_and_has_arrived_is_found_at_once(principal: Principal) -> None:
    hangs, fork = running(principal), running(principal)
    begin(hangs)
    lost(hangs)

    answer = JobContext(fork).effect(
        KEY, raising(AssertionError()), type="mail", request=REQUEST, ask=lambda effect_id: {"arrived": True}
    )

    assert answer == {"arrived": True}


def test_an_idempotent_provider_is_called_again_at_once(principal: Principal) -> None:
    hangs, fork = running(principal), running(principal)
    begin(hangs)
    with pytest.raises(BeingSent):
        JobContext(fork).effect(KEY, raising(AssertionError()), type="mail", request=REQUEST, is_idempotent=True)
    lost(hangs)

    answer = JobContext(fork).effect(KEY, lambda id: {"sent": 2}, type="mail", request=REQUEST, is_idempotent=True)

    assert (answer, state()) == ({"sent": 2}, ("sent", 2))


def test_a_call_that_came_back_in_doubt_may_arrive_a_little_later(principal: Principal, clock: Clock) -> None:
    one = running(principal)
    with pytest.raises(ConnectionError):
        JobContext(one).effect(KEY, raising(ConnectionError("reset")), type="mail", request=REQUEST)

    assert begin(one).status == "in flight"
    clock.advance(LATE_S - 1)
    assert begin(one).status == "in flight"
    clock.advance(1)
    assert begin(one).status == "sent"


def test_an_answer_without_an_attempt_is_not_recorded(principal: Principal) -> None:
    one, other = running(principal), running(principal)
    entry = begin(one)
    stranger = Claimed(**(vars(other) | {"token": uuid7()}))

    effects.confirm(stranger, [{"id": str(entry.id), "response": {}}])
    assert state() == ("sent", 1)
    effects.confirm(one, [{"id": str(entry.id), "response": {"late": True}}])
    assert state() == ("confirmed", 1)


def test_a_person_resolves_nothing_that_another_job_is_sending(principal: Principal, clock: Clock) -> None:
    origin, fork = (workflows.submit(principal, kind="probe_fan", input={"text": "a", "parts": []}) for _ in range(2))
    letters = [dead(workflow) for workflow in (origin, fork)]
    clock.advance(1)
    dead_letters.replay(letters[0], actor="user:a", effect_happened=False)
    sender = take(letters[0])
    assert isinstance(sender, Claimed)
    entry = begin(sender)

    with pytest.raises(IllegalMove, match=f"sending its effect {KEY} right now"):
        resolve(letters[1])
    assert (state(), path(letters[1]).endswith("dead_lettered")) == (("sent", 2), True)

    effects.confirm(sender, [{"id": str(entry.id), "response": {"by": "its provider"}}])
    resolve(letters[1])
    assert Effect.objects.get(key=KEY).response == {"by": "its provider"}


def test_a_person_waits_for_a_call_that_may_hang(principal: Principal, clock: Clock) -> None:
    workflow = workflows.submit(principal, kind="probe_fan", input={"text": "a", "parts": []})
    sender = take(Job.objects.get(workflow=workflow, type="probe_first"))
    assert isinstance(sender, Claimed)
    begin(sender)
    lost(sender)
    again = take(Job.objects.get(pk=sender.id))
    assert isinstance(again, Claimed)
    lost(again)
    letter = Job.objects.get(pk=sender.id)
    assert letter.state == "dead_lettered"

    with pytest.raises(IllegalMove, match="has not come back and may still do it, until 2030-01-01 12:01:30 UTC"):
        resolve(letter)
    with pytest.raises(IllegalMove, match="nobody can know whether it has happened"):
        dead_letters.replay(letter, actor="user:a", effect_happened=False)
    flight_ends(clock)
    resolve(letter)

    assert state() == ("confirmed", 1)


def test_a_person_waits_for_an_earlier_call_that_an_idempotent_provider_did_not_wait_for(
    principal: Principal, clock: Clock
) -> None:
    """The latest send has proven to be none; the first one is still out."""
    workflow = workflows.submit(principal, kind="probe_fan", input={"text": "a", "parts": []})
    hangs = take(Job.objects.get(workflow=workflow, type="probe_first"))
    assert isinstance(hangs, Claimed)
    begin(hangs, is_idempotent=True)
    lost(hangs)
    again = take(Job.objects.get(pk=hangs.id))
    assert isinstance(again, Claimed)
    second = begin(again, asked=begin(again, is_idempotent=True), is_idempotent=True)
    assert (second.status, second.sends) == ("begun", 2)
    effects.withdraw(again, second)
    lost(again)
    letter = Job.objects.get(pk=hangs.id)

    with pytest.raises(IllegalMove, match="nobody can know whether it has happened"):
        dead_letters.replay(letter, actor="user:a", effect_happened=False)
    flight_ends(clock)
    dead_letters.replay(letter, actor="user:a", effect_happened=False)

    assert state() == ("prepared", 2)


def resolve(letter: Job) -> None:
    output = {"text": "A", "priority": 1, "risk": "low"}
    dead_letters.resolve(letter, output=output, actor="user:b", reason="it stands in the log")


def test_a_sender_that_lost_the_answer_of_its_begin_goes_on(principal: Principal) -> None:
    """Its provider cannot be asked: only that it began the send itself tells that nothing was sent."""
    sender = running(principal)
    assert begin(sender).status == "begun"
    assert begin(sender).status == "repeated"
    ctx, calls = JobContext(sender), []

    def call(effect_id: str) -> dict[str, Any]:
        calls.append(effect_id)
        with pytest.raises(BeingSent):
            ctx.effect(KEY, call, type="mail", request=REQUEST)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ctx.effect(KEY, call, type="mail", request=REQUEST)
    with pytest.raises(BeingSent):
        ctx.effect(KEY, call, type="mail", request=REQUEST)
    assert (len(calls), state()) == (1, ("sent", 1))


def test_a_session_that_breaks_as_an_effect_begins_is_no_failure(principal: Principal) -> None:
    sender = running(principal)
    connection.ensure_connection()
    assert connection.connection is not None
    connection.connection.pgconn.finish()

    assert JobContext(sender).effect(KEY, lambda effect_id: {"sent": 1}, type="mail", request=REQUEST) == {"sent": 1}


def test_a_job_that_waits_for_a_send_says_so(principal: Principal, clock: Clock) -> None:
    sender = running(principal)
    key = f"probe:{sender.id}"
    effects.begin(sender, key, type="probe", request_sha256="0" * 64)
    workflow = workflows.submit(principal, kind="probe_same_effect", input={"text": key})
    drain(workflow)

    (reason,) = reasons.blocked_by([Workflow.objects.get(pk=workflow.pk)])[workflow.pk]

    row = Job.objects.get(workflow=workflow, type="probe_same_effect")
    assert reason == {
        "type": "effect", "job": str(row.pk), "job_type": "probe_same_effect", "until": row.scheduled_at
    }  # fmt: skip
    assert waits.words(reason, who={}).startswith(
        "probe_same_effect waits for a send of its effect that is on its way; it looks"
    )
