"""One database with all migrations, of which each worker of `pytest -n` makes a copy, and each stack that is started.

A process of its own migrates it while the workers collect: `python -m tests.template FILE` writes FILE when it is done.
Then the files of its server are copied beside, for stacks, which have servers of their own: to migrate a database takes
seven seconds of CPU, to find that nothing is to be migrated takes one.
"""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import time
import traceback
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

_CHECKOUT = Path(__file__).resolve().parents[1]
# Names the file for the workers that xdist starts.
_VARIABLE = "AGENTAPP_TEST_TEMPLATE"
_DEADLINE_S = 300


def begin(home: Path) -> subprocess.Popen[bytes]:
    """Start to migrate the database of DATABASE_URL."""
    os.environ[_VARIABLE] = str(home / "template")
    return subprocess.Popen([sys.executable, "-m", "tests.template", os.environ[_VARIABLE]], cwd=_CHECKOUT)


def name() -> str:
    """Return the name of the template once it is done, or nothing where each process migrates for itself.

    Raises:
        RuntimeError: it could not be migrated.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ or _VARIABLE not in os.environ:
        return ""
    done, deadline = Path(os.environ[_VARIABLE]), time.monotonic() + _DEADLINE_S
    while not done.exists():
        if time.monotonic() > deadline:
            raise RuntimeError(f"The template database was not made within {_DEADLINE_S} s.")
        time.sleep(0.05)
    if problem := done.read_text():
        raise RuntimeError(f"The template database could not be made:\n{problem}")
    return urlsplit(os.environ["DATABASE_URL"]).path.removeprefix("/")


def create(server: str, database: str) -> None:
    """Make a database anew, migrated if there is a template.

    This session is connected to another one than the template: of two that copy it at once each would wait for the
    other. Who else is connected to it is waited for, because Postgres gives up after five seconds.
    """
    copied = f" TEMPLATE {name()}" if name() else ""
    deadline = time.monotonic() + _DEADLINE_S
    address = urlsplit(server)._replace(path="/postgres").geturl()
    with psycopg.connect(address, autocommit=True) as session:
        session.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)".encode())
        while True:
            try:
                session.execute(f"CREATE DATABASE {database}{copied}".encode())
                return
            except psycopg.errors.ObjectInUse:
                if time.monotonic() > deadline:
                    raise


def laid(home: Path, env: dict[str, str]) -> Path:
    """Let a stack in this home find a Postgres that is migrated, if it has one of its own and there is a template."""
    if not env["DATABASE_URL"] and name():
        _copy(_files(Path(os.environ[_VARIABLE])), home / "postgres")
    return home


def _files(file: Path) -> Path:
    return file.with_suffix(".files")


def _copy(source: Path, target: Path, *, is_alive: bool = False) -> None:
    # Who owns them matters: Postgres does not run as root. Of a server that runs, files that it needs no more vanish.
    subprocess.run(["cp", "-a", str(source), str(target)], check=not is_alive, capture_output=is_alive)


def _back_up(target: Path) -> None:
    """Copy the files of the running server, in the way that Postgres documents for backups."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as session:
        (data,) = session.execute("SHOW data_directory").fetchone() or ("",)
        session.execute("SELECT pg_backup_start('template', true)")
        _copy(Path(data), target, is_alive=True)
        (label,) = session.execute("SELECT labelfile FROM pg_backup_stop(false)").fetchone() or ("",)
    # With the log up to the end of the backup, and without what belongs to the process that runs.
    shutil.rmtree(target / "pg_wal")
    _copy(Path(data) / "pg_wal", target / "pg_wal", is_alive=True)
    (target / "postmaster.pid").unlink()
    (target / "backup_label").write_text(label)
    owner = target.stat()
    os.chown(target / "backup_label", owner.st_uid, owner.st_gid)


def main(file: Path) -> None:
    gc.disable()
    import django
    from django.core.management import call_command
    from django.db import connections

    problem = ""
    try:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
        django.setup()
        gc.freeze()
        gc.enable()
        call_command("migrate", interactive=False, verbosity=0)
        connections.close_all()
        _back_up(_files(file))
    except BaseException:
        problem = traceback.format_exc()
        raise
    finally:
        # A database in use cannot be copied, and this process may take seconds to end.
        connections.close_all()
        # In one piece: a process that sees the file reads all of it.
        written = file.with_suffix(".writing")
        written.write_text(problem)
        written.rename(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
