"""What waits as rows is published when there is room, in its order, each job once. [E1] [E3] [E4]"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from pytest_django import Settings

from agentapp import clock as clock_module
from agentapp.dispatch import stager
from agentapp.dispatch.stager import HEADS, Stager
from agentapp.errors import DatabaseBusy
from agentapp.lifecycle import admit, cancel, database, gates
from agentapp.models import Gate, Job, Limit, Workflow
from agentapp.policies.backlog import Admitted, Decision, Turns
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.states import KeyMode
from tests.agents import traced as traced  # registers the kind
from tests.dispatch.message_reader import MessageReader

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]

PARTS = 30
ROOM = 6


@pytest.fixture
def run(principal: Principal, message_reader: MessageReader, settings: Settings) -> Workflow:
    """A fan-out of thirty parts behind a gate for six; its parts are open."""
    settings.AGENTAPP_IN_PLACE_BUDGET_S = 0
    gates.keep(Gate(scope="job_type", pattern="traced_part", concurrency=ROOM), actor="test")
    run = workflows.submit(principal, kind="traced", input={"parts": list(range(PARTS))})
    message_reader.deliver("model")
    return run


def held(run: Workflow) -> int:
    return Job.objects.filter(workflow=run, state="available", published_at=None).count()


def test_a_part_of_a_chord_that_is_admitted_later_counts_like_the_others(
    run: Workflow, message_reader: MessageReader
) -> None:
    assert (len(message_reader.tasks()), held(run)) == (ROOM, PARTS - ROOM)
    messages, stage = ROOM, Stager()
    while held(run):
        for _ in range(ROOM):
            if message_reader.tasks():
                message_reader.deliver("retrieval")
        messages += stage.admit()

    message_reader.deliver_all()
    assert messages == PARTS
    run.refresh_from_db()
    assert run.state == "completed"
    parts = Job.objects.filter(workflow=run, type="traced_part")
    assert set(parts.values_list("state", "attempt")) == {("completed", 1)}


def test_nothing_is_admitted_while_the_gate_is_full_and_one_for_each_slot_that_is_free(
    run: Workflow, message_reader: MessageReader
) -> None:
    stage = Stager()
    assert stage.admit() == 0
    assert Limit.objects.get(key="job_type:traced_part").holds

    message_reader.deliver("retrieval")

    assert stage.admit() == 1
    assert stage.admit() == 0


def test_who_is_stopped_stops_nobody_beside_it(
    run: Workflow, principal: Principal, message_reader: MessageReader
) -> None:
    other = workflows.submit(principal, kind="probe_all", input={"parts": [1]})
    Stager().admit()

    waiting = [letter.args[0] for letter in message_reader.waiting() if letter.task == "probe_part"]
    assert waiting == [str(Job.objects.get(workflow=other, type="probe_part").pk)]


def test_a_key_that_nobody_waits_for_any_more_lets_new_jobs_out_at_once(
    run: Workflow, message_reader: MessageReader
) -> None:
    stage = Stager()
    stage.admit()
    cancel.cancel(run.pk, actor="test", reason="over")

    stage.admit()

    assert not Limit.objects.filter(holds=True).exists()


def test_a_published_job_that_urgent_work_overtakes_for_long_becomes_more_urgent(
    principal: Principal, message_reader: MessageReader, clock: clock_module.Clock
) -> None:
    workflows.submit(principal, kind="probe_all", input={"parts": [1]}, priority="low")
    seen = [message_reader.waiting()[-1].priority]
    for _ in range(4):
        clock.advance(31)
        stager.promote()
        seen.append(min(letter.priority for letter in message_reader.waiting()))

    assert seen == [9, 6, 3, 0, 0]


def test_tenants_take_turns_in_what_becomes_more_urgent(
    principal: Principal, other_principal: Principal, message_reader: MessageReader, clock: clock_module.Clock
) -> None:
    """Though the many of the one are older than the few of the other."""
    many, few = (
        [workflows.submit(one, kind="probe_all", input={"parts": [1]}).pk for _ in range(count)]
        for one, count in ((principal, 6), (other_principal, 2))
    )
    clock.advance(31)

    promoted = [opened.jobs[0].id for opened in admit.promote(after_s=30, limit=100)]

    of_job = dict(Job.objects.filter(type="probe_part").values_list("pk", "workflow_id"))
    order = ["few" if of_job[UUID(job)] in few else "many" for job in promoted]
    assert order == ["many", "few"] * 2 + ["many"] * 4 and len(many) == 6


def test_the_broker_holds_a_runway_and_postgres_the_rest(principal: Principal, message_reader: MessageReader) -> None:
    run = workflows.submit(principal, kind="probe_all", input={"parts": list(range(200))})
    stage = Stager()
    published = len(message_reader.tasks())
    # No worker lives, so the runway is as short as it can be: what is published is more than enough.
    assert stage.admit() == 0
    assert (published, held(run)) == (64, 200 - 64)
    assert Limit.objects.get(key="queue:retrieval").holds

    late = workflows.submit(principal, kind="probe_all", input={"parts": [1]})
    assert held(late) == 1


def test_room_for_more_than_was_shown_is_used_at_once_but_not_where_nothing_can_be_moved(
    principal: Principal, message_reader: MessageReader
) -> None:
    workflows.submit(principal, kind="probe_all", input={"parts": list(range(200))})
    Job.objects.filter(type="probe_part").update(published_at=None)
    Limit.objects.filter(key="queue:retrieval").update(per_s=1_000)
    stage = Stager()

    with database.session() as other, other.transaction():
        other.execute("SELECT 1 FROM agentapp_job FOR UPDATE")
        assert (stage.admit(), stage.next_s) == (0, None)
    assert (stage.admit(), stage.next_s) == (HEADS, 0.0)
    with database.session() as other, other.transaction(), database.waits_for_locks(within_s=0.05):
        other.execute("LOCK TABLE agentapp_job")
        with pytest.raises(DatabaseBusy):
            stage.admit()
    assert stage.next_s is None


def test_a_draining_key_lets_begun_tasks_pass_those_that_are_kept_back(
    principal: Principal, message_reader: MessageReader
) -> None:
    kept, begun = (workflows.submit(principal, kind="probe_fan", input={"parts": [1]}) for _ in range(2))
    Job.objects.filter(workflow__in=(kept, begun)).exclude(state="pending").update(published_at=None)
    Workflow.objects.filter(pk=begun.pk).update(started_at=clock_module.now(), **{"state": "running"})
    gates.know(["job_type:probe_first"])
    gates.set_mode("job_type:probe_first", KeyMode.DRAINING, actor="test", reason="a new model")

    assert Stager().admit() == 1

    published = Job.objects.exclude(published_at=None).filter(state="available")
    assert [job.workflow_id for job in published] == [begun.pk]


def test_of_a_lane_the_oldest_task_goes_first_however_late_its_job_came(
    principal: Principal, message_reader: MessageReader, clock: clock_module.Clock
) -> None:
    old, young = (workflows.submit(principal, kind="probe_all", input={"parts": [1]}) for _ in range(2))
    Job.objects.filter(workflow=young, type="probe_part").update(published_at=None)
    late = clock.now() + timedelta(seconds=20)
    Job.objects.filter(workflow=old, type="probe_part").update(published_at=None, available_at=late)
    clock.advance(30)

    (lane,) = Stager().look().lanes
    (opened,) = admit.admit(Decision((Admitted(lane, 1, lane.priority),), {}, {}, Turns(), None))

    assert [head.task for head in lane.heads] == [str(old.pk), str(young.pk)]
    assert [link.id for link in opened.jobs] == [str(Job.objects.get(workflow=old, type="probe_part").pk)]
