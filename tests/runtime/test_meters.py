"""What calls say about the gates of their model: tokens, pauses, slowness, a breaker that opens by itself. [E2] [E6]"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agentapp import clock as clock_module
from agentapp.errors import InvalidModelOutput, ModelRefused, RateLimited, TransientError
from agentapp.lifecycle import gates
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed, Refused
from agentapp.models import Gate, GateChange, Job, Limit
from agentapp.policies.breaker import BREAKER
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.runtime import meters
from agentapp.services import workflows
from agentapp.services.principals import Principal

pytestmark = [pytest.mark.django_db(transaction=True)]

KEY = "model:probe-model"


def take(principal: Principal) -> Claimed | Refused:
    """Claim a new job that calls the model."""
    run = workflows.submit(principal, kind="probe_fan", input={})
    job = Job.objects.get(workflow=run, type="probe_first")
    return claim(
        str(job.pk), worker="w", queues=tuple(WORKER_CLASS_SCOPES), lease_s=15, models={"probe_first": "probe-model"}
    )


def why(principal: Principal) -> tuple[str, Any]:
    """Claim a job, see it parked, and return what stops it and until when."""
    assert take(principal) == Refused("parked")
    (blocker,) = Job.objects.filter(state="scheduled").latest("id").blocked_by or []
    return blocker["why"], blocker.get("until")


def limit() -> Limit:
    return Limit.objects.get(key=KEY)


@pytest.fixture(autouse=True)
def known_key(db: None) -> None:
    gates.know([KEY, "job_type:probe_first"])


def test_after_a_429_nobody_calls_until_the_provider_wants_it(principal: Principal, clock: clock_module.Clock) -> None:
    meters.failed(KEY, RateLimited("slow down", retry_after_s=7), job_type="probe_first")

    assert why(principal)[0] == "provider"
    assert limit().closed_until == clock.now() + timedelta(seconds=7)
    clock.advance(7.1)
    assert isinstance(take(principal), Claimed)


def test_a_429_makes_the_gate_slower_once_for_all_that_were_refused_together(
    principal: Principal, clock: clock_module.Clock
) -> None:
    gates.keep(Gate(scope="model", pattern="probe-*", requests_per_min=60, request_burst=1), actor="test")
    for _ in range(5):
        meters.failed(KEY, RateLimited("slow down", retry_after_s=1), job_type="probe_first")

    assert limit().slowdown == 1.25
    clock.advance(2)
    assert isinstance(take(principal), Claimed)
    clock.advance(1.1)
    assert why(principal)[0] == "requests"
    assert GateChange.objects.filter(target=KEY, action="slowed").count() == 1


def test_tokens_are_charged_in_advance_and_corrected_by_what_was_used(
    principal: Principal, clock: clock_module.Clock
) -> None:
    gates.keep(Gate(scope="model", pattern="probe-*", tokens_per_min=6000, token_burst=1000), actor="test")
    meters.report(KEY, "ok", job_type="probe_first", used=400)
    started = clock.now()

    first = take(principal)
    assert isinstance(first, Claimed) and first.tokens == 400
    assert limit().token_at == started + timedelta(seconds=4)
    assert isinstance(take(principal), Claimed)
    assert why(principal)[0] == "tokens"

    # It used less than it had reserved.
    meters.report(KEY, "ok", job_type="probe_first", tokens=100 - 400, used=100)
    assert limit().token_at == started + timedelta(seconds=5)
    assert isinstance(take(principal), Claimed)


def test_a_model_that_fails_is_left_alone_and_one_call_tries_again(
    principal: Principal, clock: clock_module.Clock
) -> None:
    for _ in range(int(BREAKER["min_calls"])):
        meters.failed(KEY, TransientError("no connection"), job_type="probe_first")
    assert limit().breaker == "open" and why(principal)[0] == "breaker"

    clock.advance(BREAKER["open_s"] + 1)
    assert isinstance(take(principal), Claimed)
    assert limit().breaker == "half_open" and why(principal)[0] == "breaker"

    meters.report(KEY, "ok", job_type="probe_first")
    assert limit().breaker == "closed"
    assert isinstance(take(principal), Claimed)
    actions = list(GateChange.objects.filter(target=KEY).order_by("id").values_list("action", flat=True))
    assert actions == ["breaker open", "breaker closed"]


def test_a_try_that_fails_opens_the_breaker_for_twice_as_long(principal: Principal, clock: clock_module.Clock) -> None:
    for _ in range(int(BREAKER["min_calls"])):
        meters.failed(KEY, TransientError("no connection"), job_type="probe_first")
    clock.advance(BREAKER["open_s"] + 1)
    take(principal)

    meters.failed(KEY, TransientError("no connection"), job_type="probe_first")

    assert limit().closed_until == clock.now() + timedelta(seconds=2 * BREAKER["open_s"])


@pytest.mark.parametrize("error", [ModelRefused("bad request"), InvalidModelOutput("not the schema")])
def test_what_is_not_about_its_health_opens_no_breaker(principal: Principal, error: Exception) -> None:
    for _ in range(3 * int(BREAKER["min_calls"])):
        meters.failed(KEY, error, job_type="probe_first")

    assert limit().breaker == "closed"


def test_half_of_the_calls_must_fail(principal: Principal) -> None:
    for _ in range(10):
        meters.report(KEY, "ok", job_type="probe_first")
    for _ in range(9):
        meters.failed(KEY, TransientError("no connection"), job_type="probe_first")

    assert limit().breaker == "closed"
