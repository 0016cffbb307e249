"""A thousand dead letters at once: the canary stops while the cause is there; afterwards all complete. [F3]"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db.models import F, QuerySet

from agentapp.dispatch import bulk as duty
from agentapp.ids import uuid7
from agentapp.models import BulkReplay, History, Job, Workflow
from agentapp.services import bulk_replays, dead_letters
from agentapp.services.principals import Principal
from tests.acceptance.scale import LONG
from tests.harness import drain, run_workflow
from tests.lifecycle import dead_letter_kinds

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(1_800 if LONG else 300)]
COUNT = 1_000


@pytest.fixture
def letters(principal: Principal) -> Iterator[str]:
    """A thousand dead letters that failed alike; their fingerprint. All but the first are copies of its row."""
    dead_letter_kinds.reset()
    dead_letter_kinds.broken.add("letter_read")
    dead = Job.objects.get(workflow=run_workflow(principal, "letter_line"), state="dead_lettered")
    fields = {field.attname: getattr(dead, field.attname) for field in Job._meta.concrete_fields}
    Job.objects.bulk_create([Job(**fields | {"id": uuid7()}) for _ in range(COUNT - 1)])
    yield dead_letters.groups(principal)[0].fingerprint
    dead_letter_kinds.reset()


def under_way() -> QuerySet[Job]:
    return Job.objects.filter(type="letter_read", state="available")


def end_all(state: str) -> int:
    """Let what is under way end, as workers would."""
    return under_way().update(state=state, finished_at=F("available_at") + timedelta(microseconds=1))


def replayed() -> int:
    return History.objects.filter(from_state="dead_lettered", to_state="available").count()


def test_a_thousand_letters(principal: Principal, letters: str) -> None:
    stopped = bulk_replays.start(principal, fingerprint=letters)
    while duty.go_on():
        end_all("dead_lettered")
    stopped.refresh_from_db()
    assert (stopped.state, stopped.failed, len(stopped.waiting), replayed()) == ("aborted", 1, COUNT - 1, 1)

    fixed = bulk_replays.start(principal, fingerprint=letters, canary=2, batch=100)
    at_once = []
    while BulkReplay.objects.filter(pk=fixed.pk, finished_at=None).exists():
        # A move releases fifty at most: it is asked until a batch is full.
        while duty.go_on() and under_way().exists():
            at_once.append(under_way().count())
        end_all("completed")
    fixed.refresh_from_db()
    assert (fixed.state, fixed.succeeded, fixed.failed, replayed()) == ("done", COUNT, 0, COUNT + 1)
    assert (at_once[0], max(at_once)) == (2, 100), "the canary, and never more than a batch"
    assert not Job.objects.filter(type="letter_read", state="dead_lettered").exists()


@pytest.mark.skipif(not LONG, reason="a thousand tasks are run, twice: in the long form")
def test_a_thousand_runs(principal: Principal) -> None:
    """Nothing is a copy here, and each outcome is that of a body."""
    dead_letter_kinds.reset()
    dead_letter_kinds.broken.add("letter_read")
    for _ in range(COUNT):
        run_workflow(principal, "letter_line")
    (group,) = dead_letters.groups(principal)
    assert group.count == COUNT

    stopped = bulk_replays.start(principal, fingerprint=group.fingerprint)
    while duty.go_on():
        drain()
    stopped.refresh_from_db()
    assert (stopped.state, stopped.failed, replayed()) == ("aborted", 1, 1)

    dead_letter_kinds.reset()
    fixed = bulk_replays.start(principal, fingerprint=group.fingerprint, canary=2, batch=100)
    while duty.go_on():
        drain()
    fixed.refresh_from_db()
    assert (fixed.state, fixed.succeeded, fixed.failed, replayed()) == ("done", COUNT, 0, COUNT + 1)
    assert Workflow.objects.filter(state="awaiting_approval").count() == COUNT
    assert not Job.objects.filter(state="dead_lettered").exists()
