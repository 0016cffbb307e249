"""A backup is made under load and restored: nothing is sent twice, and nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import RFC_4122, UUID

import psycopg
import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from pytest_django import Settings

from agentapp.clock import Clock
from agentapp.delivery import mail
from agentapp.ids import born_s
from agentapp.lifecycle import database, function_set, leadership, restore
from agentapp.local import postgres as wheel
from agentapp.models import DispatcherLease, Effect, Job, Restore, Worker, Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.harness import be_a_worker, drain, make_due
from tests.lifecycle.test_locks import take
from tests.retention.restore_kinds import REFUSED, SENT

pytestmark = pytest.mark.django_db(transaction=True)

OUTBOX, UNASKED = "probe_posts", "probe_calls"


class Copies:
    """Databases that a dump is restored into, beside that of the test."""

    def __init__(self) -> None:
        self.home = str(connection.settings_dict["NAME"])
        self.made: list[str] = []

    def program(self, name: str, *arguments: str) -> list[str]:
        return [str(wheel._wheel() / name), *arguments]

    def address(self, name: str) -> str:
        # libpq's own environment names server and user; the rest is read from Django's.
        parameters = {**connection.get_connection_params(), "dbname": name}
        known = {key: parameters[key] for key in ("dbname", "user", "password", "host", "port") if parameters.get(key)}
        return psycopg.conninfo.make_conninfo(**known)

    def restore(self, dump: Path) -> None:
        """Restore a dump into a new database, and let Django use that."""
        name = f"{self.home}_copy{len(self.made)}"
        with psycopg.connect(self.address(self.home), autocommit=True) as session:
            session.execute(f'CREATE DATABASE "{name}"')
        self.made.append(name)
        subprocess.run(
            self.program("pg_restore", "--no-owner", f"--dbname={self.address(name)}", str(dump)), check=True
        )
        self.use(name)

    def use(self, name: str) -> None:
        connection.close()
        connection.settings_dict["NAME"] = name

    def drop(self) -> None:
        self.use(self.home)
        with psycopg.connect(self.address(self.home), autocommit=True) as session:
            for name in self.made:
                session.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def copies(db: None) -> Iterator[Copies]:
    if not os.environ.get("DATABASE_URL"):
        pytest.skip("needs the wheel's Postgres")
    made = Copies()
    SENT.clear()
    REFUSED.clear()
    yield made
    made.drop()


def submit(principal: Principal, kind: str, *keys: str) -> list[Workflow]:
    return [workflows.submit(principal, kind=kind, input={"text": key}) for key in keys]


def mails(outbox: Path) -> Counter[str]:
    """How many mails each address has."""
    lines = (line for file in outbox.glob("*.eml") for line in file.read_text().splitlines())
    return Counter(line.removeprefix("To: ").partition("@")[0] for line in lines if line.startswith("To: "))


def run_all(clock: Clock) -> None:
    """Let dispatcher and workers do all that they can."""
    for _ in range(4):
        drain()
        make_due(clock, 700)
    drain()


def leads() -> bool:
    with database.session() as session:
        return leadership.lead(session, holder="test", epoch=None, lease_s=4, report={}) is not None


def copied(outbox: Path, name: str, settings: Settings) -> Path:
    """Let the mails of a run go to a copy of the outbox as it was when the database was lost."""
    new = outbox.parent.parent / name / outbox.name
    shutil.copytree(outbox.parent, new.parent)
    settings.EMAIL_FILE_PATH = str(new)
    return new


def test_after_a_restore_nothing_is_sent_twice_and_nothing_is_lost(
    principal: Principal, clock: Clock, copies: Copies, tmp_path: Path, settings: Settings
) -> None:
    outbox = tmp_path / "lost" / "outbox"
    outbox.parent.mkdir()
    (tmp_path / "dump").mkdir()
    settings.EMAIL_BACKEND, settings.EMAIL_FILE_PATH = "agentapp.delivery.outbox.EmailBackend", str(outbox)
    mail.can_be_asked()  # and is ready from here on
    assert leads(), "it is known which database this is"
    before = submit(principal, OUTBOX, "m-sent", "m-later", "m-claimed", "m-never")
    before += submit(principal, UNASKED, "c-sent", "c-later", "c-refused", "c-never")
    be_a_worker()
    REFUSED.append("c-refused")
    for task in (before[0], before[4], before[6]):
        drain(task)
    assert Effect.objects.get(key="calls:c-refused").state == "prepared"
    assert not hasattr(take(Job.objects.get(workflow=before[2])), "reason"), "a worker has it as the dump is made"

    dump = tmp_path / "dump" / "agentapp.dump"
    dumping = subprocess.Popen(copies.program("pg_dump", "-Fc", f"--file={dump}", copies.address(copies.home)))
    under_load = 0
    while dumping.poll() is None:
        for kind, letter in ((OUTBOX, "m"), (UNASKED, "c")):
            drain(submit(principal, kind, f"{letter}-load{under_load}")[0])
        under_load += 1
    assert dumping.returncode == 0 and under_load

    # What the dump does not know: these were sent behind it.
    for task in (before[1], before[5]):
        drain(task)
    make_due(clock, 60)
    drain(before[6])
    assert "c-refused" in SENT
    clock.advance(60)
    sent_before = Counter(SENT)

    # The database is lost. Without the command no dispatcher leads, and a worker that runs all the same sends nothing.
    copies.restore(dump)
    lost = copied(outbox, "control", settings)
    assert restore.is_copy() and not leads()
    with pytest.raises(CommandError, match="after_restore"):
        call_command("run_dispatcher")
    run_all(clock)
    assert set(mails(lost).values()) == {1} and "m-never" not in mails(lost)
    assert Counter(SENT) == sent_before

    # With it, each is sent once or waits for a person.
    SENT[:] = list(sent_before.elements())
    copies.restore(dump)
    found = copied(outbox, "found", settings)
    known = set(Workflow.objects.values_list("pk", flat=True))
    assert {task.pk for task in before} <= known
    out, claimed = StringIO(), Job.objects.filter(state="running").count()
    call_command("after_restore", "--check-files", stdout=out)
    assert claimed and f"{claimed} jobs that were claimed are available again." in out.getvalue()
    assert not restore.is_copy() and leads()
    clock.advance(60)
    run_all(clock)

    assert set(mails(found).values()) == {1} and {"m-later", "m-claimed", "m-never"} <= mails(found).keys()
    assert set(Counter(SENT).values()) == {1}
    states = dict(Workflow.objects.values_list("input__text", "state"))
    in_doubt = {key for key, state in states.items() if state == "needs_attention"}
    assert set(states.values()) <= {"completed", "needs_attention"} and known == set(
        Workflow.objects.values_list("pk", flat=True)
    )
    assert {"c-later", "c-refused", "c-never"} <= in_doubt, "nobody can tell whether these were sent"
    assert all(key.startswith("c-") for key in in_doubt), "the outbox can tell of each mail"
    assert all(key in SENT or key in in_doubt or key in mails(found) for key in states), "and none is lost"
    fresh = submit(principal, UNASKED, "c-new")
    drain(fresh[0])
    assert "c-new" in SENT, "what is new is in no doubt"


def test_the_command_goes_on_where_it_was_stopped(principal: Principal, clock: Clock) -> None:
    leads()
    submit(principal, UNASKED, "c-1")
    take(Job.objects.get())
    began = restore.begin(actor="test").at
    assert restore.is_copy() and not leads(), "it is not finished"
    clock.advance(5)

    call_command("after_restore", stdout=StringIO())

    assert not restore.is_copy()
    (row,) = Restore.objects.filter(at__isnull=False)
    job = Job.objects.get()
    assert (row.at, job.state, job.attempt) == (began, "available", 0)


def test_it_is_refused_where_processes_work_with_a_database_that_is_no_copy(clock: Clock) -> None:
    lease = DispatcherLease(id=1, epoch=1, holder="a", expires_at=clock.now() + timedelta(seconds=4))
    lease.save()
    with pytest.raises(CommandError, match="Stop all processes"):
        call_command("after_restore", stdout=StringIO())
    clock.advance(5)
    Worker.objects.create(id=7, name="w", pool="threads", slots=1, queues=[], counts={}, jobs=0,
                          started_at=clock.now(), seen_at=clock.now())  # fmt: skip
    with pytest.raises(CommandError, match="Stop all processes"):
        call_command("after_restore", stdout=StringIO())
    assert Worker.objects.exists() and not restore.is_copy()

    clock.advance(16)
    call_command("after_restore", stdout=StringIO())


def test_what_one_run_said_of_a_backup_the_next_one_need_not_say(principal: Principal) -> None:
    """Stopped in the middle, and run again without the option, it puts in doubt what may have been sent."""
    assert restore.begin(actor="test", is_whole=True).at is None
    began = restore.begin(actor="test").at
    assert began is not None and restore.begin(actor="test", is_whole=True).at == began


def test_a_move_to_another_server_puts_nothing_in_doubt(principal: Principal) -> None:
    (task,) = submit(principal, UNASKED, "c-moved")

    call_command("after_restore", "--nothing-was-sent", stdout=StringIO())
    drain(task)

    assert Workflow.objects.get().state == "completed"


def test_effects_of_one_key_end_alike_and_sort_by_time() -> None:
    def made(tenant: int, key: str) -> UUID:
        return UUID(str(database.statement(f"SELECT {function_set.SCHEMA}.effect_id(%s, %s)", [tenant, key])))

    first, again, other, anothers = made(1, "mail:1"), made(1, "mail:1"), made(1, "mail:2"), made(2, "mail:1")
    assert str(first)[13:] == str(again)[13:] and len({str(each)[13:] for each in (first, other, anothers)}) == 3
    assert {each.version for each in (first, again, other, anothers)} == {7} and first.variant == RFC_4122
    assert abs(born_s(first) - time.time()) < 3_600


def test_what_stands_for_a_time_before_the_restore_is_in_doubt(principal: Principal, clock: Clock) -> None:
    """A part of a task and a fork may have been made before, and are made anew."""
    origin = submit(principal, UNASKED, "c-1")[0]
    clock.advance(60)
    Restore.objects.create(at=clock.now(), cluster="", table_number=1, actor="test")
    clock.advance(60)

    def since(**fields: Any) -> bool:
        task = submit(principal, UNASKED, "c-2")[0]
        Workflow.objects.filter(pk=task.pk).update(**fields)
        return database.statement(f"SELECT {function_set.SCHEMA}.restored_since(%s)", [task.pk]) is not None

    assert not since() and since(parent=origin.pk) and since(root=origin.pk, forked_from=origin.pk)
