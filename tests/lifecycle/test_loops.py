"""Plans that loop and branch: what is skipped, what goes round again, and what a stage reads then. [C3]"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from agentapp import flows
from agentapp.errors import IllegalMove
from agentapp.ids import uuid7
from agentapp.lifecycle.submit import submit
from agentapp.models import Approval, Attempt, History, Job, Stage, Tenant, Workflow
from agentapp.runtime import runner
from agentapp.services import approvals, dead_letters, forks, workflows
from agentapp.services.principals import Principal
from tests.harness import be_a_worker, drain, histories_are_legal, path, run_workflow
from tests.lifecycle import looping_kinds
from tests.lifecycle.letters import approve, now, stages

pytestmark = pytest.mark.django_db(transaction=True)
SKIPPED = "its condition is not met"


@pytest.fixture(autouse=True)
def nothing_is_broken() -> Iterator[None]:
    looping_kinds.broken.clear()
    yield
    looping_kinds.broken.clear()
    assert histories_are_legal()
    for workflow in Workflow.objects.filter(state="completed"):
        assert (workflow.jobs_done, workflow.parts_left) == (workflow.jobs_total, 0)
        assert Job.objects.filter(workflow=workflow, state="completed").count() == workflow.jobs_done
        assert workflow.position == workflow.stages_total == Stage.objects.filter(workflow=workflow).count()


def turns(count: int, **more: dict[str, Any]) -> dict[str, Any]:
    """A script of turns that each call two parts, but for the last; `turn_3={...}` says something else of the third."""
    script = [{"calls": [2 * n, 2 * n + 1]} for n in range(1, count)] + [{}]
    for name, turn in more.items():
        script[int(name.removeprefix("turn_")) - 1] = turn
    return {"turns": script}


def decide(principal: Principal, workflow: Workflow, decision: str, reason: str = "because") -> None:
    approval = Approval.objects.get(workflow=workflow, state="pending")
    approvals.decide(
        principal, approval.pk, decision=decision, content_sha256=approval.content_sha256, reason=reason
    )  # fmt: skip


def test_an_agent_takes_twenty_turns(principal: Principal) -> None:
    done = run_workflow(principal, "loop_agent", turns(20))

    assert done.state == "completed"
    assert (done.result or {})["turns"] == 20
    assert (done.result or {})["heard"]["results"] == [{"call": 38, "double": 76}, {"call": 39, "double": 78}]
    assert Attempt.objects.filter(job__workflow=done).count() == done.jobs_done == 20 + 19 * 2
    assert stages(done) == ["loop_turn", "approval", "loop_tool"] * 20
    rounds = Stage.objects.filter(workflow=done, name="loop_tool").order_by("position").values_list("round", flat=True)
    assert list(rounds) == list(range(20))


def test_a_person_is_asked_only_where_a_turn_asks(principal: Principal) -> None:
    run = run_workflow(principal, "loop_agent", turns(4, turn_2={"asks": True, "calls": [7]}))
    assert (run.state, Approval.objects.count()) == ("awaiting_approval", 1)

    approve(principal, run)
    done = now(run)

    assert (done.state, Approval.objects.count()) == ("completed", 1)
    heard = [job.output["heard"]["decision"] for job in jobs_of(done, "loop_turn") if job.output]
    # The decision of the second turn is no decision of the third.
    assert heard == [None, None, "approved", None]


def test_a_rejection_goes_on_where_the_plan_says_so(principal: Principal) -> None:
    run = run_workflow(principal, "loop_agent", turns(3, turn_2={"asks": True, "calls": [7]}))

    decide(principal, run, "reject", "not that way")
    done = now(run)

    assert (done.state, (done.result or {})["turns"]) == ("completed", 3)
    heard = (done.result or {})["heard"]
    assert (heard["decision"], heard["remark"]) == ("rejected", "not that way")
    # It went back before its calls, which nobody made.
    assert not Job.objects.filter(workflow=done, type="loop_tool", payload__call__n=7).exists()


def test_a_decision_with_no_way_back_refuses_a_request_for_changes(principal: Principal) -> None:
    run = run_workflow(principal, "loop_agent", turns(2, turn_1={"asks": True}))

    with pytest.raises(IllegalMove, match="has no stage to go back to"):
        decide(principal, run, "request_changes")

    assert now(run).state == "awaiting_approval"
    workflows.cancel(principal, run.pk, reason="enough")


def jobs_of(workflow: Workflow, name: str) -> list[Job]:
    return list(Job.objects.filter(workflow=workflow, stage__name=name).order_by("stage__position", "part"))


def test_what_is_skipped_opens_nothing_and_what_reads_it_reads_null(principal: Principal) -> None:
    done = run_workflow(principal, "loop_branch", {"first": "right"})

    assert (done.state, done.result) == ("completed", {"right": 2, "read": "default", "last": "default"})
    assert (done.jobs_done, done.jobs_total) == (2, 2)
    for name in ("left", "loop_tool", "approval"):
        (job,) = jobs_of(done, name)
        assert (job.state, job.attempt) == ("cancelled", 0)
        assert History.objects.get(job_id=job.pk).reason == SKIPPED
    assert path(jobs_of(done, "left")[0]) == path(jobs_of(done, "approval")[0]) == "cancelled"
    assert not Approval.objects.exists()


def test_what_is_not_skipped_is_done(principal: Principal) -> None:
    done = run_workflow(principal, "loop_branch", {"first": "left", "parts": [1]})

    assert (done.state, done.result) == ("completed", {"left": 1, "last": [{"call": 1, "double": 2}]})
    assert Stage.objects.filter(workflow=done, spec__has_key="skipped").count() == 2


def test_a_canvas_ends_before_a_stage_that_may_be_skipped(principal: Principal, tenant: Tenant) -> None:
    task = Workflow(id=uuid7(), tenant_id=tenant.pk, kind="loop_line", version=1, labels={}, input={}, result_bind={})
    opened = submit(task, stages=flows.plan(looping_kinds.LINE), actor="key:test", deadline_s=None)[0]

    (after,) = opened.tail
    assert Job.objects.get(pk=after.id).stage.name == "b"
    assert (now(task).state, path(jobs_of(task, "c")[0])) == ("completed", "cancelled")


def test_a_task_whose_stages_are_all_skipped_is_over_at_once(principal: Principal) -> None:
    done = workflows.submit(principal, kind="loop_nothing", input={})

    assert (done.state, done.position, done.jobs_total) == ("completed", 2, 0)
    assert run_workflow(principal, "loop_nothing", {"first": True, "parts": [1]}).jobs_done == 2


def test_an_empty_fan_out_goes_round_again_too(principal: Principal) -> None:
    done = run_workflow(principal, "loop_agent", {"turns": [{}] * 5})
    assert (done.state, (done.result or {})["turns"], done.jobs_done) == ("completed", 5, 5)


def test_a_loop_ends_at_most_and_the_plan_goes_on(principal: Principal) -> None:
    done = run_workflow(principal, "loop_nested")

    # Each time that the outer loop comes to the inner one, that has all its rounds.
    assert (done.state, done.result) == ("completed", {"outer": 2, "inner": 6, "end": 2})


def test_the_dead_letter_of_a_stage_behind_a_skipped_one_is_its_own(principal: Principal) -> None:
    run = run_workflow(principal, "loop_branch", {"first": "left", "parts": 5})
    letter = Job.objects.get(workflow=run, state="dead_lettered")
    assert (letter.stage.name, run.state) == ("loop_tool", "needs_attention")

    dead_letters.resolve(principal, letter.pk, output={"call": 0}, reason="by hand")
    assert now(run).state == "completed"


def test_what_nobody_foresaw_behind_a_skipped_stage_blocks_that_stage(principal: Principal) -> None:
    run = workflows.submit(principal, kind="loop_agent", input=turns(2))
    Stage.objects.filter(workflow=run, name="loop_tool").update(
        spec={"each": "call", "bind": {}, "over": {"const": [1]}}
    )
    drain(run)

    letter = Job.objects.get(workflow=run, state="dead_lettered")
    assert letter.stage.name == "loop_tool"
    assert Stage.objects.get(workflow=run, name="approval").spec["skipped"]
    workflows.cancel(principal, run.pk, reason="enough")


def test_a_dead_letter_within_a_loop_is_replayed_alone_or_from_an_earlier_stage(principal: Principal) -> None:
    looping_kinds.broken.update({7, 8})
    run = run_workflow(principal, "loop_agent", turns(6))
    looping_kinds.broken.clear()
    letter = Job.objects.get(workflow=run, state="dead_lettered")
    assert dead_letters.stages_before(letter) == ["loop_turn", "approval", "loop_tool"]

    dead_letters.replay(principal, letter.pk)
    looping_kinds.broken.add(8)
    run = now(run)
    letter = Job.objects.get(workflow=run, state="dead_lettered")
    looping_kinds.broken.clear()
    dead_letters.replay(principal, letter.pk, from_stage="loop_turn")
    done = now(run)

    assert (done.state, (done.result or {})["turns"]) == ("completed", 6)
    assert len([job for job in jobs_of(done, "loop_turn") if job.state == "completed"]) == 7


def test_a_task_is_cancelled_within_a_loop(principal: Principal) -> None:
    run = run_workflow(principal, "loop_agent", turns(4, turn_3={"asks": True}))
    assert run.state == "awaiting_approval"

    cancelled = workflows.cancel(principal, run.pk, reason="enough")

    assert cancelled.state == "cancelled"
    assert not Job.objects.filter(workflow=run).exclude(state__in=("completed", "cancelled")).exists()
    reasons = History.objects.filter(workflow=run, to_state="cancelled", noun="job").values_list("reason", flat=True)
    assert sorted(set(reasons)) == [SKIPPED]


def test_a_fork_within_a_loop_shares_the_rounds_before_but_no_approval(principal: Principal) -> None:
    run = run_workflow(principal, "loop_agent", turns(4, turn_1={"asks": True, "calls": [1]}, turn_3={"asks": True}))
    approve(principal, run)
    assert now(run).state == "awaiting_approval"
    decide(principal, run, "reject")
    origin = now(run)

    fork = forks.fork(principal, origin.pk, from_stage="loop_turn")

    assert stages(fork) == [*stages(origin)[:-3], "loop_turn", "approval", "loop_tool"]
    done = now(fork)
    assert (done.state, (done.result or {})["turns"], (done.result or {})["heard"]["decision"]) == (
        "completed", 4, "rejected"
    )  # fmt: skip
    first = Stage.objects.filter(workflow=fork, name="approval").order_by("position")[0]
    assert (first.output, first.spec["skipped"]) == (None, True)
    assert not Approval.objects.filter(workflow=fork).exists()


def test_a_plan_in_the_form_of_the_release_before_loops(principal: Principal) -> None:
    run = workflows.submit(principal, kind="probe_loop", input={})
    stage = Stage.objects.get(workflow=run)
    del stage.spec["repeat"]["when"]
    assert stage.spec["repeat"] == {"back_to": "probe_judge", "field": "verdict", "equals": "revise", "at_most": 5}
    stage.save()

    done = now(run)

    assert (done.state, done.result) == ("completed", {"seen": 3})


def stages_read() -> int:
    """The rows of stages that were read by an index, as moves read them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = 'agentapp_stage'")
        return int(cursor.fetchone()[0])


def run_to_the_end(workflow: Workflow) -> None:
    """As `drain`, without a look at the stages of its own."""
    be_a_worker()
    available = Job.objects.filter(workflow=workflow, state="available")
    while (job := available.values_list("pk", flat=True).first()) is not None:
        runner.run(str(job))


def test_a_round_of_a_long_loop_reads_no_more_than_one_of_a_short(principal: Principal) -> None:
    read = {}
    # Postgres plans by what it knows of the tables: here that tasks have many stages, and not that there are none,
    # which it may have found between two tests.
    run_to_the_end(workflows.submit(principal, kind="loop_agent", input={"turns": [{}] * 50}))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE agentapp_stage, agentapp_job, agentapp_workflow")
    for count in (10, 20, 110, 120):
        before = stages_read()
        run_to_the_end(workflows.submit(principal, kind="loop_agent", input={"turns": [{}] * count}))
        read[count] = stages_read() - before

    early, late = read[20] - read[10], read[120] - read[110]
    assert late <= 1.5 * early, read
