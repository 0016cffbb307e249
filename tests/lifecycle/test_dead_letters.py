"""What a person can do with a dead letter, to the end of its task. [F3] [D7]"""

from __future__ import annotations

import pytest

from agentapp import states
from agentapp.errors import IllegalMove, InvalidInput, NotFound
from agentapp.models import Approval, Attempt, Job
from agentapp.services import dead_letters, workflows
from agentapp.services.principals import Principal
from tests.harness import drain, path, run_workflow, workflow_path
from tests.lifecycle import dead_letter_kinds
from tests.lifecycle.letters import approve, drain_until, fail_at, now, ran, stages
from tests.lifecycle.letters import world as world

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_dead_letter_goes_back_to_an_earlier_stage_and_on_from_there(principal: Principal) -> None:
    workflow, job = fail_at(principal, "letter_judge")

    dead_letters.replay(principal, job.pk, from_stage="letter_part")

    assert workflow_path(workflow) == "pending > running > needs_attention > running"
    assert path(job) == "available > running > dead_lettered > cancelled"
    assert now(workflow).state == "awaiting_approval"
    assert stages(workflow) == [
        "letter_read", "letter_part", "letter_write", "letter_judge",
        "letter_part", "letter_write", "letter_judge", "letter_ask", "approval", "letter_send",
    ]  # fmt: skip
    assert [ran(workflow, name) for name in ("letter_read", "letter_part", "letter_write", "letter_judge")] == [
        1,
        6,
        2,
        2,
    ]
    approve(principal, workflow)
    done = now(workflow)
    assert (done.state, dead_letter_kinds.sent) == ("completed", ["hello 12"])
    assert (done.jobs_done, done.jobs_total, done.stages_total) == (12, 12, 10)


def test_the_failed_stage_itself_is_done_again_as_a_whole(principal: Principal) -> None:
    workflow, job = fail_at(principal, "letter_part 2", "letter_part 3")

    dead_letters.replay(principal, job.pk, from_stage="letter_part")

    assert sorted(path(dead) for dead in Job.objects.filter(workflow=workflow, state="cancelled")) == [
        "available > running > dead_lettered > cancelled"
    ] * 2  # fmt: skip
    assert now(workflow).state == "awaiting_approval"
    assert ran(workflow, "letter_part") == 6


def test_a_stage_of_the_latest_round_is_meant_and_earlier_rounds_are_not_done_again(principal: Principal) -> None:
    workflow = workflows.submit(principal, kind="letter_line", input={"text": "worse"})
    drain_until(workflow, "letter_judge", rounds=1)
    dead_letter_kinds.broken.add("letter_judge")
    drain()
    dead_letter_kinds.broken.clear()
    job = Job.objects.get(workflow=workflow, state="dead_lettered")
    assert job.stage.round == 1
    assert dead_letters.stages_before(job) == ["letter_read", "letter_part", "letter_write", "letter_judge"]

    dead_letters.replay(principal, job.pk, from_stage="letter_read")

    assert stages(workflow)[6:] == [
        "letter_read", "letter_part", "letter_write", "letter_judge", "letter_ask", "approval", "letter_send"
    ]  # fmt: skip


def test_what_runs_beside_a_dead_letter_loses_its_lease_when_the_run_goes_back(principal: Principal) -> None:
    from agentapp.errors import LostLease
    from agentapp.lifecycle.claim import claim
    from agentapp.lifecycle.complete import complete
    from agentapp.lifecycle.opened import Claimed
    from agentapp.runtime import runner

    dead_letter_kinds.broken.add("letter_part 1")
    workflow = workflows.submit(principal, kind="letter_line", input={})
    drain_until(workflow, "letter_read", rounds=1)
    first, second, third = Job.objects.filter(workflow=workflow, type="letter_part").order_by("part")
    runner.run(str(first.pk))
    running = claim(str(second.pk), worker="w", queues=["retrieval"], lease_s=15)
    assert isinstance(running, Claimed)

    dead_letters.replay(principal, first.pk, from_stage="letter_read")

    with pytest.raises(LostLease):
        complete(running, {"double": 99}, worker="w")
    assert Attempt.objects.get(job=second).outcome == "cancelled"
    assert [path(job) for job in (second, third)] == ["available > running > cancelled", "available > cancelled"]
    dead_letter_kinds.broken.clear()
    assert now(workflow).state == "awaiting_approval"


