"""Parts of a fan-out that have the tool and the worker class that their elements name. [C3] [E1]"""

from __future__ import annotations

from typing import Any

import pytest

from agentapp.errors import InvalidInput
from agentapp.flows import plan
from agentapp.lifecycle import gates
from agentapp.lifecycle.claim import claim
from agentapp.lifecycle.opened import Claimed, Refused
from agentapp.models import Gate, Job, Limit, Workflow
from agentapp.policies.permissions import WORKER_CLASS_SCOPES
from agentapp.services import dead_letters, workflows
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests.harness import histories_are_legal, run_workflow
from tests.lifecycle import looping_kinds
from tests.lifecycle.letters import now
from tests.lifecycle.looping_kinds import call_of

pytestmark = pytest.mark.django_db(transaction=True)
QUEUES = tuple(WORKER_CLASS_SCOPES)


def submitted(principal: Principal, *numbers: int) -> list[Job]:
    run = workflows.submit(principal, kind="loop_tools", input={"first": [call_of(n) for n in numbers]})
    return list(Job.objects.filter(workflow=run, stage__name="loop_tool").order_by("part"))


def published(jobs: list[Job]) -> list[int]:
    return [job.part for job in jobs if job.published_at is not None]


def test_each_part_has_the_tool_and_the_queue_of_its_element(principal: Principal) -> None:
    jobs = submitted(principal, 0, 1, 2)

    assert [(job.tool, job.queue, job.state) for job in jobs] == [
        ("tool-0", "model", "available"), ("tool-1", "retrieval", "available"), ("tool-2", "retrieval", "available")
    ]  # fmt: skip
    assert claim(str(jobs[0].pk), worker="w", queues=("retrieval",), lease_s=15) == Refused("not of this worker class")
    got = claim(str(jobs[0].pk), worker="w", queues=("model",), lease_s=15)
    assert isinstance(got, Claimed) and (got.tool, got.queue) == ("tool-0", "model")


def test_a_gate_of_a_tool_holds_for_its_parts_alone(principal: Principal) -> None:
    gates.keep(Gate(scope="tool", pattern="tool-1", concurrency=1), actor="test")

    jobs = submitted(principal, 1, 1, 1, 2, 2, 0)

    # Of the others all are published.
    assert published(jobs) == [0, 3, 4, 5]
    assert isinstance(claim(str(jobs[0].pk), worker="w", queues=QUEUES, lease_s=15), Claimed)
    assert claim(str(jobs[1].pk), worker="w", queues=QUEUES, lease_s=15) == Refused("parked")
    assert isinstance(claim(str(jobs[3].pk), worker="w", queues=QUEUES, lease_s=15), Claimed)


def test_a_queue_that_is_full_holds_back_its_parts_alone(principal: Principal) -> None:
    gates.know(["queue:retrieval"])
    Limit.objects.filter(key="queue:retrieval").update(runway=2)

    assert published(submitted(principal, 1, 1, 0, 2, 2, 0)) == [0, 1, 2, 5]


def test_what_all_parts_share_is_counted_once(principal: Principal) -> None:
    gates.keep(Gate(scope="job_type", pattern="loop_tool", concurrency=3), actor="test")

    assert published(submitted(principal, 0, 1, 2, 0, 1, 2)) == [0, 1, 2]


def test_a_tool_that_is_paused_stops_its_parts_alone(principal: Principal) -> None:
    gates.know(["tool:tool-1"])
    gates.set_mode("tool:tool-1", KeyMode.PAUSED, actor="test", reason="it does odd things")

    assert published(submitted(principal, 1, 2, 1, 2)) == [1, 3]


@pytest.mark.parametrize(
    ("element", "sentence"),
    [
        ({"tool": 5, "queue": "model"}, "part 2 of second names the tool 5; it must be a text of 1 to 100 characters"),
        ({"tool": "", "queue": "model"}, "names the tool ; it must be a text"),
        ({"tool": "t" * 101, "queue": "model"}, "it must be a text of 1 to 100 characters"),
        ({"queue": "model"}, "names the tool nothing"),
        (
            {"tool": "a", "queue": "nowhere"},
            "names the queue nowhere; it must be one of documents, model, retrieval, send",
        ),
        ({"tool": "a", "queue": ["model"]}, "names the queue ["),
        ({"tool": "a", "queue": "webhooks"}, "names the queue webhooks"),
        ({"tool": "a"}, "names the queue nothing"),
        ("text", "names the queue nothing"),
    ],
)
def test_an_element_that_names_no_tool_or_queue_is_a_dead_letter_that_says_so(
    principal: Principal, element: Any, sentence: str
) -> None:
    run = run_workflow(principal, "loop_tools", {"first": [call_of(1)], "parts": [call_of(2), element]})

    assert run.state == "needs_attention"
    letter = Job.objects.get(workflow=run, state="dead_lettered")
    assert sentence in (letter.error or {})["message"]
    assert not Job.objects.filter(workflow=run, stage__name="second").exclude(pk=letter.pk).exists()
    assert histories_are_legal()


def test_another_payload_has_another_tool_and_queue(principal: Principal) -> None:
    run = run_workflow(principal, "loop_tools", {"first": [call_of(1)], "parts": [{"tool": "a", "queue": "nowhere"}]})
    letter = Job.objects.get(workflow=run, state="dead_lettered")
    with pytest.raises(InvalidInput, match="names the queue nowhere"):
        dead_letters.replay(principal, letter.pk, payload={"call": {"tool": "a", "queue": "nowhere"}})

    dead_letters.replay(principal, letter.pk, payload={"call": call_of(3)})

    letter.refresh_from_db()
    assert (letter.state, letter.tool, letter.queue) == ("available", "tool-0", "model")
    assert now(run).state == "completed"


def test_a_plan_freezes_the_queues_that_hold_what_its_job_type_needs() -> None:
    spec = plan(looping_kinds.TOOLS)[0]["spec"]

    assert (spec["tool_from"], spec["queue_from"]) == ("tool", "queue")
    # A part on the queue of webhooks would count for no tenant.
    assert spec["queues"] == ["documents", "model", "retrieval", "send", "tools"]


def test_hundreds_of_parts_are_opened_in_one_move(principal: Principal) -> None:
    run = workflows.submit(principal, kind="loop_tools", input={"first": [call_of(n) for n in range(900)]})

    jobs = Job.objects.filter(workflow=run)
    assert jobs.count() == 900
    assert [jobs.filter(published_at__isnull=False, queue=queue).count() for queue in ("model", "retrieval")] == [
        64,
        64,
    ]
    assert Workflow.objects.get(pk=run.pk).parts_left == 900
