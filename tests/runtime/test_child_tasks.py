"""Tasks that are a stage of another task: started once, waited for without a worker, cancelled together. [B3]"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pydantic
import pytest

from agentapp import clock as clock_module
from agentapp import ids, registry
from agentapp.admin import spans
from agentapp.errors import Cancelled, LostLease, NotFound
from agentapp.flows import Decision, Flow, Step, child_task
from agentapp.lifecycle import clean_up as clean_ups
from agentapp.lifecycle import prune, submit
from agentapp.lifecycle.cancel import cancel
from agentapp.lifecycle.expire import expire
from agentapp.lifecycle.opened import Claimed
from agentapp.models import Attempt, Job, Tenant, Workflow
from agentapp.policies.intake import QueuePressure
from agentapp.runtime import JobContext, children, claiming, clean_up, job
from agentapp.services import dead_letters, reasons, workflows
from agentapp.services.principals import Principal
from agentapp.states import WorkflowState
from tests import kinds
from tests.api.conftest import Api
from tests.api.conftest import api as api
from tests.api.conftest import make_key as make_key
from tests.harness import be_a_worker, drain, make_due, path, run_workflow

pytestmark = [pytest.mark.django_db(transaction=True)]


class Text(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")

    text: str
    times: int = 1
    fails: bool = False


@job(queue="retrieval")
def probe_child_work(ctx: JobContext, *, text: str, times: int, fails: bool) -> dict[str, Any]:
    if fails:
        raise ValueError("it fails")
    return {"text": text * times}


@job(queue="retrieval")
def probe_uses_child(ctx: JobContext, *, said: str, id: str) -> dict[str, Any]:
    return {"said": said, "id": id}


WORK = Step("probe_child_work", bind={"text": "input.text", "times": "input.times", "fails": "input.fails"})
ASKS = Decision(bind={"content": "input", "content_sha256": "input.text"})
registry.add_flow(Flow("probe_child", 1, Text, (WORK,), result={"text": "probe_child_work.text"}))
registry.add_flow(Flow("probe_child_asks", 1, Text, (WORK, ASKS), result={"text": "probe_child_work.text"}))


def parent(kind: str, child: str) -> None:
    run = child_task(child, bind={"text": "input.text", "times": 3, "fails": "input.fails?"}, name="part")
    uses = Step("probe_uses_child", bind={"said": "part.result.text", "id": "part.task"})
    registry.add_flow(Flow(kind, 1, kinds.Anything, (run, uses), result={"said": "probe_uses_child.said"}))


parent("probe_parent", "probe_child")
parent("probe_parent_asks", "probe_child_asks")
registry.add_flow(
    Flow("probe_parent_misfit", 1, kinds.Anything, (child_task("probe_child", bind={"text": "input.parts"}),))
)


def running_part(task: Workflow) -> Job:
    return Job.objects.get(workflow=task, type="run_task")


def child_of(task: Workflow) -> Workflow:
    return Workflow.objects.get(parent=task.pk)


def test_a_stage_is_a_task_whose_result_the_next_stage_reads(principal: Principal, clock: clock_module.Clock) -> None:
    task = run_workflow(principal, "probe_parent", {"text": "ab"}, priority="high", labels={"from": "test"})
    child = child_of(task)

    # It waits without a worker, and its attempt is not counted.
    assert path(running_part(task)) == "available > running > retryable" and running_part(task).attempt == 0
    # Nothing has failed, and the timeline does not say so.
    assert [span.kind for span in spans.tracks_of(task)[0].spans] == ["queued", "running", "retry"]
    assert (child.kind, child.input, child.state) == (
        "probe_child",
        {"text": "ab", "times": 3, "fails": False},
        "pending",
    )
    assert (child.origin, child.priority, child.labels) == ("child", task.priority, {"from": "test"})
    assert (child.api_key_id, child.user_id) == (task.api_key_id, task.user_id)
    assert child.pk == ids.of_child(running_part(task).pk, 0)

    drain(child)
    # Its end has woken its parent: nothing must wait for the next look.
    assert running_part(task).scheduled_at == clock.now()
    make_due(clock, 0)
    drain(task)
    task.refresh_from_db()
    assert (task.state, task.result) == ("completed", {"said": "ababab"})
    assert Job.objects.get(workflow=task, type="probe_uses_child").output == {"said": "ababab", "id": str(child.pk)}


def test_a_missed_end_is_found_at_the_next_look(principal: Principal, clock: clock_module.Clock) -> None:
    task = run_workflow(principal, "probe_parent", {"text": "ab"})
    drain(child_of(task))
    Job.objects.filter(pk=running_part(task).pk).update(scheduled_at=clock.now() + timedelta(seconds=9))

    make_due(clock, 10)
    drain(task)

    task.refresh_from_db()
    assert task.state == "completed" and Workflow.objects.filter(parent=task.pk).count() == 1


def test_looks_become_rare_while_it_takes_long(principal: Principal, clock: clock_module.Clock) -> None:
    task = run_workflow(principal, "probe_parent_asks", {"text": "ab"})
    drain(child_of(task))
    assert child_of(task).state == "awaiting_approval"

    for _ in range(50):
        waits_s = (running_part(task).scheduled_at - clock.now()).total_seconds()  # type: ignore[operator]
        make_due(clock, max(0, waits_s))
        drain(task)
    # Fifty looks reach beyond eight hours.
    assert clock.now() - task.created_at > timedelta(hours=8)
    assert Attempt.objects.filter(job=running_part(task)).values_list("outcome", flat=True).distinct().get() == (
        "handed_back"
    )


def test_it_tells_what_it_waits_for(principal: Principal) -> None:
    task = run_workflow(principal, "probe_parent_asks", {"text": "ab"})

    (reason,) = reasons.blocked_by([task])[task.pk]
    assert reason == {"type": "task", "id": str(child_of(task).pk), "job": str(running_part(task).pk)}


def test_they_are_cancelled_together(principal: Principal) -> None:
    task = run_workflow(principal, "probe_parent_asks", {"text": "ab"})
    drain(child_of(task))

    cancel(task.pk, actor="test", reason="not needed")
    (waiting,) = clean_ups.due(limit=5)
    assert waiting.pk == running_part(task).pk
    assert clean_up.clean_up(str(waiting.pk)) == "cleaned up"

    assert child_of(task).state == "cancelled"
    assert clean_ups.due(limit=5) == [] and clean_up.clean_up(str(waiting.pk)) == "nothing to do"


def claimed(task: Workflow) -> Claimed:
    be_a_worker()
    found = claiming._claim(claiming.PendingClaim(str(running_part(task).pk)))
    assert isinstance(found, Claimed)
    return found


def started(found: Claimed) -> Workflow:
    return children.started(found, "probe_child", {"text": "ab"})


def test_who_has_lost_the_job_starts_nothing(principal: Principal) -> None:
    task = workflows.submit(principal, kind="probe_parent", input={"text": "ab"})
    found = claimed(task)
    cancel(task.pk, actor="test", reason="not needed")

    with pytest.raises(Cancelled):
        started(found)
    assert not Workflow.objects.filter(parent=task.pk).exists()

    other = workflows.submit(principal, kind="probe_parent", input={"text": "ab"})
    found = claimed(other)
    Job.objects.filter(pk=found.id).update(lease_token=ids.uuid7())
    with pytest.raises(LostLease):
        started(found)
    assert not Workflow.objects.filter(parent=other.pk).exists()


def test_started_twice_it_is_one(principal: Principal) -> None:
    found = claimed(workflows.submit(principal, kind="probe_parent", input={"text": "ab"}))
    first = started(found)

    again = submit.child(
        first.pk, found, kind="probe_child", version=1, input=first.input, stages=[], result_bind={}, actor="test"
    )
    assert started(found).pk == first.pk and again.jobs == ()
    assert Workflow.objects.filter(parent=found.workflow_id).count() == 1


@pytest.mark.parametrize("ends", ["fails", "is cancelled"])
def test_one_that_ends_badly_makes_a_dead_letter_and_a_replay_runs_another(
    principal: Principal, clock: clock_module.Clock, ends: str
) -> None:
    task = run_workflow(principal, "probe_parent_asks", {"text": "ab"})
    first = child_of(task)
    if ends == "fails":
        Workflow.objects.filter(pk=first.pk).update(deadline_at=clock.now())
        expire(first.pk, actor="dispatcher")
    else:
        cancel(first.pk, actor="test", reason="a person does not want it")
    make_due(clock, 0)
    drain(task)

    letter = running_part(task)
    assert letter.state == "dead_lettered" and str(first.pk) in (letter.error or {})["message"]
    dead_letters.replay(principal, letter.pk)
    drain(task)
    second = Workflow.objects.filter(parent=task.pk).exclude(pk=first.pk).get()
    assert second.state == "pending"


def letter_of(task: Workflow) -> Job:
    """Its job is a dead letter although the task that it runs is open."""
    waiting = running_part(task)
    Job.objects.filter(pk=waiting.pk).update(
        state="dead_lettered", scheduled_at=None, finished_at=waiting.started_at, error={"class": "X", "message": "x"}
    )
    Workflow.objects.filter(pk=task.pk).update(state="needs_attention")
    return Job.objects.get(pk=waiting.pk)


def test_a_replay_goes_on_with_a_task_that_is_still_open(principal: Principal) -> None:
    task = run_workflow(principal, "probe_parent_asks", {"text": "ab"})
    dead_letters.replay(principal, letter_of(task).pk)
    drain(task)

    assert running_part(task).replay == 1 and running_part(task).state == "retryable"
    part = child_of(task)
    cancel(task.pk, actor="test", reason="not needed")
    clean_up.clean_up(str(running_part(task).pk))
    part.refresh_from_db()
    assert part.state == "cancelled"


def test_a_task_whose_job_is_finished_by_hand_is_cancelled(principal: Principal) -> None:
    task = run_workflow(principal, "probe_parent_asks", {"text": "ab"})
    part = child_of(task)

    dead_letters.resolve(principal, letter_of(task).pk, output={"result": {"text": "q"}, "task": "x"}, reason="seen")
    drain(task)

    part.refresh_from_db()
    task.refresh_from_db()
    assert (part.state, task.state) == ("cancelled", "completed")


def test_a_part_is_not_forgotten_while_its_task_waits(principal: Principal, clock: clock_module.Clock) -> None:
    task = run_workflow(principal, "probe_parent", {"text": "ab"})
    drain(child_of(task))
    clock.advance(5 * 24 * 3_600)

    assert prune.tasks(prune.due(WorkflowState.COMPLETED, older_than_days=1), limit=5) == 0
    make_due(clock, 1)
    drain(task)
    task.refresh_from_db()
    assert task.state == "completed"
    clock.advance(5 * 24 * 3_600)
    prune.tasks(prune.due(WorkflowState.COMPLETED, older_than_days=1), limit=5)
    assert not Workflow.objects.exists()


def test_a_kind_that_does_not_fit_is_a_dead_letter_that_says_so(principal: Principal) -> None:
    task = run_workflow(principal, "probe_parent_misfit")

    letter = running_part(task)
    assert letter.state == "dead_lettered" and "text" in (letter.error or {})["message"]
    assert not Workflow.objects.filter(parent=task.pk).exists()


def test_parts_are_seen_through_their_task_and_by_nobody_else(
    api: Api, principal: Principal, other_tenant: Tenant
) -> None:
    task = run_workflow(principal, "probe_parent_asks", {"text": "ab"})
    child = child_of(task)

    listed = [item["id"] for item in api.get("/tasks").json()["results"]]
    parts = [item["id"] for item in api.get(f"/tasks?parent={task.pk}").json()["results"]]
    shown = api.get(f"/tasks/{child.pk}").json()
    assert (listed, parts) == ([str(task.pk)], [str(child.pk)])
    assert (shown["parent"], shown["schedule"]) == (str(task.pk), None)
    stranger = Principal(principal.scopes, frozenset({other_tenant.pk}))
    with pytest.raises(NotFound):
        workflows.get(stranger, child.pk)
    assert not workflows.listing(stranger, parent=task.pk).exists()


def test_parts_take_nothing_of_the_quota_of_their_tenant(principal: Principal, clock: clock_module.Clock) -> None:
    run_workflow(principal, "probe_parent_asks", {"text": "ab"})

    pressure: QueuePressure = workflows.accept(principal, kind="probe_parent", input={"text": "x"}).pressure
    # The parent has begun, its part waits to begin: neither is counted.
    assert pressure.waiting == 0