def test_a_decision_that_lies_between_is_asked_again(principal: Principal) -> None:
    workflow = run_workflow(principal, "letter_line")
    dead_letter_kinds.broken.add("letter_send")
    approve(principal, workflow)
    drain()
    dead_letter_kinds.broken.clear()
    job = Job.objects.get(workflow=workflow, state="dead_lettered")

    dead_letters.replay(principal, job.pk, from_stage="letter_ask", effect_happened=False)
    assert now(workflow).state == "awaiting_approval"
    assert Approval.objects.filter(workflow=workflow).count() == 2
    approve(principal, workflow)

    assert now(workflow).state == "completed"
    assert len(dead_letter_kinds.sent) == 1


def test_a_stage_that_is_none_is_refused_with_those_that_there_are(principal: Principal) -> None:
    _, job = fail_at(principal, "letter_write")

    for name in ("letter_ask", "nothing"):
        with pytest.raises(InvalidInput, match=r"Choose one of: letter_read, letter_part, letter_write\."):
            dead_letters.replay(principal, job.pk, from_stage=name)
    with pytest.raises(InvalidInput, match="Give either"):
        dead_letters.replay(principal, job.pk, from_stage="letter_read", payload={"text": "a", "parts": []})
    assert path(job) == "available > running > dead_lettered"


def test_a_letter_that_its_task_has_passed_can_only_be_replayed_alone(principal: Principal) -> None:
    dead_letter_kinds.broken.update({"letter_part 1", "letter_write"})
    workflow = run_workflow(principal, "letter_settled")
    dead_letter_kinds.broken.clear()
    passed = Job.objects.get(workflow=workflow, type="letter_part", state="dead_lettered")

    assert dead_letters.stages_before(passed) == []
    with pytest.raises(IllegalMove, match="gone on without it"):
        dead_letters.replay(principal, passed.pk, from_stage="letter_part")
    dead_letters.replay(principal, passed.pk)
    assert now(workflow).state == "needs_attention"
    workflow.refresh_from_db()
    assert (Job.objects.get(pk=passed.pk).output, workflow.parts_left) == ({"double": 2}, 1)


def test_an_edited_payload_forgets_the_checkpoint_and_an_unchanged_one_keeps_it(principal: Principal) -> None:
    _, job = fail_at(principal, "letter_read")
    Job.objects.filter(pk=job.pk).update(checkpoint={"page": 3})
    assert dead_letters.replay(principal, job.pk).checkpoint == {"page": 3}
    dead_letter_kinds.broken.add("letter_read")
    drain()
    dead_letter_kinds.broken.clear()
    assert dead_letters.replay(principal, job.pk, payload={"text": "other"}).checkpoint is None


def test_a_task_that_is_over_takes_nothing_back(principal: Principal) -> None:
    workflow, job = fail_at(principal, "letter_part 1", kind="letter_settled")
    assert workflow.state == "completed"

    with pytest.raises(IllegalMove, match=r"over \(completed\)"):
        dead_letters.replay(principal, job.pk)
    with pytest.raises(IllegalMove, match=r"over \(completed\)"):
        dead_letters.resolve(principal, job.pk, output={"double": 2}, reason="late")


def test_nobody_mends_what_belongs_to_another_tenant(principal: Principal, other_principal: Principal) -> None:
    _, job = fail_at(principal, "letter_write")
    for act in (
        lambda: dead_letters.replay(other_principal, job.pk, from_stage="letter_read"),
        lambda: dead_letters.resolve(other_principal, job.pk, output={"draft": "mine"}, reason="mine"),
    ):
        with pytest.raises(NotFound):
            act()
    assert dead_letters.groups(other_principal) == []


def test_every_move_of_dead_letters_is_declared() -> None:
    assert {"available", "completed", "cancelled"} == set(states.JOB_MOVES["dead_lettered"])
