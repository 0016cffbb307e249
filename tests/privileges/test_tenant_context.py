"""The tenant context holds for one statement or transaction, and reaches no other, also through a pooler. [H4]"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from pytest_django import DjangoDbBlocker

from agentapp.lifecycle import tenant_context
from agentapp.lifecycle.postgresql import bound
from agentapp.lifecycle.roles import policies
from agentapp.local import ports
from agentapp.local.stack import CHECKOUT
from tests import homes, programs
from tests.acceptance.deployment import until

NAME = f"context_{os.getpid()}"
ROLE, GROUP, PASSWORD = f"{NAME}_web", f"{NAME}_by_tenant", "a password of a test"
TABLE = "agentapp_workflow"
Session = psycopg.Connection[tuple[int]]


@pytest.fixture(scope="module")
def server(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """A small database of its own, with a table of two tenants and a role that is bound."""
    address = os.environ["DATABASE_URL"]
    own = urlsplit(address)._replace(path=f"/{NAME}").geturl()
    with psycopg.connect(address, autocommit=True) as session:
        session.execute(f"CREATE DATABASE {NAME}")
    try:
        with psycopg.connect(own, autocommit=True) as session:
            session.execute(f"CREATE TABLE {TABLE} (id int PRIMARY KEY, tenant_id bigint)")
            session.execute(f"INSERT INTO {TABLE} SELECT n, n FROM generate_series(1, 2) n")
            session.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
            session.execute(f"GRANT ALL ON {TABLE} TO {ROLE}")
            for text in (*policies.group_statements(GROUP), *policies.table_statements(TABLE, GROUP)):
                session.execute(text.as_string(session))
            session.execute(policies.bound(ROLE, GROUP).as_string(session))
        yield own
    finally:
        with psycopg.connect(address, autocommit=True) as session:
            session.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
            session.execute(f"DROP ROLE IF EXISTS {ROLE}, {GROUP}")


@pytest.fixture(scope="module", params=["directly", "pooled"])
def address(request: pytest.FixtureRequest, server: str) -> Iterator[str]:
    """How the role connects: each client of the pooler gets the one session that it has."""
    with psycopg.connect(server) as session:
        host, port, owner = session.info.host, session.info.port, session.info.user
    if request.param == "directly":
        yield psycopg.conninfo.make_conninfo(host=host, port=port, dbname=NAME, user=ROLE, password=PASSWORD)
        return
    programs.pgbouncer()
    folder = homes.make()
    try:
        with pooler(
            folder, f"host={host} port={port} user={ROLE} password='{PASSWORD}'", Path(host, f".s.PGSQL.{port}")
        ) as own:
            yield psycopg.conninfo.make_conninfo(host="127.0.0.1", port=own, dbname=NAME, user=owner)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def pooler(folder: Path, target: str, socket: Path) -> Iterator[int]:
    socket.parent.parent.chmod(0o711)
    own = ports.free(1)[0]
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{NAME} = {target}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {own}\nauth_type = any\n"
        "unix_socket_dir =\npool_mode = transaction\nserver_reset_query =\ndefault_pool_size = 1\n"
    )
    command = ["pgbouncer", "pgbouncer.ini"]
    if getpass.getuser() == "root":
        folder.chmod(0o755)
        command[1:1] = ["-u", socket.owner()]
    process = subprocess.Popen(command, cwd=folder)
    try:
        until(lambda: answers(own), "PgBouncer answers")
        yield own
    finally:
        process.terminate()
        process.wait(timeout=120)


def answers(port: int) -> bool:
    try:
        with psycopg.connect(host="127.0.0.1", port=port, dbname=NAME, user=ROLE, connect_timeout=10):
            return True
    except psycopg.OperationalError:
        return False


@contextmanager
def client(address: str) -> Iterator[Session]:
    """A session as Django makes one, which finds out that it is bound."""
    with psycopg.connect(address, autocommit=True, prepare_threshold=None) as session:
        bound.bind(session)
        assert bound.is_bound(session)
        yield session


def tenants(session: Session) -> list[int]:
    return [tenant for (tenant,) in session.execute(f"SELECT tenant_id FROM {TABLE} ORDER BY 1").fetchall()]


def test_it_reaches_no_other_statement_and_no_other_client(address: str) -> None:
    with client(address) as one, client(address) as other:
        for _ in range(2):
            assert tenants(one) == [] == tenants(other)
            with tenant_context.of([1]):
                assert tenants(one) == [1]
            assert tenants(one) == [] == tenants(other)
            with tenant_context.of([2]):
                assert tenants(other) == [2] == tenants(one)
            with tenant_context.platform_rows():
                assert tenants(one) == [1, 2]
        assert tenants(one) == [] == tenants(other)


def test_it_reaches_not_beyond_a_transaction_that_ended_as_it_may(address: str) -> None:
    for error in (None, ZeroDivisionError, psycopg.Error):
        with client(address) as session:
            try:
                with tenant_context.of([1]), session.transaction():
                    assert tenants(session) == [1]
                    with pytest.raises(psycopg.Error), session.transaction():
                        session.execute("SELECT 1 / 0")
                    assert tenants(session) == [1]
                    if error is psycopg.Error:
                        session.execute("SELECT 1 / 0")
                    if error:
                        raise error
            except (ZeroDivisionError, psycopg.Error):
                pass
            assert tenants(session) == []
        with client(address) as session:
            assert tenants(session) == []


def test_a_client_that_is_gone_in_the_middle_leaves_nothing(address: str) -> None:
    with client(address) as session:
        with tenant_context.platform_rows():
            session.execute("BEGIN")
            assert tenants(session) == [1, 2]
        session.pgconn.finish()
    with client(address) as session:
        assert tenants(session) == []


def test_who_knows_no_context_sees_nothing_and_is_told_no_error(address: str) -> None:
    """Such as a person with psql, who has the address of this role."""
    with psycopg.connect(address, autocommit=True) as session:
        assert tenants(session) == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute(f"INSERT INTO {TABLE} VALUES (3, 1)")


def test_a_command_sees_what_the_platform_sees() -> None:
    """In the container of the web process it connects as its role: an audit chain of no rows would hold."""
    asked = "from agentapp.lifecycle import tenant_context as context; print(context.present(), end='')"
    said = subprocess.run(
        [sys.executable, "manage.py", "shell", "--verbosity", "0", "-c", asked],
        cwd=CHECKOUT, check=True, capture_output=True, text=True,
    )  # fmt: skip

    assert said.stdout == tenant_context.ALL


def test_the_owner_is_not_bound_and_sends_no_context(server: str) -> None:
    with psycopg.connect(server, autocommit=True) as session:
        bound.bind(session)
        assert not bound.is_bound(session)
        assert tenants(session) == [1, 2]
