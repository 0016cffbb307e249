"""PgBouncer in transaction mode between processes and Postgres: none keeps a session, or what it has set in one."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from agentapp.local import ports
from agentapp.local.postgres import EmbeddedPostgres
from tests import programs
from tests.acceptance.waiting import until

# Names the pooler behind which acceptance tests run; unset: none. There is one kind.
VARIABLE, PGBOUNCER = "AGENTAPP_TEST_POOLER", "pgbouncer"
# A job of the dispatcher, of a worker or of the web may get any of these few sessions, in any order.
SESSIONS = 12
LOGIN = "login attempt: "


@contextmanager
def running(server: str, folder: Path, *, sessions: int = SESSIONS) -> Iterator[str]:
    """Run PgBouncer with its files in a folder of its own, in front of a database on a socket; yield its address.

    Postgres need not run yet, and asks for no password. The folder and what leads to the socket are opened to the
    account that both run as.
    """
    programs.pgbouncer()
    postgres = conninfo_to_dict(server)
    host, user, name = str(postgres["host"]), postgres["user"], postgres["dbname"]
    own = ports.free(1)[0]
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{name} = host={host} port={postgres.get('port', 5432)} user={user}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {own}\nauth_type = any\nunix_socket_dir =\n"
        f"pool_mode = transaction\nserver_reset_query =\ndefault_pool_size = {sessions}\nmax_client_conn = 500\n"
    )
    command = ["pgbouncer", "pgbouncer.ini"]
    if getpass.getuser() == "root":
        _let_pass(Path(host).parent)
        folder.chmod(0o755)
        command[1:1] = ["-u", "postgres"]
    with (folder / "pgbouncer.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        until(lambda: _listens(own), "PgBouncer listens")
        yield f"postgresql://{user}@127.0.0.1:{own}/{name}"
    finally:
        process.terminate()
        process.wait(timeout=120)


def _let_pass(folder: Path) -> None:
    folder.chmod(folder.stat().st_mode | stat.S_IXOTH)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10):
        return True
    return False


@contextmanager
def chosen(home: Path, lines: dict[str, str], env: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The lines of a stack in this home, behind the pooler that AGENTAPP_TEST_POOLER names; as they are where it names
    none, or where the stack has no Postgres of its own. The tests themselves look past it."""
    if not (kind := os.environ.get(VARIABLE, "")) or env.get("DATABASE_URL"):
        yield lines
        return
    assert kind == PGBOUNCER, f"{VARIABLE} is {kind}, which is no pooler: {PGBOUNCER}"
    if shutil.which(PGBOUNCER) is None:
        pytest.fail("PgBouncer is not installed: Debian's package pgbouncer")
    folder = home / "pooler"
    folder.mkdir()
    with running(EmbeddedPostgres(home).url, folder) as address:
        yield {name: f"export DATABASE_URL={address}; {line}" for name, line in lines.items()}
        assert LOGIN in (folder / "pgbouncer.log").read_text(), "no process has come by the pooler"
