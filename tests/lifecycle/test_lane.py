"""Moves that are made for a list: an answer for each, whatever becomes of the others. INV1 INV4 INV5"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import permutations
from typing import Any

import pytest
from django.db import connection, connections

from agentapp.errors import LostLease
from agentapp.ids import uuid7
from agentapp.lifecycle import cancel, database, gates
from agentapp.lifecycle.complete import complete
from agentapp.lifecycle.invocation import Jsonb
from agentapp.lifecycle.opened import Claimed
from agentapp.lifecycle.requests import Taker
from agentapp.models import Attempt, Gate, Job, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.dispatch.barrier import SIZE, Together
from tests.harness import histories_are_legal, path
from tests.lifecycle.held_row import held
from tests.lifecycle.test_locks import QUEUES, first_job, take

pytestmark = pytest.mark.django_db(transaction=True)

Json = dict[str, Any]
SHARED: Json = {"actor": "worker", "taker": vars(Taker("worker", QUEUES, 60)), "waits": False}


def claims(*jobs: Any, **more: Any) -> list[Any]:
    items = [{"job": str(getattr(job, "pk", job)), "token": str(uuid7())} for job in jobs]
    return database.call_many("claim", items=Jsonb(items), **SHARED, **more)


def item(claimed: Json, output: Json | None = None, **more: Any) -> Json:
    return {
        "workflow": claimed["workflow"], "job": claimed["id"], "token": claimed["token"], "state": "completed",
        "outcome": "completed", "output": output or {"text": "a"}, "effects": [], **more,
    }  # fmt: skip


def settles(*items: Json, **more: Any) -> list[Any]:
    return database.call_many("settle", items=Jsonb(list(items)), **SHARED, **more)


def parts_of(principal: Principal, count: int) -> tuple[Workflow, list[Job]]:
    run = workflows.submit(principal, kind="probe_all", input={"parts": list(range(count))})
    return run, list(Job.objects.filter(workflow=run, type="probe_part").order_by("part"))


def test_a_list_of_claims_answers_each_in_its_place(principal: Principal) -> None:
    first, second, over = first_job(principal), first_job(principal), first_job(principal)
    cancel.cancel(over.workflow_id, actor="test", reason="enough")

    *answers, again = claims(second, uuid7(), over, first, second)

    assert [answer.get("id") or answer["refused"] for answer in answers] == [
        str(second.pk), "unknown", "cancelled", str(first.pk),
    ]  # fmt: skip
    assert again is None
    assert claims(second)[0] == {"refused": "running"}
    assert path(first) == path(second) == "available > running"
    assert histories_are_legal()


def test_what_the_list_says_is_not_an_id_is_an_error_and_moves_nothing(principal: Principal) -> None:
    job = first_job(principal)

    with pytest.raises(Exception, match="uuid"):
        claims(job, "no id")

    assert path(job) == "available"


def test_the_parts_of_one_join_settle_in_one_list(principal: Principal) -> None:
    run, parts = parts_of(principal, 5)
    held_parts = claims(*parts)

    answers = settles(*(item(claimed, {"double": 2}) for claimed in held_parts))

    assert [len(answer["opened"]) for answer in answers] == [0, 0, 0, 0, 1]
    assert Job.objects.get(workflow=run, type="probe_sum").payload == {"parts": [{"double": 2}] * 5}
    assert histories_are_legal()


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_in_a_list_does_not_matter(principal: Principal, order: tuple[int, ...]) -> None:
    """A job that completes, one that fails for good, and one whose lease is lost; of two tasks."""
    run, (one, two) = parts_of(principal, 2)
    other = first_job(principal)
    done, failed, lost = claims(one, two, other)
    lost["token"] = str(uuid7())
    error = {"class": "Broken", "kind": "permanent", "message": "it broke", "fingerprint": ""}
    ends = [
        item(done, {"double": 2}),
        item(failed, state="dead_lettered", outcome="failed", error=error, reason="it broke"),
        item(lost),
    ]

    answers = settles(*(ends[number] for number in order))

    assert [answers[order.index(number)]["status"] for number in range(3)] == ["ok", "ok", "lost"]
    assert [path(job).split(" > ")[-1] for job in (one, two, other)] == ["completed", "dead_lettered", "running"]
    run.refresh_from_db()
    assert (run.state, run.parts_left, run.jobs_done) == ("needs_attention", 1, 1)
    assert histories_are_legal()


def test_a_part_that_its_join_did_not_wait_for_is_lost_in_the_list_that_ends_its_task(principal: Principal) -> None:
    run = workflows.submit(principal, kind="probe_enough", input={"parts": [1, 2, 3]})
    held_parts = claims(*Job.objects.filter(workflow=run))

    answers = settles(*(item(claimed, {"double": 2}) for claimed in held_parts))

    assert [answer["status"] for answer in answers] == ["ok", "ok", "lost"]
    assert sorted(Attempt.objects.values_list("outcome", flat=True)) == ["cancelled", "completed", "completed"]
    assert histories_are_legal()


def test_a_job_settles_once_in_a_list_that_holds_it_twice(principal: Principal) -> None:
    (claimed,) = claims(first_job(principal))

    first, again = settles(item(claimed), item(claimed))

    assert (first["status"], again) == ("ok", None)
    assert [answer["status"] for answer in settles(item(claimed))] == ["done before"]


def test_what_became_of_an_output_that_was_no_use_is_told_again(principal: Principal) -> None:
    (claimed,) = claims(first_job(principal))
    useless = item(claimed, {"priority": 77})

    (first,), (again,) = settles(useless), settles(useless)

    assert (first["status"], again["status"]) == ("ok", "done before")
    assert first["unusable"] == again["unusable"] != ""


def test_a_list_lets_no_more_through_a_gate_than_single_claims(principal: Principal) -> None:
    gates.keep(Gate(scope="job_type", pattern="probe_first", concurrency=2), actor="test")
    jobs = [first_job(principal) for _ in range(5)]

    answers = claims(*jobs)

    assert sorted(answer.get("refused", "claimed") for answer in answers) == ["claimed"] * 2 + ["parked"] * 3
    assert Job.objects.filter(state="running").count() == 2


def test_a_list_of_one_task_waits_for_it(principal: Principal) -> None:
    """Each of its parts would have to wait anyway: together they wait once."""
    _, parts = parts_of(principal, 3)
    with held("agentapp_workflow", parts[0].workflow_id) as line:
        line.join(lambda: claims(*parts))
        (claimed,) = line.release()
    with held("agentapp_workflow", parts[0].workflow_id) as line:
        line.join(lambda: settles(*map(item, claimed)))
        (settled,) = line.release()
    assert [answer["status"] for answer in settled] == ["ok"] * 3


def test_a_lone_one_in_the_lane_does_not_wait_for_its_task(principal: Principal) -> None:
    """Those behind it in the lane would wait with it."""
    (held_part,) = claims(first_job(principal))
    busy = first_job(principal)
    with held("agentapp_workflow", busy.workflow_id), held("agentapp_workflow", held_part["workflow"]):
        assert (claims(busy), settles(item(held_part))) == ([None], [None])


def test_a_task_that_somebody_holds_is_passed_over(principal: Principal) -> None:
    busy, free = first_job(principal), first_job(principal)

    with held("agentapp_workflow", busy.workflow_id):
        answers = claims(busy, free)
        settled = settles(
            item(answers[1]), item({"workflow": str(busy.workflow_id), "id": str(busy.pk), "token": str(uuid7())})
        )

    assert [answer and answer["id"] for answer in answers] == [None, str(free.pk)]
    assert [answer and answer["status"] for answer in settled] == ["ok", None]
    assert path(busy) == "available"


def in_threads(*acts: Any) -> list[Any]:
    def one(act: Any) -> Any:
        try:
            return act()
        except LostLease as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(acts)) as threads:
        return [future.result(60) for future in [threads.submit(one, act) for act in acts]]


def test_a_gate_that_somebody_holds_stops_no_other_claim(principal: Principal) -> None:
    """Claims for the gate line up behind its row; one of another type goes on meanwhile."""
    gates.keep(Gate(scope="job_type", pattern="probe_first", concurrency=5), actor="test")
    gated, (free, *_) = [first_job(principal) for _ in range(3)], parts_of(principal, 2)[1]
    gates.know(["job_type:probe_first", "job_type:probe_part"])

    with held("agentapp_limit", "job_type:probe_first", column="key") as line:
        for job in gated:
            line.join(partial(take, job))
        (other,) = in_threads(lambda: take(free))
        waiting = line.release()

    assert isinstance(other, Claimed)
    assert all(isinstance(each, Claimed) for each in waiting)


def test_an_item_that_is_no_use_spoils_no_other(principal: Principal) -> None:
    """What Postgres refuses of one: the others of its batch are settled all the same."""
    held_jobs = [take(first_job(principal)) for _ in range(12)]
    spoilt = random.Random(3).sample(range(12), 4)

    def settle(number: int, job: Any) -> Any:
        output: Json = {"text": "a\x00b"} if number in spoilt else {"text": "fine"}
        usage = {"tokens": "many" if number in spoilt else 1}
        try:
            return complete(job, output, worker="worker", usage=usage)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this one's
            return type(error).__name__

    answers = in_threads(*(lambda n=n, job=job: settle(n, job) for n, job in enumerate(held_jobs)))

    assert [isinstance(answer, str) for answer in answers] == [number in spoilt for number in range(12)]
    assert Job.objects.filter(type="probe_first", state="completed").count() == 8


def test_threads_share_commits(principal: Principal) -> None:
    """Rows that one transaction has written carry its number."""
    jobs = [first_job(principal) for _ in range(SIZE)]
    with Together(is_apart=False) as threads:
        answers = threads.at_once([partial(take, job) for job in jobs])

    assert all(isinstance(answer, Claimed) for answer in answers)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(DISTINCT xmin::text) FROM agentapp_job WHERE state = 'running'")
        (commits,) = cursor.fetchone()
    assert commits < SIZE
