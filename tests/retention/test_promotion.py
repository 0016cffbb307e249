"""What a promotion means to the ledger: a database whose row names another timeline stands for a promoted one."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from agentapp.clock import Clock
from agentapp.lifecycle import database, leadership, restore
from agentapp.models import Effect, Job, Restore, Workflow
from agentapp.services import dead_letters
from agentapp.services.principals import Principal
from tests.harness import be_a_worker, drain, make_due
from tests.retention.restore_kinds import REFUSED, SENT
from tests.retention.test_restore import UNASKED, leads, run_all, submit

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def known(principal: Principal, clock: Clock) -> Iterator[None]:
    SENT.clear()
    REFUSED.clear()
    be_a_worker()
    assert leads()
    yield


def promote() -> None:
    """Let the server write another timeline than the row knows."""
    assert Restore.objects.update(timeline="0000000F")


def state(key: str) -> str:
    return Workflow.objects.get(input__text=key).state


def test_nothing_is_sent_until_a_dispatcher_has_noted_it(
    principal: Principal, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    submit(principal, UNASKED, "c-old")
    promote()
    run_all(clock)
    assert (SENT, state("c-old"), restore.is_copy()) == ([], "running", False)

    caplog.set_level(logging.WARNING)
    assert [leads(), leads()] == [True, True], "it need not be taken in by hand"
    assert [getattr(record, "event", "") for record in caplog.records].count("postgres.promoted") == 1
    clock.advance(60)
    submit(principal, UNASKED, "c-new")
    run_all(clock)

    assert (SENT, state("c-old"), state("c-new")) == (["c-new"], "needs_attention", "completed")


def test_of_a_replica_that_lacks_nothing_nothing_is_in_doubt(
    principal: Principal, clock: Clock, settings: Settings
) -> None:
    settings.AGENTAPP_REPLICA_LACKS_NOTHING = True
    submit(principal, UNASKED, "c-old")
    promote()
    leads()
    run_all(clock)

    assert (SENT, state("c-old")) == (["c-old"], "completed")


def test_what_was_proven_not_sent_is_in_doubt_once(principal: Principal, clock: Clock) -> None:
    """The replica may lack that it was sent after that; a person who has looked is asked once."""
    REFUSED.append("c-1")
    (task,) = submit(principal, UNASKED, "c-1")
    drain(task)
    assert Effect.objects.get().state == "prepared"
    clock.advance(5)
    promote()
    leads()
    clock.advance(60)
    run_all(clock)
    assert (SENT, state("c-1")) == ([], "needs_attention")

    dead_letters.replay(principal, Job.objects.get().pk, effect_happened=False, reason="its log has no c-1")
    run_all(clock)
    assert (SENT, state("c-1")) == (["c-1"], "completed")


def test_the_first_leader_of_this_release_learns_the_timeline() -> None:
    Restore.objects.update(timeline="")
    with database.session() as session:
        leadership.resign(session, holder="test", epoch=1)
    with database.session() as session:
        assert leadership.lead(session, holder="other", epoch=None, lease_s=4, report={}) is not None

    assert Restore.objects.get().timeline == database.statement(
        "SELECT left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)", []
    )


def test_the_clock_of_the_server_before_may_have_been_ahead(principal: Principal, clock: Clock) -> None:
    submit(principal, UNASKED, "c-old")
    leads()
    clock.advance(-3)
    promote()
    leads()
    clock.advance(63)
    make_due(clock, 1)
    run_all(clock)

    assert (SENT, state("c-old")) == ([], "needs_attention")
