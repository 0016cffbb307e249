"""Which model a job asks is a row: read at its claim, counted by the gates of that model, with a fallback. [C7]"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest
from pytest_django import Settings

from agentapp import registry
from agentapp.flows import Flow, Step
from agentapp.lifecycle import gates as gate_moves
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Gate, Job, Limit, ModelCall, ModelChoice, Tenant
from agentapp.policies.permissions import OPERATOR_SCOPES
from agentapp.runtime import JobContext, claiming, job
from agentapp.services import gates, model_choices, workflows
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests import kinds
from tests.harness import be_a_worker, drain, run_workflow
from tests.llm.conftest import odd as odd
from tests.llm.conftest import odd_process as odd_process
from tests.llm.odd_server import EVENTS, Json, Odd, OddServer, completion, whole

pytestmark = [pytest.mark.django_db(transaction=True)]

OPERATOR = Principal(frozenset(OPERATOR_SCOPES), None)
USED = {"prompt_tokens": 1_000, "completion_tokens": 100}


@job(queue="model", scopes={"model:call"})
def probe_chooses(ctx: JobContext, *, text: str) -> dict[str, Any]:
    return {"texts": [ctx.model.complete(text, max_tokens=50).text for _ in range(2)]}


@job(queue="model", scopes={"model:call"})
def probe_chooses_otherwise(ctx: JobContext, *, text: str) -> dict[str, Any]:
    pieces: list[str] = []
    return {"text": ctx.model.complete(text, on_delta=pieces.append).text}


for kind in ("probe_chooses", "probe_chooses_otherwise"):
    registry.add_flow(
        Flow(kind=kind, version=1, input=kinds.Anything, stages=(Step(kind, bind={"text": "input.text"}),))
    )


def choose(**values: Any) -> ModelChoice:
    return model_choices.save(OPERATOR, ModelChoice(), values)


def answering(**failures: Odd) -> Callable[[Json], Odd]:
    """Each model answers under its own name, but those that fail."""

    def answer(body: Json) -> Odd:
        model = body["model"]
        return failures.get(model) or whole({**completion({"content": "Yes."}), "model": model, "usage": USED})

    return answer


OUT = whole({"error": {"message": "The server is down"}}, status=503)


def job_of(principal: Principal, kind: str = "probe_chooses") -> Job:
    return Job.objects.get(workflow=run_workflow(principal, kind))


def calls() -> list[tuple[str, str, str, str]]:
    rows = ModelCall.objects.order_by("started_at", "id")
    return list(rows.values_list("asked_model", "fallback_of", "model", "error_class"))


def test_without_rows_the_settings_say_which_model_is_asked(principal: Principal, odd: OddServer) -> None:
    odd.answer = answering()

    assert job_of(principal).model == "odd"
    assert calls() == [("odd", "", "odd", "")] * 2


def test_the_row_of_the_tenant_and_the_job_type_goes_first_then_that_of_the_tenant(
    principal: Principal, other_principal: Principal, tenant: Tenant, odd: OddServer
) -> None:
    odd.answer = answering()
    rows = [
        choose(model="for-all"),
        choose(job_type="probe_chooses", model="for-the-type"),
        choose(tenant=tenant.slug, model="for-the-tenant"),
        choose(tenant=tenant.slug, job_type="probe_chooses", model="for-both"),
    ]
    asked = []
    while rows:
        asked.append((job_of(principal).model, job_of(other_principal).model))
        model_choices.delete(OPERATOR, rows.pop())

    assert asked == [
        ("for-both", "for-the-type"), ("for-the-tenant", "for-the-type"), ("for-the-type", "for-the-type"),
        ("for-all", "for-all"),
    ]  # fmt: skip
    assert job_of(principal).model == "odd"


def test_parameters_replace_those_of_the_job_type(principal: Principal, odd: OddServer) -> None:
    odd.answer = answering()
    choose(model="m", temperature=0.7, max_output_tokens=900)

    job_of(principal)

    assert {(body["temperature"], body["max_tokens"]) for body in odd.requests} == {(0.7, 900)}


def test_a_change_holds_for_jobs_that_wait_already(principal: Principal, odd: OddServer) -> None:
    odd.answer = answering()
    choice = choose(model="before")
    task = workflows.submit(principal, kind="probe_chooses", input={})
    model_choices.save(OPERATOR, choice, {"model": "after"})
    gate_moves.keep(Gate(scope="model", pattern="before", concurrency=0), actor="test")

    drain(task)

    assert (Job.objects.get().state, Job.objects.get().model) == ("completed", "after")
    assert {body["model"] for body in odd.requests} == {"after"}


def test_the_gate_of_the_chosen_model_stops_its_jobs_and_says_so(principal: Principal, odd: OddServer) -> None:
    choose(model="small")
    gate_moves.keep(Gate(scope="model", pattern="small", concurrency=0), actor="test")
    task = workflows.submit(principal, kind="probe_chooses", input={})
    waiting = Job.objects.get(workflow=task)
    (before,) = gates.why([waiting.pk])[waiting.pk]

    drain(task)

    waiting.refresh_from_db()
    assert (waiting.state, waiting.model) == ("scheduled", "small") and not odd.requests
    assert (before["scope"], before["name"], before["why"]) == ("model", "small", "concurrency")


def test_a_model_that_is_out_is_replaced_by_its_fallback_for_the_rest_of_the_attempt(
    principal: Principal, odd: OddServer
) -> None:
    odd.answer = answering(first=OUT)
    choose(model="first", fallback_model="second")

    done = job_of(principal)

    assert (done.state, done.attempt, done.model) == ("completed", 1, "second")
    assert calls() == [
        ("first", "", "first", "TransientError"), ("second", "first", "second", ""), ("second", "first", "second", ""),
    ]  # fmt: skip
    counted = dict(Limit.objects.filter(scope="model").values_list("name", "failures"))
    assert (counted["first"], counted["second"]) == (1, 0)


def test_what_it_costs_follows_the_model_that_answered(principal: Principal, odd: OddServer) -> None:
    odd.answer = answering(**{"gpt-4o": OUT})
    choose(model="gpt-4o", fallback_model="gpt-4o-mini")

    job_of(principal)

    (call, _) = ModelCall.objects.filter(error_class="")
    assert (call.model, call.is_priced) == ("gpt-4o-mini", True)
    # 1,000 tokens at 0.15 and 100 at 0.60 dollars a million.
    assert float(call.cost_usd) == pytest.approx(0.00021)


@pytest.mark.parametrize(
    ("failure", "asked"),
    [
        (whole({"error": {"message": "no such model", "code": "model_not_found"}}, status=404), ["first", "second"]),
        (whole({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "600"}), ["first", "second"]),
        (whole({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "2"}), ["first"]),
        (whole({"error": {"message": "Insufficient Balance"}}, status=402), ["first", "second"]),
        (whole(completion({"content": ""})), ["first", "second"]),
    ],
    ids=["refused", "limited for long", "limited for a moment", "no money", "nothing written"],
)
def test_the_fallback_is_asked_where_another_model_may_answer(
    principal: Principal, odd: OddServer, failure: Odd, asked: list[str]
) -> None:
    odd.answer = answering(first=failure)
    choose(model="first", fallback_model="second")

    job_of(principal)

    assert list(dict.fromkeys(call[0] for call in calls())) == asked


def test_a_key_that_is_missing_is_no_reason_to_ask_another_model(principal: Principal, odd: OddServer) -> None:
    odd.answer = answering()
    choose(model="first", key_variable="MODEL_KEY_NOWHERE", fallback_model="second")

    done = job_of(principal)

    assert done.state == "dead_lettered" and not odd.requests
    assert "set MODEL_KEY_NOWHERE" in (done.error or {})["message"]


def test_a_claim_takes_the_fallback_while_the_model_is_paused(principal: Principal, odd: OddServer) -> None:
    odd.answer = answering()
    choose(model="first", fallback_model="second")
    gate_moves.set_mode("model:first", KeyMode.PAUSED, actor="test", reason="a test")

    done = job_of(principal)

    assert (done.state, done.model) == ("completed", "second")
    assert set(calls()) == {("second", "first", "second", "")}
    gate_moves.set_mode("model:first", KeyMode.OPEN, actor="test", reason="a test")
    assert job_of(principal).model == "first"


def test_with_both_out_the_job_waits_for_the_first(principal: Principal, odd: OddServer) -> None:
    choose(model="first", fallback_model="second")
    for name in ("first", "second"):
        gate_moves.set_mode(f"model:{name}", KeyMode.PAUSED, actor="test", reason="a test")

    waiting = job_of(principal)

    assert (waiting.state, waiting.model) == ("scheduled", "first") and not odd.requests


def test_a_fallback_whose_gate_is_full_is_not_asked(principal: Principal, odd: OddServer) -> None:
    odd.answer = answering(first=OUT)
    choose(model="first", fallback_model="second")
    gate_moves.keep(Gate(scope="model", pattern="second", concurrency=0), actor="test")

    failed = job_of(principal)

    assert (failed.state, failed.model) == ("retryable", "first")
    assert [body["model"] for body in odd.requests] == ["first"]


def test_what_was_read_in_part_is_not_written_again_by_another_model(principal: Principal, odd: OddServer) -> None:
    cut = b'data: {"choices": [{"index": 0, "delta": {"content": "Half an an"}}]}\n\n'
    odd.answer = answering()
    choose(model="first", fallback_model="second")
    # The first words of a model that nobody has seen write are held back.
    job_of(principal)
    odd.answer = lambda _: Odd(lambda: [cut], headers=EVENTS)

    assert job_of(principal, "probe_chooses_otherwise").state == "retryable"
    assert {body["model"] for body in odd.requests} == {"first"}


def test_a_provider_of_a_row_is_asked_with_the_key_that_the_row_names_and_never_with_another(
    principal: Principal, odd: OddServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd.answer = answering()
    settings.AGENTAPP_MODEL_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]
    monkeypatch.setenv("MODEL_KEY_ACME", "a-secret-of-acme")
    settings.AGENTAPP_MODEL_BASE_URL = "http://127.0.0.1:9/v1"
    choice = choose(model="m", base_url=odd.url, key_variable="MODEL_KEY_ACME")

    done = job_of(principal)
    keys = [odd.headers[-1]["authorization"]]
    model_choices.save(OPERATOR, choice, {"key_variable": ""})
    job_of(principal)

    host = odd.url.removeprefix("http://").removesuffix("/v1")
    assert (done.state, done.model) == ("completed", f"m@{host}+ACME")
    assert [*keys, odd.headers[-1]["authorization"]] == ["Bearer a-secret-of-acme", "Bearer none"]


def test_an_address_that_is_no_longer_allowed_is_not_connected_to(
    principal: Principal, odd: OddServer, settings: Settings
) -> None:
    settings.AGENTAPP_MODEL_ALLOWED_NETWORKS = [ip_network("127.0.0.0/8")]
    choose(model="m", base_url=odd.url)
    settings.AGENTAPP_MODEL_ALLOWED_NETWORKS = []

    done = job_of(principal)

    assert done.state == "dead_lettered" and not odd.requests
    assert "AGENTAPP_MODEL_ALLOWED_NETWORKS" in (done.error or {})["message"]


def test_a_claim_whose_answer_was_lost_finds_the_choice_again(principal: Principal) -> None:
    choose(model="first", fallback_model="second")
    workflows.submit(principal, kind="probe_chooses", input={})
    be_a_worker()
    pending = claiming.PendingClaim(str(Job.objects.get().pk))
    first, again = (claiming._claim(pending) for _ in range(2))

    assert isinstance(first, Claimed) and first == again
    assert first.choice is not None and first.choice["fallback_limit_name"] == "second"


def test_a_worker_that_says_nothing_of_choices_claims_as_before(principal: Principal) -> None:
    choose(model="first")
    workflows.submit(principal, kind="probe_chooses", input={})

    claimed = claim(
        str(Job.objects.get().pk), worker="w", queues=["model"], lease_s=15, models={"probe_chooses": "odd"}
    )

    assert isinstance(claimed, Claimed) and (claimed.model, claimed.choice) == ("odd", None)
