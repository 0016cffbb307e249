"""A server of Postgres is spoken to over TLS, and one that does not prove its name ends a process with a sentence."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from django.db import connection, connections

from agentapp.lifecycle import at_start
from agentapp.lifecycle.postgresql.base import DatabaseWrapper
from agentapp.local import ports
from agentapp.local.child import Child
from agentapp.local.postgres import EmbeddedPostgres
from config import addresses
from tests import debian_postgres, homes
from tests.acceptance.scale import LONG
from tests.acceptance.waiting import until
from tests.tls import Certificates

CHECKOUT = Path(__file__).resolve().parents[2]
PROCESSES = {
    "web": ["-m", "uvicorn", "config.asgi:application", "--port", "0"],
    "dispatcher": ["manage.py", "run_dispatcher"],
    "worker": ["-m", "config.worker", "-P", "threads", "-c", "1", "-Q", "webhooks"],
    "migrate": ["manage.py", "migrate"],
}


@dataclass(frozen=True)
class Secured:
    """A server with a certificate for localhost alone."""

    port: int
    postgres: EmbeddedPostgres
    authority: Path
    another: Path

    def url(self, host: str = "localhost", *, authority: Path | None = None) -> str:
        checks = f"sslmode=verify-full&sslrootcert={authority or self.authority}"
        return f"postgresql://postgres@{host}:{self.port}/postgres?{checks}"

    def set(self, **settings: str | Path) -> None:
        with psycopg.connect(self.postgres.url, autocommit=True) as session:
            for name, value in settings.items():
                session.execute(f"ALTER SYSTEM SET {name} = '{value}'")
            session.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="module")
def secured() -> Iterator[Secured]:
    """Debian's: the wheel's is built without TLS."""
    programs = debian_postgres.needed()
    home = homes.make()
    folders = [home / "certificates", home / "another"]
    for folder in folders:
        folder.mkdir()
    made, another = map(Certificates, folders)
    postgres = EmbeddedPostgres(home, durable=False, programs=programs, locale=["--locale=C"])
    postgres._give_away(made.key)
    made.key.chmod(0o600)
    (port,) = ports.free(1)
    program = postgres.program()
    over_tcp = ["-c", "listen_addresses=localhost", "-c", f"port={port}"]
    child = Child(replace(program, argv=[*program.argv, *over_tcp]), log=home / "postgres.log")
    postgres.url = f"{postgres.url}&port={port}"
    postgres._maintenance_url = f"{postgres._maintenance_url}&port={port}"
    try:
        until(postgres.is_ready, "the server answers")
        server = Secured(port, postgres, made.authority, another.authority)
        server.set(ssl_cert_file=made.certificate, ssl_key_file=made.key, ssl="on")
        yield server
    finally:
        child.kill()
        shutil.rmtree(home, ignore_errors=True)


def settings_of(url: str, *, pool_max: int = 0) -> dict[str, object]:
    return addresses.database(url, pool_max=pool_max, pool_wait_s=2.0)


def refused(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a process says that starts with this address."""
    for name, value in settings_of(url).items():
        monkeypatch.setitem(connection.settings_dict, name, value)
    return at_start.refusal()


@pytest.mark.parametrize("pool_max", [0, 2])
def test_a_session_is_encrypted_and_its_server_proven(db: None, secured: Secured, pool_max: int) -> None:
    url = secured.url()
    wrapper = DatabaseWrapper({**connection.settings_dict, **settings_of(url, pool_max=pool_max)}, f"secured{pool_max}")
    connections[wrapper.alias] = wrapper
    try:
        with wrapper.cursor() as cursor:
            cursor.execute("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            assert cursor.fetchone() == (True, "TLSv1.3")
    finally:
        wrapper.close()
        if pool_max:
            wrapper.close_pool()
        del connections[wrapper.alias]


def test_a_server_that_is_not_proven_is_refused_with_a_sentence(
    secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(secured.url(), monkeypatch) == ""
    for url, why in (
        (secured.url(authority=secured.another), "certificate verify failed"),
        (secured.url("127.0.0.1"), 'does not match host name "127.0.0.1"'),
        (secured.url(authority=Path("/nowhere")), 'root certificate file "/nowhere" does not exist'),
    ):
        said = refused(url, monkeypatch)
        assert said.startswith("The server of DATABASE_URL is not the one") and why in said, said
    # One that is away is waited for.
    (free,) = ports.free(1)
    assert refused(secured.url().replace(str(secured.port), str(free)), monkeypatch) == ""


@pytest.mark.skipif(not LONG, reason="each process takes seconds to start: AGENTAPP_CHAOS=long")
@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_ends_with_that_sentence(secured: Secured, process: str, tmp_path: Path) -> None:
    env = {**os.environ, "DATABASE_URL": secured.url(authority=secured.another), "AGENTAPP_HOME": str(tmp_path)}
    command = [sys.executable, *PROCESSES[process]]
    ended = subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, text=True, timeout=120, check=False)

    assert ended.returncode == at_start.CONFIGURATION, ended.stderr[-2000:]
    assert "The server of DATABASE_URL is not the one that sslmode asks for" in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr


def test_a_server_without_tls_is_refused(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    secured.set(ssl="off")
    try:
        until(lambda: "does not support SSL" in refused(secured.url(), monkeypatch), "the server speaks no TLS")
    finally:
        secured.set(ssl="on")
