"""Why a task waits, in sentences on its page; a superuser is led to the limit. [A8] [E3]"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries, Settings

from agentapp import clock as clock_module
from agentapp.admin import waits
from agentapp.admin.limits import page_of_key
from agentapp.lifecycle import gates as moves
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Attempt, Gate, Job, Limit
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.states import KeyMode

pytestmark = pytest.mark.django_db


@pytest.fixture
def jobs(principal: Principal) -> list[Job]:
    """Three jobs of one task that wait for the same things."""
    run = workflows.submit(principal, kind="sample_reply", input={})
    return list(Job.objects.filter(workflow=run, type="sample_lookup").order_by("part"))


def take(job: Job) -> Any:
    return claim(str(job.pk), worker="worker", queues=tuple(WORKER_CLASS_SCOPES), lease_s=15)


def notice(client: Client, job: Job) -> str:
    """What the task's page says about why it waits."""
    text = client.get(reverse("admin:agentapp_workflow_change", args=(job.workflow_id,))).content.decode()
    return re.sub(r"\s+", " ", text.partition('aria-label="Why it waits"')[2].partition("</section>")[0])


def test_a_full_gate_says_who_holds_its_slots(member: Client, operator: Client, jobs: list[Job]) -> None:
    moves.keep(Gate(scope="job_type", pattern="sample_lookup", concurrency=1), actor="test")
    assert isinstance(take(jobs[0]), Claimed)

    for client in (member, operator):
        said = notice(client, jobs[0])
        assert "Job type sample_lookup has no free slot: 1 of 1 is taken" in said and "(2 times)" in said
        assert f"/workflow/{jobs[0].workflow_id}/change/#job-{jobs[0].pk}" in said
    assert page_of_key("job_type:sample_lookup") in notice(operator, jobs[0])
    assert "/limit/" not in notice(member, jobs[0])


def test_flower_and_its_page_of_a_worker_are_links_for_who_runs_the_platform(
    operator: Client, member: Client, jobs: list[Job], settings: Settings
) -> None:
    assert isinstance(take(jobs[0]), Claimed)
    Job.objects.filter(pk=jobs[0].pk).update(worker="model@host-1:77")
    began = clock_module.now()
    Attempt.objects.create(id=jobs[0].pk, job=jobs[0], number=1, worker="model@host-1:78", started_at=began,
                           finished_at=began, outcome="failed")  # fmt: skip
    links = ('<a href="https://flower.test/">Flower</a>',
             '<a href="https://flower.test/worker/model@host-1">model@host-1:77</a>')  # fmt: skip

    def shown(client: Client) -> list[bool]:
        page = client.get(reverse("admin:agentapp_workflow_change", args=(jobs[0].workflow_id,))).content.decode()
        assert "model@host-1:78</span>" in page
        return [link in page for link in links]

    settings.AGENTAPP_FLOWER_URL = "https://flower.test/"
    assert (shown(operator), shown(member)) == ([True, True], [False, False])
    settings.AGENTAPP_FLOWER_URL = ""
    assert shown(operator) == [False, False]


def test_other_tenants_are_a_number(
    member: Client, jobs: list[Job], other_principal: Principal, stranger: Client
) -> None:
    moves.keep(Gate(scope="global", pattern="global", concurrency=1), actor="test")
    assert isinstance(take(jobs[0]), Claimed)
    theirs = workflows.submit(other_principal, kind="sample_reply", input={})

    said = notice(stranger, Job.objects.filter(workflow=theirs).first() or jobs[0])

    assert "The whole installation has no free slot: 1 of 1 is taken, all by other tenants" in said
    assert str(jobs[0].workflow_id) not in said


