"""What an asynchronous commit wrote is not told before it is on the disk.

Here the server flushes by itself only every ten seconds, and nothing else waits for the disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from agentapp.lifecycle import events_after, events_live
from agentapp.lifecycle.events_after import Place
from agentapp.models import Workflow
from agentapp.services import workflows
from agentapp.services.principals import Principal
from tests.api.live import Web, environment
from tests.streams.following import following

pytestmark = pytest.mark.django_db(transaction=True)

ROW = (
    "INSERT INTO agentapp_history (workflow_id, seq, at, noun, from_state, to_state, actor, reason)"
    " SELECT id, seq + 1, now(), 'workflow', 'pending', 'running', 'test', 'of a claim' FROM agentapp_workflow"
    " WHERE id = %s"
)


class Server:
    """Postgres as a session sees it that waits for no disk."""

    def __init__(self, session: psycopg.Connection) -> None:
        self.session = session

    def commit_a_row(self, task: Workflow) -> str:
        """Commit without waiting; return the position behind that commit, which is not on the disk yet, unless another
        session of this server has just waited for it."""
        with self.session.transaction():
            self.session.execute("SET LOCAL synchronous_commit = off")
            self.session.execute(ROW, [task.pk])
            self.session.execute("UPDATE agentapp_workflow SET seq = seq + 1 WHERE id = %s", [task.pk])
        return self.one("SELECT pg_current_wal_insert_lsn()::text")

    def is_on_disk(self, position: str) -> bool:
        return self.one("SELECT (pg_current_wal_flush_lsn() >= %s::pg_lsn)::text", position) == "true"

    def one(self, statement: str, *parameters: str) -> str:
        row = self.session.execute(statement, parameters).fetchone()
        assert row is not None
        return str(row[0])


@pytest.fixture
def server(transactional_db: None) -> Iterator[Server]:
    with psycopg.connect(environment()["DATABASE_URL"], autocommit=True) as session, lazily_flushing(session):
        yield Server(session)


@contextmanager
def lazily_flushing(session: psycopg.Connection) -> Iterator[None]:
    def set_to(words: str) -> None:
        session.execute(f"ALTER SYSTEM {words}")
        session.execute("SELECT pg_reload_conf()")

    set_to("SET wal_writer_delay = '10s'")
    # It sleeps by the old setting once more.
    session.execute("SELECT pg_logical_emit_message(true, 'test', '')")
    try:
        yield
    finally:
        set_to("RESET wal_writer_delay")


def test_a_row_is_on_the_disk_before_a_stream_tells_it(
    web: Web, token: str, principal: Principal, server: Server
) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    with following(web.port, f"/tasks/{task.pk}/stream", token=token) as stream:
        last = stream.take(1)[0].seq
        task.refresh_from_db()
        if last < task.seq:
            stream.take(task.seq - last)
        position = server.commit_a_row(task)
        assert stream.take(1)[0].data["reason"] == "of a claim"
        assert server.is_on_disk(position)


def test_reading_brings_to_the_disk_what_it_returns(principal: Principal, server: Server) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    begin = events_live.now()

    position = server.commit_a_row(task)
    (page,) = events_after.pages([Place(task.pk, 0, is_new=False)], limit=10)
    assert page.rows[-1]["reason"] == "of a claim" and server.is_on_disk(position)

    position = server.commit_a_row(task)
    (live,) = events_live.pages([begin], tenants=None, limit=10)
    assert live.rows[-1]["reason"] == "of a claim" and server.is_on_disk(position)


def test_an_open_transaction_is_not_told(principal: Principal, server: Server) -> None:
    task = workflows.submit(principal, kind="probe_fan", input={})
    begin = events_live.now()
    with server.session.transaction(force_rollback=True):
        server.session.execute(ROW, [task.pk])
        (page,) = events_after.pages([Place(task.pk, 0, is_new=False)], limit=10)
        (live,) = events_live.pages([begin], tenants=None, limit=10)
    assert "of a claim" not in {row["reason"] for row in [*page.rows, *live.rows]}
