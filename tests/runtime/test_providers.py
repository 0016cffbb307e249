"""Jobs beside providers that differ: what was odd costs no attempt, and what fails says why. [C7] [E6] [F1]"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from agentapp import registry
from agentapp.errors import Cancelled
from agentapp.flows import Flow, Step
from agentapp.lifecycle import gates
from agentapp.llm import client
from agentapp.llm.answers import Message
from agentapp.models import GateChange, Job, Limit, ModelCall
from agentapp.runtime import JobContext, job, runner
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests import kinds
from tests.harness import be_a_worker, drain, run_workflow
from tests.llm.conftest import odd as odd
from tests.llm.conftest import odd_process as odd_process
from tests.llm.odd_server import Json, Odd, OddServer, chunk, completion, events, whole

pytestmark = [pytest.mark.django_db(transaction=True)]

SCHEMA = {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer"}}}


@job(queue="model", scopes={"model:call"})
def probe_counts_trees(ctx: JobContext, *, text: str) -> dict[str, Any]:
    reply = ctx.model.complete(text, schema=SCHEMA)
    return {"data": reply.data, "model": reply.model}


@job(queue="model", scopes={"model:call"})
def probe_writes(ctx: JobContext, *, text: str) -> dict[str, Any]:
    deltas: list[str] = []
    reply = ctx.model.complete(text, on_delta=deltas.append)
    return {"text": reply.text, "deltas": "".join(deltas)}


for kind in ("probe_counts_trees", "probe_writes"):
    registry.add_flow(
        Flow(kind=kind, version=1, input=kinds.Anything, stages=(Step(kind, bind={"text": "input.text"}),))
    )

COUNTED = completion({"content": '{"count": 40}'})


def run(principal: Principal, kind: str = "probe_counts_trees") -> Job:
    return Job.objects.get(workflow=run_workflow(principal, kind))


def error_of(job: Job) -> Json:
    return job.error or {}


def test_odd_numbers_and_names_are_recorded_as_far_as_columns_hold_them(principal: Principal, odd: OddServer) -> None:
    usage = {"prompt_tokens": "many", "completion_tokens": 10**30}
    odd.answer = lambda _: whole({**COUNTED, "model": "m" * 174, "usage": usage})

    assert run(principal).state == "completed"

    call = ModelCall.objects.get()
    assert len(call.model) == 100 and 0 < call.prompt_tokens < 100 and 0 < call.completion_tokens < 100


def test_a_form_that_is_refused_costs_no_attempt(principal: Principal, odd: OddServer) -> None:
    refusal = {"error": {"message": "This response_format type is unavailable now"}}
    odd.answer = lambda body: whole(COUNTED) if "json_schema" not in str(body) else whole(refusal, status=400)

    done = run(principal)

    assert (done.state, done.attempt, len(odd.requests)) == ("completed", 1, 2)
    odd.requests.clear()
    assert run(principal).state == "completed" and len(odd.requests) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Odd(b"<html><title>Asleep</title></html>"), "web page: Asleep"),
        (whole({"choices": [{"index": 0}]}), "without a message"),
        (whole({"error": {"code": 503, "message": "no worker is free"}}), "no worker is free"),
    ],
)
def test_what_is_no_answer_is_tried_again_and_says_why(
    principal: Principal, odd: OddServer, answer: Odd, words: str
) -> None:
    odd.answer = lambda _: answer

    failed = run(principal)

    error = error_of(failed)
    assert (failed.state, error["class"], error["kind"]) == ("retryable", "TransientError", "transient")
    assert words in error["message"]


def test_reasoning_reaches_neither_the_output_nor_who_reads_along(principal: Principal, odd: OddServer) -> None:
    pieces = ["<thi", "nk>They want ", "trees</th", "ink>\n\nForty", " trees."]
    odd.answer = lambda _: events(*(chunk({"content": piece}) for piece in pieces), chunk({}, finish="stop"))

    done = run(principal, "probe_writes")

    assert done.output == {"text": "Forty trees.", "deltas": "Forty trees."}


def test_a_call_that_only_thinks_ends_when_its_task_is_cancelled(odd: OddServer) -> None:
    """on_progress hears of whatever comes in, also of thought and of lines that say nothing."""
    odd.answer = lambda _: odd.drip(b": thinking\n\n", first=b'data: {"choices": [{"delta": {"reasoning": "hm"}}]}\n\n')
    heard: list[int] = []

    def on_progress() -> None:
        heard.append(1)
        if len(heard) > 3:
            raise Cancelled("the task was cancelled")

    with pytest.raises(Cancelled):
        client.complete([Message("user", "Think.")], timeout_s=60, on_progress=on_progress)


def test_an_empty_account_pauses_the_model_and_the_jobs_behind_it_wait(
    principal: Principal, odd: OddServer, caplog: pytest.LogCaptureFixture
) -> None:
    refusal = {"error": {"message": "Your balance is used up.", "code": "insufficient_quota"}}
    odd.answer = lambda _: whole(refusal, status=429)

    with caplog.at_level(logging.ERROR):
        first = run(principal)

    assert first.state == "dead_lettered" and "Your balance is used up." in error_of(first)["message"]
    assert "model.quota_exhausted" in [getattr(record, "event", "") for record in caplog.records]
    limit = Limit.objects.get(key="model:odd")
    assert (
        limit.mode == "paused" and limit.mode_reason.startswith("quota exhausted: ") and "used up" in limit.mode_reason
    )
    assert GateChange.objects.filter(target="model:odd", action="paused", actor="provider").count() == 1

    # Those behind it wait, with the reason, and cost neither a request nor an attempt.
    odd.requests.clear()
    waiting = [run(principal) for _ in range(2)]
    assert [job.state for job in waiting] == ["scheduled"] * 2 and not odd.requests
    (blocker,) = waiting[0].blocked_by or []
    assert blocker["why"] == "paused" and "used up" in blocker["reason"]

    odd.answer = lambda _: whole(COUNTED)
    gates.set_mode("model:odd", KeyMode.OPEN, actor="root", reason="paid")
    Job.objects.filter(state="scheduled").update(state="available", scheduled_at=None)
    drain()
    assert [Job.objects.get(pk=job.pk).state for job in waiting] == ["completed"] * 2


def test_of_those_that_find_the_account_empty_at_once_one_tells_a_person_and_the_others_wait(
    principal: Principal, odd: OddServer
) -> None:
    together = threading.Barrier(3)

    def answer(body: Json) -> Odd:
        together.wait(timeout=60)
        return whole({"error": {"message": "Insufficient Balance"}}, status=402)

    odd.answer = answer
    be_a_worker()
    tasks = [workflows.submit(principal, kind="probe_counts_trees", input={}) for _ in range(3)]
    jobs = [str(Job.objects.get(workflow=task).pk) for task in tasks]

    def run_one(job_id: str) -> str:
        try:
            return runner.run(job_id).word
        finally:
            connection.close()

    with ThreadPoolExecutor(3) as pool:
        words = sorted(pool.map(run_one, jobs))

    assert words == ["dead lettered", "retryable", "retryable"]
    assert Limit.objects.get(key="model:odd").mode == "paused"
