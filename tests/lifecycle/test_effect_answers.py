"""What a call was answered is kept, whatever it is and however its attempt ends. [D7]"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connections

from agentapp import registry
from agentapp.errors import Cancelled, ContentChanged, LostLease, NotSentYet
from agentapp.flows import Flow, Step
from agentapp.ids import uuid7
from agentapp.lifecycle import cancel
from agentapp.lifecycle.complete import complete
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Effect
from agentapp.runtime import JobContext, job
from agentapp.services.principals import Principal
from tests.harness import run_workflow
from tests.kinds import Anything
from tests.lifecycle.effect_moves import KEY, REQUEST, begin, raising, running, state

pytestmark = pytest.mark.django_db(transaction=True)

CONNECTIONS, TRIES = 16, 1_000


@job(queue="send", scopes={"mail:send"})
def probe_sends_and_stops(ctx: JobContext, *, text: str) -> dict[str, Any]:
    """Its call is answered; then it must stop."""

    def call(effect_id: str) -> dict[str, Any]:
        cancel.cancel(ctx.workflow_id, actor="test", reason="enough")
        return {"receipt": effect_id}

    ctx.effect(f"stops:{ctx.workflow_id}", call, type="probe", request={})
    stops = {
        "cancelled": Cancelled("stop"),
        "lost": LostLease("gone"),
        "changed": ContentChanged("other", approval_id=uuid7(), content={}, sha256=""),
    }
    raise stops[text]


STOPS = registry.add_flow(
    Flow(
        kind="probe_stops",
        version=1,
        input=Anything,
        stages=(Step("probe_sends_and_stops", bind={"text": "input.text"}),),
        result={},
    )
)


@pytest.mark.parametrize("end", ["cancelled", "lost", "changed"])
def test_the_answer_of_a_call_is_recorded_however_its_body_ends(principal: Principal, end: str) -> None:
    workflow = run_workflow(principal, "probe_stops", {"text": end})

    effect = Effect.objects.get(workflow_id=workflow.pk)
    assert (effect.state, effect.response) == ("confirmed", {"receipt": str(effect.pk)})
    assert workflow.state == "cancelled"


def test_the_same_key_of_two_tenants_is_two_effects(principal: Principal, other_principal: Principal) -> None:
    answers = [
        JobContext(running(who)).effect(KEY, lambda effect_id: {"id": effect_id}, type="mail", request=REQUEST)
        for who in (principal, other_principal)
    ]

    assert {answer["id"] for answer in answers} == {str(effect.pk) for effect in Effect.objects.filter(key=KEY)}
    assert len({answer["id"] for answer in answers}) == 2


def test_nothing_was_sent_is_believed_of_the_send_that_says_so(principal: Principal) -> None:
    ctx = JobContext(running(principal))
    with pytest.raises(NotSentYet):
        ctx.effect(KEY, raising(NotSentYet("closed")), type="mail", request=REQUEST)

    assert ctx.effect(KEY, lambda effect_id: {"sent": 2}, type="mail", request=REQUEST) == {"sent": 2}
    assert state() == ("sent", 2)


CIRCLE: dict[str, Any] = {}
CIRCLE["itself"] = CIRCLE
DEEP: dict[str, Any] = {}
for _ in range(5_000):
    DEEP = {"in": DEEP}
HOSTILE: dict[str, dict[Any, Any]] = {
    "nul": {"a\x00b": "a\x00b"},
    "surrogates": {"\ud800": "\udfff"},
    "numbers": {"n": 10**5_000, "x": float("inf"), "y": float("nan"), "z": 1e308},
    "circle": CIRCLE,
    "deep": DEEP,
    "keys": {None: 1, 2: 2, b"\xff": 3, ("a", "b"): 4},
    "large": {"text": "\u20ac" * 500_000},
    "things": {"thing": object(), "set": {1, 2}, "error": ValueError("no")},
    "json": {"text": '", "state": "prepared"}', "resolved_by": "\\u0000 \\ud800"},
}  # fmt: skip


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
def test_whatever_a_provider_answers_can_be_kept(principal: Principal, answer: dict[Any, Any]) -> None:
    sender = running(principal)
    ctx = JobContext(sender)
    ctx.effect(KEY, lambda effect_id: answer, type="mail", request=REQUEST)

    complete(sender, {"text": "A", "priority": 1, "risk": "low"}, worker="test", usage=ctx.usage.as_json())

    effect = Effect.objects.get(key=KEY)
    assert (effect.state, len(effect.response or {})) == ("confirmed", len(answer))
    again = JobContext(running(principal)).effect(KEY, raising(AssertionError()), type="mail", request=REQUEST)
    assert again == effect.response


def test_of_many_who_begin_one_effect_at_once_one_begins_it(principal: Principal) -> None:
    senders, together = [running(principal) for _ in range(CONNECTIONS)], Barrier(CONNECTIONS)

    def insist(sender: Claimed) -> list[str]:
        try:
            together.wait()
            return [begin(sender).status for _ in range(TRIES // CONNECTIONS + 1)]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        told = list(pool.map(insist, senders))

    (winner,) = (statuses for statuses in told if "begun" in statuses)
    assert winner == ["begun"] + ["repeated"] * (len(winner) - 1)
    assert {status for statuses in told if statuses is not winner for status in statuses} == {"sending"}
    assert state() == ("sent", 1)
