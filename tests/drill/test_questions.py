"""What makes an answer green, red or neither; the faults themselves are caused by tests/acceptance/test_drill.py."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
import redis

from agentapp import clock
from agentapp.drill import course, diagnosis, failing, messaging, permission, tracing
from agentapp.drill.answers import Answer, NotAvailable, Question, Red, Verdict, passed
from agentapp.drill.ground import Ground, TooLate
from agentapp.errors import PermissionDenied
from agentapp.models import DrillReport, Effect, History, Job, Worker, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests import harness
from tests.harness import drain

pytestmark = pytest.mark.django_db


@pytest.fixture
def ground(broker: redis.Redis) -> Iterator[Ground]:
    ground = Ground.prepare(limit_s=0.2)
    ground.begin()
    yield ground
    ground.leave()


def sent(ground: Ground) -> Job:
    """A job of the kind that is traced, completed."""
    task = ground.submit("drill_send", parts=[1, 2])
    drain(task)
    return task.jobs.get(type="drill_send")


def test_a_job_is_traced_from_its_id_to_its_outcome(ground: Ground) -> None:
    job = sent(ground)

    line = tracing.follow(str(job.pk))

    for part in (str(job.pk), str(job.workflow_id), "pending > running > completed", "sent once", "outcome sent"):
        assert part in line


def test_a_history_with_a_gap_is_red(ground: Ground) -> None:
    job = sent(ground)
    History.objects.filter(workflow=job.workflow_id, seq=3).delete()

    with pytest.raises(Red, match="has gaps"):
        tracing.follow(str(job.pk))


def test_an_effect_that_is_not_confirmed_is_red(ground: Ground) -> None:
    job = sent(ground)
    Effect.objects.filter(job_id=job.pk).delete()

    with pytest.raises(Red, match="not in the ledger"):
        tracing.follow(str(job.pk))


def test_a_pool_of_threads_is_not_asked_to_crash(ground: Ground) -> None:
    """The job runs in this very process: it must refuse to kill it."""
    task = ground.submit("drill_crash")
    drain(task)

    with pytest.raises(NotAvailable, match="no prefork pool"):
        failing.survived(ground, task)


def test_a_queue_that_nobody_serves_is_named(ground: Ground) -> None:
    answer = course.answer(Question("worker crash", failing.worker_crash), ground)

    assert answer.verdict is Verdict.RED
    assert "no worker serves the queue documents: start one" in answer.evidence


def test_a_served_queue_that_stands_still_points_at_broker_and_dispatcher(ground: Ground) -> None:
    moment = clock.now()
    Worker.objects.create(
        id=1, name="documents", pool="prefork", queues=["documents"], started_at=moment, seen_at=moment
    )
    assert "does a dispatcher run?" in diagnosis.why(ground.submit("drill_crash"))

    Worker.objects.update(seen_at=moment - timedelta(hours=1))
    assert "no worker serves" in diagnosis.why(ground.submit("drill_crash"))


def test_a_task_that_ends_otherwise_is_not_waited_for(ground: Ground) -> None:
    task = ground.submit("drill_crash")
    drain(task)

    with pytest.raises(TooLate, match="did not become completed: drill_crash is a dead letter, PermanentError"):
        ground.reach([task], "completed")


def test_what_is_left_is_cancelled_and_other_tasks_are_not(ground: Ground) -> None:
    mine, other = ground.submit("drill_fail"), Ground.prepare(limit_s=1)
    theirs = other.submit("drill_fail")

    ground.leave()

    assert Workflow.objects.get(pk=mine.pk).state == "cancelled"
    assert Workflow.objects.get(pk=theirs.pk).state == "pending"


def test_what_a_killed_drill_left_is_cancelled_by_a_later_one(ground: Ground) -> None:
    old = ground.submit("drill_fail")
    Workflow.objects.filter(pk=old.pk).update(created_at=clock.now() - timedelta(hours=2))

    Ground.prepare(limit_s=1)

    assert Workflow.objects.get(pk=old.pk).state == "cancelled"


def test_our_queues_are_thrown_away_and_nothing_else(broker: redis.Redis) -> None:
    broker.rpush("model", "1", "2")
    broker.rpush("send\x06\x163", "3")
    broker.rpush("somebody-elses", "4")

    assert messaging.throw_away() == 3
    assert broker.keys() == [b"somebody-elses"]


def test_a_refusal_of_the_stack_is_red_and_a_question_without_an_answer_is_neither(ground: Ground) -> None:
    def refused(_: Ground) -> str:
        raise PermissionDenied("the tenant drill is suspended")

    def not_here(_: Ground) -> str:
        raise NotAvailable("nothing serves it")

    red = course.answer(Question("refused", refused), ground)
    neither = [course.answer(Question("not here", not_here), ground)]

    assert (red.verdict, red.evidence) == (Verdict.RED, "the tenant drill is suspended")
    assert {item.verdict for item in neither} == {Verdict.NOT_AVAILABLE}


@pytest.mark.parametrize(
    ("verdicts", "outcome"),
    [
        ([Verdict.GREEN, Verdict.NOT_AVAILABLE, Verdict.SKIPPED], True),
        ([Verdict.GREEN, Verdict.RED], False),
        ([Verdict.NOT_AVAILABLE, Verdict.SKIPPED], False),
    ],
)
def test_green_alone_passes(verdicts: list[Verdict], outcome: bool) -> None:
    assert passed([Answer("q", verdict, "", 0.0) for verdict in verdicts]) is outcome


def test_a_report_is_stored_with_every_answer(ground: Ground) -> None:
    heard: list[str] = []
    watcher = course.Watcher(heard.append, lambda answer: heard.append(answer.verdict.value))

    report = course.run(ground, skip=course.names()[:8], watcher=watcher)

    assert DrillReport.objects.get() == report
    assert [item["question"] for item in report.answers] == course.names()
    assert not report.passed
    assert heard[:2] == ["worker crash", "skipped"]


def test_the_tasks_of_a_drill_are_seen_by_no_other_key(ground: Ground, principal: Principal) -> None:
    sent(ground)

    assert not workflows.listing(principal).exists()
    assert harness.workflow_path(Workflow.objects.get()) == "pending > running > completed"


def test_a_revoked_key_stops_what_was_queued_and_a_job_that_ran_is_red(ground: Ground) -> None:
    tasks = permission._submit_and_revoke(ground)
    drain()

    assert permission.judged([task.pk for task in tasks]).startswith("10 jobs of a revoked key: 0 attempts, 0 effects")
    with pytest.raises(Red, match="1 attempts, 1 effects"):
        permission.judged([sent(ground).workflow_id])
