"""Real servers of Postgres, one of which follows another, as in production: base backup, streaming, promotion."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from agentapp.lifecycle import replica
from agentapp.local.child import Child, launched
from agentapp.local.postgres import DATABASE, EmbeddedPostgres, _wheel
from tests import homes
from tests.acceptance.waiting import until

USER = "postgres"


class Server:
    """One of them. Its address is known before it runs."""

    def __init__(self) -> None:
        self.home = homes.make()
        self.postgres = EmbeddedPostgres(self.home, durable=False)
        self.socket = str(self.postgres._run)
        self._child: Child | None = None

    def start(self) -> None:
        self._child = Child(self.postgres.program(), log=self.home / "postgres.log")
        until(self.postgres.is_ready, "a server of Postgres answers")

    def follow(self, primary: Server) -> None:
        """Be its replica, which is asynchronous unless the primary says otherwise."""
        data = self.postgres.data
        data.mkdir(mode=0o700)
        self.postgres._give_away(data)
        command = [str(_wheel() / "pg_basebackup"), "-D", str(data), "-h", primary.socket, "-U", USER]
        command += ["--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        subprocess.run(
            launched(command, account=self.postgres._account, stop_signal=signal.SIGTERM), check=True, cwd=self.home
        )
        self.start()

    def ask(self, statement: str) -> Any:
        with psycopg.connect(self.postgres.url, autocommit=True) as session:
            found = session.execute(statement)
            row = found.fetchone() if found.description else None
            return row and row[0]

    def configure(self, name: str, value: str) -> None:
        self.ask(f"ALTER SYSTEM SET {name} = '{value}'")
        self.ask("SELECT pg_reload_conf()")

    def has_all_of(self, primary: Server) -> bool:
        position = primary.ask("SELECT pg_current_wal_lsn()")
        return bool(self.ask(f"SELECT pg_last_wal_replay_lsn() >= '{position}'"))

    def hear_no_more(self) -> None:
        """Lose the line to the primary."""
        self.configure("primary_conninfo", "")
        until(lambda: not self.ask("SELECT count(*) FROM pg_stat_wal_receiver"), "the line is cut")

    def promote(self) -> None:
        assert self.ask("SELECT pg_promote(true, 120)")

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None


@contextmanager
def servers(count: int) -> Iterator[list[Server]]:
    made = [Server() for _ in range(count)]
    try:
        yield made
    finally:
        for server in made:
            server.kill()
            shutil.rmtree(server.home, ignore_errors=True)


def fill(server: Server, source: str, *, by_way_of: Path) -> None:
    """Let the server have what the database with the address `source` has."""
    dump = by_way_of / "source.dump"
    subprocess.run([str(_wheel() / "pg_dump"), "-Fc", f"--file={dump}", source], check=True)
    subprocess.run(
        [str(_wheel() / "pg_restore"), "--no-owner", f"--dbname={server.postgres.url}", str(dump)], check=True
    )


def let_django_use(settings_dict: dict[str, Any], made: list[Server]) -> None:
    """As DATABASE_URL=postgresql:///agentapp?host=...,... would: whichever of them takes writes."""
    settings_dict.update(
        {"NAME": DATABASE, "USER": USER, "PASSWORD": "", "PORT": "", "HOST": ",".join(each.socket for each in made)}
    )


@contextmanager
def read_from(settings_dict: dict[str, Any]) -> Iterator[BaseDatabaseWrapper]:
    """Let DATABASE_REPLICA_URL be that of these settings, for this thread; yield its connection."""
    # Under a name of its own: tests may use the databases alone that the settings had before.
    own: BaseDatabaseWrapper = type(connections["default"])(settings_dict, "replica of a test")
    connections[replica.ALIAS] = connections[own.alias] = own
    connections.settings[replica.ALIAS] = settings_dict
    replica.watch, usual = replica.Watch(), replica.watch
    try:
        yield own
    finally:
        own.close()
        replica.watch = usual
        del connections.settings[replica.ALIAS], connections[replica.ALIAS], connections[own.alias]
