"""While a store of ours is away a body waits, and no attempt is lost."""

from __future__ import annotations

import errno
import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentapp.models import Artifact, Effect, ModelCall
from agentapp.runtime import patience
from agentapp.runtime.heartbeat import heartbeat
from agentapp.services.principals import Principal
from tests import outage
from tests.agents import needy
from tests.agents.needy import FullStorage
from tests.harness import drain, make_due, path
from tests.llm.conftest import odd as odd
from tests.llm.conftest import odd_process as odd_process
from tests.llm.odd_server import OddServer, completion, whole
from tests.outage import Away
from tests.runtime.running import LONG_S, Heard, Running

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("broker")]
TOO_LONG = "canceling statement due to statement timeout"


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler = Heard()
    logging.getLogger("agentapp").addHandler(handler)
    yield handler
    logging.getLogger("agentapp").removeHandler(handler)


def settled_in_one_attempt(running: Running) -> None:
    assert running.job.state == "completed", running.job.error
    assert running.job.attempt == 1
    assert running.job.output == {"text": "kept"}


def goes_on_without_a_lost_attempt(running: Running, clock: Any) -> None:
    job = running.job
    assert (job.state, job.attempt) == ("retryable", 0), job.error
    assert job.scheduled_at is not None
    clock.set(job.scheduled_at)
    make_due(clock, seconds=0)
    drain(running.workflow)
    settled_in_one_attempt(running)
    assert path(job) == "available > running > retryable > available > running > completed"


@pytest.fixture(params=["server", "pool"])
def exhausted(request: pytest.FixtureRequest) -> Iterator[Away]:
    """Within it no connection is left: the server has too many, or those of the worker's pool are all in use."""
    if request.param == "server":
        yield outage.exhausted
        return
    with outage.pool_of_one() as used_up:
        yield used_up


@pytest.mark.parametrize(("need", "event"), [("artifact", "store.unavailable"), ("nothing", "postgres.unavailable")])
def test_a_body_and_a_settle_wait_for_a_connection(
    principal: Principal, heard: Heard, exhausted: Away, need: str, event: str
) -> None:
    running = Running(principal, "needy", need)
    with exhausted():
        running.go()
        assert heard.event(event).wait(LONG_S)
    running.is_over()

    settled_in_one_attempt(running)
    assert needy.meeting.runs == 1


def test_a_claim_waits_for_a_connection(principal: Principal, heard: Heard, exhausted: Away) -> None:
    running = Running(principal, "needy", "nothing", begins=False)
    with exhausted():
        running.begin()
        assert heard.event("postgres.unavailable").wait(LONG_S)
        assert not needy.meeting.there.is_set()
    running.is_there()
    running.go()
    running.is_over()

    settled_in_one_attempt(running)


def test_a_body_that_asks_for_a_connection_by_itself_loses_no_attempt(
    principal: Principal, heard: Heard, clock: Any, exhausted: Away
) -> None:
    running = Running(principal, "needy", "orm")
    with exhausted():
        running.go()
        assert heard.event("postgres.unavailable").wait(LONG_S)
    running.is_over()

    goes_on_without_a_lost_attempt(running, clock)


@pytest.mark.parametrize("need", ["artifact", "checkpoint"])
def test_a_body_waits_for_a_database_that_refuses(principal: Principal, heard: Heard, need: str) -> None:
    running = Running(principal, "needy", need)
    with outage.refusing():
        running.go()
        assert heard.event("store.unavailable").wait(LONG_S)
    running.is_over()

    settled_in_one_attempt(running)
    assert needy.meeting.runs == 1
    assert path(running.job) == "available > running > completed"


def test_a_model_call_is_recorded_when_the_database_is_back(principal: Principal, heard: Heard, odd: OddServer) -> None:
    """It was paid for: neither the attempt nor the answer is lost, and the model is asked once."""
    odd.answer = lambda _: whole(completion({"content": "kept"}, usage={"prompt_tokens": 3, "completion_tokens": 1}))
    running = Running(principal, "needy", "model call")
    with outage.refusing():
        running.go()
        assert heard.event("store.unavailable").wait(LONG_S)
    running.is_over()

    settled_in_one_attempt(running)
    assert len(odd.requests) == needy.meeting.runs == 1
    assert list(ModelCall.objects.values_list("attempt", "prompt_tokens")) == [(1, 3)]


@pytest.mark.parametrize("kind", ["needy", "hasty"])
def test_an_attempt_that_cannot_wait_for_the_database_does_not_count(
    principal: Principal, heard: Heard, clock: Any, kind: str
) -> None:
    """A body that asks Postgres by itself; and one whose time is over before Postgres is back."""
    running = Running(principal, kind, "orm" if kind == "needy" else "artifact")
    with outage.refusing():
        running.go()
        assert heard.event("postgres.unavailable").wait(LONG_S)
    running.is_over()

    goes_on_without_a_lost_attempt(running, clock)


