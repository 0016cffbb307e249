"""A duty that fails or hangs stops no other, is reported, and its connection is interrupted."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from agentapp.dispatch.duty import Duty
from agentapp.dispatch.leader import Leader
from agentapp.models import Tenant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.acceptance]

DEADLINE_S = 100.0


class Leads(Leader):
    """Leads for as long as the test says."""

    is_leading = True

    def leads(self) -> bool:
        return self.is_leading


@contextmanager
def running(duty: Duty, leader: Leader) -> Iterator[threading.Event]:
    stop = threading.Event()
    thread = threading.Thread(target=duty.run, args=(leader, stop))
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        duty.call()
        thread.join()


def until(is_so, what: str) -> None:
    over_s = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < over_s, what
        time.sleep(0.01)


def sleep_in_postgres(pids: list[int]) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pids.append(cursor.fetchone()[0])
        cursor.execute("SELECT pg_sleep(120)")
    return 0


def test_a_round_over_its_limit_is_reported_and_its_statement_cancelled() -> None:
    duty = Duty("slow", (lambda: sleep_in_postgres([]),), lambda: 60.0, limit_s=0.2)
    with running(duty, Leads()):
        until(lambda: duty.late_s() > 0, "the round is late")
        duty.look_after()
        until(lambda: duty.rounds > 0, "the round has ended")

    assert duty.overruns == 1
    assert "canceling statement" in duty.report()["error"]


def test_a_session_that_does_not_hear_the_cancel_is_dropped() -> None:
    pids: list[int] = []
    duty = Duty("frozen", (lambda: sleep_in_postgres(pids),), lambda: 60.0, limit_s=0.2)
    with running(duty, Leads()):
        until(lambda: len(pids) == 1, "the statement runs")
        os.kill(pids[0], signal.SIGSTOP)
        try:
            while not duty.rounds:
                duty.look_after()
                time.sleep(0.05)
        finally:
            os.kill(pids[0], signal.SIGCONT)

    assert duty.overruns >= 2


def test_a_step_that_fails_keeps_the_next_one_from_nothing() -> None:
    def fail() -> int:
        raise RuntimeError("unforeseen")

    duty = Duty("broken", (fail, lambda: 3), lambda: 60.0)

    assert duty.round(lambda: True) == 3
    assert duty.report()["error"] == "RuntimeError: unforeseen"


def test_a_process_that_no_longer_leads_begins_no_round() -> None:
    rounds: list[int] = []
    leader = Leads()

    def once() -> int:
        rounds.append(1)
        leader.is_leading = False
        return 1

    duty = Duty("once", (once,), lambda: 0.0)
    with running(duty, leader):
        until(lambda: duty.rounds > 0, "it did its round")
        duty.call()
        leader._led.wait(0.2)

    assert rounds == [1]


def test_a_call_is_answered_before_the_tick() -> None:
    rounds: list[int] = []

    def look() -> int:
        rounds.append(1)
        return 0

    duty = Duty("called", (look,), lambda: 60.0)
    with running(duty, Leads()):
        until(lambda: len(rounds) == 1, "the first round")
        duty.call()
        until(lambda: len(rounds) == 2, "the round that it was called for")


def test_a_duty_whose_server_only_reads_tells_an_outage_and_takes_a_new_session() -> None:
    outages: list[str] = []
    step = lambda: Tenant.objects.filter(slug="none").update(name="x")  # noqa: E731
    duty = Duty("write", (step,), lambda: 1.0, on_outage=lambda: outages.append("seen"))
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_read_only = on")

    duty.round(lambda: True)
    assert outages == ["seen"]
    assert "read-only" in duty.error
    duty.round(lambda: True)
    assert duty.error == ""
