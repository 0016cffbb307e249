"""Leadership is a lease row: it passes on when its holder stops renewing, whatever keeps it from doing so."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta

import psycopg
import pytest
from django.db import connection

from agentapp.dispatch import leader as leaders
from agentapp.dispatch.leader import Leader
from agentapp.dispatch.listener import listen
from agentapp.lifecycle import leadership
from agentapp.models import DispatcherLease

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]


@pytest.fixture(autouse=True)
def long_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that runs out does so because the test says it, and not because the machine is busy."""
    monkeypatch.setattr(leaders, "LEASE_S", 3_600.0)


@pytest.fixture
def pair() -> Iterator[tuple[Leader, Leader]]:
    first, second = Leader(), Leader()
    yield first, second
    for leader in (first, second):
        leader.resign()


def lease() -> DispatcherLease:
    return DispatcherLease.objects.get()


def run_out() -> None:
    """Let the lease be over, as if its holder had not renewed it for long."""
    DispatcherLease.objects.update(expires_at=datetime.fromisoformat("2020-01-01T00:00:00Z"))


def test_one_leads_and_the_other_waits(pair: tuple[Leader, Leader]) -> None:
    first, second = pair

    assert first.renew({"duties": {}})
    assert not second.renew()
    assert first.renew({"duties": {"rescue": {}}})
    assert (lease().holder, lease().report) == (first.holder, {"duties": {"rescue": {}}})


def test_a_leader_that_comes_back_finds_its_epoch_gone(pair: tuple[Leader, Leader]) -> None:
    frozen, other = pair
    assert frozen.renew()
    run_out()

    assert other.renew()
    assert lease().epoch == 2
    assert not frozen.renew()
    assert not frozen.leads()
    assert lease().holder == other.holder


def test_a_leader_knows_by_its_own_clock_that_its_lease_is_over(
    pair: tuple[Leader, Leader], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After SIGCONT nothing was asked yet, and the next round must not begin."""
    frozen, _ = pair
    monkeypatch.setattr(leaders, "LEASE_S", leaders.MARGIN_S)

    frozen.renew()

    assert not frozen.leads()


def test_who_waits_for_the_lead_after_it_ran_out_sleeps(
    pair: tuple[Leader, Leader], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Postgres is away nobody says that the lead is lost: each duty asked again without a pause."""
    leader, _ = pair
    slept: list[bool] = []

    class Bell(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            slept.append(not self.is_set())
            return self.is_set()

    monkeypatch.setattr(leader, "_led", Bell())
    monkeypatch.setattr(leaders, "LEASE_S", leaders.MARGIN_S)
    leader.renew()

    leader.wait_for_lead(threading.Event())

    assert slept == [True]


def test_a_leader_whose_session_is_gone_is_replaced_at_once(pair: tuple[Leader, Leader]) -> None:
    killed, other = pair
    assert killed.renew()
    assert killed.session is not None
    pid = killed.session.info.backend_pid
    killed.session.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    assert other.renew()


def test_behind_a_pooler_the_lease_alone_tells(pair: tuple[Leader, Leader]) -> None:
    """Its number for the session is none of Postgres's, and says nothing about whether the holder lives."""
    pooled, other = pair
    assert pooled.renew()
    DispatcherLease.objects.update(session=None)

    assert not other.renew()
    run_out()
    assert other.renew()


def test_a_leader_that_ends_frees_its_lease(pair: tuple[Leader, Leader]) -> None:
    first, second = pair
    assert first.renew()
    first.resign()

    assert second.renew()


def test_while_somebody_holds_the_row_the_leader_goes_on(pair: tuple[Leader, Leader]) -> None:
    first, second = pair
    assert first.renew()
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("SELECT 1 FROM agentapp_dispatcherlease FOR UPDATE")

        assert first.renew()
        assert not second.renew()
        assert not Leader().renew()


def test_a_leader_whose_session_ends_says_so(pair: tuple[Leader, Leader]) -> None:
    first, _ = pair
    assert first.renew()
    assert first.session is not None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [first.session.info.backend_pid])

    with pytest.raises(OSError, match="Postgres does not answer"):
        first.renew()
    assert first.renew()


def test_a_call_wakes_the_leader_long_before_its_tick(pair: tuple[Leader, Leader]) -> None:
    leader, _ = pair
    assert leader.renew()
    stop, heard = threading.Event(), threading.Semaphore(0)
    thread = threading.Thread(target=listen, args=(leader, stop), kwargs={"heard": heard.release})
    thread.start()
    # Once when it begins to listen, for what was said before.
    assert heard.acquire(timeout=120)
    while heard.acquire(blocking=False):
        pass

    leadership.notify()

    assert heard.acquire(timeout=120)
    stop.set()
    thread.join()


def test_a_renewal_lasts_for_a_lease(pair: tuple[Leader, Leader]) -> None:
    first, _ = pair
    assert first.renew()
    row = lease()
    assert row.expires_at is not None and row.renewed_at is not None
    assert row.expires_at - row.renewed_at == timedelta(seconds=leaders.LEASE_S)


def test_a_leader_whose_server_only_reads_gives_up_its_session(pair: tuple[Leader, Leader]) -> None:
    """After a failover the old primary answers, and a lease that is written nowhere is none."""
    leader, _ = pair
    assert leader.renew()
    session = leader.session
    assert session is not None
    session.execute("SET default_transaction_read_only = on")

    with pytest.raises(ConnectionError, match="read-only"):
        leader.renew()
    assert session.closed
    assert leader.renew()