@pytest.mark.parametrize("need", ["artifact", "checkpoint", "orm"])
def test_sessions_that_the_server_closes_are_not_noticed(principal: Principal, need: str) -> None:
    running = Running(principal, "needy", need)
    outage.close_sessions()
    running.go()
    running.is_over()

    settled_in_one_attempt(running)
    assert needy.meeting.runs == 1


@pytest.mark.parametrize("need", ["artifact", "checkpoint"])
def test_a_body_waits_for_the_primary_after_a_failover(principal: Principal, heard: Heard, need: str) -> None:
    running = Running(principal, "needy", need)
    with outage.only_reading():
        outage.close_sessions()
        running.go()
        assert heard.event("store.unavailable").wait(LONG_S)
    running.is_over()

    settled_in_one_attempt(running)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.ESTALE])
def test_a_body_waits_for_a_store_of_files(
    principal: Principal, heard: Heard, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int
) -> None:
    FullStorage.fault = code
    monkeypatch.setattr(Artifact._meta.get_field("file"), "storage", FullStorage(location=str(tmp_path)))
    running = Running(principal, "needy", "artifact")
    running.go()
    assert heard.event("store.unavailable").wait(LONG_S)
    FullStorage.fault = None
    running.is_over()

    settled_in_one_attempt(running)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that has room for the folders of an outbox, and not for a mail."""
    path = tmp_path / "disk"
    path.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(path)]
    if os.geteuid() != 0 or subprocess.run(command, check=False).returncode:
        pytest.skip("nobody may mount a file system here")
    yield path
    subprocess.run(["umount", str(path)], check=True)


def test_a_mail_waits_for_an_outbox_whose_disk_is_full(
    principal: Principal, settings: Any, clock: Any, small_disk: Path
) -> None:
    settings.EMAIL_BACKEND = "agentapp.delivery.outbox.EmailBackend"
    settings.EMAIL_FILE_PATH = str(small_disk / "outbox")
    running = Running(principal, "needy", "outbox")
    running.go()
    running.is_over()

    assert (running.job.state, running.job.attempt) == ("retryable", 0), running.job.error
    assert Effect.objects.get().state == "prepared"
    subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
    make_due(clock, seconds=3_600)
    drain(running.workflow)
    settled_in_one_attempt(running)
    assert len(list((small_disk / "outbox").glob("*.eml"))) == 1


def test_a_settle_waits_for_a_row_that_somebody_holds(principal: Principal, heard: Heard) -> None:
    with outage.impatient(lock_s=0.05):
        running = Running(principal, "needy", "orm")
        with outage.locked(running.workflow.pk):
            running.go()
            assert heard.event("postgres.busy").wait(LONG_S)
        running.is_over()

    settled_in_one_attempt(running)


def test_a_settle_that_takes_too_long_each_time_is_recorded_as_a_failure(
    principal: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not repeated forever, and no reason to end the process with its neighbours."""
    monkeypatch.setattr(patience, "BUSY_TRIES", 3)
    with (
        # What Postgres says when the statement timeout ends one. With a real one, all others of a busy machine end too.
        outage.trigger("NEW.state = 'completed'", f"RAISE '{TOO_LONG}' USING ERRCODE = 'query_canceled'"),
    ):
        running = Running(principal, "hasty", "orm")
        running.go()
        running.is_over()

    assert (running.job.state, running.job.attempt) == ("retryable", 1)
    assert TOO_LONG in str(running.job.error)


def test_what_cannot_be_recorded_at_all_is_left_to_its_lease(
    principal: Principal, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "BUSY_TRIES", 2)
    with outage.impatient(lock_s=0.05):
        running = Running(principal, "needy", "orm")
        with outage.locked(running.workflow.pk):
            running.go()
            running.is_over()

    assert heard.event("job.not_recorded").is_set()
    assert running.job.state == "running"
    assert not [held for held in heartbeat.held() if held.job.id == running.job_id]


def test_a_failure_that_postgres_refuses_is_recorded_in_its_least_form(principal: Principal) -> None:
    refuse = "RAISE 'this trace is not to be kept'"
    with outage.trigger("NEW.trace <> ''", refuse, table="agentapp_attempt"):
        running = Running(principal, "needy", "bug")
        running.go()
        running.is_over()

    assert running.job.state == "dead_lettered"
    assert running.job.error is not None
    assert running.job.error["class"] == "Unrecordable"
