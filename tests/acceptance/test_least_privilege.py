"""A whole deployment whose processes connect as roles of Postgres and users of Valkey of their own, with passwords: it
does all that it did before, and is refused nothing that it needs. [H4]"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from pytest_django import DjangoDbBlocker

from agentapp.local.stack import CHECKOUT
from tests import homes, template
from tests.acceptance.deployment import Deployment, commands, open_deployment, until
from tests.acceptance.test_drill import GREEN, drill, verdicts
from tests.brokers import valkey

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(900)]
NAME = "with_roles"


@contextmanager
def database(server: str, home: Path) -> Iterator[dict[str, str]]:
    """A new database with roles; yield the variables that name it, by process."""
    template.create(server, NAME)
    owner = {"DATABASE_URL": urlsplit(server)._replace(path=f"/{NAME}").geturl()}
    addresses = home / "addresses"
    try:
        manage(["migrate", "--verbosity", "0"], home, owner)
        for _ in range(2):
            manage(["database_roles", "--apply", "--prefix", NAME, "--addresses", str(addresses)], home, owner)
        assert addresses.stat().st_mode & 0o777 == 0o600
        yield owner | dict(line.split("=", 1) for line in addresses.read_text().splitlines())
    finally:
        with psycopg.connect(owner["DATABASE_URL"], autocommit=True) as session:
            names = session.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE %s", [f"{NAME}%"]).fetchall()
            for (name,) in names:
                session.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
                session.execute(SQL("DROP ROLE {}").format(Identifier(name)))
        with psycopg.connect(server, autocommit=True) as session:
            session.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


@contextmanager
def broker(home: Path) -> Iterator[dict[str, str]]:
    """A Valkey with users; yield the variables that name it, by process."""
    with valkey.started(home) as server:
        owner, addresses = {"REDIS_URL": server.url}, home / "users"
        manage(["broker_users", "--apply", "--addresses", str(addresses)], home, owner)
        yield owner | dict(line.split("=", 1) for line in addresses.read_text().splitlines())


def manage(arguments: list[str], home: Path, env: dict[str, str]) -> None:
    subprocess.run(
        [sys.executable, "manage.py", *arguments], check=True, cwd=CHECKOUT, capture_output=True,
        env=os.environ | {"AGENTAPP_HOME": str(home)} | env,
    )  # fmt: skip


@pytest.fixture(scope="module")
def with_roles(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Deployment]:
    home = homes.make()
    try:
        with (
            database(os.environ["DATABASE_URL"], home) as env,
            broker(home) as broker_env,
            django_db_blocker.unblock(),
            open_deployment(needed(), env=env | broker_env, alias=NAME) as deployment,
        ):
            yield deployment
    finally:
        shutil.rmtree(home, ignore_errors=True)


def needed() -> dict[str, str]:
    return {name: line for name, line in commands().items() if name != "dispatcher_b"}


def refusals(deployment: Deployment) -> list[str]:
    words = ("permission denied", "InsufficientPrivilege", "may not act for")
    return [
        f"{file.name}: {line}" for file in sorted((deployment.home / "logs").iterdir())
        for line in file.read_text().splitlines() if any(word in line for word in words)
    ]  # fmt: skip


def test_it_does_all_that_it_did_and_is_refused_nothing(with_roles: Deployment) -> None:
    # Those that hold a session all the time.
    holding = {"dispatcher", "worker_model", "worker_send", "worker_webhooks", "worker_documents"}
    with psycopg.connect(with_roles.about["database_url"], autocommit=True) as session:
        until(lambda: connected(session) >= holding, "all are connected as their roles")

    drilled = verdicts(drill(with_roles, "--json"))

    assert not refusals(with_roles)
    until(lambda: users(with_roles) >= {*holding, "web", "flower"}, "all are connected as their users")
    # A worker that ends takes its queue of remote control away.
    pid = with_roles.pid("worker_send")
    os.kill(pid, signal.SIGTERM)
    until(lambda: not psutil.pid_exists(pid) and "worker_send" in users(with_roles), "another one is connected")
    assert refused(with_roles) <= {("worker_model", "send")}, "it leaves what leads to a send to the dispatcher"
    assert {question: verdict for question, (verdict, _) in drilled.items()} == dict.fromkeys(GREEN, "green"), drilled


def connected(session: psycopg.Connection[tuple[str]]) -> set[str]:
    rows = session.execute("SELECT DISTINCT usename FROM pg_stat_activity WHERE datname = %s", [NAME]).fetchall()
    return {name.removeprefix(f"{NAME}_") for (name,) in rows}


def refused(deployment: Deployment) -> set[tuple[str, str]]:
    """Which users were refused which queues; behind the name of a queue is a priority."""
    return {
        (str(entry["username"]).removeprefix("agentapp_"), re.split("[^!-~]", str(entry["object"]))[0])
        for entry in deployment.broker.acl_log()
    }


def users(deployment: Deployment) -> set[str]:
    return {client["user"].removeprefix("agentapp_") for client in deployment.broker.client_list()}