def test_a_key_that_has_stopped_something_is_shown_by_its_name(
    member: Client, jobs: list[Job], principal: Principal, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    key = jobs[0].workflow.api_key
    assert key is not None
    moves.know(["job_type:sample_lookup"])
    moves.set_mode("job_type:sample_lookup", KeyMode.PAUSED, actor=f"key:{key.prefix}", reason="")
    workflows.submit(principal, kind="sample_reply", input={})

    for said in (notice(member, jobs[0]), member.get("/admin/agentapp/workflow/").content.decode()):
        assert f"By {key} since" in said and f"key:{key.prefix}" not in said
    stopped = {"type": "gate", "why": "paused", "by": f"key:{key.prefix}"}
    with django_assert_num_queries(1):
        assert waits.names([stopped, stopped]) == {f"key:{key.prefix}": str(key)}


@pytest.mark.parametrize(("mode", "says"), [(KeyMode.PAUSED, "is paused"), (KeyMode.DRAINING, "is draining")])
def test_what_a_person_has_stopped_says_who_and_why(
    member: Client, operator: Client, jobs: list[Job], mode: KeyMode, says: str
) -> None:
    key = f"tenant:{jobs[0].tenant_id}"
    moves.know([key])
    moves.set_mode(key, mode, actor="user:kim", reason="They moved away.")

    said = notice(operator, jobs[0])

    assert f"Tenant sample {says}" in said and "By kim" in said and "They moved away" in said
    assert page_of_key(key) in said


def test_a_pace_and_a_provider_say_until_when(operator: Client, jobs: list[Job], clock: clock_module.Clock) -> None:
    moves.keep(Gate(scope="job_type", pattern="sample_lookup", requests_per_min=6, request_burst=1), actor="test")
    assert isinstance(take(jobs[0]), Claimed)
    paced = notice(operator, jobs[0])
    assert "Job type sample_lookup allows 6 jobs per minute; the next one may start in 10 s" in paced

    moves.know(["queue:retrieval"])
    closed = {"closed_until": clock.now() + timedelta(seconds=25)}
    Limit.objects.filter(key="queue:retrieval").update(**closed)
    assert "Queue retrieval was asked by its provider to wait; it continues in 25 s" in notice(operator, jobs[0])
    Limit.objects.filter(key="queue:retrieval").update(breaker="open", **closed)
    assert "one call is tried in 25 s" in notice(operator, jobs[0])


def test_work_without_a_message_says_its_place_and_when_it_should_begin(
    member: Client, jobs: list[Job], clock: clock_module.Clock
) -> None:
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(published_at=None)
    moves.know(["queue:retrieval"])
    Limit.objects.filter(key="queue:retrieval").update(per_s=0.1)

    said = notice(member, jobs[0])

    assert "Work waits for a free worker of the class retrieval" in said and "should start in" in said


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        ({"type": "queue", "queue": "model", "position": 0}, "Work waits for a free worker of the class model."),
        (
            {"type": "queue", "queue": "model", "position": 2},
            "Work waits for a free worker of the class model, behind 1 other job of its tenant.",
        ),
        (
            {"type": "queue", "queue": "model", "position": 1001},
            "Work waits for a free worker of the class model, behind more than 1,000 other jobs of its tenant.",
        ),
        (
            {"type": "gate", "scope": "model", "name": "m", "why": "tokens", "limit": 12000.5},
            "Model m allows 12,000.5 tokens per minute; the next job fits at an unknown time.",
        ),
        (
            {"type": "gate", "scope": "tool", "name": "mail", "why": "concurrency", "limit": 0, "running": 3},
            "Tool mail lets no job start: its limit is 0.",
        ),
        (
            {"type": "gate", "scope": "tool", "name": "mail", "why": "concurrency", "limit": 9, "running": 9,
             "held_by_others": 4, "holders": []},
            "Tool mail has no free slot: 9 of 9 are taken, 4 by other tenants.",
        ),
        ({"type": "gate", "scope": "tool", "name": "mail", "why": "magic"}, "Tool mail does not let it pass (magic)."),
        ({"type": "something_new", "job": "7"}, "Something new: job 7."),
    ],
)  # fmt: skip
def test_every_reason_is_a_sentence(reason: dict[str, Any], sentence: str) -> None:
    assert waits.words(reason, who={}) == sentence
