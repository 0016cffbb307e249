"""Bulk cancellation: sets, a process that dies in between, two at once, tasks that are locked or not cancellable."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from agentapp.dispatch import bulk_cancel as duty
from agentapp.lifecycle import bulk_cancel as moves
from agentapp.lifecycle import bulk_work, database, leadership
from agentapp.models import BulkCancellation, Workflow
from agentapp.services import cancellations, principals, workflows
from agentapp.services.principals import Principal
from tests import outage
from tests.lifecycle.held_row import held

pytestmark = pytest.mark.django_db(transaction=True)
KIND = {"kind": ["probe_loop"]}


@pytest.fixture(autouse=True)
def nothing_is_aside() -> Iterator[None]:
    yield
    duty.WAITING.aside.clear()


def submit(principal: Principal, count: int) -> list[UUID]:
    return [workflows.submit(principal, kind="probe_loop", input={}).pk for _ in range(count)]


def ended(row: BulkCancellation) -> BulkCancellation:
    while duty.go_on():
        pass
    return BulkCancellation.objects.get(pk=row.pk)


def numbers(row: BulkCancellation) -> tuple[str, int, int, int, int]:
    return row.state, row.cancelled, row.skipped, row.failed, len(row.waiting)


def cancelled() -> int:
    return Workflow.objects.filter(state="cancelled").count()


def test_the_dispatcher_is_woken_and_goes_on_in_sets(principal: Principal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duty, "MOST_AT_ONCE", 4)
    submit(principal, 10)
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as session:
        assert leadership.hears(session)
        row = cancellations.start(principal, KIND)
        assert leadership.woken(session, within_s=120)

    assert [duty.go_on() for _ in range(5)] == [4, 4, 2, 1, 0]
    assert numbers(ended(row)) == ("done", 10, 0, 0, 0)


def test_what_a_process_that_died_had_cancelled_is_counted_and_what_ended_meanwhile_is_skipped(
    principal: Principal,
) -> None:
    first, second, _, gone = submit(principal, 4)
    row = cancellations.start(principal, KIND, reason="wrong")
    moves.cancel(row, first)
    workflows.cancel(principal, second, reason="wrong")
    Workflow.objects.get(pk=gone).jobs.all().delete()
    Workflow.objects.get(pk=gone).delete()

    assert numbers(ended(row)) == ("done", 2, 2, 0, 0)


def test_two_dispatchers_at_once_count_each_task_once(principal: Principal) -> None:
    tasks = submit(principal, 3)
    row = cancellations.start(principal, KIND)
    seen = [bulk_work.next_waiting(BulkCancellation, row.pk, 10) for _ in range(2)]
    fates = [{task: moves.cancel(row, UUID(task)) for task in found} for found in seen]
    assert [moves.count(row.pk, each) for each in fates] == [3, 0]

    assert numbers(ended(row)) == ("done", 3, 0, 0, 0) and cancelled() == len(tasks)


def test_a_task_that_somebody_holds_waits_on_and_the_others_are_cancelled(principal: Principal) -> None:
    busy, *_ = submit(principal, 3)
    row = cancellations.start(principal, KIND)
    with database.waits_for_locks(within_s=0.1):
        with outage.locked(busy):
            assert duty.go_on() == 2 and duty.go_on() == 0
            assert BulkCancellation.objects.get().waiting == [str(busy)]
        duty.WAITING.aside.clear()
        assert numbers(ended(row)) == ("done", 3, 0, 0, 0)


def test_none_is_cancelled_after_it_was_aborted_but_the_one_under_way(principal: Principal) -> None:
    tasks = submit(principal, 4)
    row = cancellations.start(principal, KIND)
    with held("agentapp_workflow", tasks[1]) as line:
        line.join(duty.go_on)
        cancellations.abort(principal, row.pk)
        assert line.release() == [2]

    assert numbers(ended(row)) == ("aborted", 2, 0, 0, 2)
    assert cancelled() == 2


def test_a_task_that_cannot_be_cancelled_keeps_no_other_waiting_and_is_given_up(principal: Principal) -> None:
    bad, *_ = submit(principal, 3)
    row = cancellations.start(principal, KIND)
    with connection.cursor() as cursor:
        check = f"CHECK (id <> '{bad}' OR state <> 'cancelled')"
        cursor.execute(f"ALTER TABLE agentapp_workflow ADD CONSTRAINT refused {check}")
        try:
            assert duty.go_on() == 2
            for _ in range(duty.TRIES - 1):
                assert numbers(BulkCancellation.objects.get()) == ("running", 2, 0, 0, 1)
                # As if its time had come.
                duty.WAITING.aside[str(bad)].until_s = time.monotonic()
                duty.go_on()
        finally:
            cursor.execute("ALTER TABLE agentapp_workflow DROP CONSTRAINT refused")
    assert numbers(ended(row)) == ("done", 2, 0, 1, 0)


def test_more_than_ten_thousand_tasks_are_taken_and_what_is_beyond_is_said(
    principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model,) = submit(principal, 1)
    names = ", ".join(f'"{field.column}"' for field in Workflow._meta.fields if field.column != "id")
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO agentapp_workflow (id, {names}) SELECT gen_random_uuid(), {names}"
            " FROM agentapp_workflow, generate_series(1, 20010) WHERE id = %s",
            [model],
        )
    row = cancellations.start(principal, KIND)
    assert (len(row.waiting), row.selection["total"], row.selection["left_out"]) == (20_000, 20_000, 11)
    assert duty.go_on() == duty.MOST_AT_ONCE
    assert len(BulkCancellation.objects.get().waiting) == 20_000 - duty.MOST_AT_ONCE


def test_it_is_watched_and_stopped_in_the_admin_by_those_who_may(
    principal: Principal, other_principal: Principal, admin_user: User, client: Client
) -> None:
    submit(principal, 1)
    submit(other_principal, 1)
    row = cancellations.start(principal, KIND, reason="a wrong import")
    everybody = cancellations.start(principals.of_user(admin_user), KIND)
    assert (len(everybody.waiting), everybody.tenant) == (2, None)
    client.force_login(admin_user)
    address = reverse("admin:agentapp_bulkcancellation_change", args=(row.pk,))

    listed = client.get(reverse("admin:agentapp_bulkcancellation_changelist")).content.decode()
    assert "kind probe_loop" in listed
    assert "a wrong import" in client.get(address).content.decode()
    assert "Stopped" in client.post(address, {"reason": "enough"}, follow=True).content.decode()
    assert client.post(address, {}).status_code == 409
    assert BulkCancellation.objects.get(pk=row.pk).reason.endswith(": enough")
