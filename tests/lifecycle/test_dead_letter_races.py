"""Several people at one dead letter: one of them is faster, the others are told, nothing deadlocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connections

from agentapp.errors import IllegalMove, InvalidInput, NotFound
from agentapp.models import Job, Workflow
from agentapp.services import bulk_replays, dead_letters, forks, workflows
from agentapp.services.principals import Principal
from tests.harness import drain, histories_are_legal, path, run_workflow
from tests.lifecycle import dead_letter_kinds, deadlocks

pytestmark = pytest.mark.django_db(transaction=True)
Act = Callable[[], Any]


@pytest.fixture(autouse=True)
def no_deadlock() -> Iterator[None]:
    before = deadlocks.count()
    dead_letter_kinds.reset()
    yield
    dead_letter_kinds.reset()
    assert deadlocks.count() == before


def at_once(acts: list[Act]) -> list[str]:
    """Do all of them at the same moment, each on its own connection; return "done" or the name of the refusal."""
    start = Barrier(len(acts))

    def one(act: Act) -> str:
        start.wait()
        try:
            act()
        except (IllegalMove, InvalidInput, NotFound) as refusal:
            return type(refusal).__name__
        finally:
            connections.close_all()
        return "done"

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(one, acts))


@pytest.fixture
def letter(principal: Principal) -> Job:
    dead_letter_kinds.broken.add("letter_part 2")
    workflow = run_workflow(principal, "letter_line")
    dead_letter_kinds.broken.clear()
    return Job.objects.get(workflow=workflow, state="dead_lettered")


@pytest.mark.parametrize("round", range(5))
def test_one_of_many_is_faster(principal: Principal, letter: Job, round: int) -> None:
    acts: list[Act] = [
        lambda: dead_letters.replay(principal, letter.pk),
        lambda: dead_letters.replay(principal, letter.pk, from_stage="letter_read"),
        lambda: dead_letters.replay(principal, letter.pk, from_stage="letter_part"),
        lambda: dead_letters.resolve(principal, letter.pk, output={"double": 4}, reason="counted"),
    ]

    told = at_once(acts[round % 4 :] + acts[: round % 4] + acts)

    assert told.count("done") == 1, told
    drain()
    workflow = Workflow.objects.get(pk=letter.workflow_id)
    assert workflow.state == "awaiting_approval"
    assert Job.objects.filter(workflow=workflow, state="completed").count() == workflow.jobs_done
    assert path(letter).count("dead_lettered") == 1
    assert histories_are_legal()


def test_a_task_that_is_cancelled_meanwhile_stays_cancelled(principal: Principal, letter: Job) -> None:
    told = at_once(
        [
            lambda: workflows.cancel(principal, letter.workflow_id, reason="enough"),
            lambda: dead_letters.replay(principal, letter.pk, from_stage="letter_read"),
            lambda: dead_letters.resolve(principal, letter.pk, output={"double": 4}, reason="counted"),
            lambda: forks.fork(principal, letter.workflow_id, from_stage="letter_part"),
        ]
    )

    assert told[0] == "done"
    drain()
    assert Workflow.objects.get(pk=letter.workflow_id).state == "cancelled"
    # When the replay was first, its stage is not reached any more, and the fork is told so.
    forked = Workflow.objects.filter(forked_from=letter.workflow_id)
    assert [each.state for each in forked] == ["awaiting_approval"] * (told[3] == "done")
    assert "done" in (told[1], told[3])


def test_two_clicks_begin_one_bulk_replay(principal: Principal, letter: Job) -> None:
    told = at_once([lambda: bulk_replays.start(principal, type="letter_part")] * 6)

    assert sorted(told) == ["IllegalMove"] * 5 + ["done"]
    assert bulk_replays.listing(principal).count() == 1
