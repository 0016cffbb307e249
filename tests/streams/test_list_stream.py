"""The live list: what happens to all tasks of a key, by snapshots instead of numbers."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from django.db import connection

from agentapp import clock
from agentapp.lifecycle import events_live
from agentapp.models import Tenant, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from agentapp.streams import cursors, list_reading
from tests import harness
from tests.api.live import Web, environment
from tests.streams.following import Sse, Told, following

pytestmark = pytest.mark.django_db(transaction=True)


def submit(principal: Principal, **more: Any) -> Workflow:
    return workflows.submit(principal, kind="probe_fan", input={}, **more)


def now() -> str:
    """A cursor of the present moment."""
    return cursors.write(events_live.now())


def path(cursor: str, more: str = "") -> str:
    return f"/stream?last_event_id={quote(cursor)}{more}"


def take_until(stream: Sse, task: Workflow) -> list[Told]:
    """Take events until this task has ended."""
    taken: list[Told] = []
    for event in stream:
        taken.append(event)
        if event.type == "done" and event.data["task"] == str(task.pk):
            break
    return taken


def data(told: list[Told]) -> list[dict[str, Any]]:
    return [event.data for event in told]


def end(principal: Principal) -> Workflow:
    """A task that is cancelled at once: whatever was committed before it is told before it, or with it."""
    task = submit(principal)
    workflows.cancel(principal, task.pk, reason="enough")
    return task


def test_the_list_tells_of_all_tasks_but_not_of_their_jobs(web: Web, token: str, principal: Principal) -> None:
    cursor = now()
    first = harness.run_workflow(principal, "probe_fan")
    with following(web.port, path(cursor), token=token) as stream:
        told = take_until(stream, first)
        second = end(principal)
        told += take_until(stream, second)

    assert {event.type for event in told} == {"task", "done"}
    states = [event.data["state"] for event in told if event.data["task"] == str(first.pk)]
    assert states == ["pending", "running", "completed"]
    assert [event.data["state"] for event in told if event.data["task"] == str(second.pk)] == ["pending", "cancelled"]


def test_without_a_cursor_it_begins_now_and_says_where(web: Web, token: str, principal: Principal) -> None:
    end(principal)
    with following(web.port, "/stream", token=token) as stream:
        cursor = stream.read_id()
        fresh = end(principal)
        told = take_until(stream, fresh)
    assert {event.data["task"] for event in told} == {str(fresh.pk)}
    with following(web.port, path(cursor), token=token) as stream:
        assert data(take_until(stream, fresh)) == data(told)


def test_a_tenant_hears_of_its_own_tasks(
    web: Web, token: str, principal: Principal, other_principal: Principal
) -> None:
    cursor = now()
    foreign, own = end(other_principal), end(principal)
    with following(web.port, path(cursor), token=token) as stream:
        told = {event.data["task"] for event in take_until(stream, own)}
    assert told == {str(own.pk)} and str(foreign.pk) not in told


def test_tenants_that_are_read_together_hear_each_of_its_own(
    web: Web, token: str, make_key: Any, other_tenant: Tenant, principal: Principal, other_principal: Principal
) -> None:
    cursor, other_token = now(), make_key(other_tenant)[1]
    with (
        following(web.port, path(cursor), token=token) as own,
        following(web.port, path(cursor), token=other_token) as foreign,
    ):
        for _ in range(3):
            mine, theirs = end(principal), end(other_principal)
            assert {event.data["task"] for event in take_until(own, mine)} == {str(mine.pk)}
            assert {event.data["task"] for event in take_until(foreign, theirs)} == {str(theirs.pk)}


def test_the_list_can_be_narrowed(web: Web, token: str, principal: Principal) -> None:
    cursor = now()
    labelled = submit(principal, labels={"from": "mail"})
    harness.drain(submit(principal))
    harness.drain(labelled)
    with following(web.port, path(cursor, "&label=from:mail&state=completed"), token=token) as stream:
        (only,) = take_until(stream, labelled)
    assert only.data["task"] == str(labelled.pk)


def test_a_client_resumes_behind_every_event(web: Web, token: str, principal: Principal) -> None:
    cursor = now()
    for _ in range(3):
        end(principal)
    last = end(principal)
    with following(web.port, path(cursor), token=token) as stream:
        whole = take_until(stream, last)
    for n, event in enumerate(whole[:-1]):
        with following(web.port, path(str(event.id)), token=token) as stream:
            assert data(take_until(stream, last)) == data(whole[n + 1 :])


def test_more_than_a_page_comes_whole_and_once(web: Web, token: str, principal: Principal) -> None:
    cursor = now()
    count = list_reading.PAGE
    tasks = [submit(principal) for _ in range(count)]
    last = end(principal)
    with following(web.port, path(cursor), token=token) as stream:
        told = take_until(stream, last)
    assert sorted(event.data["task"] for event in told) == sorted(
        [*map(str, [t.pk for t in tasks]), *[str(last.pk)] * 2]
    )


def test_a_long_transaction_holds_nothing_up_and_is_told_when_it_commits(
    web: Web, token: str, principal: Principal
) -> None:
    """Its number is older than those of what was told meanwhile: a cursor of numbers would have passed it."""
    late = submit(principal)
    cursor = now()
    session = psycopg.connect(environment()["DATABASE_URL"])
    session.execute("SELECT pg_current_xact_id()")
    session.execute(
        "INSERT INTO agentapp_history (workflow_id, seq, at, noun, from_state, to_state, actor, reason)"
        " VALUES (%s, 99, now(), 'workflow', 'pending', 'running', 'test', 'late')",
        [late.pk],
    )
    with following(web.port, path(cursor), token=token) as stream:
        before = take_until(stream, end(principal))
        session.commit()
        session.close()
        after = take_until(stream, end(principal))
    assert "late" not in {event.data["reason"] for event in before}
    assert [event.data["reason"] for event in after].count("late") == 1
    # Also for a client that was cut in between.
    with following(web.port, path(str(before[-1].id)), token=token) as stream:
        assert next(iter(stream)).data["reason"] == "late"


def forged() -> str:
    whole = now()
    return whole[:-2] + ("aa" if whole[-2:] != "aa" else "bb")


def of_the_future() -> str:
    return cursors.write(events_live.Position("99999999999:99999999999:"))


def too_old() -> str:
    with clock.frozen_at(clock.now() - timedelta(seconds=cursors.LONGEST_S + 1)):
        return cursors.write(events_live.Position("1:1:"))


@pytest.mark.parametrize("cursor", [forged, of_the_future, too_old])
def test_a_cursor_of_no_use_is_answered_with_a_reset(web: Web, token: str, principal: Principal, cursor: Any) -> None:
    end(principal)
    with following(web.port, path(cursor()), token=token) as stream:
        events = iter(stream)
        reset = next(events)
        fresh = end(principal)
        told = [reset, *take_until(stream, fresh)]
    assert (reset.type, reset.data) == ("reset", {})
    assert {event.data["task"] for event in told[1:]} == {str(fresh.pk)}
    with following(web.port, path(str(reset.id)), token=token) as stream:
        assert data(take_until(stream, fresh)) == data(told[1:])


def test_commits_in_any_order_are_each_told_once(web: Web, token: str, principal: Principal) -> None:
    cursor, count = now(), 24
    tasks: list[Workflow] = []

    def submit_some() -> None:
        try:
            tasks.extend(submit(principal) for _ in range(count // 4))
        finally:
            connection.close()

    threads = [threading.Thread(target=submit_some) for _ in range(4)]
    told: list[Told] = []
    with following(web.port, path(cursor), token=token) as stream:
        for thread in threads:
            thread.start()
        while len(told) < count:
            told += stream.take(1)
        for thread in threads:
            thread.join()
        told += take_until(stream, end(principal))
    named = [event.data["task"] for event in told[:-2]]
    assert sorted(named) == sorted(str(task.pk) for task in tasks)
